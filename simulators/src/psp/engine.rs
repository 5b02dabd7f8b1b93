//! Carries out requests: one step under one lock, with the record on its way to the ledger, and
//! nothing said of it before it is there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::charges::Book;
use super::faults::{self, After, Before, Tries};
use super::ledger::{Closed, Ledger};
use super::operation::{Moment, Operation, Status, event_type};
use super::records::{CarriedOut, Notice, Record};
use super::rules::{self, Refusal, Request};
use super::token::Fault;
use super::webhooks::Parcel;

/// Everything a simulator knows and does.
#[derive(Debug)]
pub(super) struct Engine {
    name: String,
    state: Mutex<State>,
    ledger: Arc<Ledger>,
    parcels: Option<mpsc::UnboundedSender<Parcel>>,
    /// What goes on without a request.
    background: TaskTracker,
    /// Ends the background and every wait.
    stop: CancellationToken,
}

/// What the lock is about.
#[derive(Debug)]
pub(super) struct State {
    pub(super) book: Book,
    tries: Tries,
    /// Keys whose requests were carried out and are not answered yet.
    working: HashSet<String>,
}

impl State {
    /// Whether questions after what suffers this fault are refused now.
    pub(super) fn is_down(&self, fault: &Fault, reference: &str, now: Moment) -> bool {
        matches!(fault, Fault::DownFor(_)) && self.tries.is_down(reference, now)
    }
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was carried out, now or earlier; the operation as it was first answered.
    CarriedOut { operation: Operation, replayed: bool },
    /// The rules forbid it.
    Refused(Refusal),
    /// The key belongs to another request.
    KeyReused,
    /// The key's request is still being worked on.
    KeyInUse,
    /// It is answered that the service is unavailable.
    Unavailable,
    /// It is not answered.
    NoAnswer,
    /// The connection breaks.
    Cut,
}

/// What a status query finds.
#[derive(Debug)]
pub(super) enum Found {
    /// The operation as it stands now.
    Operation(Operation),
    Nothing,
    Unavailable,
}

/// What the lock decides about a request.
enum Step {
    Done(Outcome),
    CarriedOut { operation: Operation, after: After },
}

impl Engine {
    pub(super) fn new(
        name: String,
        book: Book,
        ledger: Arc<Ledger>,
        parcels: Option<mpsc::UnboundedSender<Parcel>>,
    ) -> Self {
        let state = State { book, tries: Tries::default(), working: HashSet::new() };
        let (state, background) = (Mutex::new(state), TaskTracker::new());
        Self { name, state, ledger, parcels, background, stop: CancellationToken::new() }
    }

