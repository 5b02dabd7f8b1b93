//! What is logged of a request. In a process of its own: whether a place in the program logs is remembered for
//! the whole process, and a test beside this one that gets there first, without a log, would turn it off.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use api_conventions::{CorrelationIds, Problem, with_request_context};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::Request;
use axum::routing::{get, post};
use tower::ServiceExt;

/// What the process logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_is_logged_once_without_its_key_its_body_and_its_ids() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let handler = async |_: Path<String>, _: String| Problem::conflict("no");
    let app = Router::new()
        .route("/accounts/{id}", post(handler))
        .route("/health/ready", get(async || "not yet"));
    let app = with_request_context(app, CorrelationIds::new(|| "drawn".to_owned()));
    let request = Request::post("/accounts/acc_7?cursor=private")
        .header("authorization", "Bearer runut_topsecret")
        .header("x-correlation-id", "mine")
        .body(Body::from("bodytext"))
        .unwrap();
    app.clone().oneshot(request).await.unwrap();
    let probe = Request::get("/health/ready").body(Body::empty()).unwrap();
    app.oneshot(probe).await.unwrap();
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let answered: Vec<_> = text.lines().filter(|line| line.contains("answered")).collect();
    let [answered @ .., probed] = &answered[..] else { panic!("{text}") };
    assert!(probed.contains("DEBUG") && probed.contains("/health/ready"), "{text}");
    assert_eq!(answered.len(), 1, "{text}");
    assert!(answered[0].contains("INFO"), "{text}");
    for field in ["POST", "/accounts/{id}", "correlation_id=mine", "status=409", "latency_ms="] {
        assert!(answered[0].contains(field), "{field} in {text}");
    }
    for secret in ["topsecret", "bodytext", "private", "acc_7"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
