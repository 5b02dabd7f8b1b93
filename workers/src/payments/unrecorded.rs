//! What PSPs answered and could not be put into the log: charged, perhaps, and not booked. It is tried again, ever
//! more rarely; and after a minute it is an alarm.
//!
//! Each worker knows of the answers that it got itself. One that dies leaves its payments to others, who ask the
//! PSP again and so know of them too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::PaymentId;
use domain::payments::{Payment, PspName, PspOutcome};
use event_store::EventStore;
use tokio::time::Instant;

use super::queue::LEASE_MS;

/// For how long an answer may be on its way into the log, in milliseconds: longer than a database takes to be
/// failed over.
pub const UNRECORDED_MS_MAX: u64 = 60_000;
/// The longest pause before a payment of which the outcome could not be recorded is looked at again, in
/// milliseconds: so many of them are no load, and what was mended is booked soon after.
pub(super) const PAUSE_MS_MAX: i64 = 5 * 60 * 1_000;
/// The most answers that are remembered, some 200 bytes each: far more than are on their way at a time. When so
/// many could not be recorded, one more does not change the alarm.
const ANSWERS_MAX: usize = 10_000;

/// An attempt of a payment.
type AttemptId = (PaymentId, u32);

#[derive(Debug)]
struct Answer {
    psp: PspName,
    /// When the PSP first said it, by a clock that does not leap.
    since: Instant,
    /// How often it could not be recorded.
    failures: u32,
    /// Whether the alarm named it.
    told: bool,
}

/// The answers that are not in the log yet.
#[derive(Debug, Default)]
pub(super) struct Unrecorded(Mutex<BTreeMap<AttemptId, Answer>>);

/// Whether the PSP said how an attempt ended. Of all else it is asked again anyway.
fn ends(outcome: &PspOutcome) -> bool {
    match outcome {
        PspOutcome::Succeeded { .. }
        | PspOutcome::Declined(_)
        | PspOutcome::FailedLater { .. }
        | PspOutcome::Refused { .. } => true,
        PspOutcome::Pending
        | PspOutcome::Unknown { .. }
        | PspOutcome::NotFound
        | PspOutcome::NotSent { .. } => false,
    }
}

/// Whether the log has nothing, or not the last, of what came of an attempt.
fn awaited(payment: &Payment, attempt: u32) -> bool {
    let concluded = payment.attempt(attempt).is_none_or(|one| one.conclusion.is_some());
    !concluded || payment.check(attempt).is_some()
}

