//! What a simulator is told at its start.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio::net::TcpListener;

use super::charges::Misfit;

/// What a simulator needs.
pub struct Options {
    /// The simulator's name; part of every id it makes, so that no two simulators make the same.
    pub name: String,
    /// Where it is reached.
    pub listener: TcpListener,
    /// The file of its ledger; made if it is missing, in a folder that exists.
    pub ledger: PathBuf,
    /// What callers show as `Authorization: Bearer <api_key>`.
    pub api_key: String,
    /// Who hears of operations; nobody if `None`.
    pub webhook: Option<WebhookTarget>,
}

/// Who hears of operations.
#[derive(Clone)]
pub struct WebhookTarget {
    /// Where events are posted to.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("listener", &self.listener)
            .field("ledger", &self.ledger)
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ledger's file cannot be opened, read or shortened.
    #[error("the ledger {} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another simulator has the ledger open.
    #[error("the ledger {} is in use by another simulator", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A line of the ledger, other than a torn last one, is no record.
    #[error("line {line} of the ledger is no record")]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A record does not fit those before it.
    #[error("line {line} of the ledger does not fit the lines before it")]
    Misfit {
        /// The line, from 1.
        line: u64,
        /// Why not.
        #[source]
        source: Misfit,
    },
    /// Events cannot be sent: the HTTP client could not be made.
    #[error("the webhooks' HTTP client cannot be made")]
    WebhookClient(#[source] reqwest::Error),
}
