//! Entries that come line by line, as many as there are.

use api_conventions::serve;
use axum::body::Body;
use bytes::Bytes;
use command_api::{ENTRY_BODY_BYTES_MAX, IMPORT_KEY_CHARACTERS_MAX, IMPORT_PACE, IMPORTS};
use futures::StreamExt;
use futures::channel::mpsc;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::actors::{Actor, Sending, entry};
use crate::answers::Answer;
use crate::app::{App, Service};
use crate::sockets::{Served, read_until};

const IMPORT_PATH: &str = "/v1/ledger/imports";
const NDJSON: &str = "application/x-ndjson";

struct Books {
    app: App,
    cash: String,
    sales: String,
}

impl Books {
    async fn new() -> Self {
        let app = App::new().await;
        let cash = app.merchant.open("cash", Some("0.00")).await;
        let sales = app.merchant.open("sales", None).await;
        Self { app, cash, sales }
    }

    fn deposit(&self, n: usize) -> String {
        entry(&format!("order-{n}"), &self.cash, &self.sales, "0.01").to_string()
    }

    /// So many deposits, a line each.
    fn deposits(&self, many: usize) -> Vec<String> {
        (1..=many).map(|n| self.deposit(n)).collect()
    }

    async fn import(&self, lines: &[String], key: &str) -> Answer {
        import(&self.app.merchant, IMPORT_PATH, key).body(lines.join("\n")).send().await
    }
}

fn import(caller: &Actor, path: &str, key: &str) -> Sending {
    caller.request("POST", path).key(key).header("content-type", NDJSON)
}

/// The lines of an answer: all but the last, and that.
fn progress(answer: &Answer) -> (Vec<Value>, Value) {
    assert_eq!(answer.header("content-type"), NDJSON, "{answer}");
    let lines = answer.body.lines();
    let mut lines: Vec<Value> =
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.pop().expect("a last line");
    (lines, last)
}

#[tokio::test]
async fn lines_are_taken_chunk_by_chunk_each_entry_by_itself() {
    let books = Books::new().await;
    let mut lines = books.deposits(2_500);
    lines[1_199] = entry("overdrawn", &books.sales, &books.cash, "999.00").to_string();
    lines[1_200] = books.deposit(1);
    let answer = books.import(&lines, "k").await.expect(200);
    let (chunks, last) = progress(&answer);
    let ends: Vec<_> =
        chunks.iter().map(|chunk| (&chunk["from_line"], &chunk["to_line"])).collect();
    assert_eq!(
        ends,
        [
            (&json!(1), &json!(1_000)),
            (&json!(1_001), &json!(2_000)),
            (&json!(2_001), &json!(2_500))
        ]
    );
    let second = &chunks[1];
    assert_eq!([&second["created"], &second["existing"], &second["refused"]], [998, 1, 1]);
    let refusal = &second["refusals"][0];
    assert_eq!((&refusal["line"], &refusal["external_ref"]), (&json!(1_200), &json!("overdrawn")));
    assert_eq!(refusal["code"], "insufficient-funds");
    let done = json!({"done": true, "lines": 2_500, "created": 2_498, "existing": 1, "refused": 1});
    assert_eq!(last, done);
    assert_eq!(books.app.balance_minor(&books.cash).await, 2_498);
    let position = chunks[2]["position"].as_i64().expect("a position");
    let (_, metadata) = books.app.event_at(position).await;
    assert_eq!(metadata["idempotency_key"], "k#2001");
}

#[tokio::test]
async fn a_byte_order_mark_before_the_first_line_says_nothing() {
    let books = Books::new().await;
    let lines = books.deposits(2);
    let marked = [format!("\u{feff}{}", lines[0]), lines[1].clone()];
    let (_, last) = progress(&books.import(&marked, "marked").await);
    assert_eq!(last["created"], 2, "{last}");
    let plain = books.import(&lines, "marked").await;
    assert_eq!(progress(&plain).1, last, "nor in what the request is: {plain}");
}

