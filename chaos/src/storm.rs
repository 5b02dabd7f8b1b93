//! The storm: customers who pay with every fault there is, while processes die.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use demo::client::Client;
use demo::say;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::deployment::{Deployment, Plan};

/// How many customers pay at once.
const CUSTOMERS: usize = 24;
/// Everything that a PSP may do, round and round.
const TOKENS: [&str; 22] = [
    "ok",
    "decline_hard",
    "decline_soft_then_ok:2",
    "fail_5xx_then_ok:2",
    "timeout_before",
    "timeout_after_charge",
    "reset_after_charge",
    "slow:100",
    "webhook_dup:3",
    "webhook_ooo",
    "webhook_lost",
    "webhook_only",
    "status_not_found_for:600",
    "capture_failed_later",
    "refund_fails",
    "refund_fails_later",
    "partial_auth:50",
    "down_for:700",
    "timeout_after_charge@refund",
    "fail_5xx_then_ok:7@capture",
    "reset_after_charge@capture",
    "timeout_before@void",
];
/// What is paid in, round and round; all of two decimals.
pub(crate) const CURRENCIES: [&str; 3] = ["USD", "EUR", "IDR"];
/// The command-api that is killed.
const KILLED_COMMAND_API: &str = "command-api";
/// What dies when so many twelfths of the payments were answered.
const KILLS: [(usize, &str); 9] = [
    (1, "worker-a"),
    (2, KILLED_COMMAND_API),
    (3, "mirror"),
    (4, "nats"),
    (5, "worker-b"),
    (6, KILLED_COMMAND_API),
    (7, "worker-a"),
    (8, "mirror"),
    (10, "worker-b"),
];

/// A payment that was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) token: &'static str,
}

/// Each role that is killed in a process of its own; every fault plays out within seconds.
pub(crate) fn plan() -> Plan {
    let roles: [(_, &[&str]); 4] = [
        ("mirror", &["mirror"]),
        (KILLED_COMMAND_API, &["command-api", "--no-mirror"]),
        ("worker-a", &["workers"]),
        ("worker-b", &["workers"]),
    ];
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Plan {
        name: "runut-chaos",
        up: owned(&["--leave", "workers,mirror"]),
        roles: roles.into_iter().map(|(name, arguments)| (name, owned(arguments))).collect(),
        psps: json!({
            "timeouts": {"connect_ms": 500, "request_ms": 400, "total_ms": 1500},
            "policy": {
                "ask_after_ms": 3000,
                "ask_pause_ms": 100,
                "ask_pause_max_ms": 2000,
                "not_found_grace_ms": 1000,
                "soft_retry_pauses_ms": [200, 200, 200],
                "unsent_retry_pause_ms": 200
            }
        }),
    }
}

/// Both command-apis: the one that is never killed, and the one that is.
fn command_urls(deployment: &Deployment) -> anyhow::Result<Vec<String>> {
    Ok(vec![deployment.endpoint("COMMAND_URL")?, deployment.url_of(KILLED_COMMAND_API)?])
}

/// Asks for `payments` payments, and for what follows them.
pub(crate) async fn rage(
    deployment: &mut Deployment,
    payments: usize,
) -> anyhow::Result<Vec<Asked>> {
    let client = Client::new(command_urls(deployment)?, deployment.endpoint("MERCHANT_KEY")?)?;
    let (done, mut answered) = mpsc::channel(CUSTOMERS * 4);
    let next = AtomicUsize::new(0);
    let customers = (0..CUSTOMERS).map(|_| customer(&client, &next, payments, done.clone()));
    let customers = futures::future::try_join_all(customers);
    drop(done);
    let watch = async {
        let mut asked = Vec::with_capacity(payments);
        let mut kills = KILLS.iter().peekable();
        while let Some(one) = answered.recv().await {
            asked.push(one);
            while let Some((_, name)) =
                kills.next_if(|(twelfths, _)| asked.len() * 12 >= payments * twelfths)
            {
                deployment.kill(name).await.with_context(|| format!("{name} is killed"))?;
                say(&format!("after {} payments {name} is killed and comes back", asked.len()));
            }
        }
        anyhow::Ok(asked)
    };
    let (_, asked) = tokio::try_join!(customers, watch)?;
    ensure!(asked.len() == payments, "{} of {payments} were answered", asked.len());
    Ok(asked)
}

