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

/// A task may try again for this many seconds, in which a try counts as one second at most. That
/// is long enough to purge everything, but not endless: what was purged may be useless to the
/// task, as when it may only use the memory of another node.
const MOST: Jiffies = 10;

/// These seconds are available again this many seconds after the last try began. Not as soon as a
/// task is refused, because not every refusal kills a process: the kernel kills none for an
/// allocation without `__GFP_FS`.
const GAP: Jiffies = 60;

/// What tasks were told. Those who ask hold the kernel's `oom_lock`, so nobody else asks at the
/// same time.
pub(crate) struct Retries {
    slots: [Slot; TASKS],
    /// The number of pages that had been freed when any task asked last.
    freed: Atomic<usize>,
    /// When that number was first seen.
    changed: Atomic<Jiffies>,
}

struct Slot {
    /// The ID of the task that asked last.
    task: Atomic<i32>,
    /// The number of pages that had been freed then.
    freed: Atomic<usize>,
    /// When the last try began.
    began: Atomic<Jiffies>,
    /// For how many jiffies tasks have tried again.
    tried: Atomic<Jiffies>,
}

impl Retries {
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const {
                Slot {
                    task: Atomic::new(0),
                    freed: Atomic::new(0),
                    began: Atomic::new(0),
                    tried: Atomic::new(0),
                }
            }; TASKS],
            freed: Atomic::new(0),
            changed: Atomic::new(0),
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
        if self.freed.xchg(freed, Relaxed) != freed {
            self.changed.store(now, Relaxed);
        }
        // It is not known what a task that shares the slot saw when it last asked.
        let is_other = slot.task.xchg(task, Relaxed) != task;
        let is_recent = now.wrapping_sub(self.changed.load(Relaxed)) <= MOST * second;
        let has_freed = slot.freed.xchg(freed, Relaxed) != freed || (is_other && is_recent);

        let since = now.wrapping_sub(slot.began.load(Relaxed));
        let mut tried = slot.tried.load(Relaxed);
        if since > GAP * second {
            tried = 0;
        }
        // The task may have done something else meanwhile.
        tried += since.min(second);
        let may_retry = (has_freed || is_purging) && tried <= MOST * second;
        if may_retry {
            slot.began.store(now, Relaxed);
            slot.tried.store(tried, Relaxed);
        }
        may_retry
    }
}

#[kunit_tests(rust_ashmem_retries)]
mod tests {
    use super::*;

    const SECOND: Jiffies = 100;
    /// When the tests begin: long after anything was freed.
    const START: Jiffies = 1000 * SECOND;

    /// Returns what a task is told that asked before, without any purge under way.
    fn ask(retries: &Retries, freed: usize, now: Jiffies) -> bool {
        retries.ask(1, freed, false, now, SECOND)
    }

    fn asked() -> Retries {
        let retries = Retries::new();
        ask(&retries, 0, START);
        retries
    }

    #[test]
    fn nothing_freed_is_no_reason() {
        assert!(!ask(&Retries::new(), 0, START));
    }

    #[test]
    fn pages_that_came_back_are_worth_a_try() {
        let retries = asked();
        assert!(ask(&retries, 5, START));
        assert!(!ask(&retries, 5, START));
        assert!(ask(&retries, 6, START));
        // The count may wrap.
        assert!(ask(&retries, 0, START));
    }

    #[test]
    fn purges_under_way_are_worth_a_try() {
        let retries = asked();
        assert!(retries.ask(1, 0, true, START, SECOND));
        assert!(retries.ask(1, 0, true, START, SECOND));
        assert!(!ask(&retries, 0, START));
    }

    #[test]
    fn each_task_has_its_own_try() {
        let retries = asked();
        assert!(ask(&retries, 5, START));
        assert!(retries.ask(2, 5, false, START, SECOND));
        assert!(!retries.ask(2, 5, false, START, SECOND));
        assert!(!ask(&retries, 5, START));
        assert!(retries.ask(i32::MAX, 5, false, START, SECOND));
    }

    #[test]
    fn tasks_that_share_a_slot_see_recent_purges() {
        let retries = asked();
        let other = 1 + TASKS as i32;
        assert!(ask(&retries, 5, START));
        assert!(retries.ask(other, 5, false, START, SECOND));
        assert!(!retries.ask(other, 5, false, START, SECOND));
        let now = START + MOST * SECOND;
        assert!(ask(&retries, 5, now));
        assert!(!retries.ask(other, 5, false, now + 1, SECOND));
        assert!(!ask(&retries, 5, now + 1));
    }

    #[test]
    fn tries_end() {
        for is_purging in [false, true] {
            let retries = asked();
            let ask = |freed, now| retries.ask(1, freed, is_purging, START + now, SECOND);
            // The first counts as a second.
            let last = (MOST - 1) * SECOND;
            for now in 0..=last {
                assert!(ask(now + 1, now));
            }
            for now in [last + 1, last + SECOND, last + GAP * SECOND] {
                assert!(!ask(0, now));
            }
            assert!(ask(1, last + GAP * SECOND + 1));
        }
    }

    #[test]
    fn long_tries_end() {
        let retries = asked();
        let mut now = START;
        for freed in 1..=10 {
            now += GAP * SECOND;
            assert!(ask(&retries, freed, now));
        }
        now += GAP * SECOND;
        assert!(!ask(&retries, 0, now));
    }

    #[test]
    fn only_tries_use_up_time() {
        let retries = asked();
        for now in 1..100 * SECOND {
            assert!(!ask(&retries, 0, START + now));
        }
        assert!(ask(&retries, 1, START + 100 * SECOND));
    }

    #[test]
    fn only_time_without_tries_restores_time() {
        let retries = asked();
        let mut freed = 0;
        let mut tries = |from| {
            let mut tries = 0;
            for now in (from..from + (GAP - 10) * SECOND).step_by(SECOND) {
                freed += 1;
                tries += usize::from(ask(&retries, freed, now));
                // Refused, because nothing was freed since.
                tries += usize::from(ask(&retries, freed, now));
            }
            tries
        };
        assert_eq!(tries(START), MOST);
        assert_eq!(tries(START + (MOST + GAP) * SECOND), MOST);
    }
}
