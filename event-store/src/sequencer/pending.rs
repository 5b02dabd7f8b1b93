//! A command on its way through the sequencer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Context, StateKey};
use tokio::sync::oneshot;

use super::load::Loaded;
use crate::clock::{Clock, IdSource};
use crate::request::{Answer, Request, SubmitError};

/// What the sequencer says to the waiting caller.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Done with it.
    Done(Result<Answer, SubmitError>),
    /// A state it needs went or was too old; load again.
    Reload,
    /// Its key is claimed; watch the key's row.
    InProgress,
}

/// A command, what it reads, and who waits for it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) request: Request,
    pub(crate) context: Context,
    /// Worked out once, by the caller's thread.
    pub(crate) reads: Vec<StateKey>,
    /// States that were not in the cache, as the caller loaded them.
    pub(crate) loaded: Vec<Loaded>,
    /// How often its states were found missing or too old.
    pub(crate) failed_admissions: u32,
    /// Set just before it is sent to Postgres for the first time.
    pub(crate) sent: Arc<AtomicBool>,
    pub(crate) reply: oneshot::Sender<Reply>,
}

impl Pending {
    /// A command for which nobody waits.
    pub(super) fn alone(request: Request, clock: &dyn Clock, ids: &dyn IdSource) -> Self {
        let context = Context { now: clock.now(), event_id: ids.next() };
        let reads = request.command.reads();
        let sent = Arc::new(AtomicBool::new(false));
        let (reply, _) = oneshot::channel();
        Self { request, context, reads, loaded: Vec::new(), failed_admissions: 0, sent, reply }
    }

    /// Whether the caller gave up; what was never sent need not be, then.
    pub(super) fn abandoned(&self) -> bool {
        self.reply.is_closed() && !self.sent.load(Ordering::Acquire)
    }
}
