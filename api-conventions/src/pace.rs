//! How slow the other end of a connection may be.

use std::time::Duration;

use tokio::time::Instant;

/// So many bytes have to move within so much waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The bytes.
    pub bytes: usize,
    /// How long may be waited for them, in all. Time in which nobody waits does not count.
    pub within: Duration,
}

/// The other end is slower than its [`Pace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slower than {} bytes in {} s", .0.bytes, .0.within.as_secs())]
pub struct TooSlow(pub Pace);

/// Waits for what comes in, as long as it comes at a pace.
#[derive(Debug)]
pub struct Paced {
    pace: Pace,
    /// How much waiting is left for the bytes that are due.
    left: Duration,
    /// How many of them have moved.
    moved: usize,
}

impl Paced {
    /// Nothing has moved yet.
    pub fn by(pace: Pace) -> Self {
        Self { pace, left: pace.within, moved: 0 }
    }

    /// Waits for `coming`, of which `bytes` says how large it is.
    ///
    /// # Errors
    /// [`TooSlow`].
    pub async fn wait<T>(
        &mut self,
        coming: impl Future<Output = T>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Result<T, TooSlow> {
        let since = Instant::now();
        let came = tokio::time::timeout(self.left, coming).await.map_err(|_| TooSlow(self.pace))?;
        self.waited(since);
        self.moved(bytes(&came));
        Ok(came)
    }

    /// When it is too slow if nothing moves after `since`, from when on it is waited for.
    pub(crate) fn deadline(&self, since: Instant) -> Instant {
        since + self.left
    }

    pub(crate) fn too_slow(&self) -> TooSlow {
        TooSlow(self.pace)
    }

    pub(crate) fn waited(&mut self, since: Instant) {
        self.left = self.left.saturating_sub(since.elapsed());
    }

    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= self.pace.bytes {
            *self = Self::by(self.pace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { bytes: 100, within: Duration::from_secs(10) };

    /// How long somebody lives who sends so many bytes at such intervals, for an hour at the most.
    async fn lives(bytes: usize, every: Duration) -> Option<Duration> {
        let (began, mut paced) = (Instant::now(), Paced::by(PACE));
        while began.elapsed() < Duration::from_secs(3_600) {
            let coming = tokio::time::sleep(every);
            if paced.wait(coming, |()| bytes).await.is_err() {
                return Some(began.elapsed());
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_ends_and_a_slow_line_lives() {
        let second = Duration::from_secs(1);
        assert_eq!(lives(1, second).await, Some(10 * second), "one byte a second");
        assert_eq!(lives(9, second).await, Some(10 * second), "a tenth too slow");
        assert_eq!(lives(11, second).await, None, "just fast enough");
        assert_eq!(lives(100, 9 * second).await, None, "much at a time");
        assert_eq!(lives(0, 60 * second).await, Some(10 * second), "nothing at all");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_does_not_count() {
        let mut paced = Paced::by(PACE);
        for _ in 0..5 {
            paced.wait(tokio::time::sleep(Duration::from_secs(1)), |()| 1).await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}
