//! Answers made once more, from events that are in the log: a key that was lost and is made again answers a
//! repetition as before, byte for byte.

use domain::{Decision, Event, NewEvent, Timestamp};
use event_store::NewAnswer;

use crate::{accounts, api_keys, ledger, merchants, psps};

/// The answer to the request that appended `events`, all of them, at `recorded_at`; `None` where no request
/// of this service appends such events.
pub fn recorded_answer(events: &[NewEvent], recorded_at: Timestamp) -> Option<NewAnswer> {
    let decision = Decision::Append(events.to_vec());
    match &events.first()?.event {
        Event::MerchantRegistered(_) => merchants::register::registered(&decision, recorded_at),
        Event::ApiKeyIssued(issued) => Some(api_keys::issue::without_token(issued, recorded_at)),
        Event::ApiKeyRevoked(_) => api_keys::revoke::revoked(&decision, recorded_at),
        Event::AccountOpened(_) => accounts::open::opened(&decision, recorded_at),
        Event::AccountFrozen(_) | Event::AccountUnfrozen(_) | Event::AccountClosed(_) => {
            accounts::status_changed(&decision, recorded_at)
        }
        Event::EntryPosted(posted) if posted.reverses.is_some() => {
            ledger::reverse::reversed(&decision, recorded_at)
        }
        Event::EntryPosted(_) => ledger::post::in_ledger(&decision, recorded_at),
        // It comes after the entry that reverses.
        Event::EntryReversed(_) => None,
        // Answered once the payment has come to rest, by whoever finishes the request.
        Event::Payment(_) => None,
        // They come after what was recorded of a payment.
        Event::Card(_) => None,
        Event::Psp(_) => psps::switched(&decision, recorded_at),
    }
}
