//! Who may do what: on every route, for every kind of wrong caller.

use api_conventions::ApiKeyToken;
use domain::accounts::Totals;
use domain::{AccountId, ApiKeyId, EntryId, HoldId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actors::{Actor, entry};
use crate::answers::Answer;
use crate::app::App;

/// Who a route is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Operators,
    Merchants,
    Both,
}

struct Route {
    method: &'static str,
    path: String,
    body: Value,
    is_for: For,
    /// Whether it is about something that has to be there.
    names_something: bool,
}

impl Route {
    async fn call(&self, actor: &Actor) -> Answer {
        let body = self.body.to_string();
        actor.request(self.method, &self.path).body(body).send().await
    }
}

/// What requests are about.
struct Things<'a> {
    accounts: [&'a str; 2],
    entry: &'a str,
    hold: &'a str,
    key: &'a str,
}

/// Every route, about these things.
fn routes(things: &Things<'_>) -> Vec<Route> {
    let route = |method, path: &str, body, is_for| {
        let path = path.to_owned();
        Route { method, path, body, is_for, names_something: true }
    };
    let free =
        |path, body, is_for| Route { names_something: false, ..route("POST", path, body, is_for) };
    let Things { accounts: [account, other], entry: entry_id, hold, key } = *things;
    let posted = entry("r9", account, other, "1.00");
    let account_path = format!("/v1/accounts/{account}");
    let mut routes = vec![
        free("/v1/merchants", json!({"name": "Toko"}), For::Operators),
        free("/v1/api-keys", json!({"role": "auditor"}), For::Operators),
        route("DELETE", &format!("/v1/api-keys/{key}"), json!({}), For::Operators),
        free(
            "/v1/accounts",
            json!({"code": "bank", "type": "asset", "currency": "USD"}),
            For::Both,
        ),
        free("/v1/ledger/closes", json!({"day": "2020-01-31"}), For::Both),
        free("/v1/ledger/imports", posted.clone(), For::Both),
        free("/v1/ledger/rates", rate(), For::Both),
        free("/v1/wallets", json!({"name": "7", "currency": "USD"}), For::Both),
        free("/v1/payments", json!({"amount": "1.00", "currency": "USD"}), For::Merchants),
        route("PATCH", &account_path, json!({"name": "Bank"}), For::Both),
        route("POST", "/v1/ledger/entries", posted.clone(), For::Both),
    ];
    let of_a_ledger = [
        ("/v1/ledger/entries:batch".to_owned(), json!({"atomic": true, "entries": [posted]})),
        ("/v1/ledger/holds".to_owned(), posted.clone()),
        (format!("/v1/ledger/entries/{entry_id}/reverse"), json!({})),
        (format!("/v1/ledger/entries/{entry_id}/replace"), posted),
        (format!("/v1/ledger/holds/{hold}/post"), json!({})),
        (format!("/v1/ledger/holds/{hold}/void"), json!({})),
    ];
    let steps = [
        json!({"type": "reverse", "entry": entry_id}),
        json!({"type": "post_hold", "hold": hold}),
        json!({"type": "void_hold", "hold": hold}),
    ];
    let chains =
        steps.map(|step| ("/v1/ledger/chains".to_owned(), json!({"steps": [step]}))).into_iter();
    for (path, body) in of_a_ledger.into_iter().chain(chains) {
        routes.push(route("POST", &path, body, For::Both));
    }
    let movement = json!({"external_ref": "r9", "amount": "1.00", "currency": "USD"});
    for verb in ["cash-in", "cash-out", "reserve"] {
        let path = format!("/v1/wallets/{account}/{verb}");
        routes.push(route("POST", &path, movement.clone(), For::Both));
    }
    let conversion = json!({"external_ref": "r9", "from": account, "to": other, "amount": "1.00",
                            "currency": "USD"});
    routes.push(route("POST", "/v1/ledger/conversions", conversion, For::Both));
    for verb in ["freeze", "unfreeze", "close"] {
        routes.push(route("POST", &format!("{account_path}/{verb}"), json!({}), For::Both));
    }
    routes
}

fn rate() -> Value {
    json!({"base": "USD", "quote": "EUR", "rate": "0.9", "as_of": "2026-01-02T03:04:05Z",
           "source": "the bank"})
}

