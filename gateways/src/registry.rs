//! The gateways of a process, and which of them a payment goes to.

use std::sync::Arc;

use domain::payments::{Attempt, AttemptConclusion, DeclineClass, Operation, Payment, PspName};

use crate::config::PspsConfig;
use crate::gateway::Gateway;
use crate::guarded::{Guarded, PspHealth};
use crate::routing::{RoutingRule, WeightedPsp, in_order};
use crate::simulated::SimulatedPsp;

/// The way to every PSP, in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub struct Gateways {
    all: Vec<Arc<Guarded>>,
    rules: Arc<[RoutingRule]>,
}

impl Gateways {
    /// To the PSPs of a deployment; connects to nothing yet.
    ///
    /// # Errors
    /// No client can be made on this machine.
    pub fn to(config: &PspsConfig) -> Result<Self, reqwest::Error> {
        let gateway = |psp| Ok(Arc::new(SimulatedPsp::new(psp)?) as Arc<dyn Gateway>);
        let all: Vec<Arc<dyn Gateway>> =
            config.psps.iter().map(gateway).collect::<Result<_, reqwest::Error>>()?;
        Ok(Self { rules: config.routing.clone().into(), ..Self::of(all) })
    }

    /// These, each behind a breaker and a bulkhead of its own.
    pub fn of(all: impl IntoIterator<Item = Arc<dyn Gateway>>) -> Self {
        let all = all.into_iter().map(|one| Arc::new(Guarded::new(one))).collect();
        Self { all, rules: Arc::default() }
    }

    /// The same, with payments routed by these rules.
    #[must_use]
    pub fn routed_by(self, rules: Vec<RoutingRule>) -> Self {
        Self { rules: rules.into(), ..self }
    }

    /// The one to `psp`.
    pub fn named(&self, psp: &PspName) -> Option<&dyn Gateway> {
        self.guarded(psp).map(|gateway| &**gateway as &dyn Gateway)
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &PspName> {
        self.all.iter().map(|gateway| gateway.psp())
    }

    fn guarded(&self, psp: &PspName) -> Option<&Arc<Guarded>> {
        self.all.iter().find(|gateway| gateway.psp() == psp)
    }

    /// Those that `operation` of `payment` may go to, the best first. What follows an authorization goes to
    /// its PSP, and an authorization to the one that the merchant insists on. Else the first rule that fits
    /// says where; after an attempt that may fare better elsewhere it is the next one's turn; and PSPs that
    /// fail come last.
    pub fn routes(&self, payment: &Payment, operation: Operation) -> Vec<&dyn Gateway> {
        let only = match operation {
            Operation::Capture { .. } | Operation::Void | Operation::Refund { .. } => {
                payment.authorization.as_ref().map(|held| &held.psp)
            }
            Operation::Reverse { attempt } => payment.late(attempt).map(|late| &late.psp),
            Operation::Authorize | Operation::Sale => match &payment.intent.psp {
                Some(psp) => Some(psp),
                None => return self.spread(payment),
            },
        };
        only.and_then(|psp| self.named(psp)).into_iter().collect()
    }

    fn spread(&self, payment: &Payment) -> Vec<&dyn Gateway> {
        let turned_away = payment.attempts.iter().filter(|one| better_elsewhere(one)).count();
        let order = match self.rules.iter().find(|rule| rule.fits(payment)) {
            Some(rule) => in_order(&rule.psps, payment, turned_away),
            None => {
                let alike = |one: &Arc<Guarded>| WeightedPsp { name: one.psp().clone(), weight: 1 };
                let all: Vec<WeightedPsp> = self.all.iter().map(alike).collect();
                in_order(&all, payment, turned_away)
            }
        };
        let in_turn = order.iter().filter_map(|psp| self.guarded(psp));
        let (mut routes, failing): (Vec<_>, Vec<_>) = in_turn.partition(|one| one.ready());
        // Whoever has no room for another call comes after those who have.
        routes.sort_by_key(|one| !one.has_room());
        routes.extend(failing);
        // Whoever was declined just now is sent there again only if nobody else is left.
        let turned_away_by = payment.turned_away_by();
        routes.sort_by_key(|one| Some(one.psp()) == turned_away_by);
        routes.into_iter().map(|gateway| &**gateway as &dyn Gateway).collect()
    }

    /// Whether a call to `psp` that is made now will go through.
    pub fn ready(&self, psp: &PspName) -> bool {
        self.guarded(psp).is_some_and(|gateway| gateway.ready())
    }

    /// Whether `payment`, which `psp` declined, may be authorized by another at once.
    pub fn elsewhere(&self, payment: &Payment, psp: &PspName) -> bool {
        let other = |route: &&Arc<Guarded>| route.psp() != psp && route.ready();
        let routes = self.routes(payment, Operation::Authorize);
        routes.iter().filter_map(|route| self.guarded(route.psp())).any(|route| other(&route))
    }

    /// How each PSP does.
    pub fn health(&self) -> Vec<(&PspName, PspHealth)> {
        self.all.iter().map(|gateway| (gateway.psp(), gateway.health())).collect()
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
