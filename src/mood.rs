// SPDX-License-Identifier: GPL-2.0

//! Decides when unpinned pages should be purged: whether memory is short, or reclaim only trims
//! the page cache.
//!
//! On every machine, files that are read once fill the memory after a while. Making an unpinned
//! page again costs more than reading such a file page again. So unpinned pages are kept while
//! reclaim finds enough file pages that nobody needs. They are purged once reclaim scans
//! anonymous pages to swap them out, or evicts file pages that are then read again.

use kernel::{
    prelude::*,
    time::Jiffies, //
};

/// Statistics of a node of memory, in pages. The counts of scanned and refaulted pages start at
/// boot, and wrap.
#[derive(Clone, Copy, Default)]
pub(crate) struct Readings {
    /// Anonymous pages that reclaim has scanned. Without swap it scans none.
    pub(crate) anon_scanned: usize,
    /// File pages that reclaim has scanned.
    pub(crate) file_scanned: usize,
    /// How many of the pages above were scanned by `kswapd`. The rest was scanned by direct
    /// reclaim, or for the limit of a memory cgroup.
    pub(crate) kswapd_scanned: usize,
    /// File pages that were read again after reclaim had evicted them.
    pub(crate) file_refaulted: usize,
    /// File pages that reclaim could evict.
    pub(crate) cached: usize,
    /// Free pages.
    pub(crate) free: usize,
    /// The sum of the high watermarks of all zones: with that many free pages, `kswapd` sleeps.
    pub(crate) high: usize,
    /// The number of pages by which zones are below their high watermarks, summed over those that
    /// are. It can be above 0 although `free` is above `high`.
    pub(crate) lacking: usize,
}

/// The reclaim that asks.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    /// Whether the allocation needs the pages. False for `kswapd`, which reclaims before pages
    /// are needed, and for `__GFP_NORETRY`, as with high-order allocations that can fall back
    /// to single pages.
    pub(crate) needs_pages: bool,
}

/// How short of memory a node is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Plenty of pages are free, though maybe not contiguous, and the caller does not need the
    /// pages.
    Plenty,
    /// Reclaim finds enough file pages that nobody needs.
    Calm,
    /// Reclaim takes pages that are needed.
    Short,
}

/// The number of scanned pages that is enough to see whether reclaim swaps. Reclaim scans in
/// batches of this size.
#[doc(alias = "SWAP_CLUSTER_MAX")]
const SCANNED: usize = 32;
/// The same, if reclaim of that kind did not ask for a while in between. It is more than two CPUs
/// can have counted together without having added it to the statistics of the node.
const SCANNED_AND_PAUSED: usize = 8 * SCANNED;
/// Up to one in this many scanned pages may be anonymous although memory is not short: reclaim
/// scans some even where there are plenty of file pages.
const FEW_ANON: usize = 4;

/// The number of scanned file pages that is enough to see whether they are needed.
const FILE_SCANNED: usize = 512;
/// Up to one in this many of them may be read again although memory is not short: some always
/// are.
const FEW_NEEDED: usize = 8;
/// The same, if reclaim of that kind did not ask for a while in between. Pages evicted before are
/// read again in such a pause, too.
const FILE_SCANNED_AND_PAUSED: usize = 4 * FILE_SCANNED;
const FEW_NEEDED_AND_PAUSED: usize = 2;

/// Even if memory is short, this many times the high watermarks are plenty of free pages.
const PLENTY: usize = 4;

/// How long signs of a shortage are valid, in jiffies since reclaim of the same kind, for the node
/// or for limits, last asked.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// After this time, memory no longer counts as short because of earlier signs.
    pub(crate) pause: Jiffies,
    /// After this time, pages scanned earlier no longer count, nor do those scanned meanwhile.
    pub(crate) gap: Jiffies,
}

/// The history of a node of memory.
///
/// Reclaim asks right after it has scanned pages. So pages that were scanned since anybody last
/// asked are attributed to the current caller. It is either reclaim for the node, or for the
/// limit of a memory cgroup. Each has a history of its own, because one may trim the page cache
/// while the other swaps.
#[derive(Clone, Default)]
pub(crate) struct History {
    last: Readings,
    asked: Option<Jiffies>,
    for_node: Seen,
    for_limits: Seen,
    mood: Option<Mood>,
}

