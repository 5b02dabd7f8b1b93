//! `GET /v1/events` with `Accept: text/event-stream`: events as they are appended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api_conventions::{Caller, Connection, KeyWatch, Place, Pool, Problem};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event as SentEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::ApiKeyId;
use event_store::log::{LogFilter, Position, head, log_page};
use futures::stream::{self, Stream};
use tokio::sync::watch;

use super::page::scan_end;
use super::recorded::LoggedEvent;
use crate::database::refused;
use crate::position::{Followed, MinPosition, POSITION_HEADER};
use crate::read_model::beyond_head;
use crate::state::ApiState;

/// The followers of a process: auditors' tools and exports, not the public. All of their keys are the platform's,
/// so it is a key that has a share: a quarter.
pub(crate) const FOLLOWERS: Pool = Pool {
    name: "log_followers",
    units: "followers of the log",
    owner: "API key",
    total: 64,
    of_one: 16,
};
/// The most events that are read ahead for a follower.
const PAGE_EVENTS_MAX: i64 = 200;
/// How often something is sent where nothing happens, so that proxies keep the connection and a client
/// that is gone is noticed.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// Where a client that connects again goes on.
const LAST_EVENT_ID_HEADER: HeaderName = HeaderName::from_static("last-event-id");
/// Asks a proxy of the nginx family not to hold events back.
const BUFFERING_HEADER: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer that does not end until the client goes, its key is revoked, or this process stops.
pub(super) async fn follow(
    api: ApiState,
    caller: Caller,
    filter: LogFilter,
    after: Position,
    min: MinPosition,
    connection: Option<Connection>,
) -> Result<Response, Problem> {
    let head = head(&api.database.followers).await.map_err(refused)?.position;
    if let Some(beyond) = [after, min.position].into_iter().find(|position| *position > head) {
        return Err(beyond_head(beyond, head));
    }
    let place = api.followers.take(caller.key_id)?;
    let follower = Follower {
        key_id: caller.key_id,
        filter,
        after,
        read: VecDeque::new(),
        seen_head: api.positions.head(),
        _followed: Followed::of(Arc::clone(&api.positions)),
        watch: KeyWatch::of(Arc::clone(&api.keys), caller.key_id, connection),
        _place: place,
        api,
    };
    let heartbeat = KeepAlive::new().interval(HEARTBEAT_EVERY).text("heartbeat");
    let headers = [
        (POSITION_HEADER, HeaderValue::from(head.number())),
        (BUFFERING_HEADER, HeaderValue::from_static("no")),
    ];
    Ok((headers, Sse::new(events(follower)).keep_alive(heartbeat)).into_response())
}

/// The last event that the client has, if it says which.
///
/// # Errors
/// 400: it is not one position.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID_HEADER) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    let number = number.ok_or_else(|| Problem::malformed("Last-Event-ID is not a position"))?;
    Ok(Some(Position::from_number(number)))
}

/// One who follows. Holds a page of events at the most, and a connection only while it reads one.
#[derive(Debug)]
struct Follower {
    key_id: ApiKeyId,
    filter: LogFilter,
    /// Everything up to here has been sent, or read ahead, or is not asked for.
    after: Position,
    read: VecDeque<LoggedEvent>,
    seen_head: watch::Receiver<Position>,
    _followed: Followed,
    watch: KeyWatch,
    _place: Place<ApiKeyId>,
    api: ApiState,
}

/// Why a follower is sent nothing more. It connects again, and is told the reason then.
enum End {
    Stopping,
    KeyRevoked,
    Unreadable,
}

fn events(follower: Follower) -> impl Stream<Item = Result<SentEvent, axum::Error>> {
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await.ok()?;
        let id = event.position().to_string();
        Some((SentEvent::default().id(id).json_data(&event), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Result<LoggedEvent, End> {
        loop {
            if self.api.stopping.is_cancelled() {
                return Err(End::Stopping);
            }
            if let Some(event) = self.read.pop_front() {
                return Ok(event);
            }
            let head = *self.seen_head.borrow_and_update();
            if self.after < head {
                self.read_up_to(head).await?;
                continue;
            }
            tokio::select! {
                changed = self.seen_head.changed() => changed.map_err(|_| End::Stopping)?,
                () = self.api.stopping.cancelled() => {}
                () = self.watch.revoked() => return Err(End::KeyRevoked),
            }
        }
    }

    /// Reads one page. Whether the key still opens anything is asked each time: a revocation is an event
    /// too, so a key that is revoked is noticed before anything that follows is read.
    async fn read_up_to(&mut self, head: Position) -> Result<(), End> {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "a follower of the log was sent away");
            End::Unreadable
        };
        let key =
            self.api.keys.read(self.key_id).await.map_err(|error| unreadable(&error.cause))?;
        if key.is_none_or(|key| key.revoked) {
            self.watch.found_revoked();
            return Err(End::KeyRevoked);
        }
        let up_to = scan_end(&self.filter, self.after, head);
        let pool = &self.api.database.followers;
        let page = log_page(pool, self.after, up_to, PAGE_EVENTS_MAX, &self.filter).await;
        let page = page.map_err(|error| unreadable(&error))?;
        let events = page.events.into_iter().map(LoggedEvent::try_from);
        let events = events.collect::<Result<Vec<_>, Problem>>().map_err(|_| End::Unreadable)?;
        self.read.extend(events);
        self.after = page.scanned_to;
        Ok(())
    }
}
