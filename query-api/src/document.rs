//! The routes with their place in the API's document, and what all answers have in common there.

use api_conventions::{PROBLEM_MEDIA_TYPE, for_roles};
use domain::api_keys::Role;
use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, Header, OpenApi, Ref, RefOr, Required, ResponseBuilder, Responses,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::ApiState;
use crate::{
    accounts, api_keys, consistency, dead_letters, exports, ledger, log, merchants, payments,
    projection_statuses, psps,
};

/// Whoever audits the log, and whoever runs the platform.
const LOG_READERS: &[Role] = &[Role::Operator, Role::Auditor];
/// Why a projection stopped may name what belongs to any merchant.
const PLATFORM: &[Role] = &[Role::Operator, Role::Auditor, Role::Analyst];
/// Merchants too, who see what is theirs.
const EVERYBODY: &[Role] = &Role::ALL;
const OPERATOR: &[Role] = &[Role::Operator];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Runut queries",
        description = "Queries of an event-sourced payments core. Every answer says in \
            `Runut-Position` which position of the log it shows. Send the `Runut-Position` of your \
            own command as `Runut-Min-Position` to read what you wrote. A merchant's key sees that \
            merchant's ledger; whatever belongs to another is not there.",
    ),
    tags(
        (name = "accounts", description = "Where money is, and how it got there"),
        (name = "ledger", description = "Balanced entries, and whether all of them balance"),
        (name = "exports", description = "All of it, as files that other programs read"),
        (name = "payments", description = "Payments as they stand, and how they got there"),
        (name = "log", description = "What happened, and how far the read models are behind it"),
        (name = "access", description = "Who trades on the platform, and who may do what"),
    )
)]
struct Document;

/// What may be wrong with any query, whatever it asks for.
const REFUSALS_OF_ANY_QUERY: [(&str, &str); 5] = [
    ("400", "`malformed-request`: a header cannot be read"),
    ("401", "`unauthorized`: no valid API key"),
    ("422", "`invalid-request` with the parameter that is wrong, `position-beyond-head`"),
    ("429", "`too-many-requests`, with `Retry-After`"),
    (
        "503",
        "`projection-behind`, `unavailable`, with `Retry-After`: ask again; `projection-diverged`: \
             the read model has to be rebuilt",
    ),
];

/// Every route, restricted to the roles that may use it; not yet behind an API key.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(for_roles(EVERYBODY, routes!(accounts::list::list_accounts)))
        .routes(for_roles(EVERYBODY, routes!(accounts::show::show_account)))
        .routes(for_roles(EVERYBODY, routes!(accounts::statement::read_statement)))
        .routes(for_roles(EVERYBODY, routes!(accounts::balance::show_balance)))
        .routes(for_roles(EVERYBODY, routes!(accounts::rollup::show_rollup)))
        .routes(for_roles(EVERYBODY, routes!(accounts::clearing_alerts::list_clearing_alerts)))
        .routes(for_roles(EVERYBODY, routes!(ledger::list_entries::list_entries)))
        .routes(for_roles(EVERYBODY, routes!(ledger::show_entry::show_entry)))
        .routes(for_roles(EVERYBODY, routes!(ledger::trial_balance::show_trial_balance)))
        .routes(for_roles(EVERYBODY, routes!(ledger::holds::list_holds)))
        .routes(for_roles(EVERYBODY, routes!(ledger::holds::show_hold)))
        .routes(for_roles(EVERYBODY, routes!(ledger::closes::list_closes)))
        .routes(for_roles(EVERYBODY, routes!(ledger::closes::list_month_closes)))
        .routes(for_roles(EVERYBODY, routes!(consistency::report::report_consistency)))
        .routes(for_roles(EVERYBODY, routes!(exports::statement::download_statement)))
        .routes(for_roles(EVERYBODY, routes!(exports::journal::export_journal)))
        .routes(for_roles(EVERYBODY, routes!(payments::list::list_payments)))
        .routes(for_roles(EVERYBODY, routes!(payments::show::show_payment)))
        .routes(for_roles(EVERYBODY, routes!(payments::refunds::list_refunds)))
        .routes(for_roles(EVERYBODY, routes!(payments::timeline::show_timeline)))
        .routes(for_roles(PLATFORM, routes!(psps::list_psps)))
        .routes(for_roles(OPERATOR, routes!(dead_letters::list_dead_letters)))
        .routes(for_roles(EVERYBODY, routes!(log::head::show_head)))
        .routes(for_roles(LOG_READERS, routes!(log::events::list_events)))
        .routes(for_roles(LOG_READERS, routes!(log::stream::read_stream)))
        .routes(for_roles(PLATFORM, routes!(projection_statuses::list_projections)))
        .routes(for_roles(EVERYBODY, routes!(merchants::list::list_merchants)))
        .routes(for_roles(EVERYBODY, routes!(merchants::show::show_merchant)))
        .routes(for_roles(LOG_READERS, routes!(api_keys::list_api_keys)))
}

/// Adds to every query what handlers do not repeat: the position asked for and shown, and the
/// problems that any query may meet.
pub(crate) fn describe_answers(mut document: OpenApi) -> OpenApi {
    for path in document.paths.paths.values_mut() {
        // One query has a body, and is a POST therefore.
        for query in [&mut path.get, &mut path.post].into_iter().flatten() {
            describe_min_position(query);
            describe(&mut query.responses);
        }
    }
    document
}

fn describe_min_position(query: &mut Operation) {
    let position = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let parameter = ParameterBuilder::new()
        .name("Runut-Min-Position")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The position to show at least: waits for it up to 5 s, then `projection-behind`",
        ))
        .schema(Some(position))
        .build();
    query.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

fn describe(responses: &mut Responses) {
    for (status, description) in REFUSALS_OF_ANY_QUERY {
        responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
    }
    for (status, response) in &mut responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with('2') || status.starts_with('3') {
            let shown = header(Type::Integer, "The position in the log that the answer shows");
            response.headers.insert("Runut-Position".to_owned(), shown.into());
            let halted = "`stopped` or `rebuilding` when the read model does not move";
            let halted = header(Type::String, halted);
            response.headers.insert("Runut-Projection-State".to_owned(), halted.into());
        } else {
            let problem = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(problem)).build();
            response.content.insert(PROBLEM_MEDIA_TYPE.to_owned(), content.into());
        }
    }
}

fn header(kind: Type, description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}
