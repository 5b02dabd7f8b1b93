//! Who calls: an API key in `Authorization: Bearer …`, checked before anything of the body is read.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use domain::api_keys::{ApiKey, Role};
use domain::{ApiKeyId, MerchantId};

use crate::api_key_token::ApiKeyToken;
use crate::key_look_ups::KeyLookUps;
use crate::key_watch::Revocations;
use crate::peer::PeerNetwork;
use crate::problem::Problem;

/// Where keys are looked up: the command side's cache of the log, the query side's read model.
pub trait KeyDirectory: Send + Sync + 'static {
    /// The key, if this process has it in its memory and that is recent enough; costs nothing.
    fn known(&self, id: ApiKeyId) -> Option<ApiKey>;

    /// The key as it is now; `None` if there is none of this id.
    fn find(
        &self,
        id: ApiKeyId,
    ) -> impl Future<Output = Result<Option<ApiKey>, DirectoryUnavailable>> + Send;
}

/// Keys cannot be looked up at the moment, so nobody can be let in, nor turned away.
#[derive(Debug, thiserror::Error)]
#[error("API keys cannot be looked up")]
pub struct DirectoryUnavailable {
    /// Why, for the log.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

impl DirectoryUnavailable {
    /// Because of `cause`.
    pub fn because(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into() }
    }
}

/// Whose request this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The key it was made with.
    pub key_id: ApiKeyId,
    /// Whose ledger the key opens; the platform's for operators, auditors and analysts.
    pub merchant_id: MerchantId,
    /// What the key allows.
    pub role: Role,
}

impl Caller {
    /// Lets only keys of these roles pass.
    ///
    /// # Errors
    /// 403 `insufficient-scope`.
    pub fn require(&self, roles: &[Role]) -> Result<(), Problem> {
        if roles.contains(&self.role) {
            return Ok(());
        }
        let allowed: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        let detail =
            format!("the key's role is {}, allowed is {}", self.role.name(), allowed.join(", "));
        Err(Problem::insufficient_scope(detail))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().copied();
        caller.ok_or_else(|| Problem::internal("the route is not behind `authenticate`"))
    }
}

/// A directory, and who may have how much looked up in it.
#[derive(Debug)]
pub struct Door<D> {
    directory: Arc<D>,
    look_ups: KeyLookUps,
    revocations: Revocations,
}

impl<D: KeyDirectory> Door<D> {
    /// Nothing was looked up yet.
    pub fn of(directory: Arc<D>) -> Self {
        let revocations = Revocations::of(Arc::clone(&directory));
        Self { directory, look_ups: KeyLookUps::default(), revocations }
    }

    async fn find(&self, id: ApiKeyId, peer: PeerNetwork) -> Result<Option<ApiKey>, Problem> {
        let look_up = self.look_ups.begin(peer, id)?;
        let found = self.directory.find(id).await.map_err(|unavailable| {
            tracing::warn!(cause = %unavailable.cause, "API keys cannot be looked up");
            Problem::unavailable(&unavailable)
        })?;
        if found.is_some() {
            look_up.found();
        }
        Ok(found)
    }
}

/// Middleware that lets in requests with a valid key, and puts the [`Caller`] into their
/// extensions.
///
/// # Errors
/// 401, the same whatever is wrong with the key; 429 if too many keys that do not exist come from there; 503
/// if keys cannot be looked up.
pub async fn authenticate<D: KeyDirectory>(
    State(door): State<Arc<Door<D>>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = bearer_token(request.headers()).ok_or_else(Problem::unauthorized)?;
    let found = match door.directory.known(token.key_id()) {
        Some(known) => Some(known),
        None => door.find(token.key_id(), PeerNetwork::of(request.extensions())).await?,
    };
    let key = found.filter(|key| token.opens(key)).ok_or_else(Problem::unauthorized)?;
    let caller = Caller { key_id: key.id, merchant_id: key.merchant_id, role: key.role };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(door.revocations.clone());
    Ok(next.run(request).await)
}

/// Restricts the methods of a route to keys of these roles, before the body is read.
pub(crate) fn allow<S: Clone + Send + Sync + 'static>(
    roles: &'static [Role],
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods.route_layer(from_fn_with_state(roles, check_role))
}

async fn check_role(
    State(roles): State<&'static [Role]>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    caller.require(roles)?;
    Ok(next.run(request).await)
}

/// The token of the one `Authorization` header; with two it is unclear whose request this is.
fn bearer_token(headers: &HeaderMap) -> Option<ApiKeyToken> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    ApiKeyToken::parse(token.trim_matches(' '))
}

#[cfg(test)]
mod tests;
