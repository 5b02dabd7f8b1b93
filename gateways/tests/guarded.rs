//! Breakers, bulkheads and routing, with a clock that stands still and PSPs that do as they are told.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::payments::{
    AttemptKey, CaptureMethod, MethodKind, Operation, Order as Lines, Payment, PaymentCreated,
    PaymentIntent, PaymentMethod, PspName, UnknownReason,
};
use domain::{Amount, MerchantId, Metadata, PaymentId, StreamVersion, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use gateways::{
    BreakerState, CALLS_AT_ONCE_MAX, Capabilities, ERRORS_IN_A_ROW_MAX, Gateway, Gateways,
    Notification, OPEN_MAX, Order, PLACE_PATIENCE, PspOutcome, RoutingRule, SignedHeader,
    WebhookRefusal,
};
use tokio::time::advance;
use uuid::Uuid;

/// A PSP that answers at once, fails or hangs, and counts.
#[derive(Debug)]
struct Told {
    psp: PspName,
    fails: AtomicBool,
    hangs: AtomicBool,
    sent: AtomicUsize,
    asked: AtomicUsize,
}

impl Told {
    fn named(name: &str) -> Arc<Self> {
        Arc::new(Self {
            psp: name.parse().expect("a name"),
            fails: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        })
    }

    fn outcome(&self) -> PspOutcome {
        if self.fails.load(Ordering::Relaxed) {
            return PspOutcome::Unknown { reason: UnknownReason::Timeout };
        }
        PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: 1 }
    }
}

impl Gateway for Told {
    fn psp(&self) -> &PspName {
        &self.psp
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { sale: true }
    }

    fn send<'a>(&'a self, _: &'a Order) -> BoxFuture<'a, PspOutcome> {
        async move {
            self.sent.fetch_add(1, Ordering::Relaxed);
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.outcome()
        }
        .boxed()
    }

    fn ask<'a>(&'a self, _: &'a AttemptKey) -> BoxFuture<'a, PspOutcome> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        std::future::ready(self.outcome()).boxed()
    }

    fn expects_from(&self, _: Option<IpAddr>) -> bool {
        true
    }

    fn signed_webhook(
        &self,
        _: &dyn Fn(&str) -> Option<String>,
        _: Timestamp,
    ) -> Result<SignedHeader, WebhookRefusal> {
        Err(WebhookRefusal::NotExpected)
    }

    fn read_webhook(&self, _: &[u8]) -> Result<Notification, String> {
        Err("none is expected".to_owned())
    }
}

fn three() -> ([Arc<Told>; 3], Gateways) {
    let told = ["alpha", "beta", "gamma"].map(Told::named);
    let gateways = Gateways::of(told.iter().map(|one| Arc::clone(one) as Arc<dyn Gateway>));
    (told, gateways)
}

fn payment(number: u128, psp: Option<&str>) -> Payment {
    let amount = Amount::parse("1.00", "USD".parse().expect("a currency")).expect("an amount");
    let intent = PaymentIntent {
        amount,
        capture_method: CaptureMethod::Automatic,
        psp: psp.map(|name| name.parse().expect("a name")),
        customer: None,
        reference: None,
        description: None,
        metadata: Metadata::default(),
        order: Lines::default(),
    };
    let created = PaymentCreated {
        payment_id: PaymentId::from_uuid(Uuid::from_u128(number)),
        merchant_id: MerchantId::PLATFORM,
        intent,
        method: Some(PaymentMethod::new(MethodKind::Card, "ok").expect("a token")),
    };
    Payment::created(&created, StreamVersion::FIRST, Timestamp::from_micros(0))
}

fn order() -> Order {
    let amount = Amount::parse("1.00", "USD".parse().expect("a currency")).expect("an amount");
    let payment_id = PaymentId::from_uuid(Uuid::nil());
    Order {
        payment_id,
        operation: Operation::Sale,
        key: AttemptKey::of(payment_id, 1),
        amount,
        token: "ok".to_owned(),
        authorization: None,
        closes: false,
        taken: false,
    }
}

