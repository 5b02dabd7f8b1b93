//! What must hold for any JSON body whatever its type: it parses, no object names a key twice, and
//! no text holds NUL (which Postgres cannot keep). One walk, before the body is read as its type.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::pointer::Pointer;
use crate::problem::{FieldError, Problem};
use crate::problem_kinds as kinds;

pub(crate) const DUPLICATE_KEY: &str = "duplicate-key";
pub(crate) const NUL_CHARACTER: &str = "nul-character";
const MALFORMED: &str = "malformed";
const NUL_DETAIL: &str = "NUL is not allowed, raw or escaped, in keys and values";

/// Checks the structure of `raw`. Nesting is bounded by the parser, at 128 levels.
pub(crate) fn check_structure(raw: &[u8]) -> Result<(), Problem> {
    let mut walk = Walk { path: Vec::new(), finding: None };
    let mut parser = serde_json::Deserializer::from_slice(raw);
    let result = Value(&mut walk).deserialize(&mut parser).and_then(|()| parser.end());
    let Err(error) = result else { return Ok(()) };
    let pointer = walk.pointer();
    match walk.finding {
        Some((code, detail)) => Err(Problem::invalid(vec![FieldError::at(&pointer, code, detail)])),
        None if raw.contains(&0) => {
            let error = FieldError::at(&pointer, NUL_CHARACTER, NUL_DETAIL);
            Err(Problem::invalid(vec![error]))
        }
        None => {
            let problem = Problem::new(kinds::MALFORMED_JSON, &error);
            Err(problem.with_error(FieldError::at(&pointer, MALFORMED, &error)))
        }
    }
}

enum Step<'de> {
    Key(Cow<'de, str>),
    Index(usize),
}

/// Where the walk is; not wound back on failure, so that it then says where.
struct Walk<'de> {
    path: Vec<Step<'de>>,
    finding: Option<(&'static str, &'static str)>,
}

impl Walk<'_> {
    fn pointer(&self) -> Pointer {
        self.path.iter().fold(Pointer::root(), |pointer, step| match step {
            Step::Key(key) => pointer.key(key),
            Step::Index(index) => pointer.index(*index),
        })
    }

    fn fail<E: Error>(&mut self, code: &'static str, detail: &'static str) -> E {
        self.finding = Some((code, detail));
        E::custom(detail)
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.fail(NUL_CHARACTER, NUL_DETAIL)) } else { Ok(()) }
    }
}

struct Value<'walk, 'de>(&'walk mut Walk<'de>);

impl<'de> DeserializeSeed<'de> for Value<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.0.path.push(Step::Index(index));
            let element = elements.next_element_seed(Value(self.0))?;
            self.0.path.pop();
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = members.next_key_seed(Key)? {
            self.0.text(&key)?;
            self.0.path.push(Step::Key(key.clone()));
            if !seen.insert(key) {
                return Err(self.0.fail(DUPLICATE_KEY, "the object has this key twice"));
            }
            members.next_value_seed(Value(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }
}

/// Borrows a key from the body where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
