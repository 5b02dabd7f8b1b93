//! Recording a rate.

use serde::{Deserialize, Serialize};

use super::{FxEvent, PairId, Rate};
use crate::Context;
use crate::command::Decision;
use crate::currency::Currency;
use crate::event::{Event, NewEvent};
use crate::ids::MerchantId;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;
use crate::time::Timestamp;

/// How far ahead of now a rate may be, in seconds: the clock of its source may be a minute fast.
pub const RATE_AHEAD_SECONDS_MAX: i64 = 60;

/// Records what a currency is worth in another, for the conversions of a ledger from then on.
#[derive(Debug, Clone)]
pub struct RecordRate {
    /// The currencies, in the caller's own ledger.
    pub pair: PairId,
    /// How much of the quote currency one unit of the base currency is.
    pub rate: Rate,
    /// When it was so.
    pub as_of: Timestamp,
    /// Who says so, such as a bank.
    pub source: Name,
}

/// A rate was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateRecorded {
    /// The ledger that converts by it.
    pub ledger: MerchantId,
    /// What it is the price of.
    pub base: Currency,
    /// What the price is in.
    pub quote: Currency,
    /// How much of `quote` one unit of `base` is.
    pub rate: Rate,
    /// When it was so.
    pub as_of: Timestamp,
    /// Who says so.
    pub source: Name,
}

impl RateRecorded {
    /// The pair.
    pub fn pair(&self) -> PairId {
        PairId::recorded(self.ledger, self.base, self.quote)
    }
}

impl RecordRate {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Pair(self.pair)]
    }

    /// The rate that is there already, from the same source and time, is not recorded again. Refused, in
    /// this order: a rate of the future, and one that is older than the one that is there.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let latest_allowed = context.now.plus_millis(RATE_AHEAD_SECONDS_MAX * 1_000);
        if self.as_of > latest_allowed {
            return Err(Rejection::RateOfTheFuture { latest: latest_allowed });
        }
        let pair = states.pair(self.pair);
        if let Some(pair) = pair {
            let latest = &pair.latest;
            if (latest.rate, latest.as_of, &latest.source) == (self.rate, self.as_of, &self.source)
            {
                return Ok(Decision::Already(State::Pair(pair.clone().into())));
            }
            if self.as_of < latest.as_of {
                return Err(Rejection::RateOutOfOrder { as_of: latest.as_of });
            }
        }
        let (ledger, base, quote) = (self.pair.ledger(), self.pair.base(), self.pair.quote());
        let (rate, as_of, source) = (self.rate, self.as_of, self.source.clone());
        let recorded = RateRecorded { ledger, base, quote, rate, as_of, source };
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::pair(self.pair),
            version: pair.map_or(StreamVersion::FIRST, |pair| pair.version.next()),
            merchant_id: ledger,
            event: Event::Fx(FxEvent::RateRecorded(recorded)),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::fx::scenario::{rate_at, recorded_at};
    use crate::given_when_then::given;

    const NOW: Timestamp = Timestamp::from_micros(1);

    fn record(rate: &str, as_of: Timestamp) -> Command {
        Command::RecordRate(rate_at(rate, as_of))
    }

    #[test]
    fn a_rate_is_recorded_and_another_after_it() {
        given([]).when(record("0.92335", NOW)).then([recorded_at("0.92335", NOW)]);
        let known = || given([recorded_at("0.92335", NOW)]);
        known().when(record("0.92336", NOW)).then([recorded_at("0.92336", NOW)]);
        let later = NOW.plus_millis(1);
        known().when(record("0.92335", later)).then([recorded_at("0.92335", later)]);
    }

    #[test]
    fn the_rate_that_is_there_is_not_recorded_again() {
        given([recorded_at("0.92335", NOW)]).when(record("0.923350", NOW)).then_already();
        let history = [recorded_at("1", NOW), recorded_at("2", NOW)];
        given(history).when(record("1", NOW)).then([recorded_at("1", NOW)]);
    }

    #[test]
    fn a_rate_is_not_older_than_the_one_before_and_not_of_the_future() {
        let as_of = NOW;
        given([recorded_at("1", as_of)])
            .when(record("2", Timestamp::from_micros(0)))
            .then_rejected(Rejection::RateOutOfOrder { as_of });
        let latest = NOW.plus_millis(RATE_AHEAD_SECONDS_MAX * 1_000);
        given([]).when(record("1", latest)).then_accepted();
        given([])
            .when(record("1", latest.plus_millis(1)))
            .then_rejected(Rejection::RateOfTheFuture { latest });
    }

    #[test]
    fn a_pair_has_two_currencies() {
        let usd = "USD".parse().unwrap();
        assert_eq!(PairId::new(MerchantId::PLATFORM, usd, usd), Err(crate::fx::SameCurrency));
    }
}
