//! Events that nobody decided, written straight into the database: whole in themselves, with a right hash and
//! with balances that follow, so that only what they say is wrong.

use domain::accounts::Totals;
use domain::holds::{HoldCreated, HoldEvent};
use domain::ledger::{EntryPosted, EntryReversed, Posting, Postings};
use domain::{Event, HoldId, MerchantId, Metadata, StreamId};
use event_store::{IdSource, RandomIds};

use crate::given::{LEDGER, World, reference};

/// An entry of which nothing is said but what it must have.
pub(crate) fn forged_entry(reference_text: &str, postings: Vec<Posting>) -> EntryPosted {
    EntryPosted::plain(LEDGER, reference(reference_text), postings)
}

/// The mark that `by` reversed `original`, or a part of it.
pub(crate) fn forged_mark(
    original: &EntryPosted,
    by: &EntryPosted,
    reversed: Option<Vec<Posting>>,
) -> Event {
    let (entry_id, reversed_by) = (original.entry_id, by.entry_id);
    Event::EntryReversed(EntryReversed { entry_id, reversed_by, reversed })
}

/// The events that put `by` in the place of `original`.
pub(crate) fn replacing(original: &EntryPosted, by: EntryPosted) -> Vec<Event> {
    let reversal = EntryPosted {
        reverses: Some(original.entry_id),
        ..forged_entry("undone", Postings::opposite(&original.postings))
    };
    let mark = forged_mark(original, &reversal, None);
    let by = EntryPosted { replaces: Some(original.entry_id), ..by };
    vec![Event::EntryPosted(reversal), mark, Event::EntryPosted(by)]
}

/// A hold of which nothing is said but what it must have.
pub(crate) fn forged_hold(text: &str, postings: Vec<Posting>) -> Event {
    let external_ref = reference(text);
    Event::Hold(HoldEvent::Created(HoldCreated {
        hold_id: HoldId::of(LEDGER, &external_ref),
        ledger: LEDGER,
        external_ref,
        description: None,
        metadata: Metadata::default(),
        payment_id: None,
        dispute_id: None,
        postings,
        expires_at: None,
    }))
}

fn stream_of(event: &Event) -> StreamId {
    match event {
        Event::EntryPosted(event) => StreamId::entry(event.entry_id),
        Event::EntryReversed(event) => StreamId::entry(event.entry_id),
        other => {
            let any = StreamId::from_stored(String::new());
            other.changes(&any).pop().expect("a state").stream()
        }
    }
}

impl World {
    /// Appends the events to the ledger's; the position of the first.
    pub(crate) async fn forge(&self, events: impl IntoIterator<Item = Event>) -> i64 {
        self.forge_for(LEDGER, events).await
    }

    /// The same for events of that merchant.
    pub(crate) async fn forge_for(
        &self,
        merchant: MerchantId,
        events: impl IntoIterator<Item = Event>,
    ) -> i64 {
        let first = i64::try_from(self.events().await.len()).expect("a position") + 1;
        let mut statements = String::new();
        for (position, event) in (first..).zip(events) {
            statements.push_str(&appended(position, merchant, &event));
            statements.push_str(&moved(position, &event));
        }
        self.tamper_and_rehash(&statements).await;
        first
    }

    /// Changes the data of an event: the first text into the second.
    pub(crate) async fn alter(&self, position: i64, from: &str, to: &str) {
        let index = usize::try_from(position - 1).expect("a position");
        let data = self.events().await.swap_remove(index).data;
        assert!(data.contains(from), "{from} in {data}");
        let data = data.replacen(from, to, 1);
        let change = format!("update events set data = '{data}' where position = {position}");
        self.tamper_and_rehash(&change).await;
    }
}

/// A statement that appends the event.
fn appended(position: i64, merchant: MerchantId, event: &Event) -> String {
    let (stream, data) = (stream_of(event), event.to_json());
    let (id, merchant) = (RandomIds.next(), merchant.uuid());
    let (kind, version) = (event.event_type(), event.schema_version());
    format!(
        "insert into events select 1, {position}, '{stream}', \
             (select coalesce(max(version), 0) + 1 from events where stream_id = '{stream}'), \
             '{id}', '{kind}', {version}, '{merchant}', '{data}', \
             '{{\"actor\":\"test\",\"correlation_id\":\"c\"}}', recorded_at, sha256('x') from log_head; \
         update log_head set position = {position}; "
    )
}

/// Statements that move the balances along.
fn moved(position: i64, event: &Event) -> String {
    let mut statements = String::new();
    let mut accounts: Vec<_> = event.movements().accounts().collect();
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts {
        // So much that what is released is there.
        let (many, id) = (1_i128 << 40, account.uuid());
        let before = Totals { debits_pending: many, credits_pending: many, ..Totals::default() };
        let after = event.movements().applied_to(account, before);
        let Totals { debits_posted, credits_posted, debits_pending, credits_pending } = after;
        let (debits_pending, credits_pending) = (debits_pending - many, credits_pending - many);
        statements.push_str(&format!(
            "insert into account_balances as b values (1, '{id}', {debits_posted}, \
                 {credits_posted}, greatest({debits_pending}, 0), greatest({credits_pending}, 0), \
                 {position}) \
             on conflict (log_id, account_id) do update set \
                 debits_posted = b.debits_posted + {debits_posted}, \
                 credits_posted = b.credits_posted + {credits_posted}, \
                 debits_pending = greatest(b.debits_pending + {debits_pending}, 0), \
                 credits_pending = greatest(b.credits_pending + {credits_pending}, 0), \
                 position = {position}; "
        ));
    }
    statements
}
