//! Every state × every command, and every state × everything that a PSP may say: as a table, which is the
//! one in `docs/PAYMENTS.md`.

use super::scenario::{given_payment, histories, merchants_commands, outcomes, record};
use super::{
    LateReversalFailed, LateSuccess, LateSuccessFailed, LateSuccessReversed, Payment, PaymentEvent,
};
use crate::command::Decision;
use crate::given_when_then::Given;
use crate::ledger::EntryPosted;
use crate::{Command, Event, Rejection};

/// What a decision comes to, in few words: the state after it, and what was booked.
fn cell(given: &Given, command: &Command) -> String {
    match given.decide(command) {
        Ok(Decision::Already(_)) => "–".to_owned(),
        Err(Rejection::PaymentStateForbids { .. }) => "409".to_owned(),
        Err(Rejection::AttemptNotFound { .. }) => "no attempt".to_owned(),
        Err(rejection) => format!("409 `{}`", rejection.code()),
        Ok(Decision::Append(events) | Decision::Several { events, .. }) => {
            let before = payment(given);
            let mut after = before.clone();
            let mut booked = 0;
            for new in &events {
                match &new.event {
                    Event::Payment(event) => {
                        after = after.evolved(event, new.version, super::scenario::LATER);
                    }
                    Event::EntryPosted(entry) => {
                        assert_balanced(entry);
                        booked += 1;
                    }
                    _ => {}
                }
            }
            assert_whole(&after, &events.iter().map(|new| &new.event).collect::<Vec<_>>());
            let mut text = after.state().name().to_owned();
            if let Some(refund) = after.refunds.last() {
                let was = before.refunds.last().map(|refund| refund.state());
                if was != Some(refund.state()) || before.refunds.len() != after.refunds.len() {
                    text = format!("refund {}", refund.state());
                }
            }
            if after.open != before.open && after.open.is_some() && after.state() == before.state()
            {
                text.push_str(" (under way)");
            }
            if after.late.len() > before.late.len() {
                text.push_str(", to be reversed");
            }
            match booked {
                0 => {}
                1 => text.push_str(", booked"),
                more => text.push_str(&format!(", booked {more} times")),
            }
            text
        }
    }
}

fn payment(given: &Given) -> Payment {
    given.payment(super::scenario::PAYMENT)
}

fn assert_balanced(entry: &EntryPosted) {
    let sum: i64 = entry.postings.iter().map(|one| one.direction.signed(one.amount.minor())).sum();
    assert_eq!(sum, 0, "{}", entry.external_ref);
}

/// What holds for every payment after every decision.
fn assert_whole(payment: &Payment, events: &[&Event]) {
    let amounts = payment.amounts();
    assert!(amounts.captured_minor <= amounts.authorized_minor, "{amounts:?}");
    assert!(amounts.capturable_minor + amounts.captured_minor <= amounts.authorized_minor);
    assert!(amounts.refunded_minor + amounts.refundable_minor <= payment.amount().minor());
    let booked = events.iter().filter(|event| matches!(event, Event::EntryPosted(_))).count();
    let moved = events.iter().filter(|event| {
        matches!(
            event,
            Event::Payment(
                PaymentEvent::Captured(_)
                    | PaymentEvent::CaptureFailed(_)
                    | PaymentEvent::RefundSucceeded(_)
                    | PaymentEvent::RefundFailed(_)
                    | PaymentEvent::LateSuccess(LateSuccess { entry_id: Some(_), .. })
                    | PaymentEvent::LateSuccessReversed(LateSuccessReversed {
                        entry_id: Some(_),
                        ..
                    })
                    | PaymentEvent::LateSuccessFailed(LateSuccessFailed { entry_id: Some(_), .. })
                    | PaymentEvent::LateReversalFailed(LateReversalFailed {
                        entry_id: Some(_),
                        ..
                    })
            )
        )
    });
    assert_eq!(booked, moved.count(), "money moves with its entry, and nothing else is booked");
}

fn table(columns: &[&str], rows: Vec<(String, Vec<String>)>) -> String {
    let mut lines = vec![
        format!("| state | {} |", columns.join(" | ")),
        format!("| --- |{}", " --- |".repeat(columns.len())),
    ];
    for (name, cells) in rows {
        lines.push(format!("| {name} | {} |", cells.join(" | ")));
    }
    lines.join("\n")
}

fn assert_documented(table: &str) {
    let documented = include_str!("../../../docs/PAYMENTS.md");
    assert!(documented.contains(table), "docs/PAYMENTS.md has another table than this:\n{table}\n");
}

#[test]
fn every_state_and_every_command_is_as_documented() {
    let commands = merchants_commands();
    let columns: Vec<&str> = commands.iter().map(|(name, _)| *name).collect();
    let rows = histories()
        .into_iter()
        .map(|(name, history)| {
            let given = given_payment(history);
            let cells = commands.iter().map(|(_, command)| cell(&given, command)).collect();
            (name.to_owned(), cells)
        })
        .collect();
    assert_documented(&table(&columns, rows));
}

#[test]
fn every_state_and_every_outcome_is_as_documented() {
    let names: Vec<&str> = outcomes(1).iter().map(|(name, _)| *name).collect();
    let mut rows = Vec::new();
    for (name, history) in histories() {
        let given = given_payment(history);
        // Of the last attempt, or of one that was never made.
        let last = payment(&given).attempts.last().cloned();
        let (number, minor) = last.map_or((1, 1), |last| (last.number, last.amount_minor));
        let cells = outcomes(minor)
            .into_iter()
            .map(|(_, outcome)| cell(&given, &record(number, outcome)))
            .collect();
        rows.push((name.to_owned(), cells));
    }
    assert_documented(&table(&names, rows));
}

#[test]
fn what_a_state_allows_is_what_is_not_refused_there() {
    for (name, history) in histories() {
        let given = given_payment(history);
        let payment = payment(&given);
        for ((command_name, command), action) in
            merchants_commands().into_iter().zip(super::PaymentAction::ALL)
        {
            let refused =
                matches!(given.decide(&command), Err(Rejection::PaymentStateForbids { .. }));
            assert_eq!(refused, !payment.allows(action), "{command_name} in {name}");
        }
    }
}
