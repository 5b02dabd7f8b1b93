//! How much memory a state takes, so that whoever keeps many of them can bound them in bytes.
//!
//! What grows with what people send is counted exactly; what every state of its kind has is counted as a round number
//! that is not too small.

use std::mem::size_of;

use crate::accounts::AccountProfile;
use crate::holds::Hold;
use crate::ledger::{Details, Entry, Posting};
use crate::payments::{Attempt, Capture, Late, LineItem, Payment, Refund};
use crate::state::State;
use crate::text::{Metadata, Name};

/// What the containers around a state take, and its fields of a fixed size.
const STATE_BYTES: usize = 512;
/// What a key and its value take in a map, besides their letters.
const MAP_ENTRY_BYTES: usize = 96;
/// What the short texts of an attempt, a refund or a late charge take together: names, keys, codes, references.
const SHORT_TEXTS_BYTES: usize = 256;
/// What a merchant's fee terms take at the most: a fixed fee in each currency.
const FEE_TERMS_BYTES: usize = 8 * 1024;

impl State {
    /// How many bytes of memory it takes, about.
    pub fn bytes(&self) -> usize {
        STATE_BYTES
            + match self {
                Self::Account(account) => profile(&account.profile),
                Self::Merchant(merchant) => merchant.name.as_str().len() + FEE_TERMS_BYTES,
                Self::ApiKey(key) => text(key.label.as_ref()),
                Self::Entry(entry) => self::entry(entry),
                Self::Hold(hold) => self::hold(hold),
                Self::Payment(payment) => self::payment(payment),
                Self::Card(card) => card.bytes(),
                Self::Books(_) | Self::Pair(_) | Self::Psp(_) => SHORT_TEXTS_BYTES,
            }
    }
}

fn text(name: Option<&Name>) -> usize {
    name.map_or(0, |name| name.as_str().len())
}

fn metadata(metadata: &Metadata) -> usize {
    let entries = metadata.entries().iter();
    entries.map(|(key, value)| key.len() + value.len() + MAP_ENTRY_BYTES).sum()
}

fn profile(profile: &AccountProfile) -> usize {
    profile.code.as_str().len() + text(profile.name.as_ref()) + metadata(&profile.metadata)
}

fn postings(postings: &[Posting]) -> usize {
    size_of_val(postings)
}

fn entry(entry: &Entry) -> usize {
    entry.external_ref.as_str().len()
        + text(entry.description.as_ref())
        + metadata(&entry.metadata)
        + postings(&entry.postings)
        + postings(entry.outstanding.postings())
}

fn hold(hold: &Hold) -> usize {
    let Details { description, metadata: said, .. } = &hold.details;
    let released = hold.last_posting.as_ref().map_or(0, |last| postings(&last.released));
    hold.external_ref.as_str().len()
        + text(description.as_ref())
        + metadata(said)
        + postings(&hold.postings)
        + postings(hold.outstanding.postings())
        + released
}

fn payment(payment: &Payment) -> usize {
    let intent = &payment.intent;
    let lines =
        intent.order.lines().iter().map(|line| line.name.as_str().len() + size_of::<LineItem>());
    let texts = [&intent.customer, &intent.reference, &intent.description];
    let said: usize = texts.into_iter().map(|name| text(name.as_ref())).sum();
    let refunds: usize = payment.refunds.iter().map(|refund| text(refund.reason.as_ref())).sum();
    said + lines.sum::<usize>()
        + metadata(&intent.metadata)
        + refunds
        + payment.captures.len() * (size_of::<Capture>() + SHORT_TEXTS_BYTES)
        + payment.refunds.len() * (size_of::<Refund>() + SHORT_TEXTS_BYTES)
        + payment.attempts.len() * (size_of::<Attempt>() + SHORT_TEXTS_BYTES)
        + payment.late.len() * (size_of::<Late>() + SHORT_TEXTS_BYTES)
        + SHORT_TEXTS_BYTES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::accounts::{AccountOpened, AccountType};
    use crate::given_when_then::MERCHANT;
    use crate::stream::StreamVersion;
    use crate::{Event, StateKey, Timestamp};

    fn account(metadata: Metadata) -> State {
        let (code, currency) = ("cash".parse().unwrap(), "USD".parse().unwrap());
        let opened = AccountOpened {
            metadata,
            ..AccountOpened::plain(MERCHANT, code, AccountType::Asset, currency)
        };
        let key = StateKey::Account(opened.account_id);
        let at = Timestamp::from_micros(0);
        State::evolve(&key, None, &Event::AccountOpened(opened), StreamVersion::FIRST, at).unwrap()
    }

    #[test]
    fn metadata_at_their_longest_count_with_every_byte() {
        // The longest keys and values there are, in characters of four bytes.
        let long = |characters: usize| "\u{1F4B6}".repeat(characters);
        let entries: BTreeMap<String, String> = (0..Metadata::KEYS_MAX)
            .map(|n| (format!("{n:02}{}", long(Metadata::KEY_CHARACTERS_MAX - 2)), long(500)))
            .collect();
        let letters: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        let fat = account(Metadata::parse(entries).unwrap()).bytes();
        let plain = account(Metadata::default()).bytes();
        assert!(letters > 100_000 && fat - plain >= letters, "{fat} of {letters}");
        assert!(plain < 1_000, "an account of nothing takes {plain}");
    }
}
