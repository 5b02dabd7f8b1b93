use super::*;
use crate::test_app::{Answer, MemoryDirectory, bearer, request, send, test_ids};
use crate::{AmountDto, FieldErrors, Pointer, RateLimitPolicy, StrictQuery};
use crate::{CommandEnvelope, IfNoneMatch, ListQuery, NoFilters, Page, PageParameters, PathId};
use domain::api_keys::Role;
use domain::{AccountId, StreamVersion};
use serde::Deserialize;
use utoipa::{OpenApi as _, ToSchema};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deposit {
    sum: AmountDto,
}

#[derive(Serialize, ToSchema)]
struct Deposited {
    sum: AmountDto,
}

#[utoipa::path(post, path = "/v1/accounts/{id}/deposit", request_body = Deposit,
    params(("id" = String, Path, description = "The account")),
    responses((status = 200, body = Deposited)))]
async fn deposit(
    PathId(_account): PathId<AccountId>,
    command: CommandEnvelope,
) -> Result<Json<Deposited>, Problem> {
    let deposit: Deposit = command.json()?;
    let mut errors = FieldErrors::new();
    let sum = deposit.sum.positive(&mut errors, &Pointer::from("/sum"));
    errors.finish(|| Some(Json(Deposited { sum: sum?.into() })))
}

#[utoipa::path(get, path = "/v1/accounts", params(PageParameters),
    responses((status = 200, body = Page<AmountDto>)))]
async fn list(query: ListQuery<NoFilters, u64>) -> Json<Page<AmountDto>> {
    let rows = (0..query.rows_to_read()).collect();
    let sum = |minor| domain::Money { minor, currency: domain::Currency::all().next().unwrap() };
    Json(Page::of(rows, query.limit, |row| *row, |_| sum(1).into()))
}

async fn show(PathId(_): PathId<AccountId>, has: IfNoneMatch) -> Response {
    has.answer(StreamVersion::from_number(3), "an account")
}

async fn search(StrictQuery(_): StrictQuery<NoFilters>) -> &'static str {
    "found"
}

#[derive(utoipa::OpenApi)]
#[openapi(info(title = "Test API", version = "1"), paths(deposit, list))]
struct Document;

struct TestApp {
    router: Router,
    merchant: String,
}

impl TestApp {
    fn new(checks: Vec<ReadinessCheck>) -> Self {
        let mut directory = MemoryDirectory::default();
        let merchant = bearer(&directory.issue(1, Role::Merchant));
        let api = Router::new()
            .route("/v1/accounts/{id}/deposit", axum::routing::post(deposit))
            .route("/v1/accounts/{id}", get(show))
            .route("/v1/accounts", get(list))
            .route("/v1/search", get(search));
        let limits = Arc::new(RateLimits::new(RateLimitPolicy::default()));
        let service = ServiceRoutes::new(
            Document::openapi(),
            move || std::future::ready(checks.clone()),
            || "events_total 7\n".to_owned(),
        );
        let router = assemble(protect(api, directory.shared(), limits), service, test_ids());
        Self { router, merchant }
    }

    async fn anonymous(&self, method: &str, path: &str) -> Answer {
        send(&self.router, request(method, path, &[], "")).await
    }

    async fn merchant(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("authorization", self.merchant.as_str())];
        all.extend_from_slice(headers);
        send(&self.router, request(method, path, &all, "")).await
    }
}

fn check(name: &'static str, ok: bool) -> ReadinessCheck {
    ReadinessCheck { name, ok, detail: if ok { "fine" } else { "refused" }.to_owned() }
}

