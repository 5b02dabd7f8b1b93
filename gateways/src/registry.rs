//! The gateways of a process, and which of them a payment goes to.

use std::sync::Arc;

use domain::payments::{Attempt, AttemptConclusion, DeclineClass, Operation, Payment, PspName};

use crate::config::PspsConfig;
use crate::gateway::Gateway;
use crate::simulated::SimulatedPsp;

/// The way to every PSP, in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct Gateways {
    all: Vec<Arc<dyn Gateway>>,
}

impl Gateways {
    /// To the PSPs of a deployment; connects to nothing yet.
    ///
    /// # Errors
    /// No client can be made on this machine.
    pub fn to(config: &PspsConfig) -> Result<Self, reqwest::Error> {
        let gateway = |psp| SimulatedPsp::new(psp).map(|psp| Arc::new(psp) as Arc<dyn Gateway>);
        Ok(Self { all: config.psps.iter().map(gateway).collect::<Result<_, _>>()? })
    }

    /// The one to `psp`.
    pub fn named(&self, psp: &PspName) -> Option<&Arc<dyn Gateway>> {
        self.all.iter().find(|gateway| gateway.psp() == psp)
    }

    /// The one that `operation` of `payment` goes to: what follows an authorization goes to its PSP, and an
    /// authorization to the one that the merchant insists on. Else payments are spread by their ids, and
    /// after an attempt that may fare better elsewhere it is the next one's turn.
    pub fn route(&self, payment: &Payment, operation: Operation) -> Option<&Arc<dyn Gateway>> {
        match operation {
            Operation::Capture { .. } | Operation::Void | Operation::Refund { .. } => {
                self.named(&payment.authorization.as_ref()?.psp)
            }
            Operation::Reverse { attempt } => self.named(&payment.late(attempt)?.psp),
            Operation::Authorize | Operation::Sale => match &payment.intent.psp {
                Some(psp) => self.named(psp),
                None => {
                    let many = u128::try_from(self.all.len()).ok().filter(|many| *many > 0)?;
                    let turned_away = payment.attempts.iter().filter(|one| better_elsewhere(one));
                    let turned_away = u128::try_from(turned_away.count()).ok()?;
                    // The last bits of a UUIDv7 are random.
                    let spread = payment.id.uuid().as_u128() & u128::from(u32::MAX);
                    self.all.get(usize::try_from((spread + turned_away) % many).ok()?)
                }
            },
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Gateway>> {
        self.all.iter()
    }
}

/// Whether an attempt came to nothing for a reason that lies with its PSP, which certainly charged nothing.
fn better_elsewhere(attempt: &Attempt) -> bool {
    match &attempt.conclusion {
        Some(AttemptConclusion::Failed { unsent, .. }) => *unsent,
        Some(AttemptConclusion::Declined { class, .. }) => *class == DeclineClass::SoftTemporary,
        Some(AttemptConclusion::Succeeded { .. }) | None => false,
    }
}