#[tokio::test]
async fn the_same_import_again_has_the_same_answer_and_under_another_key_no_effect() {
    let books = Books::new().await;
    let elsewhere = Service::on(&books.app.database).await;
    let mut lines = books.deposits(1_100);
    lines.push(entry("overdrawn", &books.sales, &books.cash, "999.00").to_string());
    let (chunks, last) = progress(&books.import(&lines, "k").await);
    let written = books.app.written().await;
    for caller in [&books.app.merchant, &elsewhere.called_by(&books.app.merchant)] {
        let again = import(caller, IMPORT_PATH, "k").body(lines.join("\n")).send().await;
        let (mut replayed, end) = progress(&again);
        for chunk in &mut replayed {
            let replayed = chunk.as_object_mut().and_then(|chunk| chunk.remove("replayed"));
            assert_eq!(replayed, Some(json!(true)));
        }
        assert_eq!((&replayed, &end), (&chunks, &last));
    }
    assert_eq!(books.app.written().await, written);
    let (_, other) = progress(&books.import(&lines, "another").await);
    assert_eq!([&other["created"], &other["existing"], &other["refused"]], [0, 1_100, 1]);
    assert_eq!(books.app.written().await.0, written.0);
    // What a chunk had is what its key is for.
    lines[1_050] = books.deposit(5_000);
    let (chunks, changed) = progress(&books.import(&lines, "k").await);
    assert_eq!((chunks.len(), &changed["line"]), (1, &json!(1_001)));
    assert_eq!(changed["problem"]["code"], "idempotency-key-reused");
}

