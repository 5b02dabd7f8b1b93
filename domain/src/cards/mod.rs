//! Cards as their schemes see them: how often one was declined at a merchant, over all its payments and all
//! PSPs, and with that whether it may be tried again.
//!
//! No card is known here, only the digest of what the merchant calls it. Its stream has the declines alone; a
//! card that was never declined has none.

mod declined;
mod limits;
mod network;

pub use declined::{CardDeclined, CardEvent};
pub use limits::{CARD_DECLINES_MAX, CARD_MEMORY_MS, CardLimit};
pub use network::{CardNetwork, UnknownCardNetwork};

use crate::ids::{CardId, MerchantId};
use crate::money::Amount;
use crate::payments::Barred;
use crate::stream::{StreamId, StreamVersion};
use crate::time::Timestamp;

/// A card at a merchant, folded from its stream: what counts against its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its id.
    pub id: CardId,
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Its network, as far as it is known.
    pub network: Option<CardNetwork>,
    /// The declines that still count, oldest first.
    declines: Vec<Counted>,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

/// A decline, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counted {
    at: Timestamp,
    amount: Amount,
    barred: Option<Barred>,
}

/// Why a card is not to be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The limit's name.
    pub limit: String,
    /// When there is room again; absent where there never is.
    pub until: Option<Timestamp>,
}

/// The name of the limit that a barred card is at.
pub const BARRED: &str = "barred";

impl Card {
    /// The name of its stream.
    pub fn stream(&self) -> StreamId {
        StreamId::card(self.id)
    }

    /// The state after `event`, its stream's number `version`, recorded at `at`.
    pub(crate) fn after(
        before: Option<Self>,
        event: &CardEvent,
        version: StreamVersion,
        at: Timestamp,
    ) -> Self {
        let CardEvent::Declined(event) = event;
        let (network, mut declines) =
            before.map_or((None, Vec::new()), |card| (card.network, card.declines));
        declines.retain(|one| one.barred.is_some() || one.at.plus_millis(CARD_MEMORY_MS) > at);
        if declines.len() >= CARD_DECLINES_MAX {
            // What bars something is kept for longer than what only counts.
            declines.remove(declines.iter().position(|one| one.barred.is_none()).unwrap_or(0));
        }
        declines.push(Counted { at, amount: event.amount, barred: event.barred });
        // Whose limits it is under is not lifted by calling it another's.
        let network = match (network, event.network) {
            (Some(known), Some(CardNetwork::Other) | None) => Some(known),
            (_, said) => said,
        };
        Self { id: event.card_id, merchant_id: event.merchant_id, network, declines, version }
    }

