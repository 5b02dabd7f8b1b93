//! Reads a request's body within bounds of size, pace and time.

use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use domain::MerchantId;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::authenticate::Caller;
use crate::key_watch::Revocations;
use crate::pace::{Pace, Paced};
use crate::problem::Problem;
use crate::problem_kinds as kinds;
use crate::shares::{Pool, Shares};

/// The most bytes of a body, where a route does not say otherwise: an event's data has at most 256
/// KiB, and a command is no larger than the event it becomes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// How a body has to come in: what is small is there within ten seconds, what is large comes at 100 bytes a
/// second at least. So a caller that sends a byte at a time holds no memory.
pub const BODY_PACE: Pace = Pace { bytes: 1024, within: Duration::from_secs(10) };

/// How long a whole body may take to arrive: the largest, of 4 MiB, over a line of 70 KiB a second.
pub const BODY_READ_MAX: Duration = Duration::from_secs(60);

/// A body that takes no longer is not counted among those that are being read; nearly every one is there with
/// its head.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The bytes of bodies that are being read, each counted as what it announces, or else as the most that its
/// route takes: a sixteenth of a small server's memory, of which a merchant's share is eight of the largest
/// batches, or hundreds of usual commands.
const BODIES: Pool = Pool {
    name: "body_bytes",
    units: "bytes of bodies that are still coming in",
    owner: "merchant",
    total: 128 * 1024 * 1024,
    of_one: 32 * 1024 * 1024,
};

/// One for all services of a process, since what it bounds is the memory of the process.
static BODIES_BEING_READ: LazyLock<Shares<Option<MerchantId>>> =
    LazyLock::new(|| Shares::of(BODIES));

/// Reads the body of a request that was let in, at most `bytes_max` bytes of it; a larger one is refused
/// before it is read if its length is announced, else as soon as it is seen.
///
/// # Errors
/// 413; 408 if it comes slower than [`BODY_PACE`] or takes longer than [`BODY_READ_MAX`]; 429 or 503 if too
/// much is being read already; 401 if the key is revoked meanwhile; 400 if the connection broke off.
pub async fn read_body(parts: &Parts, body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    read_within(&BODIES_BEING_READ, parts, body, bytes_max).await
}

async fn read_within(
    shares: &Shares<Option<MerchantId>>,
    parts: &Parts,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let bytes = announced_bytes(&parts.headers, bytes_max)?;
    let mut reading = Reading::of(body, bytes_max);
    if let Ok(read) = tokio::time::timeout(AT_ONCE, reading.all()).await {
        return read;
    }
    let caller = parts.extensions.get::<Caller>();
    let _place = shares.take_units(caller.map(|caller| caller.merchant_id), bytes)?;
    let revoked = async {
        match (parts.extensions.get::<Revocations>(), caller) {
            (Some(revocations), Some(caller)) => revocations.of_key(caller.key_id).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        read = reading.all_in_time() => read,
        () = revoked => Err(Problem::unauthorized()),
    }
}

/// Reads a body of at most `bytes_max` bytes, for whose memory the caller has made room.
///
/// # Errors
/// 413, 408 and 400, as of [`read_body`].
pub async fn read_body_in_its_place(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    Reading::of(body, bytes_max).all_in_time().await
}

/// How many bytes a body has: as many as it announces, or else at most `bytes_max`.
///
/// # Errors
/// 413: it announces more.
pub fn announced_bytes(headers: &HeaderMap, bytes_max: usize) -> Result<usize, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match announced.and_then(|text| text.parse::<u64>().ok()).map(usize::try_from) {
        Some(Ok(bytes)) if bytes <= bytes_max => Ok(bytes),
        Some(_) => Err(Problem::body_too_large(bytes_max)),
        None => Ok(bytes_max),
    }
}

/// A body and what has come of it.
struct Reading {
    body: Limited<Body>,
    bytes_max: usize,
    /// The first piece, which is nearly always the only one and is not copied.
    first: Bytes,
    /// All pieces, where there are several.
    together: BytesMut,
}

impl Reading {
    fn of(body: Body, bytes_max: usize) -> Self {
        let body = Limited::new(body, bytes_max);
        Self { body, bytes_max, first: Bytes::new(), together: BytesMut::new() }
    }

    /// All of it. What has come stays, if this is given up.
    async fn all(&mut self) -> Result<Bytes, Problem> {
        while self.next().await?.is_some() {}
        Ok(self.take())
    }

    /// All of it, at [`BODY_PACE`] and within [`BODY_READ_MAX`].
    async fn all_in_time(&mut self) -> Result<Bytes, Problem> {
        let mut paced = Paced::by(BODY_PACE);
        let at_a_pace = async {
            let bytes = |piece: &Result<Option<usize>, Problem>| match piece {
                Ok(Some(bytes)) => *bytes,
                Ok(None) | Err(_) => 0,
            };
            loop {
                let piece = paced.wait(self.next(), bytes).await.map_err(too_late)?;
                if piece?.is_none() {
                    return Ok(self.take());
                }
            }
        };
        let read = tokio::time::timeout(BODY_READ_MAX, at_a_pace).await;
        read.unwrap_or_else(|_| Err(too_late(format_args!("over {} s", BODY_READ_MAX.as_secs()))))
    }

