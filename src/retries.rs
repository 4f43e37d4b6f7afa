// SPDX-License-Identifier: GPL-2.0

//! Decides whether reclaim that failed is tried again before the kernel kills a process.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
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
                    freed: Atomic::new(0),
                    told: Atomic::new(0),
                }
            }; TASKS],
        }
    }

    /// Returns whether the task with this ID should try again, as pages were freed since it
    /// last asked. `freed` is the number of pages that have been freed so far.
    pub(crate) fn ask(&self, task: i32, freed: usize) -> bool {
        // CAST: Not negative.
        let Some(task) = self.tasks.get(task as usize % TASKS) else {
            return false;
        };
        let told = task.told.load(Relaxed);
        let is_worth_it = task.freed.xchg(freed, Relaxed) != freed && told < MOST;
        task.told
            .store(if is_worth_it { told + 1 } else { 0 }, Relaxed);
        is_worth_it
    }
}

#[kunit_tests(rust_ashmem_retries)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_came_back_are_worth_a_try() {
        let retries = Retries::new();
        assert!(!retries.ask(1, 0));
        assert!(retries.ask(1, 5));
        assert!(!retries.ask(1, 5));
        assert!(retries.ask(1, 6));
        // The count may wrap.
        assert!(retries.ask(1, 0));
    }

    #[test]
    fn each_task_has_its_own_try() {
        let retries = Retries::new();
        assert!(retries.ask(1, 5));
        assert!(retries.ask(2, 5));
        assert!(!retries.ask(1, 5));
        assert!(retries.ask(i32::MAX, 5));
    }

    #[test]
    fn tries_end() {
        let retries = Retries::new();
        for freed in 1..=MOST {
            assert!(retries.ask(1, freed));
        }
        assert!(!retries.ask(1, MOST + 1));
        assert!(retries.ask(1, MOST + 2));
    }
}
