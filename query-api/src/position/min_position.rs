//! `Runut-Min-Position`, read.

use api_conventions::{Caller, Problem};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use event_store::log::Position;

use super::MIN_POSITION_HEADER;

/// What the caller wants to see at least; the position before the first event if it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinPosition {
    pub(crate) position: Position,
    /// Whose share of the places for waiting it takes, if it has to be waited for, and with which key.
    pub(crate) asked_by: Option<Caller>,
}

impl MinPosition {
    /// One that nobody asks for: it was seen already.
    pub(crate) fn seen(position: Position) -> Self {
        Self { position, asked_by: None }
    }

    /// One that was seen already, asked for by the same caller.
    pub(crate) fn seen_at(self, position: Position) -> Self {
        Self { position, ..self }
    }

    /// The same, and a position that the query itself asks for.
    pub(crate) fn at_least(self, position: Option<Position>) -> Self {
        Self { position: position.map_or(self.position, |at| at.max(self.position)), ..self }
    }
}

impl<S: Sync> FromRequestParts<S> for MinPosition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(MIN_POSITION_HEADER).iter();
        let asked_by = parts.extensions.get::<Caller>().copied();
        let of = |position| Self { position, asked_by };
        let Some(value) = values.next() else { return Ok(of(Position::START)) };
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        match (number, values.next()) {
            (Some(number), None) => Ok(of(Position::from_number(number))),
            _ => Err(Problem::malformed("Runut-Min-Position is not one position")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn check(values: &[&str]) -> Result<i64, u16> {
        let request = Request::builder();
        let request = values
            .iter()
            .fold(request, |request, value| request.header(MIN_POSITION_HEADER, *value));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let read = MinPosition::from_request_parts(&mut parts, &()).await;
        read.map(|min| min.position.number()).map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn a_position_is_digits_and_given_once() {
        assert_eq!(check(&[]).await, Ok(0));
        assert_eq!(check(&["0"]).await, Ok(0));
        assert_eq!(check(&["1042"]).await, Ok(1042));
        for garbled in ["", "-1", "+1", "1.0", " ", "x", "9223372036854775808", "1, 2"] {
            assert_eq!(check(&[garbled]).await, Err(400), "{garbled:?}");
        }
        assert_eq!(check(&["1", "1"]).await, Err(400));
    }
}
