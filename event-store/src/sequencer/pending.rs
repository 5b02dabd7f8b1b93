//! A command on its way through the sequencer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use domain::StateKey;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::load::Loaded;
use crate::byte_budget::TakenBytes;
use crate::clock::IdSource;
use crate::request::{Answer, Request, SubmitError};

/// What the sequencer says to the waiting caller.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Done with it.
    Done(Result<Answer, SubmitError>),
    /// A state it needs went or was too old; load again. With the request, which is nobody else's now.
    Reload(Box<Request>),
    /// Its key is claimed; watch the key's row.
    InProgress(Box<Request>),
}

/// Whether a command was sent or its caller gave up: whichever came first.
///
/// A caller that gives up says that nothing was written, so nothing may be from then on.
#[derive(Debug, Default)]
pub(crate) struct Fate(AtomicU8);

impl Fate {
    const OPEN: u8 = 0;
    const SENT: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn settle_as(&self, fate: u8) -> bool {
        match self.0.compare_exchange(Self::OPEN, fate, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(settled) => settled == fate,
        }
    }

    /// The sequencer is about to send it; `false` if it must not any more.
    pub(super) fn send(&self) -> bool {
        self.settle_as(Self::SENT)
    }

    /// The caller waits no longer; `false` if it was sent, and nobody knows yet what came of it.
    pub(crate) fn give_up(&self) -> bool {
        self.settle_as(Self::GIVEN_UP)
    }

    fn sent(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::SENT
    }

    fn given_up(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::GIVEN_UP
    }
}

/// A command, what it reads, and who waits for it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) request: Request,
    /// The id of its first event: decided again, it has the same ids.
    pub(crate) event_id: Uuid,
    /// Worked out once, by the caller's thread.
    pub(crate) reads: Vec<StateKey>,
    /// States that were not in the cache, as the caller loaded them.
    pub(crate) loaded: Vec<Loaded>,
    /// How often its states were found missing or too old.
    pub(crate) failed_admissions: u32,
    /// Shared with the caller.
    pub(crate) fate: Arc<Fate>,
    pub(crate) reply: oneshot::Sender<Reply>,
    /// What it takes of the memory of all that wait; none for what does not.
    #[expect(dead_code, reason = "held")]
    pub(crate) taken: Option<TakenBytes>,
}

impl Pending {
    /// A command for which nobody waits.
    pub(super) fn alone(request: Request, ids: &dyn IdSource) -> Self {
        let event_id = ids.next();
        let reads = request.command.reads();
        let fate = Arc::default();
        let (reply, _) = oneshot::channel();
        Self {
            request,
            event_id,
            reads,
            loaded: Vec::new(),
            failed_admissions: 0,
            fate,
            reply,
            taken: None,
        }
    }

    /// Says that the states have to be loaded again.
    pub(super) fn send_back(self) {
        // A caller that went away does not mind.
        drop(self.reply.send(Reply::Reload(Box::new(self.request))));
    }

    /// Whether the caller gave up; what was never sent need not be, then.
    pub(super) fn abandoned(&self) -> bool {
        self.fate.given_up() || (self.reply.is_closed() && !self.fate.sent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_first_decides_a_commands_fate() {
        let sent = Fate::default();
        assert!(sent.send() && sent.send(), "sending again changes nothing");
        assert!(!sent.give_up(), "what was sent may have been written");
        let given_up = Fate::default();
        assert!(given_up.give_up());
        assert!(!given_up.send(), "the caller says that nothing was written");
    }
}