#[tokio::test]
async fn a_malformed_line_stops_an_import_after_what_was_before_it_and_it_goes_on_from_there() {
    let books = Books::new().await;
    let mut lines = books.deposits(1_700);
    lines.insert(0, String::new());
    lines[1_499] = "{\"external_ref\":\"\"".to_owned();
    let answer = books.import(&lines, "k").await.expect(200);
    let (chunks, stopped) = progress(&answer);
    let ends: Vec<_> =
        chunks.iter().map(|chunk| (&chunk["from_line"], &chunk["to_line"])).collect();
    assert_eq!(ends, [(&json!(2), &json!(1_001)), (&json!(1_002), &json!(1_499))]);
    assert_eq!((&stopped["done"], &stopped["line"]), (&json!(false), &json!(1_500)));
    assert_eq!(
        (&stopped["created"], &stopped["problem"]["code"]),
        (&json!(1_498), &json!("malformed-json"))
    );
    assert_eq!(stopped["problem"]["correlation_id"], "test-request");
    for (line, code, pointer) in [
        (entry("", &books.cash, "acc_1", "1.00").to_string(), "invalid-request", "/external_ref"),
        (format!("{} {}", books.deposit(1), books.deposit(2)), "malformed-json", ""),
        (" ".repeat(ENTRY_BODY_BYTES_MAX + 1), "body-too-large", ""),
    ] {
        lines[1_499] = line;
        let from = format!("{IMPORT_PATH}?from_line=1500");
        let again = import(&books.app.merchant, &from, "k").body(lines.join("\n")).send().await;
        let (chunks, stopped) = progress(&again);
        assert_eq!((chunks.len(), &stopped["line"]), (0, &json!(1_500)), "{stopped}");
        assert_eq!(stopped["problem"]["code"], code);
        let named = stopped["problem"]["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(named, pointer);
    }
    lines[1_499] = books.deposit(1_499);
    let from = format!("{IMPORT_PATH}?from_line=1500");
    let rest = import(&books.app.merchant, &from, "k").body(lines.join("\r\n")).send().await;
    let (chunks, last) = progress(&rest);
    assert_eq!((&chunks[0]["from_line"], &last["done"]), (&json!(1_500), &json!(true)));
    assert_eq!((&last["created"], &last["lines"]), (&json!(202), &json!(1_701)));
    assert_eq!(books.app.balance_minor(&books.cash).await, 1_700);
}

#[tokio::test]
async fn a_chunk_is_answered_before_the_next_one_has_come_in() {
    let books = Books::new().await;
    let (sender, body) = mpsc::unbounded::<Result<Bytes, axum::Error>>();
    let send = |lines: &[String]| {
        let text = format!("{}\n", lines.join("\n"));
        sender.unbounded_send(Ok(text.into())).expect("it is read");
    };
    let lines = books.deposits(1_500);
    send(&lines[..1_000]);
    let importing =
        import(&books.app.merchant, IMPORT_PATH, "k").send_body(Body::from_stream(body));
    let mut answer = importing.await.into_body().into_data_stream();
    let mut line = async || {
        let bytes = answer.next().await?.expect("the answer goes on");
        Some(serde_json::from_slice::<Value>(&bytes).expect("a line of JSON"))
    };
    assert_eq!(line().await.expect("a chunk")["to_line"], 1_000);
    assert_eq!(books.app.balance_minor(&books.cash).await, 1_000);
    send(&lines[1_000..]);
    sender.close_channel();
    assert_eq!(line().await.expect("a chunk")["to_line"], 1_500);
    assert_eq!(line().await.expect("the end")["done"], true);
    assert_eq!(line().await, None);
}

#[tokio::test]
async fn a_key_that_is_revoked_takes_no_further_chunk() {
    let books = Books::new().await;
    let wanted = json!({"role": "merchant", "merchant": books.app.merchant_id});
    let issued = books.app.operator.post("/v1/api-keys", &wanted).await.expect(201);
    let leaving = books.app.service.caller(Some(issued.text("token")));
    let (sender, body) = mpsc::unbounded::<Result<Bytes, axum::Error>>();
    let send = |lines: &[String]| {
        let text = format!("{}\n", lines.join("\n"));
        sender.unbounded_send(Ok(text.into())).expect("it is read");
    };
    let lines = books.deposits(1_500);
    send(&lines[..1_000]);
    let importing = import(&leaving, IMPORT_PATH, "k").send_body(Body::from_stream(body));
    let mut answer = importing.await.into_body().into_data_stream();
    let mut line = async || {
        let bytes = answer.next().await?.expect("the answer goes on");
        Some(serde_json::from_slice::<Value>(&bytes).expect("a line of JSON"))
    };
    assert_eq!(line().await.expect("a chunk")["to_line"], 1_000);
    books.app.operator.delete(&format!("/v1/api-keys/{}", issued.text("id"))).await.expect(200);
    send(&lines[1_000..]);
    sender.close_channel();
    let end = line().await.expect("the end");
    assert_eq!((&end["done"], &end["problem"]["code"]), (&json!(false), &json!("unauthorized")));
    assert_eq!(books.app.balance_minor(&books.cash).await, 1_000);
}

/// Over a connection of its own, by a caller that waits for a sign to go on.
#[tokio::test]
async fn an_answer_comes_while_a_body_is_sent() {
    let books = Books::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let router = books.app.service.router.clone();
    let serving = tokio::spawn(serve(listener, router, async { drop(stopped.await) }));
    let mut connection = TcpStream::connect(address).await.expect("connected");
    let token = books.app.merchant.token.clone().expect("a token");
    let head = head_of_import(&token);
    connection.write_all(head.as_bytes()).await.expect("sent");
    read_until(&mut connection, "100 Continue\r\n\r\n").await;
    let lines = books.deposits(1_010);
    for (sent, expected) in
        [(&lines[..1_000], "\"to_line\":1000"), (&lines[1_000..], "\"done\":true")]
    {
        let text = format!("{}\n", sent.join("\n"));
        let end = if sent.len() < 1_000 { "0\r\n\r\n" } else { "" };
        let chunk = format!("{:x}\r\n{text}\r\n{end}", text.len());
        connection.write_all(chunk.as_bytes()).await.expect("sent");
        read_until(&mut connection, expected).await;
    }
    drop(connection);
    drop(stop);
    assert_eq!(serving.await.expect("it ends").connections_cut, 0);
    assert_eq!(books.app.balance_minor(&books.cash).await, 1_010);
}

/// The head of an import whose caller waits for a sign to go on.
fn head_of_import(token: &str) -> String {
    format!(
        "POST {IMPORT_PATH} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\
         idempotency-key: k\r\ncontent-type: {NDJSON}\r\nexpect: 100-continue\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_whole_chunks_and_goes_on_under_its_key() {
    let books = Books::new().await;
    let lines = books.deposits(1_500);
    let begun = Ok(Bytes::from(format!("{}\n", lines[..1_200].join("\n"))));
    let broken = futures::stream::iter([begun, Err(axum::Error::new("reset"))]);
    let importing =
        import(&books.app.merchant, IMPORT_PATH, "k").send_body(Body::from_stream(broken));
    let answer = importing.await.into_body().into_data_stream();
    let answer: Vec<Bytes> = answer.map(|bytes| bytes.expect("an answer")).collect().await;
    let last: Value = serde_json::from_slice(answer.last().expect("a line")).expect("JSON");
    assert_eq!((&last["line"], &last["created"]), (&json!(1_001), &json!(1_000)));
    assert_eq!(last["problem"]["retryable"], true);
    let (chunks, last) = progress(&books.import(&lines, "k").await);
    assert_eq!((&chunks[0]["replayed"], &chunks[1]["created"]), (&json!(true), &json!(500)));
    assert_eq!((&last["done"], &last["created"]), (&json!(true), &json!(1_500)));
    assert_eq!(books.app.balance_minor(&books.cash).await, 1_500);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_an_import() {
    let mut books = Books::new().await;
    books.app.service.stop_writing().await;
    let answer = books.import(&books.deposits(3), "k").await.expect(200);
    let (chunks, stopped) = progress(&answer);
    assert_eq!((chunks.len(), &stopped["line"]), (0, &json!(1)));
    assert_eq!(stopped["problem"]["retryable"], true);
    assert_eq!(stopped["problem"]["code"], "unavailable");
}

#[tokio::test]
async fn an_import_is_refused_before_it_begins_where_it_can_be() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let line = books.deposit(1);
    let json = merchant.request("POST", IMPORT_PATH).body(line.clone()).send().await.expect(415);
    assert_eq!(json.text("detail"), "send `Content-Type: application/x-ndjson`");
    import(merchant, IMPORT_PATH, "k").without("idempotency-key").send().await.expect(400);
    let long = "k".repeat(IMPORT_KEY_CHARACTERS_MAX + 1);
    import(merchant, IMPORT_PATH, &long).body(line.clone()).send().await.expect(400);
    for query in ["from_line=0", "from_line=-1", "from_line=x", "line=1"] {
        let path = format!("{IMPORT_PATH}?{query}");
        import(merchant, &path, "k").body(line.clone()).send().await.expect(422);
    }
    import(&books.app.merchant_read, IMPORT_PATH, "k").body(line.clone()).send().await.expect(403);
    let longest = "k".repeat(IMPORT_KEY_CHARACTERS_MAX);
    let (_, last) = progress(&import(merchant, IMPORT_PATH, &longest).body(line).send().await);
    assert_eq!(last["created"], 1);
    let (chunks, empty) =
        progress(&import(merchant, IMPORT_PATH, "empty").body("\n \n").send().await);
    assert_eq!((chunks.len(), &empty["lines"]), (0, &json!(2)));
}

#[tokio::test]
async fn a_merchant_has_so_many_imports_under_way_and_another_gets_in() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let mut under_way = Vec::new();
    for n in 0..IMPORTS.of_one {
        let body = Body::from(books.deposit(n));
        let begun = import(merchant, IMPORT_PATH, &format!("k{n}")).send_body(body).await;
        assert_eq!(begun.status(), 200);
        under_way.push(begun);
    }
    let one_more = books.import(&books.deposits(1), "k").await.expect(429);
    assert_eq!(one_more.header("retry-after"), "1");
    let (of_one, total) = (IMPORTS.of_one, IMPORTS.total);
    let bound = format!("its share of the imports at a time, {of_one} of {total}");
    assert!(one_more.text("detail").contains(&bound), "{one_more}");
    let other = import(&books.app.other_merchant, IMPORT_PATH, "k").body("\n").send().await;
    assert_eq!(progress(&other.expect(200)).1["done"], true);
    // Who hangs up makes room.
    under_way.pop();
    books.import(&books.deposits(1), "k").await.expect(200);
}

/// A key that is revoked while nothing is sent and nothing is to be answered, on connections of their own.
#[tokio::test]
async fn a_revoked_key_has_no_import_under_way_a_second_later() {
    let books = Books::new().await;
    let wanted = json!({"role": "merchant", "merchant": books.app.merchant_id});
    let issued = books.app.operator.post("/v1/api-keys", &wanted).await.expect(201);
    let served = Served::on_loopback(books.app.service.router.clone()).await;
    let mut connections = Vec::new();
    for begun in [false, true, true, false] {
        let mut connection = served.connect_raw().await;
        let head = head_of_import(&issued.text("token"));
        connection.write_all(head.as_bytes()).await.expect("sent");
        read_until(&mut connection, "100 Continue\r\n\r\n").await;
        if begun {
            // One line, and then nothing: no chunk is full.
            let line = books.deposit(1) + "\n";
            let piece = format!("{:x}\r\n{line}\r\n", line.len());
            connection.write_all(piece.as_bytes()).await.expect("sent");
            read_until(&mut connection, "HTTP/1.1 200").await;
        }
        connections.push((begun, connection));
    }
    books.import(&books.deposits(1), "k").await.expect(429);
    books.app.operator.delete(&format!("/v1/api-keys/{}", issued.text("id"))).await.expect(200);
    // Far less than the pace of an import would take to end them.
    let ended = tokio::time::timeout(IMPORT_PACE.within / 6, async {
        for (begun, connection) in &mut connections {
            let mut rest = Vec::new();
            drop(connection.read_to_end(&mut rest).await);
            let rest = String::from_utf8_lossy(&rest);
            assert!(rest.contains("unauthorized"), "{begun}: {rest}");
            assert!(!begun.to_owned() || rest.contains("\"line\":1"), "{rest}");
        }
    });
    ended.await.expect("they end, and it is said why");
    books.import(&books.deposits(1), "k").await.expect(200);
}
