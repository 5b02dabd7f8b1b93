//! What has to hold in the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use demo::client::Client;
use demo::proof::{await_mirror, await_projections, check_trial_balance, verify};
use demo::say;
use serde_json::Value;

use crate::deployment::Deployment;
use crate::storm::{self, Asked, CURRENCIES};

/// How long everything may take to come to rest: leases of the dead run out after 20 s, answers are finished
/// after that.
const REST_MAX: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(250);

/// A payment as the query API shows it, and as the PSPs have it.
#[derive(Debug, Default)]
struct AtPsps {
    charges: usize,
    captured_minor: i64,
    refunded_minor: i64,
    captures: usize,
    refunds: usize,
}

/// Checks and prints; `false` when anything does not hold.
pub(crate) async fn check(deployment: &Deployment, asked: &[Asked]) -> anyhow::Result<bool> {
    let payments = at_rest(deployment, asked.len()).await?;
    let payments = match storm::capture_the_rest(deployment, &payments).await? {
        0 => payments,
        _ => at_rest(deployment, asked.len()).await?,
    };
    let found = examine(deployment, asked, &payments).await?;
    Ok(found.into_iter().all(|(_, held)| held))
}

/// What has to hold of payments at rest, and whether it does; the numbers are told.
pub(crate) async fn examine(
    deployment: &Deployment,
    asked: &[Asked],
    payments: &[Value],
) -> anyhow::Result<Vec<(&'static str, bool)>> {
    say(&format!("at rest: {}", by_state(payments)));
    let operator = client(deployment, "OPERATOR_KEY")?;
    let at_psps = at_psps(deployment).await?;
    let mut found = vec![
        ("payments: none lost, none made up", known(asked, payments)),
        ("one charge a payment, the PSPs' amounts", compare(payments, &at_psps)?),
        ("one entry for each movement", entries(&operator, payments).await?),
    ];
    found.push(("clearing as the PSPs say", clearing_is_equal(deployment, &operator).await?));
    found.extend(audit(deployment).await?);
    Ok(found)
}

/// What has to hold of the log whether or not payments are at rest.
pub(crate) async fn audit(deployment: &Deployment) -> anyhow::Result<Vec<(&'static str, bool)>> {
    let auditor = client(deployment, "AUDITOR_KEY")?;
    let head = await_projections(&auditor).await?;
    let nats_url = deployment.endpoint("NATS_URL")?;
    await_mirror(&nats_url, head).await?;
    let balanced = check_trial_balance(&auditor).await?;
    let verified = verify(&deployment.endpoint("DATABASE_AUDITOR_URL")?, &nats_url).await?;
    Ok(vec![("trial balance zero", balanced), ("verify --mirror --read-models", verified)])
}

fn client(deployment: &Deployment, key: &str) -> anyhow::Result<Client> {
    Client::new(vec![deployment.endpoint("QUERY_URL")?], deployment.endpoint(key)?)
}