    /// How many bytes of memory its declines take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.declines.as_slice())
    }

    /// Why nothing may be asked of it for `amount` at `at`, if so: the limit that has room last.
    pub fn spent(&self, amount: Amount, at: Timestamp, limits: &[CardLimit]) -> Option<Spent> {
        if self.bars(amount) {
            return Some(Spent { limit: BARRED.to_owned(), until: None });
        }
        let full = limits.iter().filter_map(|limit| {
            let until = Some(self.full_until(limit, amount, at)?);
            Some(Spent { limit: limit.name.clone(), until })
        });
        full.max_by_key(|spent| spent.until)
    }

    /// Whether its bank said that this is never to be tried again.
    fn bars(&self, amount: Amount) -> bool {
        self.declines.iter().any(|one| match one.barred {
            Some(Barred::Card) => true,
            Some(Barred::Amount) => one.amount == amount,
            None => false,
        })
    }

    fn full_until(&self, limit: &CardLimit, amount: Amount, at: Timestamp) -> Option<Timestamp> {
        if !limit.applies_to(self.network) {
            return None;
        }
        let counted = self.declines.iter().filter(|one| !limit.same_amount || one.amount == amount);
        let ends: Vec<Timestamp> = counted
            .map(|one| one.at.plus_millis(limit.window_ms))
            .filter(|ends| *ends > at)
            .collect();
        // There is room once so many have aged that one less than the most is left.
        let surplus = ends.len().checked_sub(limit.attempts_max)?;
        ends.get(surplus).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::DeclineClass;
    use crate::payments::scenario::{PAYMENT, amount, psp};
    use proptest::prelude::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_micros(0).plus_millis(ms)
    }

    fn declined(network: Option<CardNetwork>, text: &str, barred: Option<Barred>) -> CardEvent {
        let merchant_id = crate::given_when_then::MERCHANT;
        CardEvent::Declined(CardDeclined {
            card_id: CardId::of(merchant_id, "tok"),
            merchant_id,
            network,
            payment_id: PAYMENT,
            attempt: 1,
            psp: psp(),
            amount: amount(text),
            class: DeclineClass::SoftFunds,
            barred,
        })
    }

    fn card(network: Option<CardNetwork>, declines: &[i64]) -> Card {
        card_of(declines.iter().map(|ms| (*ms, declined(network, "1.00", None))))
    }

    fn card_of(declines: impl IntoIterator<Item = (i64, CardEvent)>) -> Card {
        let mut card = None;
        for (version, (ms, event)) in (1..).zip(declines) {
            let version = StreamVersion::from_number(version);
            card = Some(Card::after(card, &event, version, at(ms)));
        }
        card.unwrap()
    }

    fn spent(card: &Card, text: &str, ms: i64) -> Option<(String, Option<Timestamp>)> {
        let spent = card.spent(amount(text), at(ms), &CardLimit::of_schemes());
        spent.map(|spent| (spent.limit, spent.until))
    }

    #[test]
    fn a_visa_card_is_tried_fifteen_times_in_thirty_days() {
        let hourly: Vec<i64> = (0..15).map(|hour| hour * 3_600_000).collect();
        let visa = Some(CardNetwork::Visa);
        assert_eq!(spent(&card(visa, &hourly[..14]), "1.00", 15 * 3_600_000), None);
        let full = card(visa, &hourly);
        let expected = Some(("visa_30_days".to_owned(), Some(at(30 * DAY_MS))));
        assert_eq!(spent(&full, "1.00", 15 * 3_600_000), expected);
        assert_eq!(spent(&full, "1.00", 30 * DAY_MS - 1), expected);
        assert_eq!(spent(&full, "1.00", 30 * DAY_MS), None);
        assert_eq!(spent(&full, "2.00", 15 * 3_600_000), None, "another amount");
    }

    #[test]
    fn a_mastercard_is_tried_ten_times_a_day_and_thirty_five_times_in_thirty_days() {
        let mastercard = Some(CardNetwork::Mastercard);
        let tenth = card(mastercard, &(0..10).collect::<Vec<i64>>());
        assert_eq!(
            spent(&tenth, "1.00", 10),
            Some(("mastercard_day".to_owned(), Some(at(DAY_MS))))
        );
        assert_eq!(spent(&tenth, "1.00", DAY_MS), None);
        let spread: Vec<i64> = (0..35).map(|number| number * DAY_MS / 2).collect();
        let full = card(mastercard, &spread);
        let expected = Some(("mastercard_30_days".to_owned(), Some(at(30 * DAY_MS))));
        assert_eq!(spent(&full, "1.00", 20 * DAY_MS), expected);
    }

    #[test]
    fn a_card_of_an_unknown_network_is_under_every_limit_and_of_another_under_none_of_these() {
        let ten: Vec<i64> = (0..10).collect();
        let unknown = spent(&card(None, &ten), "1.00", 10).map(|(limit, _)| limit);
        assert_eq!(unknown.as_deref(), Some("mastercard_day"));
        assert_eq!(spent(&card(Some(CardNetwork::Other), &ten), "1.00", 10), None);
        let hundred: Vec<i64> = (0..100).collect();
        let other = spent(&card(Some(CardNetwork::Other), &hundred), "9.00", 100);
        assert_eq!(other.map(|(limit, _)| limit).as_deref(), Some("card_30_days"));
    }

    #[test]
    fn what_the_issuer_bars_is_never_tried_again() {
        let other = Some(CardNetwork::Other);
        let card = card_of([(0, declined(other, "1.00", Some(Barred::Card)))]);
        let barred = Some((BARRED.to_owned(), None));
        for days in [0, 30, 3_000] {
            assert_eq!(spent(&card, "1.00", days * DAY_MS + 1), barred);
            assert_eq!(spent(&card, "2.00", days * DAY_MS + 1), barred);
        }
        let mandate = (0, declined(other, "1.00", Some(Barred::Amount)));
        // Neither time nor what comes after makes it forgotten.
        let later = (1..=150).map(|day| (day * DAY_MS / 10, declined(other, "3.00", None)));
        let mandate = card_of([mandate].into_iter().chain(later));
        assert_eq!(spent(&mandate, "1.00", 300 * DAY_MS), barred);
        assert_eq!(spent(&mandate, "2.00", 300 * DAY_MS), None);
    }

    proptest! {
        /// Whatever happened before: if a card is tried only while there is room, then no window of any limit
        /// ever has more declines than it allows; and when there is said to be room, there is.
        #[test]
        fn no_window_is_ever_over_its_limit(
            pauses in prop::collection::vec((0_i64..12 * 3_600_000, 0_usize..2), 1..200),
            network in prop::sample::select(vec![
                None,
                Some(CardNetwork::Visa),
                Some(CardNetwork::Mastercard),
            ]),
        ) {
            let limits = CardLimit::of_schemes();
            let amounts = ["1.00", "2.00"];
            let mut card: Option<Card> = None;
            let mut tried: Vec<(i64, usize)> = Vec::new();
            let mut now = 0;
            for (pause, which) in pauses {
                now += pause;
                let wanted = amount(amounts[which]);
                let spent = card.as_ref().and_then(|card| card.spent(wanted, at(now), &limits));
                if let Some(spent) = spent {
                    let until = spent.until.unwrap();
                    prop_assert!(until > at(now));
                    let again = card.as_ref().unwrap().spent(wanted, until, &limits);
                    prop_assert_eq!(again, None);
                    continue;
                }
                let event = declined(network, amounts[which], None);
                card = Some(Card::after(card, &event, StreamVersion::FIRST, at(now)));
                tried.push((now, which));
                for limit in limits.iter().filter(|limit| limit.applies_to(network)) {
                    let counted = tried.iter().filter(|(at, amount)| {
                        *at > now - limit.window_ms && (!limit.same_amount || *amount == which)
                    });
                    prop_assert!(counted.count() <= limit.attempts_max, "{}", limit.name);
                }
            }
        }
    }
}
