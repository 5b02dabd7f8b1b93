//! Answers made once more, from events that are in the log: a key that was lost and is made again answers a
//! repetition as before, byte for byte.
//!
//! Of batches, chains and imports the log has only what they made. What was there already or was refused left
//! no event, so their answers are made with what was made alone, and say `"rebuilt": true`. Nor does the log
//! say whether entries came as a batch or as a chain, or a single one by itself: several are answered as a
//! batch, one as an entry.

use domain::books::BooksEvent;
use domain::fx::FxEvent;
use domain::holds::HoldEvent;
use domain::ledger::EntryPosted;
use domain::{Decision, Event, NewEvent, Timestamp};
use event_store::NewAnswer;

use crate::ledger::step_result::StepResult;
use crate::{accounts, api_keys, fx, holds, ledger, merchants, psps};

/// The answer to the request that appended `events`, all of them, at `recorded_at`; `None` where no request
/// of this service appends such events.
pub fn recorded_answer(events: &[NewEvent], recorded_at: Timestamp) -> Option<NewAnswer> {
    let first = &events.first()?.event;
    // What is replaced is reversed first, in the same step.
    if events.iter().find_map(ledger::replace::replacing).is_some() {
        return ledger::replace::replaced(&Decision::Append(events.to_vec()), recorded_at);
    }
    if steps(events) > 1 {
        return Some(of_several(events, recorded_at));
    }
    let decision = Decision::Append(events.to_vec());
    match first {
        Event::MerchantRegistered(_) => merchants::register::registered(&decision, recorded_at),
        Event::ApiKeyIssued(issued) => Some(api_keys::issue::without_token(issued, recorded_at)),
        Event::ApiKeyRevoked(_) => api_keys::revoke::revoked(&decision, recorded_at),
        Event::AccountOpened(_) => accounts::open::opened(&decision, recorded_at),
        Event::AccountAmended(_) => accounts::amend::amended(&decision, recorded_at),
        Event::AccountFrozen(_) | Event::AccountUnfrozen(_) | Event::AccountClosed(_) => {
            accounts::status_changed(&decision, recorded_at)
        }
        Event::EntryPosted(posted) => of_entry(posted, &decision, recorded_at),
        // It comes after the entry that reverses.
        Event::EntryReversed(_) => None,
        Event::Hold(HoldEvent::Created(_)) => holds::create::held(&decision, recorded_at),
        Event::Hold(HoldEvent::Voided(_)) => holds::void::voided(&decision, recorded_at),
        // It comes after the entry that posts.
        Event::Hold(HoldEvent::Posted(_)) => None,
        // Workers do that, nobody asks for it.
        Event::Hold(HoldEvent::Expired(_)) => None,
        Event::Books(BooksEvent::DayCutOff(_)) => {
            ledger::close_day::cut_off(&decision, recorded_at)
        }
        Event::Books(BooksEvent::DayClosed(_) | BooksEvent::MonthClosed(_)) => None,
        Event::Fx(FxEvent::RateRecorded(_)) => fx::record_rate::recorded(&decision, recorded_at),
        Event::Fx(FxEvent::Converted(_)) => fx::convert::converted(&decision, recorded_at),
        // Answered once the payment has come to rest, by whoever finishes the request.
        Event::Payment(_) => None,
        // They come after what was recorded of a payment.
        Event::Card(_) => None,
        Event::Psp(_) => psps::switched(&decision, recorded_at),
    }
}

fn of_entry(
    posted: &EntryPosted,
    decision: &Decision,
    recorded_at: Timestamp,
) -> Option<NewAnswer> {
    if posted.reverses.is_some() {
        ledger::reverse::reversed(decision, recorded_at)
    } else if posted.hold_id.is_some() {
        holds::post::posted(decision, recorded_at)
    } else {
        ledger::post::in_ledger(decision, recorded_at)
    }
}

fn of_several(events: &[NewEvent], recorded_at: Timestamp) -> NewAnswer {
    let entry = |event: &NewEvent| {
        matches!(StepResult::of_events(std::slice::from_ref(event)), Some(StepResult::Entry { .. }))
    };
    if events.iter().all(entry) {
        ledger::batch::rebuilt(events)
    } else {
        ledger::chain::rebuilt(events, recorded_at)
    }
}

/// How many steps to a ledger `events` are.
fn steps(events: &[NewEvent]) -> usize {
    (0..events.len()).filter(|first| StepResult::of_events(&events[*first..]).is_some()).count()
}
