//! Things done together: whoever's turn it is does what everybody wants who waits, in one statement. Nothing is
//! waited for that need not be; under load statements and flushes are shared. Where more wait than go with one
//! statement, their owners take turns: one who wants much makes nobody else wait for all of it.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// What somebody waits for.
struct Wish<K, I, O> {
    owner: K,
    item: I,
    sender: oneshot::Sender<O>,
}

/// What is wanted, and the turns.
pub(crate) struct Together<K, I, O> {
    waiting: Mutex<Vec<Wish<K, I, O>>>,
    turns: Semaphore,
    many_max: usize,
}

impl<K, I, O> fmt::Debug for Together<K, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, I: Clone, O> Together<K, I, O> {
    /// `turns` at the same time, each for at most `many_max`.
    pub(crate) fn new(turns: usize, many_max: usize) -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(turns), many_max }
    }

    /// Waits for the answer to `item`, which `owner` wants. `all` answers several items at once, in their order. Where
    /// the caller whose turn it was goes away before `all` has answered, it is done again.
    pub(crate) async fn one<A>(&self, owner: K, item: I, all: impl Fn(Vec<I>) -> A) -> O
    where
        A: Future<Output = Vec<O>>,
    {
        loop {
            let (sender, mut answer) = oneshot::channel();
            self.waiting().push(Wish { owner: owner.clone(), item: item.clone(), sender });
            loop {
                let turn = tokio::select! {
                    biased;
                    answered = &mut answer => match answered {
                        Ok(answered) => return answered,
                        Err(_) => break,
                    },
                    turn = self.turns.acquire() => turn,
                };
                let wishes = self.take().into_iter().map(|wish| (wish.item, wish.sender));
                let (items, senders): (Vec<I>, Vec<_>) = wishes.unzip();
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

    fn waiting(&self) -> MutexGuard<'_, Vec<Wish<K, I, O>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who still wait, the longest first; where these are too many, as many of each owner as there is room for.
    fn take(&self) -> Vec<Wish<K, I, O>> {
        let mut waiting = self.waiting();
        waiting.retain(|wish| !wish.sender.is_closed());
        if waiting.len() > self.many_max {
            // The first of every owner, then the second of every owner, and so on.
            let mut before = HashMap::new();
            let turn = |wish: &Wish<K, I, O>| {
                let count: &mut usize = before.entry(wish.owner.clone()).or_default();
                *count += 1;
                *count
            };
            let turns: Vec<usize> = waiting.iter().map(turn).collect();
            let last = turn_of_last(&turns, self.many_max);
            let mut of_last = self.many_max - turns.iter().filter(|turn| **turn < last).count();
            let mut turns = turns.into_iter();
            let taken = |_: &mut Wish<K, I, O>| {
                let turn = turns.next().unwrap_or(usize::MAX);
                let taken = turn < last || (turn == last && of_last > 0);
                of_last -= usize::from(taken && turn == last);
                taken
            };
            return waiting.extract_if(.., taken).collect();
        }
        std::mem::take(&mut *waiting)
    }
}

/// The greatest turn among the `many` that come first.
fn turn_of_last(turns: &[usize], many: usize) -> usize {
    let mut sorted = turns.to_vec();
    let (_, last, _) = sorted.select_nth_unstable(many - 1);
    *last
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
        let all = (0..100).map(|item| together.one((), item, &double));
        let doubled = futures::future::join_all(all).await;
        assert_eq!(doubled, (0..100).map(|item| item * 2).collect::<Vec<u32>>());
        // The first goes alone, or with those who were there already.
        let statements = statements.load(Ordering::Relaxed);
        assert!((10..=11).contains(&statements), "{statements}");
    }

    #[tokio::test]
    async fn one_who_wants_much_makes_nobody_wait_for_all_of_it() {
        let together = Together::new(1, 10);
        let statements = Mutex::new(Vec::new());
        let note = |items: Vec<(char, u32)>| {
            statements.lock().unwrap().push(items.clone());
            async move {
                tokio::task::yield_now().await;
                items
            }
        };
        let much = (0..1_000).map(|item| ('a', item));
        let little = (0..3).map(|item| ('b', item)).chain([('c', 0)]);
        let all = much.chain(little).map(|item| together.one(item.0, item, &note));
        futures::future::join_all(all).await;
        let statements = statements.into_inner().unwrap();
        assert!(statements.iter().all(|statement| statement.len() <= 10));
        // The first goes before the others are there.
        let next: Vec<_> = statements[..3].concat();
        let of = |owner| next.iter().filter(move |item| item.0 == owner).map(|item| item.1);
        assert_eq!(of('b').collect::<Vec<_>>(), [0, 1, 2], "{next:?}");
        assert_eq!(of('c').collect::<Vec<_>>(), [0], "{next:?}");
        let in_order: Vec<u32> =
            statements.concat().iter().filter(|item| item.0 == 'a').map(|item| item.1).collect();
        assert_eq!(in_order, (0..1_000).collect::<Vec<_>>(), "each owner's own in order");
    }

    #[tokio::test]
    async fn where_one_goes_away_in_their_turn_the_others_are_served_all_the_same() {
        let together = Arc::new(Together::<(), u32, u32>::new(1, 10));
        let never = together.one((), 0, |_| std::future::pending());
        let mut never = Box::pin(never);
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(never.as_mut().poll(context).is_pending())
        });
        assert!(first.await);
        let others: Vec<_> = (1..4)
            .map(|item| {
                let together = Arc::clone(&together);
                tokio::spawn(async move { together.one((), item, std::future::ready).await })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(never);
        for (other, item) in others.into_iter().zip(1..) {
            assert_eq!(other.await.expect("it is served"), item);
        }
    }
}
