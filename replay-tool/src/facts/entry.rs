//! Entries, borrowed from the stored JSON.

use std::borrow::Cow;

use domain::ledger::{Direction, EntryPosted};
use domain::{Amount, Currency};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::ids::typed_id;

/// One side of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PostingFacts {
    pub(crate) account: Uuid,
    pub(crate) direction: Direction,
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
}

/// What the checks need of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryFacts<'a> {
    pub(crate) entry_id: Uuid,
    pub(crate) ledger: Uuid,
    pub(crate) external_ref: Cow<'a, str>,
    pub(crate) postings: Vec<PostingFacts>,
    pub(crate) reverses: Option<Uuid>,
}

/// Texts without escapes are borrowed; with escapes this fails, and the domain's decoder takes over.
#[derive(Deserialize)]
struct Quick<'a> {
    entry_id: &'a str,
    ledger: &'a str,
    external_ref: &'a str,
    #[serde(default, rename = "description")]
    _description: Option<&'a str>,
    #[serde(default)]
    metadata: Present,
    #[serde(borrow)]
    postings: Vec<QuickPosting<'a>>,
    #[serde(default)]
    reverses: Option<&'a str>,
}

#[derive(Deserialize)]
struct QuickPosting<'a> {
    account_id: &'a str,
    direction: Direction,
    amount_minor: i64,
    currency: &'a str,
}

/// Whether a field is there at all.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

impl<'a> EntryFacts<'a> {
    /// Reads the usual entry, without metadata and escapes. `None` says nothing of whether it is one.
    pub(super) fn quick(data: &'a str) -> Option<Self> {
        let quick: Quick<'a> = serde_json::from_str(data).ok()?;
        if quick.metadata.0 {
            return None;
        }
        let mut postings = Vec::with_capacity(quick.postings.len());
        for posting in &quick.postings {
            let currency = posting.currency.parse().ok()?;
            let amount = Amount::from_minor(posting.amount_minor, currency).ok()?;
            postings.push(PostingFacts {
                account: typed_id("acc_", posting.account_id)?,
                direction: posting.direction,
                minor: amount.minor(),
                currency,
            });
        }
        let reverses = match quick.reverses {
            Some(text) => Some(typed_id("ent_", text)?),
            None => None,
        };
        Some(Self {
            entry_id: typed_id("ent_", quick.entry_id)?,
            ledger: typed_id("mer_", quick.ledger)?,
            external_ref: Cow::Borrowed(quick.external_ref),
            postings,
            reverses,
        })
    }

    /// The facts of an entry that the domain decoded.
    pub(super) fn of(posted: EntryPosted) -> EntryFacts<'static> {
        let fact = |posting: &domain::ledger::Posting| PostingFacts {
            account: posting.account_id.uuid(),
            direction: posting.direction,
            minor: posting.amount.minor(),
            currency: posting.amount.currency(),
        };
        EntryFacts {
            entry_id: posted.entry_id.uuid(),
            ledger: posted.ledger.uuid(),
            postings: posted.postings.iter().map(fact).collect(),
            reverses: posted.reverses.map(domain::EntryId::uuid),
            external_ref: Cow::Owned(posted.external_ref.as_str().to_owned()),
        }
    }

    /// The same, borrowing nothing.
    pub(crate) fn into_owned(self) -> EntryFacts<'static> {
        EntryFacts { external_ref: Cow::Owned(self.external_ref.into_owned()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use domain::Event;

    use super::*;

    const ENTRY: &str = r#"{"entry_id":"ent_01h455vb4pex5vsknk084sn02q","ledger":"mer_00000000000000000000000007","external_ref":"r1","postings":[{"account_id":"acc_01h455vb4pex5vsknk084sn02q","direction":"debit","amount_minor":5,"currency":"USD"},{"account_id":"acc_01h455vb4pex5vsknk084sn02r","direction":"credit","amount_minor":5,"currency":"USD"}]}"#;

    /// Whatever the quick reader takes, the domain takes, and both read the same.
    #[test]
    fn the_quick_reader_takes_nothing_that_the_domain_refuses() {
        let variants = [
            ENTRY.to_owned(),
            ENTRY.replace("\"r1\"", "\"r\\u00e9\""),
            ENTRY.replace("\"r1\"", "\"r1\",\"metadata\":null"),
            ENTRY.replace("\"r1\"", "\"r1\",\"metadata\":{\"a\":1}"),
            ENTRY.replace("\"r1\"", "\"r1\",\"metadata\":{\"a\":\"b\"}"),
            ENTRY.replace("\"r1\"", "\"r1\",\"description\":null,\"reverses\":null"),
            ENTRY.replace("\"r1\"", "\"r1\",\"reverses\":\"ent_01h455vb4pex5vsknk084sn02r\""),
            ENTRY.replace("\"r1\"", "\"r1\",\"reverses\":\"nobody\""),
            ENTRY.replace("\"r1\"", "\"r1\",\"more\":[1]"),
            ENTRY.replace("\"r1\"", "\"r1\",\"ledger\":\"mer_00000000000000000000000007\""),
            ENTRY.replace(":5,", ":0,"),
            ENTRY.replace(":5,", ":-5,"),
            ENTRY.replace(":5,", ":5.0,"),
            ENTRY.replace(":5,", ":9007199254740992,"),
            ENTRY.replace("USD", "XXX"),
            ENTRY.replace("debit", "both"),
            ENTRY.replace("ent_", "mer_"),
            ENTRY.replace("mer_", "acc_"),
            ENTRY.replace("\"ledger\"", "\"book\""),
            "{}".to_owned(),
            "[]".to_owned(),
        ];
        let mut taken = 0;
        for data in &variants {
            let domain = Event::decode("ledger.entry_posted", 1, data);
            let Some(quick) = EntryFacts::quick(data) else { continue };
            let Ok(Event::EntryPosted(posted)) = domain else { panic!("{data}") };
            assert_eq!(quick, EntryFacts::of(posted), "{data}");
            taken += 1;
        }
        assert_eq!(taken, 4, "the usual ones are read quickly");
    }
}
