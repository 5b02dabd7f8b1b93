//! Rates and conversions.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::actors::Actor;
use crate::answers::Answer;
use crate::app::App;

const RATES: &str = "/v1/ledger/rates";
const CONVERSIONS: &str = "/v1/ledger/conversions";
const AS_OF: &str = "2026-01-02T03:04:05Z";

fn rate(rate: &str) -> Value {
    json!({"base": "USD", "quote": "EUR", "rate": rate, "as_of": AS_OF, "source": "the bank"})
}

/// An account of a customer.
async fn open(actor: &Actor, code: &str, currency: &str) -> String {
    let account = json!({"code": code, "type": "liability", "currency": currency});
    actor.post("/v1/accounts", &account).await.expect(201).text("id")
}

/// A merchant with dollars, euros, and a rate between them.
struct Market {
    app: App,
    dollars: String,
    euros: String,
}

impl Market {
    async fn at(price: &str) -> Self {
        let app = App::new().await;
        let dollars = open(&app.merchant, "dollars", "USD").await;
        let euros = open(&app.merchant, "euros", "EUR").await;
        app.merchant.post(RATES, &rate(price)).await.expect(201);
        Self { app, dollars, euros }
    }

    fn conversion(&self, reference: &str, amount: &str) -> Value {
        json!({"external_ref": reference, "from": self.dollars, "to": self.euros,
               "amount": amount, "currency": "USD"})
    }

    async fn convert(&self, conversion: &Value) -> Answer {
        self.app.merchant.post(CONVERSIONS, conversion).await
    }

    /// Debits less credits of an account of the merchant's, in minor units.
    async fn balance(&self, code: &str) -> i64 {
        let ledger = self.app.merchant_id.parse().expect("an id");
        let account = domain::AccountId::of(ledger, &code.parse().expect("a code"));
        self.app.balance_minor(&account.to_string()).await
    }
}

#[tokio::test]
async fn a_rate_is_recorded_once() {
    let app = App::new().await;
    let recorded = app.merchant.post(RATES, &rate("0.92335")).await;
    insta::assert_snapshot!(recorded);
    let again = app.merchant.post(RATES, &rate("0.923350")).await.expect(200);
    assert_eq!(again.body, recorded.body, "it is there already");
    let next = app.merchant.post(RATES, &rate("0.92340")).await.expect(201);
    assert_eq!(next.json()["version"], 2);
    let mut older = rate("0.9");
    older["as_of"] = json!("2026-01-01T00:00:00Z");
    let refused = app.merchant.post(RATES, &older).await.expect(409);
    assert_eq!(refused.text("code"), "rate-out-of-order");
    let mut future = rate("0.9");
    future["as_of"] = json!("2999-01-01T00:00:00Z");
    let refused = app.merchant.post(RATES, &future).await.expect(422);
    assert_eq!(refused.text("code"), "rate-of-the-future");
}

#[tokio::test]
async fn money_is_converted_at_the_latest_rate() {
    let market = Market::at("0.9251").await;
    let converted = market.convert(&market.conversion("c1", "3.00")).await;
    insta::assert_snapshot!(converted);
    for (code, minor) in [
        ("dollars", 300),
        ("fx:exchange:USD", -300),
        ("fx:exchange:EUR", 277),
        ("fx:rounding:EUR", 1),
        ("euros", -278),
    ] {
        assert_eq!(market.balance(code).await, minor, "{code}");
    }
    let down = json!("down");
    let mut next = market.conversion("c2", "1.00");
    next["rounding"] = down;
    let next = market.convert(&next).await.expect(201).json();
    assert_eq!(next["bought"], json!({"amount": "0.92", "currency": "EUR"}));
    assert_eq!(next["rounding_difference"], json!({"amount": "-0.01", "currency": "EUR"}));
}

#[tokio::test]
async fn a_reference_names_one_conversion_and_a_key_one_answer() {
    let market = Market::at("0.9251").await;
    let merchant = &market.app.merchant;
    let mut conversion = market.conversion("c1", "3.00");
    conversion["description"] = json!("Holiday money");
    let first = merchant.post_with_key(CONVERSIONS, &conversion, "one-key").await.expect(201);
    merchant.post(RATES, &rate("0.5")).await.expect(201);
    let written = market.app.written().await;
    let replayed = merchant.post_with_key(CONVERSIONS, &conversion, "one-key").await.expect(201);
    assert_eq!(replayed.body, first.body);
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    let same = market.convert(&conversion).await.expect(200);
    assert_eq!(same.body, first.body, "at the rate of then");
    for (field, value) in [
        ("amount", json!("3.01")),
        ("rounding", json!("up")),
        ("rate_version", json!(9)),
        ("description", json!("Other")),
    ] {
        let mut other = conversion.clone();
        other[field] = value;
        let refused = market.convert(&other).await.expect(409);
        assert_eq!(refused.text("code"), "external-ref-taken", "{field}");
    }
    assert_eq!(market.app.written().await.0, written.0, "no event");
}

