//! The messages of the mirror are the events of the log, as far back as the stream reaches. It is a
//! window: messages that are missing inside it are told, and are no violation.

use std::time::{Duration, Instant};

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{State, Stream};
use event_store::log::{LeafHash, RecordedEvent};
use event_store::mirror::{connect_nats, decode};
use futures::StreamExt;
use sqlx::PgConnection;

use crate::connection::{LOG, head_position};
use crate::courtesy::Courtesy;
use crate::verify::MirrorSource;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};

/// How many messages are compared with one statement.
const BATCH_MESSAGES: usize = 2_000;
/// How many bytes of messages, unless a single one has more.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// For how many seconds an event may be in the log and not in the mirror: a mirror that works follows within some
/// hundredths of one, and one that takes over from another within seconds.
const BEHIND_S_MAX: i64 = 60;
/// How long NATS may take to send the next message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Compares every message that the stream holds; how many there are.
pub(crate) async fn check(
    db: &mut PgConnection,
    source: &MirrorSource,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let Some(stream) = find(source).await? else {
        report.not_checked(format!("the mirror: there is no stream {}", source.stream.name()));
        return Ok(0);
    };
    let state = stream.cached_info().state.clone();
    let mut findings = Findings::default();
    // The head is read after the stream: it can only have grown since.
    let head = head_position(db).await.map_err(reading("the head"))?;
    let head = number(head.unwrap_or(0));
    if state.last_sequence > head {
        let expected = format!("a stream that ends at the head, {head}, or before");
        let found = format!("it ends at {}", state.last_sequence);
        findings.add(Check::Mirror, position(head + 1), "stream", expected, found);
    }
    if let Some(waiting) = waiting_s(db, state.last_sequence).await?
        && waiting > BEHIND_S_MAX
    {
        let expected = format!("messages up to the head, {head}, within {BEHIND_S_MAX} s");
        let found = format!(
            "it ends at {}, and the next event has waited for {waiting} s",
            state.last_sequence
        );
        findings.add(
            Check::MirrorBehind,
            position(state.last_sequence + 1),
            "stream",
            expected,
            found,
        );
    }
    report.findings(findings);
    if state.messages == 0 {
        return Ok(0);
    }
    compare_all(db, &stream, source, &state, courtesy, report).await
}

/// For how many seconds the event after that message has been in the log, if there is one.
async fn waiting_s(db: &mut PgConnection, last: u64) -> Result<Option<i64>, VerifyError> {
    let waiting = "select extract(epoch from
            log_clock() - coalesce((metadata->>'decided_at')::timestamptz, recorded_at))::bigint
        from events where log_id = $1 and position = $2";
    sqlx::query_scalar(waiting)
        .bind(LOG)
        .bind(position(last.saturating_add(1)))
        .fetch_optional(db)
        .await
        .map_err(reading("what the mirror lacks"))
}

async fn find(source: &MirrorSource) -> Result<Option<Stream>, VerifyError> {
    let client = connect_nats(&source.nats_url, "runut replay-tool").await.map_err(nats)?;
    match async_nats::jetstream::new(client).get_stream(source.stream.name()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(refused) if refused.code() == 404 => Ok(None),
            _ => Err(nats(error)),
        },
    }
}

async fn compare_all(
    db: &mut PgConnection,
    stream: &Stream,
    source: &MirrorSource,
    state: &State,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let mut messages = messages(stream).await?;
    let mut window = Window { next: state.first_sequence, count: 0, batch: Vec::new(), bytes: 0 };
    let mut started = Instant::now();
    loop {
        let next = tokio::time::timeout(MESSAGE_TIMEOUT, messages.next()).await;
        let Ok(Some(message)) = next else {
            return Err(nats("no message came in time"));
        };
        let message = message.map_err(nats)?;
        let info = message.info().map_err(nats)?;
        let (sequence, pending) = (info.stream_sequence, info.pending);
        // What was published since verify began is left to the next time.
        let beyond = sequence > state.last_sequence;
        if !beyond {
            window.take(sequence, &message, source, report);
        }
        let last = beyond || sequence == state.last_sequence || pending == 0;
        if last || window.full() {
            let findings = window.compare(db).await?;
            report.findings(findings);
            report.progress(Part::Mirror, window.count, state.messages);
            courtesy.after(db, started.elapsed()).await.map_err(reading("the head"))?;
            started = Instant::now();
        }
        if last {
            return Ok(window.count);
        }
    }
}

