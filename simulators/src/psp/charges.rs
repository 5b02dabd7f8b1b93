//! What is known of charges and operations: the fold of the ledger's records, without any rule of
//! what may happen next (those are in `rules`).

use std::collections::{BTreeMap, HashMap};

use super::faults;
use super::operation::{Kind, Moment, Operation, Status};
use super::records::{CarriedOut, Notice, Record};
use super::token::{Fault, Token};

/// Why a record does not fit those before it: the file is not one that this simulator wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// An operation's key has one already.
    #[error("the key {0} has an operation already")]
    KeyTaken(String),
    /// A change or delivery names a key without an operation.
    #[error("the key {0} has no operation")]
    KeyUnknown(String),
    /// An operation names a charge that was not begun.
    #[error("there is no charge {0}")]
    ChargeUnknown(String),
    /// A charge begins with a token that there is not.
    #[error("there is no token {0:?}")]
    TokenUnknown(String),
    /// An operation cannot come to this status.
    #[error("the operation under the key {0} cannot change so")]
    Change(String),
}

/// A charge and where it stands.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) reference: String,
    pub(super) currency: String,
    pub(super) token: Token,
    pub(super) totals: Totals,
    /// The charge itself was declined; nothing can be done on it.
    pub(super) declined: bool,
    pub(super) voided: bool,
    /// Nothing is left of the authorization: all is captured or the rest was given up.
    pub(super) released: bool,
    /// An operation on it is not settled yet.
    pub(super) pending: bool,
    /// Places of its operations, in the order they were carried out.
    pub(super) operations: Vec<usize>,
}

/// What moved on a charge. The number of operations is bounded, so that these sums cannot overflow.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Totals {
    pub(super) authorized_minor: i64,
    pub(super) captured_minor: i64,
    pub(super) captures_failed_minor: i64,
    pub(super) refunded_minor: i64,
    pub(super) refunds_failed_minor: i64,
}

impl Totals {
    /// What was captured and did not fail later.
    pub(super) fn captured_net_minor(&self) -> i64 {
        self.captured_minor - self.captures_failed_minor
    }

    /// What can still be refunded.
    pub(super) fn refundable_minor(&self) -> i64 {
        self.captured_net_minor() - self.refunded_minor + self.refunds_failed_minor
    }
}

/// An operation and what became of it.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it was first answered.
    pub(super) operation: Operation,
    pub(super) fingerprint: String,
    /// Where its charge is.
    pub(super) charge: usize,
    pub(super) last_capture: bool,
    /// Its status now and since when, if that is another than it was first answered with.
    pub(super) change: Option<(Status, Moment)>,
    pub(super) first_delivered: bool,
    pub(super) change_delivered: bool,
}

impl Entry {
    /// The operation as it stands now.
    pub(super) fn now(&self) -> Operation {
        let status = self.change.map_or(self.operation.status, |(status, _)| status);
        Operation { status, ..self.operation.clone() }
    }
}

/// All charges and operations.
#[derive(Debug, Default)]
pub(super) struct Book {
    charges: Vec<Charge>,
    charge_places: HashMap<String, usize>,
    entries: Vec<Entry>,
    entry_places: HashMap<String, usize>,
    /// How many charges of a reference were declined.
    declined: HashMap<String, u32>,
    clearing: BTreeMap<String, i128>,
}

impl Book {
    pub(super) fn charges(&self) -> &[Charge] {
        &self.charges
    }

    pub(super) fn charge_place(&self, id: &str) -> Option<usize> {
        self.charge_places.get(id).copied()
    }

