//! What is concluded from answers over real connections, and from none: a server says what it is told to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::payments::{AttemptKey, Operation, UnknownReason};
use domain::{Amount, PaymentId};
use gateways::{Gateway, Gateways, Order, PspOutcome, PspsConfig, SimulatedPsp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// What the server does with a request.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answers(u16, &'static str),
    BreaksOff,
    Hangs,
}

const DONE: &str =
    r#"{"id":"op_1","charge_id":"ch_1","kind":"sale","status":"succeeded","amount_minor":100}"#;
const RATE_LIMITED: &str = r#"{"error":{"code":"rate_limited"}}"#;
const KEY_REUSED: &str = r#"{"error":{"code":"idempotency_key_reused"}}"#;
const NOT_FOUND: &str = r#"{"error":{"code":"not_found"}}"#;

/// A PSP whose requests are dealt with in this order, the last one for ever.
struct Server {
    psp: SimulatedPsp,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn that(script: &'static [Does]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script, Arc::clone(&counted)));
            }
        });
        let config = format!(
            r#"{{"psps":[{{"name":"alpha","url":"http://{address}","api_key":"k",
                "timeouts":{{"connect_ms":500,"request_ms":100,"total_ms":2000}}}}]}}"#
        );
        let config = PspsConfig::parse(&config).expect("a configuration");
        Self { psp: SimulatedPsp::new(&config.psps[0]).expect("a client"), requests }
    }

    async fn charge(&self) -> PspOutcome {
        let usd = "USD".parse().expect("a currency");
        let order = Order {
            payment_id: PaymentId::from_uuid(Uuid::from_u128(1)),
            operation: Operation::Sale,
            key: AttemptKey::from_text("key".to_owned()),
            amount: Amount::from_minor(100, usd).expect("an amount"),
            token: "ok".to_owned(),
            authorization: None,
            closes: true,
            taken: false,
        };
        self.psp.send(&order).await
    }

    async fn ask(&self) -> PspOutcome {
        self.psp.ask(&AttemptKey::from_text("key".to_owned())).await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, script: &'static [Does], counted: Arc<AtomicUsize>) {
    let mut received = Vec::new();
    let mut chunk = [0_u8; 4096];
    // Requests here fit one segment, heads and bodies.
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        received.extend_from_slice(&chunk[..length]);
        let turn = counted.fetch_add(1, Ordering::Relaxed);
        match script[turn.min(script.len() - 1)] {
            Does::Answers(status, body) => {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} So\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.expect("somebody listens");
                return;
            }
            Does::BreaksOff => return,
            Does::Hangs => tokio::time::sleep(Duration::from_secs(5)).await,
        }
    }
}

fn unknown(outcome: &PspOutcome) -> bool {
    matches!(outcome, PspOutcome::Unknown { .. })
}

fn succeeded(outcome: &PspOutcome) -> bool {
    matches!(outcome, PspOutcome::Succeeded { .. })
}

#[tokio::test]
async fn a_request_is_repeated_twice_at_most_and_then_unknown() {
    for script in [&[Does::BreaksOff][..], &[Does::Hangs], &[Does::Answers(503, "")]] {
        let server = Server::that(script).await;
        let outcome = server.charge().await;
        assert!(unknown(&outcome), "{script:?}: {outcome:?}");
        assert_eq!(server.requests(), 3, "{script:?}");
    }
}

#[tokio::test]
async fn a_repetition_that_is_answered_is_the_answer() {
    let server = Server::that(&[Does::BreaksOff, Does::Answers(201, DONE)]).await;
    assert!(succeeded(&server.charge().await));
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_refused_repetition_does_not_say_that_the_first_came_to_nothing() {
    for refusal in [
        Does::Answers(429, RATE_LIMITED),
        Does::Answers(401, RATE_LIMITED),
        Does::Answers(422, RATE_LIMITED),
        Does::Answers(404, NOT_FOUND),
    ] {
        let script: &'static [Does] = Box::leak(Box::new([Does::Hangs, refusal]));
        let outcome = Server::that(script).await.charge().await;
        assert!(unknown(&outcome), "{refusal:?}: {outcome:?}");
        let alone: &'static [Does] = Box::leak(Box::new([refusal]));
        let outcome = Server::that(alone).await.charge().await;
        assert!(!unknown(&outcome) && !succeeded(&outcome), "{refusal:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_key_that_the_psp_knows_was_taken_before() {
    let server = Server::that(&[Does::Answers(409, KEY_REUSED)]).await;
    let expected = PspOutcome::Unknown { reason: UnknownReason::ServerError };
    assert_eq!(server.charge().await, expected);
}

#[tokio::test]
async fn a_question_may_be_repeated_without_doubt() {
    let server = Server::that(&[Does::Hangs, Does::Answers(404, NOT_FOUND)]).await;
    assert_eq!(server.ask().await, PspOutcome::NotFound);
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let config =
        format!(r#"{{"psps":[{{"name":"alpha","url":"http://{address}","api_key":"k"}}]}}"#);
    let config = PspsConfig::parse(&config).expect("a configuration");
    let server = Server {
        psp: SimulatedPsp::new(&config.psps[0]).expect("a client"),
        requests: Arc::default(),
    };
    let outcome = server.charge().await;
    assert!(matches!(outcome, PspOutcome::NotSent { .. }), "{outcome:?}");
}

#[test]
fn webhooks_come_from_where_they_are_expected() {
    let config = |sources: &str| {
        let config = format!(
            r#"{{"psps":[{{"name":"alpha","url":"http://127.0.0.1:1","api_key":"k"{sources}}}]}}"#
        );
        PspsConfig::parse(&config)
    };
    let gateways = |sources| Gateways::to(&config(sources).expect("a file")).expect("clients");
    let psp = "alpha".parse().expect("a name");
    let from = |gateways: &Gateways, source: Option<&str>| {
        let source = source.map(|source| source.parse().expect("an address"));
        gateways.named(&psp).expect("it is configured").expects_from(source)
    };
    let anywhere = gateways("");
    assert!(from(&anywhere, Some("198.51.100.7")) && from(&anywhere, None));
    let there = gateways(r#","webhook_sources":["203.0.113.0/24","2001:db8::/32"]"#);
    for source in ["203.0.113.1", "203.0.113.255", "2001:db8::1"] {
        assert!(from(&there, Some(source)), "{source}");
    }
    for source in [Some("203.0.114.1"), Some("2001:db9::1"), None] {
        assert!(!from(&there, source), "{source:?}");
    }
    assert!(config(r#","webhook_sources":["somewhere"]"#).is_err());
}