#[tokio::test]
async fn a_conversion_of_all_there_is_is_repeated_all_the_same() {
    let market = Market::at("0.9251").await;
    let wallet = json!({"name": "dollars", "currency": "USD"});
    let wallet = market.app.merchant.post("/v1/wallets", &wallet).await.expect(201).text("id");
    let top_up = json!({"external_ref": "r1", "amount": "3.00", "currency": "USD"});
    let path = format!("/v1/wallets/{wallet}/cash-in");
    market.app.merchant.post(&path, &top_up).await.expect(201);
    let mut conversion = market.conversion("c1", "3.00");
    conversion["from"] = json!(wallet);
    let first = market.convert(&conversion).await.expect(201);
    assert_eq!(market.convert(&conversion).await.expect(200).body, first.body);
    conversion["external_ref"] = json!("c2");
    let refused = market.convert(&conversion).await.expect(409);
    assert_eq!(refused.text("code"), "insufficient-funds");
}

#[tokio::test]
async fn a_conversion_is_not_undone() {
    let market = Market::at("0.9251").await;
    let merchant = &market.app.merchant;
    let conversion = market.convert(&market.conversion("c1", "3.00")).await.expect(201).text("id");
    let path = |verb: &str| format!("/v1/ledger/entries/{conversion}/{verb}");
    let part = json!({"amount": "1.00", "currency": "USD"});
    let other = open(merchant, "more_dollars", "USD").await;
    let step = json!({"type": "reverse", "entry": conversion});
    let (events, _) = market.app.written().await;
    for (path, body) in [
        (path("reverse"), json!({})),
        (path("reverse"), part),
        (path("replace"), crate::actors::entry("c2", &market.dollars, &other, "3.00")),
        ("/v1/ledger/chains".to_owned(), json!({"steps": [step]})),
    ] {
        let refused = merchant.post(&path, &body).await.expect(409);
        assert_eq!(refused.text("code"), "entry-is-a-conversion", "{path}");
    }
    assert_eq!(market.app.written().await.0, events, "no event");
}

#[tokio::test]
async fn a_caller_may_insist_on_a_rate() {
    let market = Market::at("0.9251").await;
    market.app.merchant.post(RATES, &rate("0.5")).await.expect(201);
    let with = |reference: &str, field: &str, value: Value| {
        let mut conversion = market.conversion(reference, "3.00");
        conversion[field] = value;
        conversion
    };
    let stale = market.convert(&with("c1", "rate_version", json!(1))).await.expect(412);
    assert_eq!(stale.text("code"), "rate-changed");
    market.convert(&with("c1", "rate_version", json!(2))).await.expect(201);
    let old = market.convert(&with("c2", "max_rate_age_seconds", json!(60))).await.expect(409);
    assert_eq!(old.text("code"), "rate-too-old");
    let mut back = market.conversion("c3", "3.00");
    back["from"] = json!(market.euros);
    back["to"] = json!(market.dollars);
    back["currency"] = json!("EUR");
    let missing = market.convert(&back).await.expect(409);
    assert_eq!(missing.text("code"), "rate-missing", "the pair the other way round is another");
}

