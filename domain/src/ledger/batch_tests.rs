//! The rules of several commands in one.

use super::{LedgerStep, PostBatch};
use crate::given_when_then::{
    Given, LEDGER, account_id, account_opened, account_opened_in, entry_id, given, post_entry,
    posted, posting, then_posted,
};
use crate::holds::{PostHold, VoidHold};
use crate::ledger::{
    Details, Direction, EntryPosted, EntryReversed, ExternalRef, Part, Posting, Postings,
    ReverseEntry,
};
use crate::{
    AccountId, Amount, Command, Decision, EntryId, Event, MerchantId, Rejection, StateKey,
    StepDone, StreamId, StreamVersion,
};

fn books() -> Given {
    given([account_opened("cash", Some(0)), account_opened("sales", None)])
}

fn several(atomic: bool, entries: &[(&str, &str, &str, i64)]) -> Command {
    let post = |(reference, debit, credit, minor): &(&str, &str, &str, i64)| {
        LedgerStep::Post(post_entry(reference, debit, credit, *minor))
    };
    Command::PostBatch(PostBatch { steps: entries.iter().map(post).collect(), atomic })
}

fn steps(decision: Decision) -> Vec<StepDone> {
    match decision {
        Decision::Several { steps, .. } => steps,
        other => panic!("expected several steps, got {other:?}"),
    }
}

#[test]
fn each_step_sees_what_those_before_it_did() {
    let entries = [("r1", "cash", "sales", 5), ("r2", "sales", "cash", 5)];
    for atomic in [true, false] {
        books()
            .when(several(atomic, &entries))
            .then([then_posted("r1", "cash", "sales", 5), then_posted("r2", "sales", "cash", 5)]);
    }
}

#[test]
fn a_chain_is_carried_out_as_a_whole_or_not_at_all() {
    let entries =
        [("r1", "cash", "sales", 5), ("r2", "sales", "cash", 6), ("r3", "cash", "sales", 1)];
    let refused = Rejection::InsufficientFunds { account_id: account_id("cash") };
    let rejection = Box::new(refused.clone());
    books().when(several(true, &entries)).then_rejected(Rejection::Step { index: 1, rejection });
    let on_their_own = books().decide(&several(false, &entries)).unwrap();
    assert_eq!(on_their_own.events().len(), 2);
    assert_eq!(
        steps(on_their_own),
        [
            StepDone::Appended { first: 0 },
            StepDone::Refused(refused),
            StepDone::Appended { first: 1 }
        ]
    );
}

#[test]
fn a_reference_twice_in_a_batch_is_one_entry() {
    let entries =
        [("r1", "cash", "sales", 5), ("r1", "cash", "sales", 5), ("r1", "cash", "sales", 6)];
    let decided = books().decide(&several(false, &entries)).unwrap();
    assert_eq!(decided.events().len(), 1);
    let taken = Rejection::ExternalRefTaken {
        external_ref: ExternalRef::parse("r1").unwrap(),
        entry_id: entry_id("r1"),
    };
    let [first, StepDone::Already(_), other] = &steps(decided)[..] else { panic!("three steps") };
    assert_eq!(
        (first, other),
        (&StepDone::Appended { first: 0 }, &StepDone::Refused(taken.clone()))
    );
    let history: Vec<Event> = vec![posted("r1", "cash", "sales", 6)];
    books()
        .and_all(history)
        .when(several(true, &entries))
        .then_rejected(Rejection::Step { index: 0, rejection: taken.into() });
}

#[test]
fn a_chain_may_hold_and_post_in_one() {
    let hold = crate::given_when_then::hold("h1", "sales", "cash", 4);
    let hold_id = hold.hold_id();
    let post = PostHold::new(LEDGER, hold_id, None, Details::default(), Part::Rest, false, None);
    let void = VoidHold::new(LEDGER, hold_id, None);
    let chain = |last| PostBatch {
        steps: vec![
            LedgerStep::Post(post_entry("r1", "cash", "sales", 5)),
            LedgerStep::Hold(hold.clone()),
            last,
        ],
        atomic: true,
    };
    books().when(Command::PostBatch(chain(LedgerStep::PostHold(post)))).then_accepted();
    books().when(Command::PostBatch(chain(LedgerStep::VoidHold(void)))).then_accepted();
}

/// A reversal by who did not find the entry.
fn reverse(entry_id: EntryId, part: Part) -> LedgerStep {
    let details = Details::default();
    LedgerStep::Reverse(ReverseEntry::new(LEDGER, entry_id, None, details, part, None))
}

fn chain(steps: Vec<LedgerStep>) -> Command {
    Command::PostBatch(PostBatch { steps, atomic: true })
}

