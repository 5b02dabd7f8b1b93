//! Answers that are made and not yet read: how much memory they may take.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Frame, SizeHint};

use crate::peer::PeerNetwork;
use crate::problem::Problem;
use crate::shares::{Place, Pool, Shares};

/// What answers may take that are not read yet: an eighth of a small server's memory, and a quarter of it for
/// one peer, which is a dozen of the largest pages or thousands of usual ones.
const UNREAD_ANSWERS: Pool = Pool {
    name: "unread_answer_bytes",
    units: "bytes of answers that are not read yet",
    owner: "address",
    total: 256 * 1024 * 1024,
    of_one: 64 * 1024 * 1024,
};

/// Smaller answers are not counted: with every connection that a peer may have they are less than its share,
/// and most answers are.
const COUNTED_BYTES_MIN: u64 = 16 * 1024;

/// Counts answers from when they are made until the last byte is handed to the connection's socket. Answers
/// that are sent while they are made are of no known size: exports, imports and events have pools of their own.
#[derive(Debug, Clone)]
pub(crate) struct UnreadAnswers(Shares<PeerNetwork>);

impl UnreadAnswers {
    pub(crate) fn new() -> Self {
        Self(Shares::of(UNREAD_ANSWERS))
    }

    /// The answer, counted; or that there is no room for it.
    pub(crate) fn count(&self, peer: PeerNetwork, response: Response) -> Response {
        let Some(bytes) = response.body().size_hint().exact() else { return response };
        if bytes < COUNTED_BYTES_MIN {
            return response;
        }
        let units = usize::try_from(bytes).unwrap_or(usize::MAX);
        match self.0.take_units(peer, units) {
            Ok(place) => response.map(|body| Body::new(Counted { body, place: Arc::new(place) })),
            Err(no_place) => Problem::from(no_place).into_response(),
        }
    }
}

struct Counted {
    body: Body,
    place: Arc<Place<PeerNetwork>>,
}

/// Bytes that have a place as long as anybody has them, be it the buffer of the connection.
struct CountedBytes {
    bytes: Bytes,
    _place: Arc<Place<PeerNetwork>>,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let place = &self.place.clone();
        let count = |bytes| Bytes::from_owner(CountedBytes { bytes, _place: Arc::clone(place) });
        let mut body = Pin::new(&mut self.body);
        let frame = std::task::ready!(body.as_mut().poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(count))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerAddress;
    use http_body_util::BodyExt;

    fn peer(last: u8) -> PeerNetwork {
        PeerAddress([203, 0, 113, last].into()).network()
    }

    fn answer(bytes: usize) -> Response {
        Response::new(Body::from(vec![b'x'; bytes]))
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_told_so_and_another_is_answered() {
        let unread = UnreadAnswers::new();
        let large = 4 * 1024 * 1024;
        let fit = UNREAD_ANSWERS.of_one / large;
        let mut held: Vec<Response> =
            (0..fit).map(|_| unread.count(peer(1), answer(large))).collect();
        assert!(held.iter().all(|held| held.status() == 200));
        assert_eq!(unread.count(peer(1), answer(large)).status(), 429);
        assert_eq!(unread.count(peer(1), answer(100)).status(), 200, "small ones go through");
        assert_eq!(unread.count(peer(2), answer(large)).status(), 200);
        held.pop();
        assert_eq!(unread.count(peer(1), answer(large)).status(), 200);
    }

    #[tokio::test]
    async fn it_is_counted_until_its_last_byte_is_gone_not_until_its_body_is() {
        let unread = UnreadAnswers::new();
        let large = 1024 * 1024;
        let body = unread.count(peer(1), answer(large)).into_body();
        assert_eq!(body.size_hint().exact(), Some(large as u64));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!((unread.0.taken(), bytes.len()), (large, large));
        drop(bytes);
        assert_eq!(unread.0.taken(), 0);
    }
}
