//! Taking work in: states into the cache, commands into the next batch, which is decided as it comes
//! together. That goes on while the batch before it is being written.

use super::cache::StateCache;
use super::known_answers::KnownAnswers;
use super::load::Loaded;
use super::pending::Pending;
use super::plan::{Plan, Planner, missing};
use super::{Batch, Work};
use crate::clock::Clock;
use crate::log::{Head, Position};
use crate::recent::Tail;

/// After this many failed admissions the sequencer loads the states itself.
const FAILED_ADMISSIONS_MAX: u32 = 3;
/// The most commands that are set aside while a batch comes together. They are decided with it, so that it
/// may have that many more.
const SET_ASIDE_COMMANDS_MAX: usize = 64;

/// The next batch as it comes together.
pub(super) struct Intake<'a> {
    pub(super) cache: &'a StateCache,
    pub(super) tail: &'a Tail,
    pub(super) known: &'a KnownAnswers,
    pub(super) clock: &'a dyn Clock,
    /// As far as `cache` and `tail` are.
    pub(super) head: Head,
    /// The batch that is being written, if one is.
    pub(super) before: Option<&'a Plan>,
    pub(super) next: NextBatch<'a>,
}

/// What was taken in so far.
#[derive(Default)]
pub(super) struct NextBatch<'a> {
    planner: Option<Planner<'a>>,
    group: Vec<Pending>,
    set_aside: Vec<Pending>,
}

impl Intake<'_> {
    /// Whether the rest has to wait for the batch after this one.
    pub(super) fn full(&self) -> bool {
        self.next.planner.as_ref().is_some_and(Planner::full)
            || self.next.set_aside.len() >= SET_ASIDE_COMMANDS_MAX
    }

    pub(super) fn take(&mut self, work: Work) {
        match work {
            Work::Command(pending) => self.command(*pending),
            Work::Keep(states, done) => {
                for loaded in states {
                    admit(self.cache, self.tail, self.head.position, loaded);
                }
                // The reader may have gone; the states are kept all the same.
                let _ = done.send(());
            }
        }
    }

    fn command(&mut self, mut pending: Pending) {
        if pending.abandoned() {
            return;
        }
        for loaded in std::mem::take(&mut pending.loaded) {
            admit(self.cache, self.tail, self.head.position, loaded);
        }
        if missing(&pending, self.cache).is_empty() {
            let planner = self.next.planner.get_or_insert_with(|| {
                let now = self.clock.now();
                match self.before {
                    Some(before) => Planner::after(before, self.cache, self.known, now),
                    None => Planner::over(self.cache, self.known, self.head, now),
                }
            });
            planner.add(&pending);
            self.next.group.push(pending);
        } else if pending.failed_admissions < FAILED_ADMISSIONS_MAX {
            pending.send_back();
        } else {
            self.next.set_aside.push(pending);
        }
    }

    /// The batch, if anything is in it, and the commands whose states the sequencer must load itself.
    pub(super) fn finish(self) -> (Option<Batch>, Vec<Pending>) {
        let NextBatch { planner, group, set_aside } = self.next;
        (planner.map(|planner| Batch { group, plan: planner.finish() }), set_aside)
    }
}

/// Takes a loaded state into the cache, if it is not there and can be brought up to the head.
fn admit(cache: &StateCache, tail: &Tail, head: Position, loaded: Loaded) {
    if cache.contains(&loaded.key) || loaded.generation != cache.generation() {
        return;
    }
    let Loaded { key, versioned, .. } = loaded;
    if let Some(current) = tail.bring_up(&key, versioned, head) {
        cache.insert(key, current);
    }
}
