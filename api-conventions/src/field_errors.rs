//! Collects everything that is wrong with a body, so that the caller learns it in one answer.

use std::fmt::Display;

use crate::pointer::Pointer;
use crate::problem::{FieldError, Problem};

/// The most errors in one answer: what a person fixes in one go. The rest is left out.
pub const FIELD_ERRORS_MAX: usize = 50;

/// The code of a field whose value is not accepted.
pub const INVALID_VALUE: &str = "invalid-value";
/// The code of a field that is not there and has to be.
pub const MISSING_FIELD: &str = "missing-field";
/// The code of a field that is not known where it stands.
pub const UNKNOWN_FIELD: &str = "unknown-field";

/// What is wrong with a body, field by field, while it is turned into a command.
///
/// ```
/// # use api_conventions::{FieldErrors, Problem};
/// # use domain::{AccountId, Name};
/// struct Rename { account: AccountId, name: Name }
///
/// fn rename(account: &str, name: &str) -> Result<Rename, Problem> {
///     let mut errors = FieldErrors::new();
///     let account = errors.check("/account", account.parse());
///     let name = errors.check("/name", Name::parse(name));
///     errors.finish(|| Some(Rename { account: account?, name: name? }))
/// }
/// # assert!(rename("acc_", "").is_err());
/// ```
#[derive(Debug, Default)]
pub struct FieldErrors {
    errors: Vec<FieldError>,
}

impl FieldErrors {
    /// Nothing is wrong yet.
    pub const fn new() -> Self {
        Self { errors: Vec::new() }
    }

    /// Takes the value, or notes what is wrong with the field.
    pub fn check<T, E: Display>(
        &mut self,
        pointer: impl Into<Pointer>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(pointer, INVALID_VALUE, error)).ok()
    }

    /// Like [`Self::check`] for a field that may be absent: `Some(None)` if it is.
    pub fn check_optional<T, E: Display>(
        &mut self,
        pointer: impl Into<Pointer>,
        result: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        match result {
            None => Some(None),
            Some(result) => self.check(pointer, result).map(Some),
        }
    }

    /// Notes something wrong at `pointer`.
    pub fn add(&mut self, pointer: impl Into<Pointer>, code: &'static str, detail: impl Display) {
        if self.errors.len() < FIELD_ERRORS_MAX {
            self.errors.push(FieldError::at(&pointer.into(), code, detail));
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The 422 that names every field.
    pub fn into_problem(self) -> Problem {
        Problem::invalid(self.errors)
    }

    /// The command, if nothing was wrong; else the 422 that names every field.
    ///
    /// # Errors
    /// 422 `invalid-request`.
    pub fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        if !self.errors.is_empty() {
            return Err(self.into_problem());
        }
        build()
            .ok_or_else(|| Problem::internal("a field is missing that no check complained about"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Name;

    #[test]
    fn every_field_is_named_not_only_the_first() {
        let mut errors = FieldErrors::new();
        let name = errors.check("/name", Name::parse(""));
        let label = errors.check_optional("/label", Some(Name::parse("a\0")));
        let note = errors.check_optional("/note", None::<Result<Name, String>>);
        assert_eq!((name, label, note), (None, None, Some(None)));
        let problem = errors.finish(|| Some(())).unwrap_err();
        insta::assert_snapshot!(problem.body_text(None));
    }

    #[test]
    fn one_answer_holds_a_bounded_number_of_errors() {
        let mut errors = FieldErrors::new();
        for index in 0..FIELD_ERRORS_MAX + 9 {
            errors.add(Pointer::root().index(index), INVALID_VALUE, "wrong");
        }
        assert_eq!(errors.errors.len(), FIELD_ERRORS_MAX);
    }

    #[test]
    fn without_errors_the_command_is_built() {
        assert_eq!(FieldErrors::new().finish(|| Some(7)), Ok(7));
    }
}
