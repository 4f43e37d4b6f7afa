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

/// The number of tasks that are told apart. More tasks share, which gives them fewer retries.
const TASKS: usize = 64;

/// A task may try again this many times in a row. Each reclaim purges half of what is left, so
/// this is enough to purge everything. But it is not endless: what was purged may be useless to
/// the task, as when it may only use the memory of another node.
#[doc(alias = "MAX_RECLAIM_RETRIES")]
const MOST: usize = 16;

/// What tasks were told.
pub(crate) struct Retries {
    tasks: [Task; TASKS],
}

struct Task {
    /// When the task last asked.
    asked: Atomic<Jiffies>,
    /// The number of pages that had been freed when the task last asked.
    freed: Atomic<usize>,
    /// How often in a row it was told to try again.
    told: Atomic<usize>,
}

impl Retries {
    pub(crate) const fn new() -> Self {
        Self {
            tasks: [const {
                Task {
                    asked: Atomic::new(0),
                    freed: Atomic::new(0),
                    told: Atomic::new(0),
                }
            }; TASKS],
        }
    }

    /// Returns whether the task with this ID should try again: pages were freed since it last
    /// asked, or are being freed. `freed` is the number of pages that have been freed so far.
    /// If nobody has asked for `gap`, earlier retries no longer count.
    pub(crate) fn ask(
        &self,
        task: i32,
        freed: usize,
        is_purging: bool,
        now: Jiffies,
        gap: Jiffies,
    ) -> bool {
        // CAST: Not negative.
        let Some(task) = self.tasks.get(task as usize % TASKS) else {
            return false;
        };
        let is_in_a_row = now.wrapping_sub(task.asked.xchg(now, Relaxed)) <= gap;
        let told = if is_in_a_row {
            task.told.load(Relaxed)
        } else {
            0
        };
        let has_freed = task.freed.xchg(freed, Relaxed) != freed;
        let is_worth_it = (has_freed || is_purging) && told < MOST;
        task.told
            .store(if is_worth_it { told + 1 } else { 0 }, Relaxed);
        is_worth_it
    }
}

#[kunit_tests(rust_ashmem_retries)]
mod tests {
    use super::*;

    const GAP: Jiffies = 10;

    fn ask(retries: &Retries, task: i32, freed: usize) -> bool {
        retries.ask(task, freed, false, 0, GAP)
    }

    #[test]
    fn pages_that_came_back_are_worth_a_try() {
        let retries = Retries::new();
        assert!(!ask(&retries, 1, 0));
        assert!(ask(&retries, 1, 5));
        assert!(!ask(&retries, 1, 5));
        assert!(ask(&retries, 1, 6));
        // The count may wrap.
        assert!(ask(&retries, 1, 0));
    }

    #[test]
    fn purges_are_awaited_for_a_while() {
        let retries = Retries::new();
        for _ in 0..MOST {
            assert!(retries.ask(1, 0, true, 0, GAP));
        }
        assert!(!retries.ask(1, 0, true, 0, GAP));
        assert!(retries.ask(1, 0, true, 0, GAP));
        assert!(!retries.ask(1, 0, false, 0, GAP));
    }

    #[test]
    fn each_task_has_its_own_try() {
        let retries = Retries::new();
        assert!(ask(&retries, 1, 5));
        assert!(ask(&retries, 2, 5));
        assert!(!ask(&retries, 1, 5));
        assert!(ask(&retries, i32::MAX, 5));
    }

    #[test]
    fn tries_end() {
        let retries = Retries::new();
        for freed in 1..=MOST {
            assert!(ask(&retries, 1, freed));
        }
        assert!(!ask(&retries, 1, MOST + 1));
        assert!(ask(&retries, 1, MOST + 2));
    }

    #[test]
    fn tries_of_long_ago_do_not_count() {
        let retries = Retries::new();
        for freed in 1..=MOST {
            assert!(ask(&retries, 1, freed));
        }
        assert!(retries.ask(1, 0, false, GAP + 1, GAP));
        for freed in 2..=MOST {
            assert!(retries.ask(1, freed, false, 2 * GAP + 1, GAP));
        }
        assert!(!retries.ask(1, 0, false, 2 * GAP + 1, GAP));
    }
}