#[tokio::test]
async fn health_metrics_and_the_table_of_problems_need_no_key() {
    let app = TestApp::new(vec![check("postgres", true)]);
    assert_eq!(app.anonymous("GET", "/health/live").await.status, 204);
    insta::assert_snapshot!(app.anonymous("GET", "/health/ready").await.body, @r#"{"ready":true,"checks":[{"name":"postgres","ok":true,"detail":"fine"}]}"#);
    assert_eq!(app.anonymous("GET", "/metrics").await.body, "events_total 7\n");
    let row = app.anonymous("GET", "/problems/insufficient-funds").await.body;
    insta::assert_snapshot!(row, @r#"{"code":"insufficient-funds","status":409,"title":"The account has too little","retryable":false,"who_acts":"the owner of the key"}"#);
    assert_eq!(app.anonymous("GET", "/problems/unheard-of").await.status, 404);
}

#[tokio::test]
async fn a_service_is_ready_only_if_everything_is() {
    let app = TestApp::new(vec![check("postgres", true), check("nats", false)]);
    insta::assert_snapshot!(app.anonymous("GET", "/health/ready").await);
}

#[tokio::test(start_paused = true)]
async fn a_readiness_check_that_hangs_is_not_ready() {
    let service = ServiceRoutes::new(Document::openapi(), std::future::pending, String::new);
    let app = assemble(Router::new(), service, test_ids());
    assert_eq!(send(&app, request("GET", "/health/ready", &[], "")).await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_for_health_and_metrics_cost_one_look() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let looks = Arc::new(AtomicUsize::new(0));
    let (looked, rendered) = (Arc::clone(&looks), Arc::clone(&looks));
    let service = ServiceRoutes::new(
        Document::openapi(),
        move || {
            looked.fetch_add(1, Ordering::Relaxed);
            std::future::ready(vec![check("postgres", true)])
        },
        move || {
            rendered.fetch_add(1, Ordering::Relaxed);
            String::new()
        },
    );
    let app = assemble(Router::new(), service, test_ids());
    for round in 1..=3 {
        for _ in 0..100 {
            for path in ["/health/ready", "/metrics"] {
                assert_eq!(send(&app, request("GET", path, &[], "")).await.status, 200);
            }
        }
        assert_eq!(looks.load(Ordering::Relaxed), 2 * round);
        tokio::time::advance(LOOK_KEPT_FOR).await;
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_need_no_key() {
    let app = TestApp::new(vec![]);
    insta::assert_snapshot!(app.anonymous("GET", "/v2/nothing").await);
    insta::assert_snapshot!(app.anonymous("DELETE", "/v1/accounts").await);
}

#[tokio::test]
async fn an_id_that_cannot_be_read_is_like_an_unknown_one() {
    let app = TestApp::new(vec![]);
    assert_eq!(app.merchant("GET", "/v1/accounts/x", &[]).await.status, 404);
    assert_eq!(app.merchant("GET", "/v1/accounts/%ff", &[]).await.status, 404);
    let known = "/v1/accounts/acc_01h455vb4pex5vsknk084sn02q";
    assert_eq!(app.merchant("GET", known, &[]).await.header("etag"), "\"3\"");
    let unchanged = app.merchant("GET", known, &[("if-none-match", "\"3\"")]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.as_str()), (304, ""));
}

#[tokio::test]
async fn lists_are_paged_and_refuse_parameters_they_do_not_know() {
    let app = TestApp::new(vec![]);
    let page = app.merchant("GET", "/v1/accounts?limit=1", &[]).await;
    insta::assert_snapshot!(page.body, @r#"{"data":[{"amount":"0.01","currency":"AED"}],"next_cursor":"MA"}"#);
    assert_eq!(app.merchant("GET", "/v1/accounts?limit=201", &[]).await.status, 422);
    let answer = app.merchant("GET", "/v1/search?colour=red", &[]).await;
    insta::assert_snapshot!(answer.body, @r#"{"type":"/problems/invalid-request","title":"The request is not valid","status":422,"detail":"colour: unknown field `colour`, there are no fields","code":"invalid-request","retryable":false,"correlation_id":"drawn-by-the-id-source","errors":[{"parameter":"colour","code":"unknown-field","detail":"unknown field `colour`, there are no fields"}]}"#);
}

#[tokio::test]
async fn the_document_has_the_conventions_on_every_operation() {
    let app = TestApp::new(vec![]);
    let answer = app.anonymous("GET", "/openapi.json").await;
    let document: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    insta::assert_json_snapshot!(document);
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_elsewhere() {
    let app = TestApp::new(vec![]);
    let page = app.anonymous("GET", "/docs/").await;
    assert_eq!(page.status, 200);
    let start = app.anonymous("GET", "/docs/swagger-initializer.js").await;
    assert!(start.body.contains("/openapi.json") && start.body.contains("none"), "{}", start.body);
    for text in [&page.body, &start.body] {
        assert!(!text.contains("https://") && !text.contains("http://"), "{text}");
    }
    for file in ["swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-ui.css"] {
        assert!(page.body.contains(file), "{file} is on the page");
        assert_eq!(app.anonymous("GET", &format!("/docs/{file}")).await.status, 200);
    }
    assert_eq!(app.anonymous("GET", "/docs/nothing.js").await.status, 404);
}