impl History {
    /// Adds new readings to the history, and returns the mood of the node for the caller. Does
    /// not sleep.
    ///
    /// Reclaim asks for each memory cgroup in turn, so new readings are mostly about the pages
    /// of that cgroup. If it has none, the mood stays as it was.
    pub(crate) fn update(
        &mut self,
        read: &Readings,
        caller: Caller,
        now: Jiffies,
        times: Times,
    ) -> Mood {
        let mut scanned = Scanned::default();
        if self
            .asked
            .is_some_and(|asked| now.wrapping_sub(asked) <= times.gap)
        {
            scanned = Scanned::between(&self.last, read);
        }
        (self.last, self.asked) = (*read, Some(now));
        let is_for_limit = is_at_limit(read, caller);
        let seen = if is_for_limit {
            scanned.leave_out_kswapd();
            &mut self.for_limits
        } else {
            if !caller.needs_pages {
                scanned.leave_out_limits();
            }
            &mut self.for_node
        };
        seen.add(&scanned, now, times);
        // With almost no page cache left, reclaim has to take something else, and MGLRU takes
        // all that is lacking before it asks again.
        let is_tiny = read.lacking > 0 && read.free < read.high && read.cached < read.high;
        let is_short = seen.is_swapped || seen.is_needed || is_tiny;
        let plenty = read.high.saturating_mul(if is_short { PLENTY } else { 1 });
        let mood = match is_short {
            _ if !caller.needs_pages && read.lacking == 0 && read.free > plenty => Mood::Plenty,
            true => Mood::Short,
            false => Mood::Calm,
        };
        self.mood = Some(mood);
        mood
    }

    /// Returns the result of the last [`History::update()`], if there was one.
    pub(crate) fn mood(&self) -> Option<Mood> {
        self.mood
    }
}

/// Returns whether the caller reclaims for the limit of a memory cgroup.
///
/// Reclaim does not tell shrinkers. But at a limit, the caller needs pages while the node lacks
/// none.
pub(crate) fn is_at_limit(read: &Readings, caller: Caller) -> bool {
    caller.needs_pages && read.lacking == 0
}

/// Pages that were scanned or refaulted between two readings.
#[derive(Default)]
struct Scanned {
    anon: usize,
    file: usize,
    by_kswapd: usize,
    refaulted: usize,
}

impl Scanned {
    fn between(before: &Readings, now: &Readings) -> Self {
        Self {
            anon: grown(before.anon_scanned, now.anon_scanned),
            file: grown(before.file_scanned, now.file_scanned),
            by_kswapd: grown(before.kswapd_scanned, now.kswapd_scanned),
            refaulted: grown(before.file_refaulted, now.file_refaulted),
        }
    }

    /// Leaves out as many anonymous pages as were not scanned by `kswapd`, but no file pages.
    /// They may have been scanned for limits of cgroups that have nothing unpinned, for which
    /// reclaim does not call the shrinker.
    fn leave_out_limits(&mut self) {
        let by_others = self
            .anon
            .saturating_add(self.file)
            .saturating_sub(self.by_kswapd);
        self.anon = self.anon.saturating_sub(by_others);
    }

    /// Leaves out as many file pages as were scanned by `kswapd`, but no anonymous pages.
    fn leave_out_kswapd(&mut self) {
        self.file = self.file.saturating_sub(self.by_kswapd);
    }
}

/// How many pages are enough to judge: memory is short if, of at least `pages`, more than one in
/// `few` is a sign of it; and the same with pauses in between.
struct Enough {
    pages: usize,
    few: usize,
    pages_and_paused: usize,
    few_and_paused: usize,
}

/// Anonymous pages among all scanned pages.
const SWAPPED: Enough = Enough {
    pages: SCANNED,
    few: FEW_ANON,
    pages_and_paused: SCANNED_AND_PAUSED,
    few_and_paused: FEW_ANON,
};

/// Refaulted pages among scanned file pages.
const NEEDED: Enough = Enough {
    pages: FILE_SCANNED,
    few: FEW_NEEDED,
    pages_and_paused: FILE_SCANNED_AND_PAUSED,
    few_and_paused: FEW_NEEDED_AND_PAUSED,
};

/// Pages that have been scanned, and not been judged yet.
#[derive(Clone, Default)]
struct Window {
    /// Pages since the last pause, and the signs among them.
    all: usize,
    signs: usize,
    /// The same before that pause.
    all_before: usize,
    signs_before: usize,
}