impl Unrecorded {
    fn answers(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A PSP said what came of an attempt.
    pub(super) fn answered(
        &self,
        attempt: AttemptId,
        psp: &PspName,
        outcome: &PspOutcome,
        now: Instant,
    ) {
        let mut answers = self.answers();
        if ends(outcome) && answers.len() < ANSWERS_MAX {
            let psp = psp.clone();
            answers.entry(attempt).or_insert(Answer { psp, since: now, failures: 0, told: false });
        }
    }

    /// That is in the log.
    pub(super) fn recorded(&self, attempt: AttemptId) {
        self.answers().remove(&attempt);
    }

    /// That could not be put into the log; for how long to leave the payment alone, in milliseconds. `None` where
    /// the PSP did not say how the attempt ended.
    pub(super) fn failed(&self, attempt: AttemptId) -> Option<i64> {
        let mut answers = self.answers();
        let answer = answers.get_mut(&attempt)?;
        let pause = LEASE_MS.saturating_mul(1 << answer.failures.min(16)).min(PAUSE_MS_MAX);
        answer.failures += 1;
        Some(pause)
    }

    /// The attempts whose answers have waited for longer than they may.
    fn overdue(&self, now: Instant) -> Vec<AttemptId> {
        let longest = Duration::from_millis(UNRECORDED_MS_MAX);
        let answers = self.answers();
        let waiting =
            answers.iter().filter(|(_, answer)| now.duration_since(answer.since) > longest);
        waiting.map(|(attempt, _)| *attempt).collect()
    }

    /// Counts the payments with such answers, and names each answer once.
    fn alarm(&self, now: Instant) -> usize {
        let overdue = self.overdue(now);
        let mut answers = self.answers();
        for attempt in &overdue {
            let Some(answer) = answers.get_mut(attempt).filter(|answer| !answer.told) else {
                continue;
            };
            answer.told = true;
            let ((payment, attempt), Answer { psp, since, failures, .. }) = (attempt, answer);
            tracing::error!(
                %payment, attempt, %psp, waiting_s = now.duration_since(*since).as_secs(), failures,
                "what the PSP answered cannot be recorded: it may have charged what is not booked"
            );
        }
        overdue.iter().map(|(payment, _)| payment).collect::<BTreeSet<_>>().len()
    }

    /// Sets the gauge `runut_payments_unrecorded`, after a look whether others recorded what this worker could
    /// not.
    pub(super) async fn watch(&self, store: &EventStore, now: Instant) {
        for (payment_id, attempt) in self.overdue(now) {
            match store.payment(payment_id).await {
                Ok(Some(payment)) if awaited(&payment, attempt) => {}
                Ok(_) => self.recorded((payment_id, attempt)),
                // The alarm stands as long as the log cannot be read.
                Err(_) => break,
            }
        }
        self.measure(now);
    }

    fn measure(&self, now: Instant) {
        let many = u32::try_from(self.alarm(now)).unwrap_or(u32::MAX);
        metrics::gauge!("runut_payments_unrecorded").set(many);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use uuid::Uuid;

    use super::*;

    const FIRST: AttemptId = (PaymentId::from_uuid(Uuid::from_u128(1)), 1);

    fn psp() -> PspName {
        "alpha".parse().expect("a name")
    }

    fn succeeded() -> PspOutcome {
        PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: 1 }
    }

    /// Times of one test, counted from its beginning.
    fn times() -> impl Fn(u64) -> Instant {
        let began = Instant::now();
        move |ms| began + Duration::from_millis(ms)
    }

    /// The gauge as it is scraped.
    fn shown(unrecorded: &Unrecorded, now: Instant) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let scraped = recorder.handle();
        metrics::with_local_recorder(&recorder, || unrecorded.measure(now));
        let lines = scraped.render();
        let line = lines.lines().find(|line| line.starts_with("runut_payments_unrecorded"));
        line.expect("it is there before anything is counted").to_owned()
    }

    #[test]
    fn what_is_not_recorded_for_a_minute_is_counted_until_it_is() {
        let (unrecorded, at) = (Unrecorded::default(), times());
        assert_eq!(shown(&unrecorded, at(0)), "runut_payments_unrecorded 0");
        unrecorded.answered(FIRST, &psp(), &succeeded(), at(0));
        assert_eq!(shown(&unrecorded, at(UNRECORDED_MS_MAX)), "runut_payments_unrecorded 0");
        // Asked again and answered again: since the first time.
        unrecorded.answered(FIRST, &psp(), &succeeded(), at(UNRECORDED_MS_MAX));
        unrecorded.answered((FIRST.0, 2), &psp(), &succeeded(), at(0));
        let after = at(UNRECORDED_MS_MAX + 1);
        assert_eq!(shown(&unrecorded, after), "runut_payments_unrecorded 1", "one payment");
        assert!(unrecorded.answers().values().all(|answer| answer.told), "each is named once");
        unrecorded.recorded(FIRST);
        unrecorded.recorded((FIRST.0, 2));
        assert_eq!(shown(&unrecorded, after), "runut_payments_unrecorded 0");
    }

    #[test]
    fn only_what_ends_an_attempt_is_awaited() {
        let (unrecorded, at) = (Unrecorded::default(), times());
        for outcome in [PspOutcome::Pending, PspOutcome::NotFound] {
            unrecorded.answered(FIRST, &psp(), &outcome, at(0));
        }
        assert_eq!(unrecorded.failed(FIRST), None, "its lease runs out");
        assert!(unrecorded.answers().is_empty());
    }

    #[test]
    fn what_cannot_be_recorded_is_tried_ever_more_rarely_and_not_for_nothing_remembered() {
        let (unrecorded, at) = (Unrecorded::default(), times());
        unrecorded.answered(FIRST, &psp(), &succeeded(), at(0));
        let pauses: Vec<i64> = (0..6).filter_map(|_| unrecorded.failed(FIRST)).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 300, 300].map(|seconds| seconds * 1_000));
        for number in 0..=u128::try_from(ANSWERS_MAX).expect("few") {
            let other = (PaymentId::from_uuid(Uuid::from_u128(number)), 7);
            unrecorded.answered(other, &psp(), &succeeded(), at(0));
        }
        assert_eq!(unrecorded.answers().len(), ANSWERS_MAX);
    }
}