    pub(super) fn charge(&self, id: &str) -> Option<&Charge> {
        self.charge_place(id).map(|place| &self.charges[place])
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entry_place(&self, key: &str) -> Option<usize> {
        self.entry_places.get(key).copied()
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entry_place(key).map(|place| &self.entries[place])
    }

    pub(super) fn fault_of(&self, entry: &Entry) -> &Fault {
        self.charges[entry.charge].token.fault_of(entry.operation.kind)
    }

    /// How many operations will settle or fail without being asked.
    pub(super) fn changing(&self) -> usize {
        let will_change = |entry: &&Entry| {
            let Operation { kind, status, .. } = entry.operation;
            entry.change.is_none() && faults::later(self.fault_of(entry), kind, status).is_some()
        };
        self.entries.iter().filter(will_change).count()
    }

    pub(super) fn declined_charges(&self, reference: &str) -> u32 {
        self.declined.get(reference).copied().unwrap_or(0)
    }

    /// What the simulator owes to the merchant's platform, in minor units of each currency.
    pub(super) fn clearing(&self) -> &BTreeMap<String, i128> {
        &self.clearing
    }

    /// Takes in a record.
    ///
    /// # Errors
    /// [`Misfit`] when the record does not fit; the book is as before.
    pub(super) fn apply(&mut self, record: Record) -> Result<(), Misfit> {
        match record {
            Record::CarriedOut(carried_out) => self.carried_out(*carried_out),
            Record::Changed { key, status, at } => self.changed(key, status, at),
            Record::Delivered { key, notice } => {
                let place = self.entry_place(&key).ok_or(Misfit::KeyUnknown(key))?;
                match notice {
                    Notice::First => self.entries[place].first_delivered = true,
                    Notice::Change => self.entries[place].change_delivered = true,
                }
                Ok(())
            }
        }
    }

    fn carried_out(&mut self, carried_out: CarriedOut) -> Result<(), Misfit> {
        let CarriedOut { operation, fingerprint, token, last_capture } = carried_out;
        if self.entry_places.contains_key(&operation.idempotency_key) {
            return Err(Misfit::KeyTaken(operation.idempotency_key));
        }
        let charge = match token {
            Some(token) => self.begin_charge(&operation, token)?,
            None => self
                .charge_place(&operation.charge_id)
                .ok_or_else(|| Misfit::ChargeUnknown(operation.charge_id.clone()))?,
        };
        let place = self.entries.len();
        self.entry_places.insert(operation.idempotency_key.clone(), place);
        self.charges[charge].operations.push(place);
        let status = operation.status;
        self.entries.push(Entry {
            operation,
            fingerprint,
            charge,
            last_capture,
            change: None,
            first_delivered: false,
            change_delivered: false,
        });
        match status {
            Status::Succeeded => self.succeed(place),
            Status::Pending => self.charges[charge].pending = true,
            Status::Declined => self.decline(charge),
            // Nothing moved.
            Status::Failed => {}
        }
        Ok(())
    }

    fn begin_charge(&mut self, operation: &Operation, token: String) -> Result<usize, Misfit> {
        let token = Token::parse(&token).ok_or(Misfit::TokenUnknown(token))?;
        let place = self.charges.len();
        self.charges.push(Charge {
            id: operation.charge_id.clone(),
            reference: operation.reference.clone(),
            currency: operation.currency.clone(),
            token,
            totals: Totals::default(),
            declined: false,
            voided: false,
            released: false,
            pending: false,
            operations: Vec::new(),
        });
        self.charge_places.insert(operation.charge_id.clone(), place);
        Ok(place)
    }

    fn decline(&mut self, charge: usize) {
        let charge = &mut self.charges[charge];
        charge.declined = true;
        *self.declined.entry(charge.reference.clone()).or_default() += 1;
    }

    fn changed(&mut self, key: String, status: Status, at: Moment) -> Result<(), Misfit> {
        let place = self.entry_place(&key).ok_or_else(|| Misfit::KeyUnknown(key.clone()))?;
        let entry = &mut self.entries[place];
        let (first, kind) = (entry.operation.status, entry.operation.kind);
        match (first, status, entry.change) {
            (Status::Pending, Status::Succeeded, None) => {
                entry.change = Some((status, at));
                self.charges[entry.charge].pending = false;
                self.succeed(place);
                Ok(())
            }
            (Status::Succeeded, Status::Failed, None)
                if matches!(kind, Kind::Sale | Kind::Capture | Kind::Refund) =>
            {
                entry.change = Some((status, at));
                self.fail_later(place);
                Ok(())
            }
            _ => Err(Misfit::Change(key)),
        }
    }

    fn succeed(&mut self, place: usize) {
        let entry = &self.entries[place];
        let amount_minor = entry.operation.amount_minor;
        let charge = &mut self.charges[entry.charge];
        let cleared_minor = match entry.operation.kind {
            Kind::Authorization => {
                charge.totals.authorized_minor += amount_minor;
                0
            }
            Kind::Sale => {
                charge.totals.authorized_minor += amount_minor;
                charge.totals.captured_minor += amount_minor;
                charge.released = true;
                amount_minor
            }
            Kind::Capture => {
                charge.totals.captured_minor += amount_minor;
                charge.released |= entry.last_capture;
                amount_minor
            }
            Kind::Void => {
                charge.voided = true;
                0
            }
            Kind::Refund => {
                charge.totals.refunded_minor += amount_minor;
                -amount_minor
            }
        };
        self.clear(place, cleared_minor);
    }

    /// Takes back what succeeded. An authorization that was used up or given up stays so.
    fn fail_later(&mut self, place: usize) {
        let entry = &self.entries[place];
        let amount_minor = entry.operation.amount_minor;
        let totals = &mut self.charges[entry.charge].totals;
        let cleared_minor = match entry.operation.kind {
            Kind::Sale | Kind::Capture => {
                totals.captures_failed_minor += amount_minor;
                -amount_minor
            }
            Kind::Refund => {
                totals.refunds_failed_minor += amount_minor;
                amount_minor
            }
            // `changed` lets none of these fail later.
            Kind::Authorization | Kind::Void => 0,
        };
        self.clear(place, cleared_minor);
    }

    fn clear(&mut self, place: usize, amount_minor: i64) {
        let currency = &self.entries[place].operation.currency;
        if let Some(sum) = self.clearing.get_mut(currency) {
            *sum += i128::from(amount_minor);
        } else if amount_minor != 0 {
            self.clearing.insert(currency.clone(), i128::from(amount_minor));
        }
    }
}
