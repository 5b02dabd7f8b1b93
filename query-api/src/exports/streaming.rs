//! Answers that are sent while they are made.

use std::sync::Arc;

use api_conventions::{Caller, Connection, KeyWatch, Place, Pool, Problem};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use domain::{ApiKeyId, MerchantId};
use futures::stream;

use crate::state::ApiState;

/// The exports of a process: each holds some pages of some MiB. A merchant has a quarter of them, and so have the
/// platform's own keys together.
pub(crate) const EXPORTS: Pool =
    Pool { name: "exports", units: "exports", owner: "merchant", total: 16, of_one: 4 };

/// Asks a proxy of the nginx family not to collect the file before it sends it.
const BUFFERING_HEADER: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Why an export breaks off. The caller sees a connection that failed, so nobody takes what came for all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("this process is stopping")]
    Stopping,
    #[error("the API key was revoked, or cannot be looked up")]
    Key,
    #[error("the rows cannot be read: {0:?}")]
    Rows(Problem),
}

impl From<Problem> for Broken {
    fn from(problem: Problem) -> Self {
        Self::Rows(problem)
    }
}

/// What a file is made of, piece by piece.
pub(super) trait Pieces: Send + 'static {
    /// The next piece; `None` after the last. Holds a connection only while it reads.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Broken>> + Send;
}

/// What a file is called and what it is.
#[derive(Debug)]
pub(super) struct File {
    /// Of characters that need no quoting in a header.
    pub(super) name: String,
    pub(super) media_type: &'static str,
}

struct Export<P> {
    pieces: P,
    key_id: ApiKeyId,
    watch: KeyWatch,
    api: ApiState,
    _place: Place<MerchantId>,
}

/// For whom an export is, and on which connection.
pub(super) struct Recipient {
    caller: Caller,
    connection: Option<Connection>,
    place: Place<MerchantId>,
}

impl Recipient {
    /// One for whom there is a place.
    pub(super) fn of(
        caller: Caller,
        connection: Option<Extension<Connection>>,
        api: &ApiState,
    ) -> Result<Self, Problem> {
        let place = api.exports.take(caller.merchant_id)?;
        Ok(Self { caller, connection: connection.map(|Extension(connection)| connection), place })
    }
}

/// The answer that has the pieces as its body.
pub(super) fn download<P: Pieces>(
    file: &File,
    pieces: P,
    api: ApiState,
    recipient: Recipient,
) -> Result<Response, Problem> {
    let disposition = format!("attachment; filename=\"{}\"", file.name);
    let disposition = HeaderValue::try_from(disposition).map_err(Problem::internal)?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(file.media_type)),
        (CONTENT_DISPOSITION, disposition),
        (BUFFERING_HEADER, HeaderValue::from_static("no")),
    ];
    let Recipient { caller, connection, place } = recipient;
    let key_id = caller.key_id;
    let watch = KeyWatch::of(Arc::clone(&api.keys), key_id, connection);
    let export = Export { pieces, key_id, watch, api, _place: place };
    let body = stream::try_unfold(export, |mut export| async move {
        match export.next().await {
            Ok(piece) => Ok(piece.map(|bytes| (Bytes::from(bytes), export))),
            Err(broken) => {
                tracing::warn!(error = %broken, "an export broke off");
                metrics::counter!("runut_exports_broken_total").increment(1);
                Err(broken)
            }
        }
    });
    Ok((headers, Body::from_stream(body)).into_response())
}

impl<P: Pieces> Export<P> {
    /// The next piece, for a key that still opens something. An export may take long, and a revocation acts
    /// within a second.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            if self.api.stopping.is_cancelled() {
                return Err(Broken::Stopping);
            }
            let key = self.api.keys.read(self.key_id).await.map_err(|_| Broken::Key)?;
            if key.is_none_or(|key| key.revoked) {
                return Err(Broken::Key);
            }
            let piece = tokio::select! {
                piece = self.pieces.next() => piece?,
                () = self.watch.revoked() => return Err(Broken::Key),
            };
            match piece {
                // An empty piece would be nothing to send.
                Some(piece) if piece.is_empty() => {}
                piece => return Ok(piece),
            }
        }
    }
}