    /// The length of the next piece; none after the last.
    async fn next(&mut self) -> Result<Option<usize>, Problem> {
        let Some(frame) = self.body.frame().await else { return Ok(None) };
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => Problem::body_too_large(self.bytes_max),
            false => Problem::malformed("the body broke off"),
        })?;
        // Trailers say nothing that is asked for.
        let Ok(piece) = frame.into_data() else { return Ok(Some(0)) };
        let bytes = piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else {
            if self.together.is_empty() {
                self.together.extend_from_slice(&self.first);
            }
            self.together.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }

    fn take(&mut self) -> Bytes {
        let first = std::mem::take(&mut self.first);
        if self.together.is_empty() { first } else { self.together.split().freeze() }
    }
}

fn too_late(how: impl std::fmt::Display) -> Problem {
    Problem::new(kinds::REQUEST_TIMEOUT, format_args!("the body took too long: {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use futures::StreamExt;
    use tokio::time::Instant;

    const MIB: usize = 1024 * 1024;

    fn parts(announced: Option<usize>) -> Parts {
        let mut request = Request::builder();
        if let Some(bytes) = announced {
            request = request.header("content-length", bytes);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// So many bytes at such intervals, for ever.
    fn drip(bytes: usize, every: Duration) -> Body {
        let pieces =
            futures::stream::repeat(Bytes::from(vec![b'x'; bytes])).then(move |piece| async move {
                tokio::time::sleep(every).await;
                Ok::<_, axum::Error>(piece)
            });
        Body::from_stream(pieces)
    }

    async fn status_of(body: Body) -> (Result<usize, u16>, Duration) {
        let began = Instant::now();
        let read = read_within(&Shares::of(BODIES), &parts(None), body, MIB).await;
        let read = read.map(|bytes| bytes.len()).map_err(|problem| problem.status().as_u16());
        (read, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_given_up_and_what_is_merely_slow_is_not_given_for_ever() {
        let second = Duration::from_secs(1);
        let (dripping, after) = status_of(drip(1, second)).await;
        assert_eq!(dripping, Err(408));
        assert!(after < 2 * BODY_PACE.within, "{after:?}");
        let (slow, after) = status_of(drip(200, second)).await;
        assert_eq!(slow, Err(408));
        assert!(after >= BODY_READ_MAX && after < BODY_READ_MAX + 2 * second, "{after:?}");
        assert_eq!(status_of(drip(MIB / 4, second)).await.0, Err(413));
        let whole = drip(MIB / 8, second).into_data_stream().take(8);
        assert_eq!(status_of(Body::from_stream(whole)).await.0, Ok(MIB));
    }

    #[tokio::test]
    async fn pieces_are_one_body() {
        for pieces in [vec![], vec!["a"], vec!["a", "", "bc", "d"]] {
            let whole = pieces.concat();
            let pieces = pieces.into_iter().map(|piece| Ok::<_, axum::Error>(Bytes::from(piece)));
            let body = Body::from_stream(futures::stream::iter(pieces.collect::<Vec<_>>()));
            assert_eq!(read_body(&parts(None), body, MIB).await.unwrap(), whole);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_merchant_sends_so_much_at_a_time_and_what_is_there_at_once_is_not_counted() {
        let shares = Shares::of(BODIES);
        let announced = 4 * MIB;
        let parts = parts(Some(announced));
        let silent = || Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>());
        let fit = BODIES.of_one / announced;
        let reading = futures::future::join_all(
            (0..fit).map(|_| read_within(&shares, &parts, silent(), announced)),
        );
        tokio::pin!(reading);
        let begun = tokio::time::timeout(2 * AT_ONCE, reading.as_mut()).await;
        assert!(begun.is_err(), "they wait for what does not come");
        let one_more = read_within(&shares, &parts, silent(), announced).await;
        assert_eq!(one_more.unwrap_err().status(), 429);
        let small = read_within(&shares, &parts, Body::from("{}"), announced).await;
        assert_eq!(small.unwrap(), "{}");
        assert!(reading.await.iter().all(|read| read.as_ref().unwrap_err().status() == 408));
        assert_eq!(shares.taken(), 0);
    }

    #[test]
    fn what_announces_too_much_is_not_read() {
        let bytes = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, text.parse().unwrap())]);
            announced_bytes(&headers, 10).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("10"), Ok(10));
        assert_eq!(bytes("11"), Err(413));
        assert_eq!(bytes("18446744073709551615"), Err(413));
        assert_eq!(announced_bytes(&HeaderMap::new(), 10).unwrap(), 10);
    }
}
