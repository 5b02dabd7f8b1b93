//! What came back, and how a snapshot shows it.

use std::fmt;

use axum::http::HeaderMap;
use serde_json::Value;

/// Headers that differ from run to run, or are the conventions' business.
const HEADERS_NOT_SHOWN: [&str; 4] =
    ["content-length", "ratelimit", "ratelimit-policy", "x-correlation-id"];
const ID_CHARACTERS: usize = 26;
const SECRET_HEX_DIGITS: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self}"))
    }

    /// A text field of the body.
    pub(crate) fn text(&self, field: &str) -> String {
        let json = self.json();
        let text = json[field].as_str().unwrap_or_else(|| panic!("no text `{field}`: {self}"));
        text.to_owned()
    }

    /// Where something is wrong, in the order of the answer.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let errors = self.json()["errors"].clone();
        let errors = errors.as_array().unwrap_or_else(|| panic!("no errors: {self}"));
        let pointer = |error: &Value| error["pointer"].as_str().expect("a pointer").to_owned();
        errors.iter().map(pointer).collect()
    }

    pub(crate) fn position(&self) -> i64 {
        let text = self.header("runut-position");
        text.parse().unwrap_or_else(|_| panic!("no position: {self}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// The body without what differs from run to run.
    pub(crate) fn redacted(&self) -> String {
        redacted(&self.body)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        let mut names: Vec<&str> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        for name in names.into_iter().filter(|name| !HEADERS_NOT_SHOWN.contains(name)) {
            writeln!(f, "{name}: {}", self.header(name))?;
        }
        write!(f, "\n{}", self.redacted())
    }
}

fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for prefix in ["mer_", "acc_", "ent_", "hld_", "key_", "pay_", "runut_"] {
        text = without_what_follows(&text, prefix, ID_CHARACTERS);
    }
    text = without_what_follows(&text, "runut_…_", SECRET_HEX_DIGITS);
    without_what_follows(&text, r#""recorded_at":""#, "2026-11-21T03:33:38.123456Z".len())
}

/// Puts an ellipsis where `length` characters of an id or a time follow `prefix`.
fn without_what_follows(text: &str, prefix: &str, length: usize) -> String {
    let mut parts = text.split(prefix);
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        redacted.push_str(prefix);
        let id = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
        match part.get(..length) {
            Some(found) if found.chars().all(id) => {
                redacted.push('…');
                redacted.push_str(&part[length..]);
            }
            Some(_) | None => redacted.push_str(part),
        }
    }
    redacted
}
