//! `GET /v1/events`

use api_conventions::{Caller, Connection, FieldError, INVALID_VALUE, ListQuery, Page, Problem};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::{Extension, Json};
use domain::{Event, StreamId};
use event_store::log::{LogFilter, Position};
use serde::Deserialize;
use utoipa::IntoParams;

use super::follow;
use super::page::read_page;
use super::recorded::LoggedEvent;
use crate::caller_scope::OwnerFilter;
use crate::position::MinPosition;
use crate::read_model::beyond_head;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// The most `type` parameters: more than there are types.
const TYPES_MAX: usize = 100;
/// What asks for events as they come.
const EVENT_STREAM: &str = "text/event-stream";

/// Which events to list, for the documentation.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only; `EventsQuery` parses them")]
pub(crate) struct EventParameters {
    /// The events after this position; from the beginning where it is not given.
    #[param(minimum = 0, example = 41)]
    after: Option<i64>,
    /// The events of this stream.
    #[param(example = "account-acc_7h455vb4pex5vsknk084sn02q0")]
    stream: Option<String>,
    /// The events of these types; may be given several times.
    #[param(example = json!(["ledger.entry_posted"]))]
    r#type: Option<Vec<String>>,
    /// The events of this merchant, or of the `platform` itself.
    #[param(example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<String>,
    /// The most events of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before; in place of `after`.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventFilters {
    after: Option<i64>,
    stream: Option<String>,
    merchant: Option<OwnerFilter>,
}

/// The query string, read.
#[derive(Debug)]
pub(crate) struct EventsQuery {
    limit: usize,
    paged: bool,
    pub(super) after: Option<Position>,
    pub(super) filter: LogFilter,
}

impl EventsQuery {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut types = Vec::new();
        let mut rest = Vec::new();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            match form_urlencoded::parse(piece.as_bytes()).next() {
                Some((name, value)) if name == "type" => types.push(known_type(&value)?),
                _ => rest.push(piece),
            }
        }
        if types.len() > TYPES_MAX {
            return Err(invalid("type", format_args!("at most {TYPES_MAX} types")));
        }
        let list = ListQuery::<EventFilters, i64>::parse(&rest.join("&"))?;
        let paged = list.after.is_some();
        let EventFilters { after, stream, merchant } = list.filters;
        if paged && after.is_some() {
            return Err(invalid("cursor", "the cursor says where to go on, so `after` may not"));
        }
        let after = after.or(list.after);
        if after.is_some_and(|after| after < 0) {
            return Err(invalid("after", "expected a position, 0 or above"));
        }
        Ok(Self {
            limit: list.limit,
            paged: paged || query.split('&').any(|piece| piece.starts_with("limit=")),
            after: after.map(Position::from_number),
            filter: LogFilter {
                stream: stream.map(StreamId::from_stored),
                merchant: merchant.map(|owner| owner.0),
                types,
            },
        })
    }
}

impl<S: Sync> FromRequestParts<S> for EventsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

fn known_type(name: &str) -> Result<String, Problem> {
    let known = Event::types().into_iter().find(|known| *known == name);
    let known = known.ok_or_else(|| {
        invalid("type", format_args!("expected one of {}", Event::types().join(", ")))
    })?;
    Ok((*known).to_owned())
}

fn invalid(parameter: &str, detail: impl std::fmt::Display) -> Problem {
    Problem::invalid(vec![FieldError::of_parameter(parameter, INVALID_VALUE, detail)])
}

/// List or follow events
///
/// The log, ascending, for auditors and operators. A filter that takes few events may yield a short or
/// even an empty page with a `next_cursor`: go on until that is null; then everything up to
/// `Runut-Position` has been seen.
///
/// With `Accept: text/event-stream` the answer does not end: each event is sent as it is appended, as
/// `data`, with its position as `id`. A client that connects again sends the last `id` that it has as
/// `Last-Event-ID` and misses nothing.
#[utoipa::path(
    get, path = "/v1/events", tag = "log",
    params(
        EventParameters,
        ("Last-Event-ID" = Option<i64>, Header,
         description = "With `Accept: text/event-stream`: the position to go on after, before `after`"),
    ),
    responses(
        (status = 200, description = "A page, or events without an end", content(
            (Page<LoggedEvent> = "application/json"),
            (String = "text/event-stream",
             example = "id: 42\ndata: {\"position\":42,\"type\":\"ledger.entry_posted\"}\n\n"),
        )),
        (status = 403, description = "`insufficient-scope`: for auditors and operators"),
        (status = 422, description = "`invalid-request`, `position-beyond-head`"),
    )
)]
pub(crate) async fn list_events(
    State(api): State<ApiState>,
    caller: Caller,
    query: EventsQuery,
    min: MinPosition,
    headers: HeaderMap,
    connection: Option<Extension<Connection>>,
) -> Result<Response, Problem> {
    let last_event_id = follow::last_event_id(&headers)?;
    if asks_to_follow(&headers) {
        if query.paged {
            return Err(invalid("limit", "whoever follows the log gets no pages"));
        }
        let after = last_event_id.or(query.after).unwrap_or(Position::START);
        let connection = connection.map(|one| one.0);
        return follow::follow(api, caller, query.filter, after, min, connection).await;
    }
    let mut snapshot = Snapshot::of_log(&api, min).await?;
    let head = snapshot.position();
    let after = query.after.unwrap_or(Position::START);
    if after > head {
        return Err(beyond_head(after, head));
    }
    let page = read_page(snapshot.db(), &query.filter, after, head, query.limit).await?;
    Ok(snapshot.answer(Json(page)))
}

fn asks_to_follow(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media_type| media_type.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_conventions::encode_cursor;

    #[test]
    fn parameters_are_read_and_types_may_be_repeated() {
        let query = EventsQuery::parse(
            "after=7&type=ledger.entry_posted&type=api_key.issued&stream=a-b&merchant=platform",
        )
        .unwrap();
        assert_eq!(query.after, Some(Position::from_number(7)));
        assert_eq!(query.filter.types, ["ledger.entry_posted", "api_key.issued"]);
        assert_eq!(query.filter.stream, Some(StreamId::from_stored("a-b".to_owned())));
        assert!(query.filter.merchant.unwrap().platform());
        assert!(!query.paged);
    }

    #[test]
    fn the_cursor_goes_on_where_the_page_ended() {
        let cursor = encode_cursor(&9_i64);
        let query = EventsQuery::parse(&format!("cursor={cursor}&limit=3")).unwrap();
        assert_eq!((query.after, query.limit), (Some(Position::from_number(9)), 3));
        assert!(query.paged);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let cursor = encode_cursor(&9_i64);
        let negative = encode_cursor(&-9_i64);
        for query in [
            "after=-1",
            "after=x",
            "after=1&after=2",
            "type=unheard.of",
            "type=",
            "merchant=x",
            "colour=red",
            "stream=a%00b",
            &format!("after=1&cursor={cursor}"),
            &format!("cursor={negative}"),
        ] {
            assert_eq!(EventsQuery::parse(query).unwrap_err().kind().status, 422, "{query}");
        }
    }

    #[test]
    fn who_accepts_an_event_stream_follows() {
        let follows = |accept: &'static str| {
            asks_to_follow(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]))
        };
        assert!(follows("text/event-stream"));
        assert!(follows("application/json;q=0.1, Text/Event-Stream;q=1"));
        assert!(!follows("application/json"));
        assert!(!follows("*/*"));
        assert!(!asks_to_follow(&HeaderMap::new()));
    }
}
