// SPDX-License-Identifier: GPL-2.0

//! Decides whether reclaim that failed is tried again before the kernel kills a process.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::Jiffies, //
};

/// The number of slots. Tasks whose IDs belong to the same slot share its time.
const TASKS: usize = 64;

/// A task may try again for this many seconds in a row, in which a try counts as one second at
/// most. That is long enough to purge everything, but not endless: what was purged may be
/// useless to the task, as when it may only use the memory of another node.
const MOST: Jiffies = 10;

/// After this many seconds without a question, earlier tries do not count.
const GAP: Jiffies = 60;

/// What tasks were told. Those who ask hold the kernel's `oom_lock`, so nobody else asks at the
/// same time.
pub(crate) struct Retries {
    slots: [Slot; TASKS],
}

struct Slot {
    /// The ID of the task that asked last.
    task: Atomic<i32>,
    /// When that was.
    asked: Atomic<Jiffies>,
    /// The number of pages that had been freed then.
    freed: Atomic<usize>,
    /// For how many jiffies in a row tasks have tried again.
    tried: Atomic<Jiffies>,
}

impl Retries {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const {
                Slot {
                    task: Atomic::new(0),
                    asked: Atomic::new(0),
                    freed: Atomic::new(0),
                    tried: Atomic::new(0),
                }
            }; TASKS],
        }
    }

    /// Returns whether the task with this ID should try again: pages were freed since it last
    /// asked, or are being freed. `freed` is the number of pages that have been freed so far.
    /// `second` is the number of jiffies in a second.
    pub(crate) fn ask(
        &self,
        task: i32,
        freed: usize,
        is_purging: bool,
        now: Jiffies,
        second: Jiffies,
    ) -> bool {
        // CAST: Not negative.
        let Some(slot) = self.slots.get(task as usize % TASKS) else {
            return false;
        };
        let since = now.wrapping_sub(slot.asked.xchg(now, Relaxed));
        let tried = if since <= GAP * second {
            // The task may have done something else meanwhile.
            slot.tried.load(Relaxed) + since.min(second)
        } else {
            0
        };
        let is_other = slot.task.xchg(task, Relaxed) != task;
        let has_freed = slot.freed.xchg(freed, Relaxed) != freed || (is_other && freed != 0);
        let may_retry = (has_freed || is_purging) && tried <= MOST * second;
        slot.tried.store(if may_retry { tried } else { 0 }, Relaxed);
        may_retry
    }
}

#[kunit_tests(rust_ashmem_retries)]
mod tests {
    use super::*;

    const SECOND: Jiffies = 100;

    /// Returns what a task is told that asked before, without any purge under way.
    fn ask(retries: &Retries, freed: usize, now: Jiffies) -> bool {
        retries.ask(1, freed, false, now, SECOND)
    }

    fn asked() -> Retries {
        let retries = Retries::new();
        assert!(!ask(&retries, 0, 0));
        retries
    }

    #[test]
    fn pages_that_came_back_are_worth_a_try() {
        let retries = asked();
        assert!(ask(&retries, 5, 0));
        assert!(!ask(&retries, 5, 0));
        assert!(ask(&retries, 6, 0));
        // The count may wrap.
        assert!(ask(&retries, 0, 0));
    }

    #[test]
    fn purges_under_way_are_worth_a_try() {
        let retries = asked();
        assert!(retries.ask(1, 0, true, 0, SECOND));
        assert!(retries.ask(1, 0, true, 0, SECOND));
        assert!(!ask(&retries, 0, 0));
    }

    #[test]
    fn each_task_has_its_own_try() {
        let retries = asked();
        assert!(ask(&retries, 5, 0));
        assert!(retries.ask(2, 5, false, 0, SECOND));
        assert!(!retries.ask(2, 5, false, 0, SECOND));
        assert!(!ask(&retries, 5, 0));
        // Also tasks that share a slot.
        let other = 1 + TASKS as i32;
        assert!(retries.ask(other, 5, false, 0, SECOND));
        assert!(!retries.ask(other, 5, false, 0, SECOND));
        assert!(retries.ask(i32::MAX, 5, false, 0, SECOND));
    }

    #[test]
    fn tries_end() {
        for is_purging in [false, true] {
            let retries = asked();
            for now in 0..=MOST * SECOND {
                assert!(retries.ask(1, now + 1, is_purging, now, SECOND));
            }
            let now = MOST * SECOND + 1;
            assert!(!retries.ask(1, 0, is_purging, now, SECOND));
            assert!(retries.ask(1, 1, is_purging, now, SECOND));
        }
    }

    #[test]
    fn long_tries_end() {
        let retries = asked();
        let mut now = 0;
        for freed in 1..=10 {
            now += GAP * SECOND;
            assert!(ask(&retries, freed, now));
        }
        now += GAP * SECOND;
        assert!(!ask(&retries, 0, now));
    }

    #[test]
    fn tries_of_long_ago_do_not_count() {
        let retries = asked();
        for now in 0..=MOST * SECOND {
            assert!(ask(&retries, now + 1, now));
        }
        let now = (MOST + GAP) * SECOND + 1;
        assert!(ask(&retries, 0, now));
    }
}
