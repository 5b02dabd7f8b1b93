//! What became of each step of a chain, read from its events.

use api_conventions::{AmountDto, DecimalText};
use domain::holds::{HoldEvent, HoldStatus};
use domain::ledger::{Entry, EntryPosted, ExternalRef};
use domain::{Currency, EntryId, Event, HoldId, NewEvent, State as Aggregate, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::post::moved;
use crate::holds::post::{remaining_after, status_after};
use crate::names;

/// What became of a step of a chain.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = ChainResult)]
pub(crate) enum StepResult<'a> {
    /// An entry was posted.
    Entry {
        /// Its id.
        #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
        id: EntryId,
        /// What the ledger calls it.
        #[schema(value_type = String, example = "order-1042")]
        external_ref: &'a ExternalRef,
        /// How much it moved, where it was to move what is available.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "10.00")]
        amount: Option<DecimalText>,
        /// The currency of `amount`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "USD")]
        currency: Option<Currency>,
        /// When it takes effect, where the books of the day that it was meant for are closed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        effective_at: Option<Timestamp>,
        /// The time that it was meant for, in that case.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        late_for: Option<Timestamp>,
    },
    /// An entry, or a part of it, was reversed.
    Reverse {
        /// The id of the reversing entry.
        #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
        id: EntryId,
        /// The entry that it undoes.
        #[schema(value_type = String, example = "ent_01h455tz8kexrbq3m5rv7r8w0d")]
        reverses: EntryId,
        /// What the ledger calls the reversing entry.
        #[schema(value_type = String, example = "reversal:ent_01h455tz8kexrbq3m5rv7r8w0d")]
        external_ref: &'a ExternalRef,
    },
    /// Money was held.
    Hold {
        /// The id of the hold.
        #[schema(value_type = String, example = "hld_01h455vb4pex5vsknk084sn02q")]
        id: HoldId,
        /// What the ledger calls it.
        #[schema(value_type = String, example = "table-7")]
        external_ref: &'a ExternalRef,
        /// What it is after this step.
        #[schema(schema_with = names::hold_status)]
        status: HoldStatus,
    },
    /// A hold, or a part of it, was posted.
    PostHold {
        /// The id of the entry.
        #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
        id: EntryId,
        /// The hold.
        #[schema(value_type = String, example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
        hold: HoldId,
        /// What the ledger calls the entry.
        #[schema(value_type = String, example = "hold:hld_01h455tz8kexrbq3m5rv7r8w0d:1")]
        external_ref: &'a ExternalRef,
        /// What the hold is after this step; not where the entry was there already.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(schema_with = names::hold_status, required = false)]
        status: Option<HoldStatus>,
        /// How much is held still, where that is something of one debit and one credit.
        #[serde(skip_serializing_if = "Option::is_none")]
        remaining: Option<AmountDto>,
    },
    /// A hold was let go.
    VoidHold {
        /// The hold.
        #[schema(value_type = String, example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
        id: HoldId,
        /// What it is now: `voided`.
        #[schema(schema_with = names::hold_status)]
        status: HoldStatus,
    },
}

impl<'a> StepResult<'a> {
    /// Of the step that the first of `events` begins; `None` where no step begins with it.
    pub(crate) fn of_events(events: &'a [NewEvent]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        match &first.event {
            Event::EntryPosted(posted) => Some(Self::of_posted(posted, rest)),
            Event::Hold(HoldEvent::Created(created)) => Some(Self::Hold {
                id: created.hold_id,
                external_ref: &created.external_ref,
                status: HoldStatus::Held,
            }),
            Event::Hold(HoldEvent::Voided(voided)) => {
                Some(Self::VoidHold { id: voided.hold_id, status: HoldStatus::Voided })
            }
            _ => None,
        }
    }

    fn of_posted(posted: &'a EntryPosted, rest: &[NewEvent]) -> Self {
        let (id, external_ref) = (posted.entry_id, &posted.external_ref);
        if let Some(reverses) = posted.reverses {
            return Self::Reverse { id, reverses, external_ref };
        }
        if let Some(hold) = posted.hold_id {
            let mark = rest.first().and_then(|mark| match &mark.event {
                Event::Hold(HoldEvent::Posted(mark)) => Some(mark),
                _ => None,
            });
            let (status, remaining) = (mark.map(status_after), mark.and_then(remaining_after));
            return Self::PostHold { id, hold, external_ref, status, remaining };
        }
        let moved = moved(posted.up_to_minor, &posted.postings);
        Self::Entry {
            id,
            external_ref,
            currency: moved.as_ref().map(|(_, currency)| *currency),
            amount: moved.map(|(amount, _)| amount),
            effective_at: posted.late_for.and(posted.effective_at),
            late_for: posted.late_for,
        }
    }

    /// Of the step that found all done already; `None` for states that no step comes to.
    pub(crate) fn of_state(state: &'a Aggregate) -> Option<Self> {
        match state {
            Aggregate::Entry(entry) => Some(Self::of_existing(entry)),
            Aggregate::Hold(hold) => Some(Self::Hold {
                id: hold.id,
                external_ref: &hold.external_ref,
                status: hold.status,
            }),
            Aggregate::Merchant(_)
            | Aggregate::ApiKey(_)
            | Aggregate::Account(_)
            | Aggregate::Books(_)
            | Aggregate::Pair(_)
            | Aggregate::Payment(_)
            | Aggregate::Card(_)
            | Aggregate::Psp(_) => None,
        }
    }

    fn of_existing(entry: &'a Entry) -> Self {
        let (id, external_ref) = (entry.id, &entry.external_ref);
        if let Some(reverses) = entry.reverses {
            return Self::Reverse { id, reverses, external_ref };
        }
        if let Some(hold) = entry.hold_id {
            return Self::PostHold { id, hold, external_ref, status: None, remaining: None };
        }
        let moved = moved(entry.up_to_minor, &entry.postings);
        Self::Entry {
            id,
            external_ref,
            currency: moved.as_ref().map(|(_, currency)| *currency),
            amount: moved.map(|(amount, _)| amount),
            effective_at: entry.late_for.and(entry.effective_at),
            late_for: entry.late_for,
        }
    }
}
