//! `Prefer: respond-async` (RFC 7240, section 4.1): the caller does not want to wait for the outcome.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Whether the caller would rather have an answer at once than the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// The preference was given.
    pub respond_async: bool,
}

impl Prefer {
    const HEADER: &'static str = "prefer";
    const RESPOND_ASYNC: &'static str = "respond-async";
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    /// A preference that is not understood is ignored, as the RFC has it.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let named = parts.headers.get_all(Self::HEADER).iter();
        let respond_async = named
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|preference| preference.split(';').next())
            .any(|preference| preference.trim().eq_ignore_ascii_case(Self::RESPOND_ASYNC));
        Ok(Self { respond_async })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn prefer(values: &[&str]) -> bool {
        let mut request = Request::builder();
        for value in values {
            request = request.header("Prefer", *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Prefer::from_request_parts(&mut parts, &()).await.unwrap().respond_async
    }

    #[tokio::test]
    async fn the_preference_is_found_among_others() {
        assert!(prefer(&["respond-async"]).await);
        assert!(prefer(&["return=minimal, Respond-Async; foo=bar"]).await);
        assert!(prefer(&["wait=10", "respond-async"]).await);
        assert!(!prefer(&[]).await);
        assert!(!prefer(&["respond-asynchronously"]).await);
    }
}