impl Window {
    /// Adds `all` pages, among them `signs`. If there are enough pages to judge, starts anew
    /// and returns whether there were more signs than by chance.
    fn add(&mut self, signs: usize, all: usize, has_paused: bool, enough: &Enough) -> Option<bool> {
        self.signs = self.signs.saturating_add(signs);
        self.all = self.all.saturating_add(all);
        if has_paused {
            // The end of an earlier shortage is not a sign of a new one. Pages that were just
            // added may belong to it, too, because each CPU adds its counts to the node's with
            // a delay.
            let signs = self.signs.min(self.all);
            self.signs_before = self.signs_before.saturating_add(signs);
            self.all_before = self.all_before.saturating_add(self.all);
            (self.signs, self.all) = (0, 0);
        }
        let all = self.all.saturating_add(self.all_before);
        let told = if self.all >= enough.pages {
            self.signs > self.all / enough.few
        } else if all >= enough.pages_and_paused {
            self.signs.saturating_add(self.signs_before) > all / enough.few_and_paused
        } else {
            return None;
        };
        *self = Self::default();
        Some(told)
    }
}

#[derive(Clone, Default)]
struct Seen {
    asked: Jiffies,
    /// Whether reclaim swaps anonymous pages out, or tries to.
    is_swapped: bool,
    anon: Window,
    /// Whether reclaim evicts file pages that are needed.
    is_needed: bool,
    refaulted: Window,
}

impl Seen {
    fn add(&mut self, scanned: &Scanned, now: Jiffies, times: Times) {
        let since = now.wrapping_sub(self.asked);
        let has_paused = since > times.pause;
        if since > times.gap {
            *self = Self::default();
        } else if has_paused {
            (self.is_swapped, self.is_needed) = (false, false);
        }
        self.asked = now;
        let all = scanned.anon.saturating_add(scanned.file);
        let is_swapped = self.anon.add(scanned.anon, all, has_paused, &SWAPPED);
        self.is_swapped = is_swapped.unwrap_or(self.is_swapped);
        let is_needed = self
            .refaulted
            .add(scanned.refaulted, scanned.file, has_paused, &NEEDED);
        self.is_needed = is_needed.unwrap_or(self.is_needed);
    }
}

/// Returns by how much a counter grew, or 0 if it seems to have shrunk: the CPUs do not see
/// each other's additions in order.
fn grown(before: usize, now: usize) -> usize {
    // CAST: Between two readings, a counter grows by less than half of the range of a `usize`.
    (now.wrapping_sub(before) as isize).max(0).unsigned_abs()
}

