//! Commands that parts of the platform give themselves, whose decision they want to know.

use std::sync::{Arc, Mutex, PoisonError};

use domain::{Command, Decision, Rejection};

use crate::log::Position;
use crate::request::{NewAnswer, Origin, Request, SubmitError};
use crate::store::EventStore;

/// What became of a command: durable, as far as it is events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What was decided.
    pub decision: Result<Decision, Rejection>,
    /// The position of its last event; that of the head where there is none.
    pub position: Position,
}

impl EventStore {
    /// Decides the command and appends what it decides, without an idempotency key: for commands that are
    /// harmless when repeated, because of what they carry.
    ///
    /// # Errors
    /// [`SubmitError`]; each says whether something may have been written.
    pub async fn give(&self, origin: Origin, command: Command) -> Result<Given, SubmitError> {
        let decided: Arc<Mutex<Option<Result<Decision, Rejection>>>> = Arc::default();
        let noted = Arc::clone(&decided);
        let request = Request {
            command,
            key: None,
            origin,
            bytes: Request::BYTES_USUAL,
            // Called again if the batch is decided again; the last decision is the one that counts.
            answer: Arc::new(move |outcome, _| {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome.clone());
                NewAnswer {
                    status: 0,
                    resource_id: String::new(),
                    body: String::new(),
                    replay_body: None,
                }
            }),
        };
        let position = self.submit(request).await?.position;
        let decision = decided.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A command is answered after it was decided, so there is a decision.
        Ok(Given { decision: decision.ok_or(SubmitError::OutcomeUnknown)?, position })
    }
}
