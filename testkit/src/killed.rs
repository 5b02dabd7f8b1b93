//! Dying at every step: a life is run again and again, each time a little longer, and dropped where it waits.
//!
//! Between two waits nothing leaves a process, so one that is dropped at each of its waits has died before and
//! after each append, send and receive. What is in flight at that moment goes on without it: the statement may
//! still commit, and the PSP may still charge.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// The most waits of a life, so that one that never gets through is noticed.
const WAITS_MAX: usize = 2_000;
/// How often each step is the last.
const DEATHS_AT_A_STEP: usize = 2;

/// Wakes the thread that a life is led on.
struct Alarm {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs `life` until it has waited `waits` times and drops it there; what it came to, if it got through. Where
/// it only lets others go first nothing is waited for: connecting does so a thousand times.
///
/// # Panics
/// Outside of a runtime of several threads, which the others need while it is led on this one.
pub fn killed_at<L: Future>(waits: usize, life: L) -> Option<L::Output> {
    tokio::task::block_in_place(|| {
        let alarm = Arc::new(Alarm { thread: thread::current(), rung: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&alarm));
        let mut context = Context::from_waker(&waker);
        let mut life = pin!(life);
        let mut left = waits;
        loop {
            if let Poll::Ready(output) = life.as_mut().poll(&mut context) {
                return Some(output);
            }
            // A life that rings its own alarm waits for nothing.
            if !alarm.rung.load(Ordering::Acquire) {
                if left == 0 {
                    return None;
                }
                left -= 1;
            }
            while !alarm.rung.swap(false, Ordering::AcqRel) {
                thread::park();
            }
        }
    })
}

/// Has lives die at their first wait, twice, at their second, twice, and so on until two in a row get through:
/// `live` runs one with [`killed_at`], says whether it got through, and checks what is left of it. Returns at how
/// many waits they died.
pub async fn killed_at_every_wait(mut live: impl AsyncFnMut(usize) -> bool) -> usize {
    for waits in 0..WAITS_MAX {
        let mut survived = 0;
        for _ in 0..DEATHS_AT_A_STEP {
            survived += usize::from(live(waits).await);
        }
        if survived == DEATHS_AT_A_STEP {
            return waits;
        }
    }
    panic!("after {WAITS_MAX} waits it has not got through");
}
