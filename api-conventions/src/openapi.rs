//! What every operation of both APIs has in its OpenAPI document, so that no handler repeats it:
//! the bearer key, the `Idempotency-Key` of commands, and problems as the answer to anything else.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::idempotency::IDEMPOTENCY_KEY_CHARACTERS_MAX;
use crate::problem::{FieldError, PROBLEM_MEDIA_TYPE, ProblemBody};

/// The name of the security scheme.
const API_KEY_SCHEME: &str = "api_key";

/// Adds the conventions to a document collected from handlers. An operation that says its own
/// `security` (such as a signed callback) is no API key's, and so has no `Idempotency-Key` either.
pub fn with_conventions(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key: `runut_<id>_<secret>`"))
        .build();
    components.add_security_scheme(API_KEY_SCHEME, SecurityScheme::Http(bearer));
    let mut schemas = vec![
        (ProblemBody::name().into_owned(), ProblemBody::schema()),
        (FieldError::name().into_owned(), FieldError::schema()),
    ];
    ProblemBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    document.security = Some(vec![SecurityRequirement::new(API_KEY_SCHEME, [""; 0])]);
    for path in document.paths.paths.values_mut() {
        let (reads, commands) = operations(path);
        for command in commands {
            require_idempotency_key(command);
            answer_problems(command);
        }
        reads.for_each(answer_problems);
    }
    document
}

/// The operations of a path: those that read, those that need an idempotency key.
fn operations(
    path: &mut PathItem,
) -> (impl Iterator<Item = &mut Operation>, impl Iterator<Item = &mut Operation>) {
    let reads = [&mut path.get, &mut path.head].into_iter().flatten();
    let commands =
        [&mut path.post, &mut path.put, &mut path.patch, &mut path.delete].into_iter().flatten();
    (reads, commands)
}

fn require_idempotency_key(operation: &mut Operation) {
    if operation.security.is_some() {
        return;
    }
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(IDEMPOTENCY_KEY_CHARACTERS_MAX));
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(
            "Unique for this command. The same request with the same key has the same answer.",
        ))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

fn answer_problems(operation: &mut Operation) {
    let problem =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    let correlation = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some("The request's name in the logs"))
        .build();
    let response = ResponseBuilder::new()
        .description("Any error: a problem (RFC 9457) with a stable `code`")
        .content(PROBLEM_MEDIA_TYPE, problem)
        .header("X-Correlation-Id", correlation)
        .build();
    operation.responses.responses.entry("default".to_owned()).or_insert(RefOr::T(response));
}
