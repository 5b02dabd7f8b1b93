//! An answer whose lines come as the work that makes them goes on.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

/// Does the work whenever the next line is asked for; nobody else does. So the work waits for who reads, and
/// ends with the connection.
pub(super) struct Driven<W> {
    work: Option<Pin<Box<W>>>,
    lines: mpsc::Receiver<Bytes>,
}

impl<W: Future<Output = ()>> Driven<W> {
    /// `work` makes `lines`, and drops the sender when it ends.
    pub(super) fn by(work: W, lines: mpsc::Receiver<Bytes>) -> Self {
        Self { work: Some(Box::pin(work)), lines }
    }
}

impl<W: Future<Output = ()>> Stream for Driven<W> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(work) = &mut self.work
            && work.as_mut().poll(context).is_ready()
        {
            self.work = None;
        }
        self.lines.poll_recv(context).map(|line| line.map(Ok))
    }
}
