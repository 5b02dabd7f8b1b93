//! What costs something to find out and is asked for by anybody.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Finds something out once, for all who ask at the same time and for a moment after.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    kept_for: Duration,
    last: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Kept<T> {
    pub(crate) fn for_at_most(kept_for: Duration) -> Self {
        Self { kept_for, last: Mutex::new(None) }
    }

    /// What was found last, if that is not too old; else what `find` finds, while others wait for it.
    pub(crate) async fn get<F: Future<Output = T>>(&self, find: impl FnOnce() -> F) -> T {
        let mut last = self.last.lock().await;
        if let Some((found_at, found)) = &*last
            && found_at.elapsed() < self.kept_for
        {
            return found.clone();
        }
        let found = find().await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const KEPT_FOR: Duration = Duration::from_millis(250);

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_look() {
        let (kept, looks) = (Kept::for_at_most(KEPT_FOR), AtomicUsize::new(0));
        let look = async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            looks.fetch_add(1, Ordering::Relaxed)
        };
        let ask = || kept.get(look);
        assert_eq!(tokio::join!(ask(), ask(), ask()), (0, 0, 0));
        tokio::time::sleep(KEPT_FOR).await;
        assert_eq!((ask().await, ask().await), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_while_looking_holds_nobody_up() {
        let kept = Kept::for_at_most(KEPT_FOR);
        let gone = tokio::time::timeout(KEPT_FOR, kept.get(std::future::pending::<u8>));
        assert!(gone.await.is_err());
        assert_eq!(kept.get(async || 7).await, 7);
    }
}