async fn customer(
    client: &Client,
    next: &AtomicUsize,
    payments: usize,
    done: mpsc::Sender<Asked>,
) -> anyhow::Result<()> {
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= payments {
            return Ok(());
        }
        let token = TOKENS[n % TOKENS.len()];
        let id = pay(client, n, token).await.with_context(|| format!("payment {n}: {token}"))?;
        done.send(Asked { id, token }).await?;
    }
}

/// Every payment whose token is about a later step goes that far; of the others every fourth.
async fn pay(client: &Client, n: usize, token: &'static str) -> anyhow::Result<String> {
    let later = token.split_once('@').map(|(_, step)| step);
    let manual = matches!(later, Some("capture" | "void")) || (later.is_none() && n % 4 == 3);
    let currency = CURRENCIES[n % CURRENCIES.len()];
    let body = json!({
        "amount": "60.00",
        "currency": currency,
        "capture_method": if manual { "manual" } else { "automatic" },
        // Schemes let nobody try one card that often.
        "payment_method": {"token": token, "fingerprint": format!("card-{n}")},
        "reference": format!("chaos-{n}"),
    });
    let answer = client.post("/v1/payments", &format!("chaos-{n}"), &body).await?;
    ensure!(matches!(answer.status.as_u16(), 201 | 202), "{}", answer.body);
    let id = answer.text("id")?;
    let path = format!("/v1/payments/{id}");
    let state = answer.text("state")?;
    match later {
        Some("void") => follow(client, &format!("{path}/void"), n, "void", &json!({})).await?,
        Some("capture") => {
            follow(client, &format!("{path}/capture"), n, "capture", &json!({})).await?;
        }
        _ if manual && state == "authorized" => {
            let part = json!({"amount": {"amount": "25.00", "currency": currency}});
            follow(client, &format!("{path}/capture"), n, "part", &part).await?;
            follow(client, &format!("{path}/capture"), n, "rest", &json!({})).await?;
        }
        _ => {}
    }
    if token.contains("refund") || (n % 4 == 1 && state == "captured") {
        let amount = json!({"amount": "20.00", "currency": currency});
        let part = json!({"amount": amount, "reason": "chaos"});
        follow(client, &format!("{path}/refunds"), n, "refund", &part).await?;
    }
    Ok(id)
}

/// Captures what is still held of payments that were under way when their customers would have: money that is
/// held is no end of a payment. How many those were.
pub(crate) async fn capture_the_rest(
    deployment: &Deployment,
    payments: &[Value],
) -> anyhow::Result<usize> {
    let client = Client::new(command_urls(deployment)?, deployment.endpoint("MERCHANT_KEY")?)?;
    let held: Vec<&Value> = payments.iter().filter(|one| one["state"] == "authorized").collect();
    for (n, payment) in held.iter().enumerate() {
        let id = payment["id"].as_str().context("an id")?;
        follow(&client, &format!("/v1/payments/{id}/capture"), n, "held", &json!({})).await?;
    }
    Ok(held.len())
}

/// What the state forbids by then is no fault: a payment may have been declined, or be under way still.
async fn follow(
    client: &Client,
    path: &str,
    n: usize,
    step: &str,
    body: &Value,
) -> anyhow::Result<()> {
    let answer = client.post(path, &format!("chaos-{n}-{step}"), body).await?;
    let expected = matches!(answer.status.as_u16(), 200 | 201 | 202 | 409);
    ensure!(expected, "{step}: {} {}", answer.status, answer.body);
    Ok(())
}