/// A reversal of `minor` of the entry, which is at `version` then, and its mark.
fn reversed(version: i64, minor: i64, rest: bool) -> [Event; 2] {
    let entry_id = entry_id("r1");
    let taken =
        vec![posting("cash", Direction::Debit, minor), posting("sales", Direction::Credit, minor)];
    let external_ref = ExternalRef::reversal_at(entry_id, StreamVersion::from_number(version));
    let posted = EntryPosted {
        reverses: Some(entry_id),
        ..EntryPosted::plain(LEDGER, external_ref, Postings::opposite(&taken))
    };
    let (reversed_by, reversed) = (posted.entry_id, (!rest).then_some(taken));
    let mark = EntryReversed { entry_id, reversed_by, reversed };
    [Event::EntryPosted(posted), Event::EntryReversed(mark)]
}

#[test]
fn a_chain_may_post_and_reverse_in_one() {
    let post = || LedgerStep::Post(post_entry("r1", "cash", "sales", 5));
    let amount = Part::Amount(Amount::from_minor(2, "USD".parse().unwrap()).unwrap());
    let parts = [amount, Part::Rest].map(|part| reverse(entry_id("r1"), part));
    let events = [vec![then_posted("r1", "cash", "sales", 5)]]
        .into_iter()
        .chain([reversed(1, 2, false).into(), reversed(2, 3, true).into()]);
    let steps = [vec![post()], parts.into()].concat();
    books().when(chain(steps)).then(events.flatten());
    let reversed_by = reversed(1, 5, true)[0].clone();
    let Event::EntryPosted(EntryPosted { entry_id: reversed_by, .. }) = reversed_by else {
        panic!("an entry")
    };
    let again = vec![
        post(),
        reverse(entry_id("r1"), Part::Rest),
        reverse(entry_id("r1"), Part::Rest),
        reverse(reversed_by, Part::Rest),
    ];
    let already = Rejection::EntryAlreadyReversed { entry_id: entry_id("r1"), reversed_by };
    let refused =
        |index, rejection: Rejection| Rejection::Step { index, rejection: rejection.into() };
    books().when(chain(again.clone())).then_rejected(refused(2, already));
    let of_the_reversal = [&again[..2], &again[3..]].concat();
    books()
        .when(chain(of_the_reversal))
        .then_rejected(refused(2, Rejection::ReversalIsFinal { entry_id: reversed_by }));
}

#[test]
fn a_chain_cannot_reverse_what_is_not_there_or_not_known_to_it() {
    let not_found = |entry_id| Rejection::Step {
        index: 0,
        rejection: Rejection::EntryNotFound { entry_id }.into(),
    };
    let step = || vec![reverse(entry_id("r1"), Part::Rest)];
    books().when(chain(step())).then_rejected(not_found(entry_id("r1")));
    // A step sees only those before it.
    let post = LedgerStep::Post(post_entry("r1", "cash", "sales", 5));
    let later = [step(), vec![post]].concat();
    books().when(chain(later)).then_rejected(not_found(entry_id("r1")));
    // Its accounts are not at hand.
    given([account_opened("cash", None), posted("r1", "cash", "sales", 5)])
        .when(chain(step()))
        .then_rejected(not_found(entry_id("r1")));
    let of_the_platform = |code: &str, posting: Posting| Posting {
        account_id: AccountId::of(MerchantId::PLATFORM, &code.parse().unwrap()),
        ..posting
    };
    let foreign = EntryPosted::plain(
        MerchantId::PLATFORM,
        ExternalRef::parse("r1").unwrap(),
        vec![
            of_the_platform("cash", posting("cash", Direction::Debit, 5)),
            of_the_platform("fees", posting("fees", Direction::Credit, 5)),
        ],
    );
    let foreign_id = foreign.entry_id;
    given(["cash", "fees"].map(|code| account_opened_in(MerchantId::PLATFORM, code, "USD")))
        .and(Event::EntryPosted(foreign))
        .when(chain(vec![reverse(foreign_id, Part::Rest)]))
        .then_rejected(not_found(foreign_id));
}

#[test]
fn a_reversal_reads_the_entry_and_its_own_where_nothing_was_found_beforehand() {
    let (entry, name) = (entry_id("r1"), ExternalRef::parse("credit-note-1").unwrap());
    let own = EntryId::of(LEDGER, &name);
    let details = Details::default();
    let reads = ReverseEntry::new(LEDGER, entry, Some(name), details, Part::Rest, None).reads();
    for id in [entry, own] {
        assert!(reads.contains(&StateKey::Entry(StreamId::entry(id))));
    }
}
