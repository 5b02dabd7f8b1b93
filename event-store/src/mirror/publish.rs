//! Publishing a page of events, pipelined, each at its own sequence or not at all.

use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;

use super::message::{LogStream, encode};
use crate::log::{Position, RecordedEvent};

/// Why a page did not get through.
#[derive(Debug)]
pub(super) enum PublishFailure {
    /// The stream is not where it should be, or is gone: look at it again.
    Displaced,
    /// NATS does not answer.
    Nats(String),
}

/// Publishes consecutive events; the position of the last one when all are in the stream. A message that
/// is lost or doubled cannot pass: the next one's expected sequence would not hold.
pub(super) async fn publish(
    jetstream: &Context,
    stream: &LogStream,
    page: &[&RecordedEvent],
) -> Result<Position, PublishFailure> {
    let mut acks = Vec::with_capacity(page.len());
    for event in page {
        let (mut headers, body) = encode(event);
        let before = event.position.number() - 1;
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, before.to_string());
        let ack = jetstream
            .publish_with_headers(stream.subject(event), headers, body)
            .await
            .map_err(|error| PublishFailure::Nats(error.to_string()))?;
        acks.push(ack);
    }
    let mut last = Position::START;
    for (event, ack) in page.iter().zip(acks) {
        match ack.await {
            Ok(ack) if ack.sequence == event.position.sequence() => last = event.position,
            Ok(_) => return Err(PublishFailure::Displaced),
            Err(error) => {
                return Err(match error.kind() {
                    PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                        PublishFailure::Nats(error.to_string())
                    }
                    _ => PublishFailure::Displaced,
                });
            }
        }
    }
    Ok(last)
}
