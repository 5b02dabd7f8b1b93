//! A body read line by line, however long it is.

use std::time::Duration;

use api_conventions::{Pace, Paced, Problem, TooSlow, problem_kinds as kinds};
use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;

use crate::limits::ENTRY_BODY_BYTES_MAX;

/// How the body of an import has to come in, so that a caller that only drips holds no place: a few entries
/// now and then do, and it may pause for as long as between two requests.
pub const IMPORT_PACE: Pace = Pace { bytes: 4 * 1024, within: Duration::from_secs(30) };

/// Why there is no next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLine {
    /// It is longer than an entry may be.
    TooLong,
    /// The body broke off, or comes too slowly.
    Unreadable,
}

impl NoLine {
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::TooLong => Problem::body_too_large(ENTRY_BODY_BYTES_MAX),
            Self::Unreadable => {
                let too_slow = TooSlow(IMPORT_PACE);
                let detail = format_args!("the body broke off, or came {too_slow}");
                Problem::new(kinds::REQUEST_TIMEOUT, detail)
            }
        }
    }
}

/// The lines of a body.
#[derive(Debug)]
pub(super) struct Lines {
    body: BodyDataStream,
    paced: Paced,
    ended: bool,
    buffer: BytesMut,
    /// How much of the buffer has no end of a line in it.
    searched: usize,
    number: u64,
}

impl Lines {
    /// Waits for the first bytes: a caller that waits for a sign to go on (`Expect: 100-continue`) is given it
    /// before the answer begins.
    pub(super) async fn begin(body: Body) -> Result<Self, NoLine> {
        let mut lines = Self {
            body: body.into_data_stream(),
            paced: Paced::by(IMPORT_PACE),
            ended: false,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
        };
        lines.read().await?;
        Ok(lines)
    }

    /// The number of the last line that was read, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, NoLine> {
        loop {
            let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            let length = found.map_or(self.buffer.len(), |at| self.searched + at);
            if length > ENTRY_BODY_BYTES_MAX {
                self.number += 1;
                return Err(NoLine::TooLong);
            }
            if found.is_some() {
                let line = self.take(length);
                self.buffer.advance(1);
                return Ok(Some(line));
            }
            if self.ended {
                return Ok((length > 0).then(|| self.take(length)));
            }
            self.searched = length;
            self.read().await?;
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.searched = 0;
        self.number += 1;
        self.buffer.split_to(length).freeze()
    }

    async fn read(&mut self) -> Result<(), NoLine> {
        let bytes = |piece: &Option<Result<Bytes, _>>| match piece {
            Some(Ok(bytes)) => bytes.len(),
            Some(Err(_)) | None => 0,
        };
        match self.paced.wait(self.body.next(), bytes).await {
            Ok(Some(Ok(bytes))) => self.buffer.extend_from_slice(&bytes),
            Ok(None) => self.ended = true,
            Ok(Some(Err(_))) | Err(_) => return Err(NoLine::Unreadable),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Error;

    async fn all(parts: Vec<Result<&'static str, &'static str>>) -> (Vec<String>, Option<NoLine>) {
        let parts = parts.into_iter().map(|part| part.map(Bytes::from).map_err(Error::new));
        let body = Body::from_stream(futures::stream::iter(parts));
        let mut lines = match Lines::begin(body).await {
            Ok(lines) => lines,
            Err(none) => return (Vec::new(), Some(none)),
        };
        let mut read = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => read.push(String::from_utf8(line.to_vec()).unwrap()),
                Ok(None) => return (read, None),
                Err(none) => return (read, Some(none)),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_the_same_however_the_body_comes_in() {
        let expected = ["ab", "", "cd"].map(str::to_owned).to_vec();
        for parts in [
            vec![Ok("ab\n\ncd\n")],
            vec![Ok("ab\n\ncd")],
            vec![Ok("a"), Ok(""), Ok("b\n"), Ok("\ncd"), Ok("\n")],
        ] {
            assert_eq!(all(parts).await, (expected.clone(), None));
        }
        assert_eq!(all(vec![]).await, (vec![], None));
    }

    #[tokio::test]
    async fn a_line_is_bounded_whether_or_not_it_ends() {
        let longest: &'static str = "x".repeat(ENTRY_BODY_BYTES_MAX).leak();
        assert_eq!(all(vec![Ok(longest), Ok("\ny")]).await.0.len(), 2);
        for end in ["x", "x\n"] {
            let (read, none) = all(vec![Ok("a\n"), Ok(longest), Ok(end)]).await;
            assert_eq!((read.len(), none), (1, Some(NoLine::TooLong)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_breaks_off_or_pauses_gives_no_more_lines() {
        let broken = all(vec![Ok("a\nb"), Err("reset")]).await;
        assert_eq!(broken, (vec!["a".to_owned()], Some(NoLine::Unreadable)));
        let every_while = |line: &'static str, seconds| {
            let lines = futures::stream::repeat(Bytes::from(line)).then(move |line| async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok::<_, Error>(line)
            });
            Body::from_stream(lines)
        };
        let ends = async |body| {
            let mut lines = Lines::begin(body).await?;
            while lines.number() < 1_000 {
                lines.next().await?;
            }
            Ok(())
        };
        let (entry, few) = ("x".repeat(1_000) + "\n", 5);
        assert_eq!(ends(every_while(entry.leak(), few)).await, Ok(()), "slow, and honest");
        assert_eq!(ends(every_while("\n", 1)).await, Err(NoLine::Unreadable), "a drip");
        assert_eq!(ends(every_while("\n", 15)).await, Err(NoLine::Unreadable), "as was seen");
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, Error>>());
        assert_eq!(Lines::begin(silent).await.err(), Some(NoLine::Unreadable));
    }
}