#[kunit_tests(rust_ashmem_mood)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        pause: 10,
        gap: 100,
    };

    const KSWAPD: Caller = Caller { needs_pages: false };
    const TASK: Caller = Caller { needs_pages: true };

    /// A node with its statistics and the time.
    struct Watched {
        node: History,
        read: Readings,
        now: Jiffies,
    }

    impl Watched {
        /// Returns a node after the first queries, with counters that are about to wrap.
        fn new() -> Self {
            let mut watched = Self {
                node: History::default(),
                read: Readings {
                    anon_scanned: usize::MAX - 10,
                    file_scanned: usize::MAX - 100,
                    kswapd_scanned: usize::MAX - 20,
                    file_refaulted: usize::MAX,
                    cached: 1000,
                    free: 50,
                    high: 100,
                    lacking: 0,
                },
                now: Jiffies::MAX - 2,
            };
            assert_eq!(watched.update(TASK), Mood::Calm);
            assert_eq!(watched.update(KSWAPD), Mood::Calm);
            watched
        }

        fn update(&mut self, caller: Caller) -> Mood {
            self.node.update(&self.read, caller, self.now, TIMES)
        }

        /// Counts pages that a task or `kswapd` has scanned.
        fn count(&mut self, caller: Caller, anon: usize, file: usize) {
            self.read.anon_scanned = self.read.anon_scanned.wrapping_add(anon);
            self.read.file_scanned = self.read.file_scanned.wrapping_add(file);
            if !caller.needs_pages {
                let all = anon.wrapping_add(file);
                self.read.kswapd_scanned = self.read.kswapd_scanned.wrapping_add(all);
            }
        }

        /// Counts pages that a task has scanned, and returns the mood afterwards.
        fn scan(&mut self, anon: usize, file: usize) -> Mood {
            self.count(TASK, anon, file);
            self.update(TASK)
        }

        fn refault(&mut self, pages: usize) {
            self.read.file_refaulted = self.read.file_refaulted.wrapping_add(pages);
        }

        fn wait(&mut self, time: Jiffies) {
            self.now = self.now.wrapping_add(time);
        }
    }

    #[test]
    fn what_was_before_is_no_sign() {
        assert_eq!(Watched::new().update(TASK), Mood::Calm);
    }

    #[test]
    fn trimming_the_page_cache_is_calm() {
        let mut watched = Watched::new();
        for _ in 0..1000 {
            assert_eq!(watched.scan(0, 1000), Mood::Calm);
        }
    }

    #[test]
    fn looking_for_anonymous_pages_is_short() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        assert_eq!(watched.scan(SCANNED, SCANNED), Mood::Short);
        assert_eq!(watched.scan(1000, 2000), Mood::Short);
    }

    #[test]
    fn few_anonymous_pages_among_others_are_calm() {
        let mut watched = Watched::new();
        for _ in 0..1000 {
            assert_eq!(watched.scan(SCANNED / 4, SCANNED), Mood::Calm);
        }
    }

    #[test]
    fn few_pages_add_up() {
        let mut watched = Watched::new();
        for _ in 1..SCANNED {
            assert_eq!(watched.scan(1, 0), Mood::Calm);
        }
        assert_eq!(watched.scan(1, 0), Mood::Short);
    }

    #[test]
    fn what_is_known_lasts_for_a_while() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        for _ in 0..100 {
            watched.wait(TIMES.pause);
            assert_eq!(watched.update(TASK), Mood::Short);
        }
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.update(TASK), Mood::Calm);
    }

    #[test]
    fn rest_of_a_shortage_is_no_sign() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        assert_eq!(watched.scan(SCANNED - 1, 0), Mood::Short);
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.scan(1, 0), Mood::Calm);
        assert_eq!(watched.scan(0, SCANNED - 1), Mood::Calm);
    }

    #[test]
    fn what_is_counted_late_is_no_sign() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        watched.count(KSWAPD, 4 * SCANNED, SCANNED);
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.update(KSWAPD), Mood::Calm);
        watched.count(KSWAPD, 0, 1000);
        assert_eq!(watched.update(KSWAPD), Mood::Calm);
    }

    #[test]
    fn rare_signs_are_seen() {
        let mut watched = Watched::new();
        for _ in 1..16 {
            watched.wait(TIMES.gap);
            assert_eq!(watched.scan(SCANNED / 2, 0), Mood::Calm);
        }
        watched.wait(TIMES.gap);
        assert_eq!(watched.scan(SCANNED / 2, 0), Mood::Short);
        for _ in 1..16 {
            watched.wait(TIMES.gap);
            watched.refault(FILE_SCANNED / 4);
            assert_eq!(watched.scan(0, FILE_SCANNED / 4), Mood::Calm);
        }
        watched.wait(TIMES.gap);
        watched.refault(FILE_SCANNED / 4);
        assert_eq!(watched.scan(0, FILE_SCANNED / 4), Mood::Short);
    }

    #[test]
    fn who_asks_first_need_not_have_scanned() {
        let mut watched = Watched::new();
        watched.refault(FILE_SCANNED);
        assert_eq!(watched.scan(0, 0), Mood::Calm);
        assert_eq!(watched.scan(0, FILE_SCANNED), Mood::Short);
    }

    #[test]
    fn files_that_were_read_again_before_are_no_sign() {
        let mut watched = Watched::new();
        watched.refault(10 * FILE_SCANNED);
        assert_eq!(watched.scan(0, FILE_SCANNED - 1), Mood::Calm);
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.scan(0, FILE_SCANNED), Mood::Calm);
        watched.refault(10 * FILE_SCANNED);
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.scan(0, FILE_SCANNED / FEW_NEEDED), Mood::Calm);
        assert_eq!(watched.scan(0, FILE_SCANNED), Mood::Calm);
    }

    #[test]
    fn what_happens_in_a_gap_is_no_sign() {
        let mut watched = Watched::new();
        watched.wait(TIMES.gap + 1);
        watched.refault(FILE_SCANNED);
        assert_eq!(watched.scan(SCANNED_AND_PAUSED, FILE_SCANNED), Mood::Calm);
        assert_eq!(watched.scan(SCANNED - 1, 0), Mood::Calm);
        assert_eq!(watched.scan(1, 0), Mood::Short);
    }

    #[test]
    fn kswapd_trims_while_a_limit_swaps() {
        let mut watched = Watched::new();
        for _ in 0..100 {
            watched.count(TASK, 1000, 0);
            // Calm, whether the limit has asked in between or not.
            watched.count(KSWAPD, 0, 1000);
            assert_eq!(watched.update(KSWAPD), Mood::Calm);
            watched.count(TASK, 1000, 0);
            assert_eq!(watched.update(TASK), Mood::Short);
            watched.count(KSWAPD, 0, 1000);
            assert_eq!(watched.update(KSWAPD), Mood::Calm);
        }
    }

    #[test]
    fn a_limit_trims_while_kswapd_swaps() {
        let mut watched = Watched::new();
        for _ in 0..100 {
            watched.count(KSWAPD, 1000, 0);
            assert_eq!(watched.update(KSWAPD), Mood::Short);
            watched.count(TASK, 0, 1000);
            assert_eq!(watched.update(TASK), Mood::Calm);
        }
    }

    #[test]
    fn kswapd_swaps_with_others() {
        let mut watched = Watched::new();
        watched.count(TASK, SCANNED, 0);
        watched.count(KSWAPD, SCANNED, SCANNED);
        assert_eq!(watched.update(KSWAPD), Mood::Short);
    }

    #[test]
    fn who_lacks_pages_swaps_without_kswapd() {
        let mut watched = Watched::new();
        watched.read.lacking = 1;
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        assert_eq!(watched.update(KSWAPD), Mood::Short);
    }

    #[test]
    fn who_lacks_pages_of_the_node_is_at_no_limit() {
        let mut watched = Watched::new();
        watched.read.lacking = 1;
        watched.count(KSWAPD, SCANNED, 0);
        assert_eq!(watched.update(KSWAPD), Mood::Short);
        assert_eq!(watched.update(TASK), Mood::Short);
        watched.read.lacking = 0;
        assert_eq!(watched.update(TASK), Mood::Calm);
    }

    #[test]
    fn what_was_counted_is_forgotten_after_a_gap() {
        let mut watched = Watched::new();
        for _ in 1..SCANNED_AND_PAUSED {
            watched.wait(TIMES.pause + 1);
            assert_eq!(watched.scan(1, 0), Mood::Calm);
        }
        // Reclaim of the other kind asks meanwhile, so this is a gap for one kind only.
        watched.read.lacking = 1;
        watched.wait(TIMES.gap);
        assert_eq!(watched.update(TASK), Mood::Calm);
        watched.wait(1);
        watched.read.lacking = 0;
        assert_eq!(watched.scan(1, 0), Mood::Calm);
    }

    #[test]
    fn limits_are_not_told_by_what_kswapd_scans() {
        let mut watched = Watched::new();
        watched.count(KSWAPD, 0, 1000);
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
    }

    #[test]
    fn short_ends_when_the_page_cache_is_trimmed() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        assert_eq!(watched.scan(0, SCANNED - 1), Mood::Short);
        assert_eq!(watched.scan(0, 1), Mood::Calm);
    }

    #[test]
    fn files_that_are_read_again_are_short() {
        let mut watched = Watched::new();
        watched.refault(FILE_SCANNED);
        assert_eq!(watched.scan(0, FILE_SCANNED - 1), Mood::Calm);
        assert_eq!(watched.scan(0, 1), Mood::Short);
        // The same if reclaim asks more often.
        assert_eq!(watched.scan(0, FILE_SCANNED - 1), Mood::Short);
        assert_eq!(watched.scan(0, 1), Mood::Calm);
        watched.refault(FILE_SCANNED / FEW_NEEDED);
        assert_eq!(watched.scan(0, FILE_SCANNED), Mood::Calm);
    }

    #[test]
    fn next_to_no_page_cache_is_short() {
        let mut watched = Watched::new();
        watched.read.cached = watched.read.high - 1;
        // But not if no page is lacking, or only in one zone.
        assert_eq!(watched.update(KSWAPD), Mood::Calm);
        watched.read.lacking = 1;
        watched.read.free = 10 * watched.read.high;
        assert_eq!(watched.update(TASK), Mood::Calm);
        watched.read.free = watched.read.high - 1;
        assert_eq!(watched.update(KSWAPD), Mood::Short);
        assert_eq!(watched.update(TASK), Mood::Short);
        watched.read.cached = watched.read.high;
        assert_eq!(watched.update(TASK), Mood::Calm);
    }

    #[test]
    fn plenty_unless_pages_are_needed() {
        let mut watched = Watched::new();
        (watched.read.free, watched.read.lacking) = (watched.read.high + 1, 1);
        assert_eq!(watched.update(KSWAPD), Mood::Calm);
        watched.read.lacking = 0;
        assert_eq!(watched.update(KSWAPD), Mood::Plenty);
        assert_eq!(watched.update(TASK), Mood::Calm);
        watched.count(KSWAPD, SCANNED, 0);
        assert_eq!(watched.update(KSWAPD), Mood::Short);
        watched.read.free = PLENTY * watched.read.high + 1;
        assert_eq!(watched.update(KSWAPD), Mood::Plenty);
    }

    #[test]
    fn counters_may_be_behind() {
        let mut watched = Watched::new();
        assert_eq!(
            watched.scan(0usize.wrapping_sub(5), SCANNED + 5),
            Mood::Calm
        );
        assert_eq!(watched.scan(0, 0usize.wrapping_sub(5)), Mood::Calm);
    }
}
