//! Ids in paths: one that cannot be read is like one that is unknown.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The parameters of the path. What does not parse answers 404, exactly as an unknown id does.
#[derive(Debug, Clone, Copy)]
pub struct PathId<T>(
    /// The id, or a tuple of them.
    pub T,
);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(refused) if refused.status().is_client_error() => Err(Problem::not_found()),
            Err(refused) => Err(Problem::internal(refused)),
        }
    }
}