async fn messages(stream: &Stream) -> Result<Ordered, VerifyError> {
    let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
    let consumer = stream.create_consumer(config).await.map_err(nats)?;
    consumer.messages().await.map_err(nats)
}

/// The messages that are to be compared next.
struct Window {
    next: u64,
    count: u64,
    batch: Vec<(i64, LeafHash)>,
    bytes: usize,
}

impl Window {
    fn full(&self) -> bool {
        self.batch.len() >= BATCH_MESSAGES || self.bytes >= BATCH_BYTES
    }

    /// Checks what a message says of itself; what Postgres says is asked for a batch at a time.
    fn take(
        &mut self,
        sequence: u64,
        message: &Message,
        source: &MirrorSource,
        report: &Report<'_>,
    ) {
        let mut findings = Findings::default();
        if sequence > self.next {
            let found = format!("none up to {}", sequence - 1);
            findings.add(Check::MirrorHoles, position(self.next), "stream", "a message", found);
        }
        self.next = sequence + 1;
        self.count += 1;
        self.bytes += message.payload.len();
        let headers = message.headers.clone().unwrap_or_default();
        match decode(&headers, &message.payload) {
            Ok(event) => {
                judge(sequence, &event, message.subject.as_str(), source, &mut findings);
                self.batch.extend(position(sequence).map(|at| (at, event.computed_hash())));
            }
            Err(error) => {
                let found = error.to_string();
                findings.add(Check::Mirror, position(sequence), "message", "an event", found);
            }
        }
        report.findings(findings);
    }

    async fn compare(&mut self, db: &mut PgConnection) -> Result<Findings, VerifyError> {
        let mut findings = Findings::default();
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let positions: Vec<i64> = batch.iter().map(|(position, _)| *position).collect();
        let hashes: Vec<&[u8]> = batch.iter().map(|(_, hash)| &hash.as_bytes()[..]).collect();
        let wrong: Vec<(i64, Option<Vec<u8>>)> = sqlx::query_as(
            "select m.position, e.leaf_hash \
             from unnest($2::bigint[], $3::bytea[]) as m (position, leaf_hash) \
             left join events e on e.log_id = $1 and e.position = m.position \
             where e.leaf_hash is distinct from m.leaf_hash order by 1",
        )
        .bind(LOG)
        .bind(&positions)
        .bind(&hashes)
        .fetch_all(db)
        .await
        .map_err(reading("the events that are mirrored"))?;
        for (position, ours) in wrong {
            let theirs = batch.iter().find(|(at, _)| *at == position).map(|(_, hash)| *hash);
            let hash = |hash: LeafHash| format!("leaf hash {hash}");
            let expected = ours.as_deref().and_then(LeafHash::from_bytes).map(hash);
            let expected = expected.unwrap_or_else(|| "no message: no such event".to_owned());
            let found = theirs.map_or_else(String::new, hash);
            findings.add(Check::Mirror, position, "message", expected, found);
        }
        Ok(findings)
    }
}

fn judge(
    sequence: u64,
    event: &RecordedEvent,
    subject: &str,
    source: &MirrorSource,
    findings: &mut Findings,
) {
    let mut add = |expected: String, found: String| {
        findings.add(Check::Mirror, position(sequence), "message", expected, found);
    };
    if event.position.sequence() != sequence {
        add(format!("the event at {sequence}"), format!("the event at {}", event.position));
    }
    let computed = event.computed_hash();
    if event.leaf_hash != computed {
        add(format!("leaf hash {computed} of its content"), format!("{}", event.leaf_hash));
    }
    let wanted = source.stream.subject(event);
    if subject != wanted {
        add(format!("subject {wanted}"), format!("subject {subject}"));
    }
}

fn position(sequence: u64) -> Option<i64> {
    i64::try_from(sequence).ok()
}

fn nats(error: impl ToString) -> VerifyError {
    VerifyError::Nats { reason: error.to_string() }
}
