//! Entries, borrowed from the stored JSON.

use std::borrow::Cow;

use domain::fx::Exchange;
use domain::ledger::{Direction, EntryPosted, Posting};
use domain::{Amount, Currency, EntryId, HoldId, Timestamp};
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

impl PostingFacts {
    /// The facts of postings that the domain decoded.
    pub(crate) fn all(postings: &[Posting]) -> Vec<Self> {
        let fact = |posting: &Posting| Self {
            account: posting.account_id.uuid(),
            direction: posting.direction,
            minor: posting.amount.minor(),
            currency: posting.amount.currency(),
        };
        postings.iter().map(fact).collect()
    }

    /// The posting that undoes this one.
    pub(crate) const fn turned(self) -> Self {
        Self { direction: self.direction.opposite(), ..self }
    }
}

/// What the checks need of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryFacts<'a> {
    pub(crate) entry_id: Uuid,
    pub(crate) ledger: Uuid,
    pub(crate) external_ref: Cow<'a, str>,
    pub(crate) postings: Vec<PostingFacts>,
    /// When it takes effect, where that is not when it was recorded.
    pub(crate) effective_at: Option<Timestamp>,
    /// What it was meant for, where the books of that day were closed already.
    pub(crate) late_for: Option<Timestamp>,
    /// The most it was to move, where it moved what was available.
    pub(crate) up_to_minor: Option<i64>,
    pub(crate) reverses: Option<Uuid>,
    pub(crate) replaces: Option<Uuid>,
    pub(crate) hold_id: Option<Uuid>,
    /// How it exchanged one currency for another.
    pub(crate) exchange: Option<Exchange>,
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
    #[serde(default)]
    effective_at: Option<&'a str>,
    #[serde(default)]
    late_for: Option<&'a str>,
    #[serde(default)]
    payment_id: Option<&'a str>,
    #[serde(default)]
    dispute_id: Option<&'a str>,
    #[serde(borrow)]
    postings: Vec<QuickPosting<'a>>,
    #[serde(default)]
    up_to_minor: Option<i64>,
    #[serde(default)]
    reverses: Option<&'a str>,
    #[serde(default)]
    replaces: Option<&'a str>,
    #[serde(default)]
    hold_id: Option<&'a str>,
    #[serde(default)]
    exchange: Option<Exchange>,
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

/// What a field says if it is there; the outer `None` where that cannot be read.
fn present<T>(text: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| read(text).map(Some))
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
        // No check needs them, yet the domain refuses what is no id.
        present(quick.payment_id, |text| typed_id("pay_", text))?;
        present(quick.dispute_id, |text| typed_id("dsp_", text))?;
        Some(Self {
            entry_id: typed_id("ent_", quick.entry_id)?,
            ledger: typed_id("mer_", quick.ledger)?,
            external_ref: Cow::Borrowed(quick.external_ref),
            postings,
            effective_at: present(quick.effective_at, |text| text.parse().ok())?,
            late_for: present(quick.late_for, |text| text.parse().ok())?,
            up_to_minor: quick.up_to_minor,
            reverses: present(quick.reverses, |text| typed_id("ent_", text))?,
            replaces: present(quick.replaces, |text| typed_id("ent_", text))?,
            hold_id: present(quick.hold_id, |text| typed_id("hld_", text))?,
            exchange: quick.exchange,
        })
    }

    /// The facts of an entry that the domain decoded.
    pub(super) fn of(posted: EntryPosted) -> EntryFacts<'static> {
        EntryFacts {
            entry_id: posted.entry_id.uuid(),
            ledger: posted.ledger.uuid(),
            postings: PostingFacts::all(&posted.postings),
            effective_at: posted.effective_at,
            late_for: posted.late_for,
            up_to_minor: posted.up_to_minor,
            reverses: posted.reverses.map(EntryId::uuid),
            replaces: posted.replaces.map(EntryId::uuid),
            hold_id: posted.hold_id.map(HoldId::uuid),
            exchange: posted.exchange,
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

    /// The entry with more fields.
    fn with(fields: &str) -> String {
        ENTRY.replace("\"r1\"", &format!("\"r1\",{fields}"))
    }

    /// Whatever the quick reader takes, the domain takes, and both read the same; how many it takes.
    #[track_caller]
    fn check_taken(variants: &[String]) -> usize {
        let mut taken = 0;
        for data in variants {
            let domain = Event::decode("ledger.entry_posted", 1, data);
            let Some(quick) = EntryFacts::quick(data) else { continue };
            let Ok(Event::EntryPosted(posted)) = domain else { panic!("{data}") };
            assert_eq!(quick, EntryFacts::of(posted), "{data}");
            taken += 1;
        }
        taken
    }

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
        assert_eq!(check_taken(&variants), 4, "the usual ones are read quickly");
    }

    #[test]
    fn what_entries_may_say_besides_is_read_quickly_where_it_is_right() {
        const ALL: &str = r#""effective_at":"2026-11-20T00:00:00.000000Z","late_for":"2026-11-19T23:59:59.5+01:00","payment_id":"pay_01h455vb4pex5vsknk084sn02r","dispute_id":"dsp_01h455vb4pex5vsknk084sn02r","up_to_minor":9,"replaces":"ent_01h455vb4pex5vsknk084sn02r","hold_id":"hld_01h455vb4pex5vsknk084sn02r""#;
        let fields: Vec<&str> = ALL.split(',').collect();
        assert_eq!(fields.len(), 7);
        let right: Vec<String> =
            fields.iter().map(|field| with(field)).chain([with(ALL)]).collect();
        assert_eq!(check_taken(&right), right.len());
        let nothing: Vec<String> = fields
            .iter()
            .filter_map(|field| Some(with(&format!("{}:null", field.split_once(':')?.0))))
            .collect();
        assert_eq!(check_taken(&nothing), fields.len());
        let mut wrong = Vec::new();
        for field in fields {
            let (name, _) = field.split_once(':').unwrap();
            for value in [
                "7.5",
                "true",
                "\"\"",
                "\"soon\"",
                "\"ent_\"",
                "[]",
                "\"acc_01h455vb4pex5vsknk084sn02q\"",
            ] {
                wrong.push(with(&format!("{name}:{value}")));
            }
            wrong.push(with(&format!("{field},{field}")));
        }
        assert_eq!(check_taken(&wrong), 0);
    }
}