/// Every payment once nothing is under way with any, no PSP will change anything by itself, and both sides say
/// the same of what is owed.
///
/// The payments are read after a pass in which all of it was so: what was captured between two readings of one pass
/// may fail after them.
pub(crate) async fn at_rest(
    deployment: &Deployment,
    expected: usize,
) -> anyhow::Result<Vec<Value>> {
    let operator = &client(deployment, "OPERATOR_KEY")?;
    let deadline = Instant::now() + REST_MAX;
    let mut calm_before = false;
    loop {
        let settled = clearing(deployment, operator).await?.iter().all(Clearing::is_settled);
        let payments = all(operator, "/v1/payments?limit=200").await?;
        let moving: Vec<&Value> = payments.iter().filter(|payment| under_way(payment)).collect();
        let calm = settled && moving.is_empty() && payments.len() >= expected;
        if calm && calm_before {
            return Ok(payments);
        }
        calm_before = calm;
        if Instant::now() >= deadline {
            for payment in moving.iter().take(5) {
                say(&format!("STILL UNDER WAY: {payment}"));
            }
            // The checks below say what differs.
            ensure!(moving.is_empty(), "{} payments do not come to rest", moving.len());
            return Ok(payments);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn under_way(payment: &Value) -> bool {
    payment["under_way"] != false
}

async fn all(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut rows = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let more = cursor.as_ref().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let page = client.get(&format!("{path}{more}")).await?;
        rows.extend(page["data"].as_array().context("a list")?.iter().cloned());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}

fn by_state(payments: &[Value]) -> String {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for payment in payments {
        *states.entry(payment["state"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let states: Vec<String> =
        states.iter().map(|(name, count)| format!("{count} {name}")).collect();
    states.join(", ")
}

/// Each payment that was answered is there, and no other.
fn known(asked: &[Asked], payments: &[Value]) -> bool {
    let shown: HashSet<&str> = payments.iter().filter_map(|one| one["id"].as_str()).collect();
    let lost: Vec<&Asked> = asked.iter().filter(|one| !shown.contains(one.id.as_str())).collect();
    for one in lost.iter().take(5) {
        say(&format!("LOST: {} ({})", one.id, one.token));
    }
    let unlike = payments.len() == asked.len() && shown.len() == asked.len();
    if !unlike {
        say(&format!("{} PAYMENTS WERE ASKED FOR, {} ARE THERE", asked.len(), payments.len()));
    }
    lost.is_empty() && unlike
}

/// What the PSPs' own ledgers have, by payment.
async fn at_psps(deployment: &Deployment) -> anyhow::Result<HashMap<String, AtPsps>> {
    let mut found: HashMap<String, AtPsps> = HashMap::new();
    for (_, url) in deployment.psps() {
        let psp = Client::new(vec![url.to_owned()], deployment.psp_api_key().to_owned())?;
        let mut path = "/ledger".to_owned();
        loop {
            let ledger = psp.get(&path).await?;
            for charge in ledger["charges"].as_array().context("charges")? {
                let reference = charge["reference"].as_str().context("a reference")?;
                let payment = found.entry(reference.to_owned()).or_default();
                for operation in charge["operations"].as_array().context("operations")? {
                    payment.add(operation);
                }
            }
            let Some(last) = ledger["next"].as_str() else { break };
            path = format!("/ledger?after={last}");
        }
    }
    Ok(found)
}

impl AtPsps {
    fn add(&mut self, operation: &Value) {
        let minor = operation["amount_minor"].as_i64().unwrap_or(0);
        // One that failed after it had succeeded says no reason.
        let later = operation["status"] == "failed" && operation["decline"].is_null();
        let succeeded = operation["status"] == "succeeded";
        if !succeeded && !later {
            return;
        }
        match operation["kind"].as_str() {
            Some("authorization") => self.charges += 1,
            Some("sale") => {
                self.charges += 1;
                self.captures += 1;
                self.captured_minor += if succeeded { minor } else { 0 };
            }
            Some("capture") => {
                self.captures += 1;
                self.captured_minor += if succeeded { minor } else { 0 };
            }
            Some("refund") => {
                self.refunds += 1;
                self.refunded_minor += if succeeded { minor } else { 0 };
            }
            _ => {}
        }
    }
}

/// At most one charge, and the very amounts that the PSPs have.
fn compare(payments: &[Value], at_psps: &HashMap<String, AtPsps>) -> anyhow::Result<bool> {
    let nothing = AtPsps::default();
    let (mut charges, mut captures, mut refunds, mut wrong) = (0, 0, 0, 0);
    for payment in payments {
        let id = payment["id"].as_str().context("an id")?;
        let psps = at_psps.get(id).unwrap_or(&nothing);
        let amounts = &payment["amounts"];
        let same = minor(&amounts["captured"])? == psps.captured_minor
            && minor(&amounts["refunded"])? == psps.refunded_minor
            && payment["captures"].as_array().map(Vec::len) == Some(psps.captures);
        charges += psps.charges;
        captures += psps.captures;
        refunds += psps.refunds;
        if psps.charges > 1 || !same {
            wrong += 1;
            if wrong <= 5 {
                say(&format!("THE PSPS HAVE {psps:?}, WE HAVE {payment}"));
            }
        }
    }
    say(&format!(
        "the PSPs' own ledgers: {charges} charges, {captures} captures, {refunds} refunds; at most one \
         charge a payment and the same amounts: {}",
        if wrong == 0 { "yes".to_owned() } else { format!("NOT FOR {wrong}") }
    ));
    Ok(wrong == 0)
}

/// A decimal of one of the storm's currencies in minor units.
fn minor(decimal: &Value) -> anyhow::Result<i64> {
    Ok(decimal.as_str().context("a decimal")?.replace('.', "").parse()?)
}

/// One entry for each capture and each refund that is booked, and no two share one.
async fn entries(operator: &Client, payments: &[Value]) -> anyhow::Result<bool> {
    let entries = all(operator, "/v1/ledger/entries?limit=200&ledger=platform").await?;
    let mut references: HashMap<&str, usize> = HashMap::new();
    for entry in &entries {
        *references.entry(entry["external_ref"].as_str().context("a reference")?).or_default() += 1;
    }
    let mut expected = 0;
    let mut missing = 0;
    for payment in payments {
        let id = payment["id"].as_str().context("an id")?;
        for capture in payment["captures"].as_array().into_iter().flatten() {
            let reference = format!("payment:{id}:capture:{}:v1", capture["number"]);
            let failed = capture["failed"] == true;
            for one in [Some(reference.clone()), failed.then(|| format!("{reference}:failed"))] {
                let Some(one) = one else { continue };
                expected += 1;
                missing += usize::from(references.get(one.as_str()) != Some(&1));
            }
        }
        for refund in payment["refunds"].as_array().into_iter().flatten() {
            let refund_id = refund["id"].as_str().context("an id")?;
            let reference = format!("payment:{id}:refund:{refund_id}:v1");
            let booked = references.get(reference.as_str()).copied().unwrap_or(0);
            let undone =
                references.get(format!("{reference}:failed").as_str()).copied().unwrap_or(0);
            let right = match refund["state"].as_str() {
                Some("succeeded") => (booked, undone) == (1, 0),
                // Refused at once, or undone later.
                _ => booked == undone && booked <= 1,
            };
            expected += booked + undone;
            missing += usize::from(!right);
        }
    }
    let others = entries.len() != expected;
    say(&format!(
        "{} entries for them: one for each capture, refund and failure: {}",
        entries.len(),
        if missing == 0 && !others { "yes".to_owned() } else { format!("NO, {missing} are not") }
    ));
    Ok(missing == 0 && !others)
}

/// What a PSP owes in a currency: as booked, and as it says itself, in minor units.
struct Clearing {
    account: String,
    ours: i64,
    theirs: i64,
    /// How many operations, in any currency, the PSP will settle or fail by itself.
    changing: u64,
}

impl Clearing {
    fn is_settled(&self) -> bool {
        self.ours == self.theirs && self.changing == 0
    }
}

/// What each PSP owes in each currency.
async fn clearing(deployment: &Deployment, operator: &Client) -> anyhow::Result<Vec<Clearing>> {
    let accounts = all(operator, "/v1/accounts?ledger=platform&limit=200").await?;
    let mut sums = Vec::new();
    for (name, url) in deployment.psps() {
        let psp = Client::new(vec![url.to_owned()], deployment.psp_api_key().to_owned())?;
        let summary = psp.get("/ledger/summary").await?;
        let changing = summary["changing"].as_u64().context("how many operations will change")?;
        for currency in CURRENCIES {
            let theirs = summary["clearing"][currency].as_i64().unwrap_or(0);
            let code = format!("psp_clearing:{name}:{currency}");
            let account = accounts.iter().find(|account| account["code"] == code.as_str());
            let ours = account.map_or(Ok(0), |account| minor(&account["balance"]))?;
            sums.push(Clearing { account: code, ours, theirs, changing });
        }
    }
    Ok(sums)
}

async fn clearing_is_equal(deployment: &Deployment, operator: &Client) -> anyhow::Result<bool> {
    let mut held = true;
    for Clearing { account, ours, theirs, .. } in clearing(deployment, operator).await? {
        let verdict = if ours == theirs { "=" } else { "IS NOT" };
        say(&format!("{account} {ours} {verdict} {theirs} in the PSP's own ledger"));
        held &= ours == theirs;
    }
    Ok(held)
}
