//! Connecting to NATS with what its URL says.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// How long NATS may take to answer.
pub const NATS_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no connection. The URL is in no error: there may be a password in it.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// Not a URL.
    #[error("the NATS URL is malformed")]
    Url,
    /// It does not answer, or refuses.
    #[error("NATS cannot be reached")]
    Connect(#[source] async_nats::ConnectError),
}

/// Connects as `name`, with the user and password of the URL, which the client by itself leaves aside.
///
/// # Errors
/// [`NatsError`].
pub async fn connect_nats(url: &str, name: &str) -> Result<async_nats::Client, NatsError> {
    let address: ServerAddr = url.parse().map_err(|_| NatsError::Url)?;
    let mut options = ConnectOptions::new()
        .name(name)
        .connection_timeout(NATS_TIMEOUT)
        .request_timeout(Some(NATS_TIMEOUT));
    if let (Some(user), Some(password)) = (address.username(), address.password()) {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        options = options.user_and_password(decoded(user), decoded(password));
    }
    options.connect(address).await.map_err(NatsError::Connect)
}