#[tokio::test]
async fn what_cannot_be_converted_is_refused() {
    let market = Market::at("0.4").await;
    let merchant = &market.app.merchant;
    let nothing = market.convert(&market.conversion("c1", "0.01")).await.expect(422);
    assert_eq!(nothing.text("code"), "nothing-bought");
    let mut same = market.conversion("c1", "1.00");
    same["to"] = json!(open(merchant, "more_dollars", "USD").await);
    let same = market.convert(&same).await.expect(422);
    assert_eq!(same.text("code"), "pair-of-one-currency");
    let cash = json!({"code": "cash", "type": "asset", "currency": "EUR"});
    let cash = merchant.post("/v1/accounts", &cash).await.expect(201).text("id");
    let mut crossed = market.conversion("c1", "1.00");
    crossed["to"] = json!(cash);
    let crossed = market.convert(&crossed).await.expect(422);
    assert_eq!(crossed.text("code"), "conversion-sides-differ");
    let foreign = open(&market.app.other_merchant, "euros", "EUR").await;
    let unknown = domain::AccountId::from_uuid(uuid::Uuid::nil()).to_string();
    let mut refusals = Vec::new();
    for (field, account) in [("to", &foreign), ("to", &unknown), ("from", &foreign)] {
        let mut conversion = market.conversion("c1", "1.00");
        conversion[field] = json!(account);
        let refused = market.convert(&conversion).await.expect(404);
        assert_eq!(refused.text("code"), "account-not-found");
        refusals.push(refused.redacted());
    }
    assert_eq!(refusals[0], refusals[1], "another's is as good as none");
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named() {
    let market = Market::at("1").await;
    let merchant = &market.app.merchant;
    let before = market.app.written().await;
    let mut lines = Vec::new();
    for body in [
        json!({"base": "US", "quote": "EUR", "rate": "-1", "as_of": "now", "source": ""}),
        json!({"base": "EUR", "quote": "EUR", "rate": "0.00", "as_of": AS_OF, "source": "a"}),
        json!({"base": "USD", "quote": "EUR", "rate": "1.2345678901234", "as_of": AS_OF,
               "source": "a"}),
        json!({"base": "USD", "quote": "EUR", "rate": 1.5, "as_of": AS_OF, "source": "a"}),
        json!({"base": "USD"}),
    ] {
        lines.push(merchant.post(RATES, &body).await.expect(422).redacted());
    }
    for (field, value) in [
        ("external_ref", json!("fx:1")),
        ("from", json!("acc_1")),
        ("amount", json!("1.001")),
        ("amount", json!("0.00")),
        ("currency", json!("usd")),
        ("rounding", json!("nearest")),
        ("rate_version", json!(0)),
        ("max_rate_age_seconds", json!(-1)),
        ("effective_at", json!("now")),
        ("colour", json!("red")),
    ] {
        let mut conversion = market.conversion("c1", "1.00");
        conversion[field] = value;
        lines.push(market.convert(&conversion).await.expect(422).redacted());
    }
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(market.app.written().await, before);
}

#[tokio::test]
async fn rates_and_conversions_are_of_ones_own_ledger() {
    let market = Market::at("1").await;
    let app = &market.app;
    let (events, _) = app.written().await;
    let conversion = market.conversion("c1", "1.00");
    for (path, body) in [(RATES, &rate("2")), (CONVERSIONS, &conversion)] {
        app.anonymous.post(path, body).await.expect(401);
        app.merchant_read.post(path, body).await.expect(403);
    }
    for other in [&app.other_merchant, &app.operator] {
        other.post(CONVERSIONS, &conversion).await.expect(404);
    }
    assert_eq!(app.written().await.0, events, "no event");
    let dollars = open(&app.operator, "dollars", "USD").await;
    let euros = open(&app.operator, "euros", "EUR").await;
    let own = json!({"external_ref": "c1", "from": dollars, "to": euros, "amount": "1.00",
                     "currency": "USD"});
    let missing = app.operator.post(CONVERSIONS, &own).await.expect(409);
    assert_eq!(
        missing.text("code"),
        "rate-missing",
        "that of the merchant is none of the platform"
    );
    app.operator.post(RATES, &rate("2")).await.expect(201);
    let converted = app.operator.post(CONVERSIONS, &own).await.expect(201).json();
    assert_eq!(converted["bought"], json!({"amount": "2.00", "currency": "EUR"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_conversions_loses_nothing() {
    const AT_ONCE: i64 = 32;
    let market = Market::at("0.92335").await;
    let conversions: Vec<Value> =
        (0..AT_ONCE).map(|n| market.conversion(&format!("c{n}"), "1.01")).collect();
    let answers = join_all(conversions.iter().map(|one| market.convert(one))).await;
    let mut bought = 0;
    for answer in answers {
        let amount = answer.expect(201).json()["bought"]["amount"].as_str().map(str::to_owned);
        assert_eq!(amount.as_deref(), Some("0.93"), "93.25835 cents");
        bought += 93;
    }
    // 32 × 93.25835 = 2984.2672: the whole part is paid, whatever the order.
    let (paid, sold) = (2_984, AT_ONCE * 101);
    for (code, minor) in [
        ("dollars", sold),
        ("fx:exchange:USD", -sold),
        ("fx:exchange:EUR", paid),
        ("fx:rounding:EUR", bought - paid),
        ("euros", -bought),
    ] {
        assert_eq!(market.balance(code).await, minor, "{code}");
    }
}