/// Routes about things that are there.
async fn routes_of(app: &App, owner: &Actor) -> Vec<Route> {
    let (cash, sales) = (owner.open("cash", None).await, owner.open("sales", None).await);
    let posted = owner.post_entry(&entry("r1", &cash, &sales, "1.00")).await.expect(201);
    let held = owner.post("/v1/ledger/holds", &entry("h1", &cash, &sales, "1.00")).await;
    let key = app.operator.post("/v1/api-keys", &json!({"role": "analyst"})).await.expect(201);
    routes(&Things {
        accounts: [&cash, &sales],
        entry: &posted.text("id"),
        hold: &held.expect(201).text("id"),
        key: &key.text("id"),
    })
}

#[tokio::test]
async fn without_a_valid_key_every_route_answers_alike_and_writes_nothing() {
    let app = App::new().await;
    let routes = routes_of(&app, &app.merchant).await;
    let revoked = json!({"role": "operator"});
    let revoked = app.operator.post("/v1/api-keys", &revoked).await.expect(201);
    app.operator.delete(&format!("/v1/api-keys/{}", revoked.text("id"))).await.expect(200);
    let valid = app.merchant.token.clone().expect("a token");
    let last = if valid.ends_with('0') { "1" } else { "0" };
    let wrong_secret = format!("{}{last}", &valid[..valid.len() - 1]);
    let callers = [
        app.anonymous.clone(),
        app.service.caller(Some(revoked.text("token"))),
        app.service.caller(Some(wrong_secret)),
        app.service.caller(Some("runut_".to_owned())),
        app.service.caller(Some(format!("runut_00000000000000000000000000_{}", "0".repeat(64)))),
    ];
    let before = app.written().await;
    let mut bodies = Vec::new();
    for caller in &callers {
        for route in &routes {
            bodies.push(route.call(caller).await.expect(401).body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "nothing tells what is wrong with a key: {bodies:?}");
    assert_eq!(app.written().await, before);
}

#[tokio::test]
async fn a_key_of_another_role_is_refused_and_writes_nothing() {
    let app = App::new().await;
    let routes = routes_of(&app, &app.merchant).await;
    let before = app.written().await;
    for route in &routes {
        route.call(&app.merchant_read).await.expect(403);
        match route.is_for {
            For::Operators => drop(route.call(&app.merchant).await.expect(403)),
            For::Merchants => drop(route.call(&app.operator).await.expect(403)),
            For::Both => {}
        }
    }
    for role in ["auditor", "analyst"] {
        let key = app.operator.post("/v1/api-keys", &json!({"role": role})).await.expect(201);
        let reader = app.service.caller(Some(key.text("token")));
        for route in &routes {
            route.call(&reader).await.expect(403);
        }
    }
    let (events, keys) = before;
    assert_eq!(app.written().await, (events + 2, keys + 2), "the two new keys and nothing else");
}

#[tokio::test]
async fn what_belongs_to_others_is_exactly_as_if_it_were_not_there() {
    let app = App::new().await;
    let (mine, counter) =
        (app.merchant.open("cash", None).await, app.merchant.open("x", None).await);
    let posted = app.merchant.post_entry(&entry("r1", &mine, &counter, "1.00")).await.expect(201);
    let held = app.merchant.post("/v1/ledger/holds", &entry("h1", &mine, &counter, "1.00")).await;
    let held = held.expect(201).text("id");
    let system = app.operator.open("psp:clearing", None).await;
    let system_too = app.operator.open("psp:fees", None).await;
    let [account, account_too] =
        [1, 2].map(|n| AccountId::from_uuid(Uuid::from_u128(n)).to_string());
    let entry_id = EntryId::from_uuid(Uuid::from_u128(3)).to_string();
    let key = ApiKeyId::from_uuid(Uuid::from_u128(4)).to_string();
    let hold = HoldId::from_uuid(Uuid::from_u128(5)).to_string();
    let nothing =
        Things { accounts: [&account, &account_too], entry: &entry_id, hold: &hold, key: &key };
    let unknown = routes(&nothing);
    let posted = posted.text("id");
    let of_merchant =
        routes(&Things { accounts: [&mine, &counter], entry: &posted, hold: &held, key: &key });
    let of_platform = routes(&Things { accounts: [&system, &system_too], ..nothing });
    let (events, _) = app.written().await;
    for (index, route) in unknown.iter().enumerate() {
        let callers = match route.is_for {
            _ if !route.names_something => continue,
            For::Operators => continue,
            For::Merchants => vec![(&app.other_merchant, [&of_merchant, &of_platform])],
            For::Both => vec![
                (&app.other_merchant, [&of_merchant, &of_platform]),
                (&app.operator, [&of_merchant, &of_merchant]),
            ],
        };
        for (caller, others) in callers {
            let missing = route.call(caller).await.expect(404).to_string();
            for foreign in others {
                assert_eq!(foreign[index].call(caller).await.to_string(), missing);
            }
        }
    }
    assert_eq!(app.written().await.0, events, "no event");
}

#[tokio::test]
async fn one_foreign_account_spoils_an_entry() {
    let app = App::new().await;
    let mine = app.merchant.open("cash", None).await;
    let theirs = app.other_merchant.open("cash", None).await;
    let system = app.operator.open("psp:clearing", None).await;
    for foreign in [theirs, system] {
        let refused = app.merchant.post_entry(&entry("r1", &mine, &foreign, "1.00")).await;
        assert_eq!(refused.expect(404).text("code"), "account-not-found");
    }
}

#[tokio::test]
async fn an_operator_posts_to_the_platforms_own_accounts_and_to_none_of_the_system() {
    let app = App::new().await;
    let operator = &app.operator;
    let (bank, rent) = (operator.open("bank", None).await, operator.open("rent", None).await);
    let posted = operator.post_entry(&entry("r1", &rent, &bank, "9.00")).await.expect(201);
    let held = operator.post("/v1/ledger/holds", &entry("h1", &rent, &bank, "1.00")).await;
    let held = held.expect(201).text("id");
    let line = entry("r2", &rent, &bank, "1.00");
    operator.post("/v1/ledger/entries:batch", &json!({"entries": [line]})).await.expect(201);
    let lines = entry("r3", &rent, &bank, "1.00").to_string();
    let import = operator.request("POST", "/v1/ledger/imports").body(lines);
    import.header("content-type", "application/x-ndjson").send().await.expect(200);
    let post_hold = json!({"type": "post_hold", "hold": held});
    operator.post("/v1/ledger/chains", &json!({"steps": [post_hold]})).await.expect(201);
    let reverse = format!("/v1/ledger/entries/{}/reverse", posted.text("id"));
    operator.post(&reverse, &json!({})).await.expect(201);
    assert_eq!(app.balance_minor(&rent).await, 300);

    let system = app.open_system_account("fee_income:USD").await;
    let to_system = entry("r4", &system, &bank, "1.00");
    let step = |kind: &str| {
        let mut step = to_system.clone();
        step["type"] = json!(kind);
        json!({"steps": [step]})
    };
    let before = app.written().await.0;
    for (path, body) in [
        ("/v1/ledger/entries", to_system.clone()),
        ("/v1/ledger/holds", to_system.clone()),
        ("/v1/ledger/entries:batch", json!({"atomic": true, "entries": [to_system]})),
        ("/v1/ledger/chains", step("entry")),
        ("/v1/ledger/chains", step("hold")),
    ] {
        let refused = operator.post(path, &body).await.expect(422);
        assert_eq!(refused.text("code"), "system-account", "{path}");
        // For a merchant there is no such account.
        app.merchant.post(path, &body).await.expect(404);
    }
    assert_eq!(app.written().await.0, before, "no event");
    assert_eq!(app.totals(&system).await, Totals::default());
}

#[tokio::test]
async fn keys_that_are_made_up_are_soon_not_looked_up_any_more_and_others_are_let_in() {
    let app = App::new().await;
    let account = json!({"code": "cash", "type": "asset", "currency": "USD"});
    let mut statuses = Vec::new();
    for n in 0..300 {
        let made_up = ApiKeyId::from_uuid(Uuid::from_u128(1_000 + n));
        let guess = app.service.caller(Some(ApiKeyToken::generate(made_up, [7; 32]).expose()));
        statuses.push(guess.post("/v1/accounts", &account).await.status);
    }
    assert_eq!((statuses[0], statuses[299]), (401, 429));
    // Behind the same address, with a key that this process knows.
    app.merchant.post("/v1/accounts", &account).await.expect(201);
}
