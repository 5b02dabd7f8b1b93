//! Things done together: whoever's turn it is does what everybody wants who waits, in one statement. Nothing is
//! waited for that need not be; under load statements and flushes are shared.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

type Waiting<I, O> = Vec<(I, oneshot::Sender<O>)>;

/// What is wanted, and the turns.
pub(crate) struct Together<I, O> {
    waiting: Mutex<Waiting<I, O>>,
    turns: Semaphore,
    many_max: usize,
}

impl<I, O> fmt::Debug for Together<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl<I: Clone, O> Together<I, O> {
    /// `turns` at the same time, each for at most `many_max`.
    pub(crate) fn new(turns: usize, many_max: usize) -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(turns), many_max }
    }

    /// What `all` makes of `item`, in the place of which it answers. Where whoever's turn it was went away in
    /// the middle of it, it is done again.
    pub(crate) async fn one<A>(&self, item: I, all: impl Fn(Vec<I>) -> A) -> O
    where
        A: Future<Output = Vec<O>>,
    {
        loop {
            let (sender, mut answer) = oneshot::channel();
            self.waiting().push((item.clone(), sender));
            loop {
                let turn = tokio::select! {
                    biased;
                    answered = &mut answer => match answered {
                        Ok(answered) => return answered,
                        Err(_) => break,
                    },
                    turn = self.turns.acquire() => turn,
                };
                let (items, senders): (Vec<I>, Vec<_>) = self.take().into_iter().unzip();
                if items.is_empty() {
                    // Somebody else is at it.
                    drop(turn);
                    match (&mut answer).await {
                        Ok(answered) => return answered,
                        Err(_) => break,
                    }
                }
                let answers = all(items).await;
                drop(turn);
                for (sender, answer) in senders.into_iter().zip(answers) {
                    // Whoever does not wait any more does not want it.
                    drop(sender.send(answer));
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<I, O>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who still wait, the longest first.
    fn take(&self) -> Waiting<I, O> {
        let mut waiting = self.waiting();
        waiting.retain(|(_, sender)| !sender.is_closed());
        let many = waiting.len().min(self.many_max);
        waiting.drain(..many).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_waits_is_served_by_whoevers_turn_it_is_and_gets_their_own() {
        let together = Together::new(1, 10);
        let statements = AtomicUsize::new(0);
        let double = |items: Vec<u32>| {
            statements.fetch_add(1, Ordering::Relaxed);
            assert!(items.len() <= 10);
            async move {
                tokio::task::yield_now().await;
                items.into_iter().map(|item| item * 2).collect()
            }
        };
        let all = (0..100).map(|item| together.one(item, &double));
        let doubled = futures::future::join_all(all).await;
        assert_eq!(doubled, (0..100).map(|item| item * 2).collect::<Vec<u32>>());
        // The first goes alone, or with those who were there already.
        let statements = statements.load(Ordering::Relaxed);
        assert!((10..=11).contains(&statements), "{statements}");
    }

    #[tokio::test]
    async fn where_one_goes_away_in_their_turn_the_others_are_served_all_the_same() {
        let together = Arc::new(Together::<u32, u32>::new(1, 10));
        let never = together.one(0, |_| std::future::pending());
        let mut never = Box::pin(never);
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(never.as_mut().poll(context).is_pending())
        });
        assert!(first.await);
        let others: Vec<_> = (1..4)
            .map(|item| {
                let together = Arc::clone(&together);
                tokio::spawn(async move { together.one(item, std::future::ready).await })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(never);
        for (other, item) in others.into_iter().zip(1..) {
            assert_eq!(other.await.expect("it is served"), item);
        }
    }
}