fn names(routes: &[&dyn Gateway]) -> Vec<String> {
    routes.iter().map(|gateway| gateway.psp().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_psp_that_fails_is_left_alone_and_looked_at_again_later() {
    let ([alpha, ..], gateways) = three();
    alpha.fails.store(true, Ordering::Relaxed);
    let guarded = gateways.named(&alpha.psp).expect("alpha");
    for _ in 0..ERRORS_IN_A_ROW_MAX {
        assert!(matches!(guarded.send(&order()).await, PspOutcome::Unknown { .. }));
    }
    let sent = alpha.sent.load(Ordering::Relaxed);
    assert!(matches!(guarded.send(&order()).await, PspOutcome::NotSent { .. }));
    assert_eq!(alpha.sent.load(Ordering::Relaxed), sent, "it was not called");
    assert_eq!(gateways.health()[0].1.breaker, BreakerState::Open);
    guarded.ask(&order().key).await;
    assert_eq!(alpha.asked.load(Ordering::Relaxed), 1, "what is in doubt is still asked for");
    advance(OPEN_MAX).await;
    alpha.fails.store(false, Ordering::Relaxed);
    assert!(matches!(guarded.send(&order()).await, PspOutcome::Succeeded { .. }));
    assert_eq!(gateways.health()[0].1.breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_psp_that_hangs_keeps_its_own_places_and_no_others() {
    let ([alpha, beta, _], gateways) = three();
    alpha.hangs.store(true, Ordering::Relaxed);
    let hanging: Vec<_> = (0..CALLS_AT_ONCE_MAX)
        .map(|_| {
            let (gateways, psp) = (gateways.clone(), alpha.psp.clone());
            tokio::spawn(async move { gateways.named(&psp).expect("alpha").send(&order()).await })
        })
        .collect();
    while alpha.sent.load(Ordering::Relaxed) < CALLS_AT_ONCE_MAX {
        tokio::task::yield_now().await;
    }
    assert_eq!(gateways.health()[0].1.under_way, CALLS_AT_ONCE_MAX);
    let began = tokio::time::Instant::now();
    let refused = gateways.named(&alpha.psp).expect("alpha").send(&order()).await;
    assert!(matches!(refused, PspOutcome::NotSent { .. }), "{refused:?}");
    assert_eq!(began.elapsed(), PLACE_PATIENCE);
    for number in 0..3 {
        let routes = names(&gateways.routes(&payment(number, None), Operation::Authorize));
        assert_eq!(routes[2], "alpha", "whoever may go elsewhere does: {routes:?}");
    }
    let elsewhere = gateways.named(&beta.psp).expect("beta").send(&order()).await;
    assert!(matches!(elsewhere, PspOutcome::Succeeded { .. }));
    for call in hanging {
        call.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn payments_are_spread_and_go_to_whom_the_merchant_says() {
    let (_, gateways) = three();
    let mut first = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..300 {
        let routes = gateways.routes(&payment(number, None), Operation::Authorize);
        let mut sorted = names(&routes);
        *first.entry(sorted[0].clone()).or_default() += 1;
        sorted.sort();
        assert_eq!(sorted, ["alpha", "beta", "gamma"], "each is there once");
    }
    assert_eq!(first.into_values().collect::<Vec<_>>(), [100, 100, 100]);
    let told = gateways.routes(&payment(1, Some("gamma")), Operation::Authorize);
    assert_eq!(names(&told), ["gamma"]);
    assert!(gateways.routes(&payment(1, Some("nobody")), Operation::Authorize).is_empty());
    assert!(gateways.routes(&payment(1, None), Operation::Void).is_empty(), "nothing is held");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_comes_last_until_it_may_be_looked_at_again() {
    let ([_, beta, _], gateways) = three();
    beta.fails.store(true, Ordering::Relaxed);
    for _ in 0..ERRORS_IN_A_ROW_MAX {
        gateways.named(&beta.psp).expect("beta").send(&order()).await;
    }
    for number in 0..3 {
        let routes = names(&gateways.routes(&payment(number, None), Operation::Authorize));
        assert_eq!(routes[2], "beta", "{routes:?}");
    }
    advance(OPEN_MAX + Duration::from_millis(1)).await;
    let routes = names(&gateways.routes(&payment(1, None), Operation::Authorize));
    assert_eq!(routes[0], "beta", "{routes:?}");
}

fn rule(json: &str) -> RoutingRule {
    serde_json::from_str(json).expect("a rule")
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_fits_says_where_a_payment_goes() {
    let (_, gateways) = three();
    let gateways = gateways.routed_by(vec![
        rule(r#"{"currencies":["EUR"],"psps":[{"name":"alpha"}]}"#),
        rule(r#"{"methods":["wallet"],"psps":[{"name":"alpha"}]}"#),
        rule(r#"{"merchants":["mer_01h455vb4pex5vsknk084sn02q"],"psps":[{"name":"alpha"}]}"#),
        rule(r#"{"amount_min_minor":101,"psps":[{"name":"alpha"}]}"#),
        rule(r#"{"amount_max_minor":99,"psps":[{"name":"alpha"}]}"#),
        rule(
            r#"{"currencies":["USD"],"methods":["card"],"amount_min_minor":100,"amount_max_minor":100,
                "psps":[{"name":"beta","weight":3},{"name":"gamma"},{"name":"alpha","weight":0}]}"#,
        ),
        rule(r#"{"psps":[{"name":"alpha"}]}"#),
    ]);
    let mut first = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..400 {
        let routes = names(&gateways.routes(&payment(number, None), Operation::Authorize));
        assert_eq!(routes[2], "alpha", "without a share it comes last");
        *first.entry(routes[0].clone()).or_default() += 1;
    }
    assert_eq!(first["beta"], 300);
    assert_eq!(first["gamma"], 100);
    let told = gateways.routes(&payment(1, Some("alpha")), Operation::Authorize);
    assert_eq!(names(&told), ["alpha"], "the merchant goes before every rule");
}
