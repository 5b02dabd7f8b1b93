//! Payments at three simulated PSPs, and what those say of them in the end.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use reqwest::StatusCode;
use serde_json::json;

use crate::client::Client;
use crate::say;
use crate::stack::Stack;

/// How many customers pay at once.
const CUSTOMERS: usize = 8;
/// The PSPs of a deployment that was given none.
const PSPS: [&str; 3] = ["ALPHA", "BETA", "GAMMA"];
/// What is paid with, and what comes of it. `reset` and `5xx` are PSPs that charge without an answer, and
/// that fail before they charge.
const TOKENS: [(&str, &str); 6] = [
    ("ok", "captured"),
    ("decline_hard", "declined"),
    ("reset_after_charge", "captured"),
    ("decline:expired_card", "requires_method"),
    ("fail_5xx_then_ok:2", "captured"),
    ("slow:50", "captured"),
];

/// What was paid.
#[derive(Debug, Default)]
pub(crate) struct Paid {
    states: BTreeMap<String, usize>,
    refunds: usize,
}

/// Customers pay `payments` times at the merchant of `client`; every third payment is captured in two parts
/// and refunded in part.
pub(crate) async fn pay(client: &Client, payments: usize) -> anyhow::Result<Paid> {
    let customers = (0..CUSTOMERS).map(|customer| async move {
        let mut paid = Paid::default();
        for n in (customer..payments).step_by(CUSTOMERS) {
            pay_once(client, n, &mut paid).await.with_context(|| format!("payment {n}"))?;
        }
        anyhow::Ok(paid)
    });
    let mut paid = Paid::default();
    for one in futures::future::try_join_all(customers).await? {
        paid.refunds += one.refunds;
        for (state, count) in one.states {
            *paid.states.entry(state).or_default() += count;
        }
    }
    Ok(paid)
}

async fn pay_once(client: &Client, n: usize, paid: &mut Paid) -> anyhow::Result<()> {
    let manual = n % 3 == 2;
    let (token, state) =
        if manual { ("ok", "authorized") } else { TOKENS[(n / 3 * 2 + n % 3) % 6] };
    let body = json!({
        "amount": "80.00",
        "currency": "USD",
        "capture_method": if manual { "manual" } else { "automatic" },
        // Customers come with cards of their own; schemes let nobody try one card that often.
        "payment_method": {"token": token, "fingerprint": format!("card-{n}")},
        "reference": format!("payment-{n}"),
    });
    let answer = client.post("/v1/payments", &format!("pay-{n}"), &body).await?;
    ensure!(answer.status == StatusCode::CREATED, "{token}: {}", answer.body);
    ensure!(answer.text("state")? == state, "{token}: {}", answer.body);
    let path = format!("/v1/payments/{}", answer.text("id")?);
    let mut last = state.to_owned();
    if manual {
        for (part, body) in [
            json!({"amount": {"amount": "30.00", "currency": "USD"}}),
            json!({"amount": {"amount": "40.00", "currency": "USD"}, "final_capture": true}),
        ]
        .iter()
        .enumerate()
        {
            let key = format!("capture-{n}-{part}");
            let captured = client.post(&format!("{path}/capture"), &key, body).await?;
            ensure!(captured.status == StatusCode::OK, "a capture: {}", captured.body);
            last = captured.text("state")?;
        }
        ensure!(last == "captured", "captured in two parts, it is {last}");
        let part = json!({"amount": {"amount": "20.00", "currency": "USD"}});
        let (to, key) = (format!("{path}/refunds"), format!("refund-pay-{n}"));
        let refund = client.post(&to, &key, &part).await?;
        ensure!(refund.text("state")? == "succeeded", "a refund: {}", refund.body);
        paid.refunds += 1;
    }
    *paid.states.entry(last).or_default() += 1;
    Ok(())
}

/// What each PSP says that it owes beside what the ledger says; `false` where they differ.
pub(crate) async fn check(stack: &Stack, paid: &Paid) -> anyhow::Result<bool> {
    let states: Vec<String> =
        paid.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let (states, refunds) = (states.join(", "), paid.refunds);
    say(&format!("payments at three simulated PSPs: {states}; {refunds} refunds"));
    let operator =
        Client::new(vec![stack.endpoint("QUERY_URL")?], stack.endpoint("OPERATOR_KEY")?)?;
    let accounts = operator.get("/v1/accounts?ledger=platform&limit=200").await?;
    let accounts = accounts["data"].as_array().context("a list of accounts")?;
    let mut held = true;
    for name in PSPS {
        let url = stack.endpoint(&format!("PSP_{name}_URL"))?;
        let psp = Client::new(vec![url], stack.endpoint("PSP_API_SECRET")?)?;
        let summary = psp.get("/ledger/summary").await?;
        let owed_minor = summary["clearing"]["USD"].as_i64().unwrap_or(0);
        let code = format!("psp_clearing:{}:USD", name.to_lowercase());
        let account = accounts.iter().find(|account| account["code"] == code.as_str());
        let booked = account.and_then(|account| account["balance"].as_str()).unwrap_or("0.00");
        let owed = crate::money::decimal(owed_minor, 2);
        held &= owed == booked;
        let verdict = if owed == booked { "=" } else { "IS NOT" };
        say(&format!("{code} {booked} {verdict} {owed} in the PSP's own ledger"));
    }
    Ok(held)
}

/// How many payments a demonstration of so many deals makes.
pub(crate) fn payments_for(deals: usize) -> usize {
    deals.div_ceil(50)
}
