//! The routes with their place in the API's document, and what all answers have in common there.

use api_conventions::{PROBLEM_MEDIA_TYPE, for_roles};
use domain::api_keys::Role;
use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, Header, OpenApi, Ref, RefOr, Response, ResponseBuilder, Responses,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::{accounts, api_keys, fx, holds, ledger, merchants, payments, psps, wallets, webhooks};

const OPERATOR: &[Role] = &[Role::Operator];
const MERCHANT: &[Role] = &[Role::Merchant];
/// The ledger is that of whoever asks, be it the platform's.
const OWN_LEDGER: &[Role] = &[Role::Merchant, Role::Operator];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Runut commands",
        description = "Commands to an event-sourced payments core. Every command is answered when \
            it is durable, once for each `Idempotency-Key`; `Runut-Position` says where in the log \
            the answer rests, and reads your own writes when it is sent to the query API.",
    ),
    tags(
        (name = "merchants", description = "Who trades on the platform"),
        (name = "api keys", description = "Who may do what, for which merchant"),
        (name = "accounts", description = "Where money is, and under which limits it moves"),
        (name = "ledger", description = "Balanced entries, corrected only by reversal"),
        (name = "holds", description = "Money promised before it is posted"),
        (name = "fx", description = "Rates, and money converted by them"),
        (name = "wallets", description = "Accounts that customers own, in few words"),
        (name = "payments", description = "Paid through PSPs, booked with every step"),
        (name = "webhooks", description = "What PSPs say unasked"),
    )
)]
struct Document;

/// What may be wrong with any command, whatever it asks for.
const REFUSALS_OF_ANY_COMMAND: [(&str, &str); 9] = [
    (
        "400",
        "`malformed-request`, `malformed-json`, `missing-idempotency-key`, \
             `malformed-idempotency-key`",
    ),
    ("401", "`unauthorized`: no valid API key"),
    ("403", "`insufficient-scope`: the key's role may not do this"),
    ("408", "`request-timeout`: the body came too slowly; send it again with the same key"),
    ("409", "`idempotency-key-in-use`: the first request with this key is still running"),
    ("413", "`body-too-large`"),
    ("422", "`invalid-request` with every field that is wrong, `idempotency-key-reused`"),
    ("429", "`too-many-requests`, with `Retry-After`"),
    (
        "503",
        "`unavailable`, `outcome-unknown`, with `Retry-After`: send the same request with the \
             same key again",
    ),
];

/// Every route, restricted to the roles that may use it; not yet behind an API key.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(for_roles(OPERATOR, routes!(merchants::register::register_merchant)))
        .routes(for_roles(OPERATOR, routes!(api_keys::issue::issue_api_key)))
        .routes(for_roles(OPERATOR, routes!(api_keys::revoke::revoke_api_key)))
        .routes(for_roles(OWN_LEDGER, routes!(accounts::open::open_account)))
        .routes(for_roles(OWN_LEDGER, routes!(accounts::amend::amend_account)))
        .routes(for_roles(OWN_LEDGER, routes!(accounts::freeze::freeze_account)))
        .routes(for_roles(OWN_LEDGER, routes!(accounts::unfreeze::unfreeze_account)))
        .routes(for_roles(OWN_LEDGER, routes!(accounts::close::close_account)))
        .merge(ledger_routes())
        .merge(fx_routes())
        .merge(wallet_routes())
        .routes(for_roles(MERCHANT, routes!(payments::create::create_payment)))
        .routes(for_roles(MERCHANT, routes!(payments::authorize::authorize_payment)))
        .routes(for_roles(MERCHANT, routes!(payments::replace_method::replace_method)))
        .routes(for_roles(MERCHANT, routes!(payments::capture::capture_payment)))
        .routes(for_roles(MERCHANT, routes!(payments::cancel::cancel_payment)))
        .routes(for_roles(MERCHANT, routes!(payments::void::void_payment)))
        .routes(for_roles(MERCHANT, routes!(payments::refund::refund_payment)))
        .routes(for_roles(OPERATOR, routes!(psps::disable::disable_psp)))
        .routes(for_roles(OPERATOR, routes!(psps::enable::enable_psp)))
        .routes(for_roles(OPERATOR, routes!(webhooks::replay::replay_dead_letter)))
}

