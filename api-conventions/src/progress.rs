//! A connection whose other end has to take what is written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::pace::{Pace, Paced};

/// Passes bytes on, and fails with [`io::ErrorKind::TimedOut`] when what is written is not taken at a [`Pace`].
///
/// Reading is not timed here: whether the other end owes anything is known only to who reads. Heads have a
/// time of their own, bodies a pace ([`crate::read_body`]); a connection that only waits for events owes nothing.
#[derive(Debug)]
pub(crate) struct Progress<S> {
    inner: S,
    paced: Paced,
    /// Since when nothing can be written.
    blocked: Option<Blocked>,
}

#[derive(Debug)]
struct Blocked {
    since: Instant,
    too_long: Pin<Box<Sleep>>,
}

impl<S> Progress<S> {
    pub(crate) fn of(inner: S, pace: Pace) -> Self {
        Self { inner, paced: Paced::by(pace), blocked: None }
    }

    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            if let Some(Blocked { since, .. }) = self.blocked.take() {
                self.paced.waited(since);
            }
            if let Ok(bytes) = &result {
                self.paced.moved(*bytes);
            }
            return Poll::Ready(result);
        }
        let blocked = self.blocked.get_or_insert_with(|| {
            let since = Instant::now();
            let too_long = Box::pin(tokio::time::sleep_until(self.paced.deadline(since)));
            Blocked { since, too_long }
        });
        ready!(blocked.too_long.as_mut().poll(context));
        metrics::counter!("runut_connections_too_slow_total").increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, self.paced.too_slow())))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    /// With it a body is written from where it is, not copied first.
    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const PACE: Pace = Pace { bytes: 100, within: Duration::from_secs(10) };
    /// So much is taken without being read.
    const BUFFERED_BYTES: usize = 16;

    fn connection() -> (Progress<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(BUFFERED_BYTES);
        (Progress::of(ours, PACE), theirs)
    }

    /// Reads so many bytes at such intervals, for ever.
    async fn reads(mut theirs: DuplexStream, bytes: usize, every: Duration) {
        let mut buffer = vec![0; bytes];
        loop {
            tokio::time::sleep(every).await;
            theirs.read_exact(&mut buffer).await.unwrap();
        }
    }

    /// What becomes of writing 2,000 bytes to such a reader, and when.
    async fn written(bytes: usize, every: Duration) -> (io::Result<()>, Duration) {
        let (mut ours, theirs) = connection();
        let began = Instant::now();
        let written = tokio::select! {
            written = ours.write_all(&[0; 2_000]) => written,
            () = reads(theirs, bytes, every) => unreachable!("it reads for ever"),
        };
        (written, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_or_only_drips_is_cut() {
        let second = Duration::from_secs(1);
        for (bytes, every) in [(1, 1_000 * second), (1, second), (8, second)] {
            let (written, after) = written(bytes, every).await;
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut, "{bytes} bytes");
            assert!(after <= 12 * second, "{bytes} bytes: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_but_steadily_gets_everything() {
        let (written, after) = written(16, Duration::from_secs(1)).await;
        written.unwrap();
        assert!(after > Duration::from_secs(60), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_to_be_written_lives() {
        let (mut ours, mut theirs) = connection();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            ours.write_all(b": heartbeat").await.unwrap();
            theirs.read_exact(&mut [0; 11]).await.unwrap();
        }
    }
}