    pub(super) fn background(&self) -> &TaskTracker {
        &self.background
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Goes on with what an earlier run left: changes to come, events not delivered.
    pub(super) fn resume(self: &Arc<Self>) {
        let state = self.lock();
        for (place, entry) in state.book.entries().iter().enumerate() {
            if !entry.first_delivered {
                self.send_event(&state, place, Notice::First);
            }
            if entry.change.is_some() && !entry.change_delivered {
                self.send_event(&state, place, Notice::Change);
            }
            if entry.change.is_none() {
                self.schedule_change(&state, place);
            }
        }
    }

    /// Carries out a request, once for each key.
    pub(super) async fn carry_out(self: &Arc<Self>, request: Request) -> Outcome {
        let (step, position) = {
            let mut state = self.lock();
            (self.step(&mut state, &request), self.ledger.end())
        };
        // Held while the answer is late, and let go of when the caller does not wait for it.
        let _working = matches!(step, Step::CarriedOut { after: After::AnswerLate(_), .. })
            .then(|| Working { engine: self, key: &request.key });
        if self.ledger.written(position).await.is_err() {
            return Outcome::Cut;
        }
        let (operation, after) = match step {
            Step::Done(outcome) => return outcome,
            Step::CarriedOut { operation, after } => (operation, after),
        };
        match after {
            After::Answer => {}
            After::AnswerLate(delay) if self.pause(delay).await.is_err() => return Outcome::Cut,
            After::AnswerLate(_) => {}
            After::NoAnswer => return Outcome::NoAnswer,
            After::Cut => return Outcome::Cut,
        }
        Outcome::CarriedOut { operation, replayed: false }
    }

    /// What the operation under this key is now.
    pub(super) async fn find(&self, key: &str) -> Result<Found, Closed> {
        self.read(|state, now| {
            if state.tries.is_key_down(key, now) {
                return Found::Unavailable;
            }
            let Some(entry) = state.book.entry(key) else { return Found::Nothing };
            let fault = state.book.fault_of(entry);
            let reference = &entry.operation.reference;
            if state.is_down(fault, reference, now) {
                Found::Unavailable
            } else if faults::hides(fault, entry.operation.created_at, now) {
                Found::Nothing
            } else {
                Found::Operation(entry.now())
            }
        })
        .await
    }

    /// Looks at what is known; nothing is said of it before it is in the ledger.
    pub(super) async fn read<T>(
        &self,
        look: impl FnOnce(&State, Moment) -> T,
    ) -> Result<T, Closed> {
        let (seen, position) = {
            let state = self.lock();
            (look(&state, Moment::now()), self.ledger.end())
        };
        self.ledger.written(position).await.map(|()| seen)
    }

    /// Looks at what is known and waits for nothing.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until what the parcel tells of is in the ledger.
    pub(super) async fn written(&self, position: u64) -> Result<(), Closed> {
        self.ledger.written(position).await
    }

    /// Notes that a parcel reached its receiver.
    pub(super) fn delivered(&self, parcel: &Parcel) {
        let mut state = self.lock();
        let key = state.book.entries()[parcel.entry].operation.idempotency_key.clone();
        self.record(&mut state, Record::Delivered { key, notice: parcel.notice });
    }

    /// Waits, unless the simulator stops.
    pub(super) async fn pause(&self, duration: Duration) -> Result<(), Closed> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = self.stop.cancelled() => Err(Closed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(self: &Arc<Self>, state: &mut State, request: &Request) -> Step {
        let State { book, tries, working } = state;
        if let Some(entry) = book.entry(&request.key) {
            return Step::Done(if entry.fingerprint != request.fingerprint {
                Outcome::KeyReused
            } else if working.contains(&request.key) {
                Outcome::KeyInUse
            } else {
                Outcome::CarriedOut { operation: entry.operation.clone(), replayed: true }
            });
        }
        let now = Moment::now();
        let (reference, fault) = match rules::subject(book, &request.intent) {
            Ok(subject) => subject,
            Err(refusal) => return Step::Done(Outcome::Refused(refusal)),
        };
        match tries.before(fault, &request.key, reference, now) {
            Before::CarryOut => {}
            Before::Unavailable => return Step::Done(Outcome::Unavailable),
            Before::NoAnswer => return Step::Done(Outcome::NoAnswer),
        }
        let after = faults::after(fault);
        match rules::decide(book, &self.name, request, now) {
            Ok(carried_out) => self.commit(state, carried_out, after),
            Err(refusal) => Step::Done(Outcome::Refused(refusal)),
        }
    }

    fn commit(self: &Arc<Self>, state: &mut State, carried_out: CarriedOut, after: After) -> Step {
        let operation = carried_out.operation.clone();
        let place = state.book.entries().len();
        self.record(state, Record::CarriedOut(Box::new(carried_out)));
        self.send_event(state, place, Notice::First);
        self.schedule_change(state, place);
        if matches!(after, After::AnswerLate(_)) {
            state.working.insert(operation.idempotency_key.clone());
        }
        Step::CarriedOut { operation, after }
    }

    fn record(&self, state: &mut State, record: Record) {
        self.ledger.append(&record);
        state.book.apply(record).expect("what was decided on this book fits it");
    }

    fn send_event(&self, state: &State, place: usize, notice: Notice) {
        let Some(parcels) = &self.parcels else { return };
        let entry = &state.book.entries()[place];
        let (copies, reversed) = match state.book.fault_of(entry) {
            Fault::WebhookLost => return,
            Fault::WebhookDuplicated { copies } => (*copies, false),
            Fault::WebhookReversed => (1, true),
            _ => (1, false),
        };
        let parcel = Parcel {
            entry: place,
            notice,
            charge: entry.charge,
            position: self.ledger.end(),
            copies,
            reversed,
        };
        if parcel.event_type(entry).is_some() {
            // The courier ends only with the simulator; the next run sends what it left.
            let _ = parcels.send(parcel);
        }
    }

    fn schedule_change(self: &Arc<Self>, state: &State, place: usize) {
        let entry = &state.book.entries()[place];
        let Operation { kind, status, created_at, .. } = &entry.operation;
        let Some((status, delay)) = faults::later(state.book.fault_of(entry), *kind, *status)
        else {
            return;
        };
        let wait = created_at.plus(delay).since(Moment::now());
        let engine = Arc::clone(self);
        self.background.spawn(async move {
            if engine.pause(wait).await.is_ok() {
                engine.change(place, status);
            }
        });
    }

    fn change(&self, place: usize, status: Status) {
        let mut state = self.lock();
        let key = state.book.entries()[place].operation.idempotency_key.clone();
        self.record(&mut state, Record::Changed { key, status, at: Moment::now() });
        self.send_event(&state, place, Notice::Change);
    }
}

/// Keeps a key in use.
struct Working<'a> {
    engine: &'a Engine,
    key: &'a str,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.engine.lock().working.remove(self.key);
    }
}

impl Parcel {
    /// The type of its event, if there is one to send.
    pub(super) fn event_type(&self, entry: &super::charges::Entry) -> Option<&'static str> {
        self.status(entry).and_then(|status| event_type(entry.operation.kind, status))
    }
}