fn ledger_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(for_roles(OWN_LEDGER, routes!(ledger::post::post_entry)))
        .routes(for_roles(OWN_LEDGER, routes!(ledger::batch::post_batch)))
        .routes(for_roles(OWN_LEDGER, routes!(ledger::chain::post_chain)))
        .routes(for_roles(OWN_LEDGER, routes!(ledger::import::import_entries)))
        .routes(for_roles(OWN_LEDGER, routes!(ledger::reverse::reverse_entry)))
        .routes(for_roles(OWN_LEDGER, routes!(ledger::replace::replace_entry)))
        .routes(for_roles(OWN_LEDGER, routes!(ledger::close_day::close_day)))
        .routes(for_roles(OWN_LEDGER, routes!(holds::create::create_hold)))
        .routes(for_roles(OWN_LEDGER, routes!(holds::post::post_hold)))
        .routes(for_roles(OWN_LEDGER, routes!(holds::void::void_hold)))
}

fn fx_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(for_roles(OWN_LEDGER, routes!(fx::record_rate::record_rate)))
        .routes(for_roles(OWN_LEDGER, routes!(fx::convert::convert)))
}

fn wallet_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(for_roles(OWN_LEDGER, routes!(wallets::open::open_wallet)))
        .routes(for_roles(OWN_LEDGER, routes!(wallets::cash_in::cash_in)))
        .routes(for_roles(OWN_LEDGER, routes!(wallets::cash_out::cash_out)))
        .routes(for_roles(OWN_LEDGER, routes!(wallets::transfer::transfer)))
        .routes(for_roles(OWN_LEDGER, routes!(wallets::reserve::reserve)))
        .routes(for_roles(OWN_LEDGER, routes!(wallets::release::release)))
        .routes(for_roles(OWN_LEDGER, routes!(wallets::settle::settle)))
}

/// Routes that are let in by a signature, not by an API key.
pub(crate) fn signed_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(webhooks::receive::receive_webhook))
}

/// The document of all routes; only those with a key have what is described for all of them.
pub(crate) fn whole(keyed: OpenApi, signed: OpenApi) -> OpenApi {
    let mut document = describe_answers(keyed);
    document.merge(signed);
    document
}

/// Adds to every command what handlers do not repeat: the headers of answers, and the problems that
/// any command may meet.
fn describe_answers(mut document: OpenApi) -> OpenApi {
    for path in document.paths.paths.values_mut() {
        for operation in commands(path) {
            describe(&mut operation.responses);
        }
    }
    document
}

fn commands(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.post, &mut path.put, &mut path.patch, &mut path.delete].into_iter().flatten()
}

fn describe(responses: &mut Responses) {
    for (status, description) in REFUSALS_OF_ANY_COMMAND {
        responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
    }
    for (status, response) in &mut responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with('2') {
            name_headers(response);
        } else {
            let problem = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(problem)).build();
            response.content.insert(PROBLEM_MEDIA_TYPE.to_owned(), RefOr::T(content));
        }
    }
}

fn name_headers(response: &mut Response) {
    let position =
        "The position in the log that the answer rests on; also in refusals for the state";
    let replayed = "`true` when this is the answer to an earlier request with the same key";
    let headers = [
        ("Runut-Position", header(Type::Integer, position)),
        ("Idempotent-Replayed", header(Type::Boolean, replayed)),
    ];
    response.headers.extend(headers.map(|(name, header)| (name.to_owned(), RefOr::T(header))));
}

fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}
