// SPDX-License-Identifier: GPL-2.0

//! When unpinned pages should go: whether memory is short, or reclaim only trims the
//! page cache.
//!
//! Files that are read once fill the memory of every machine after a while, and an
//! unpinned page is dearer to make again than such a page is to read. So it stays for as
//! long as reclaim gets along with those. Once reclaim looks for anonymous pages to swap
//! out, or takes pages of files that are then read again, it should take unpinned pages
//! instead.

use kernel::{
    prelude::*,
    time::Jiffies, //
};

/// What is known of a node of memory, in pages. What was scanned and refaulted is counted
/// from boot on, and wraps.
#[derive(Clone, Copy, Default)]
pub(crate) struct Readings {
    /// Anonymous pages that reclaim has looked at. There are none without swap.
    pub(crate) anon_scanned: usize,
    /// Pages of files that it has looked at.
    pub(crate) file_scanned: usize,
    /// How many of all these `kswapd` has looked at; others did it to get pages at once,
    /// or for the limit of a memory cgroup.
    pub(crate) kswapd_scanned: usize,
    /// Pages of files that were read again after reclaim had taken them.
    pub(crate) file_refaulted: usize,
    /// Pages of files that reclaim could take.
    pub(crate) cached: usize,
    /// Pages that are free.
    pub(crate) free: usize,
    /// How many should be free for `kswapd` to have nothing to do.
    pub(crate) high: usize,
    /// How many of those are not, in some zone; another may have more than enough.
    pub(crate) lacking: usize,
}

/// Who asks for memory.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    /// Whether it cannot do without. `kswapd` can, which works ahead of need, and so can
    /// who tries for several pages in a row and else takes single ones.
    pub(crate) insists: bool,
}

/// How short of memory a node is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// There is plenty, though not in a row, and whoever is after that can do without.
    Plenty,
    /// Reclaim gets along with pages of files that nobody needs.
    Calm,
    /// It takes what is needed.
    Short,
}

/// After how many pages it shows what reclaim is after; it takes so many at a time.
#[doc(alias = "SWAP_CLUSTER_MAX")]
const SCANNED: usize = 32;
/// The same if there was a pause meanwhile: more than what two CPUs may have yet to add to
/// the node's statistics.
const SCANNED_AND_PAUSED: usize = 8 * SCANNED;
/// One in so many pages that reclaim looks at may be anonymous: it looks at some even
/// where there are plenty of others.
const FEW_ANON: usize = 4;

/// After how many pages of files it shows whether they are needed.
const FILE_SCANNED: usize = 512;
/// One in so many of these may be needed, as some are read again at any time.
const FEW_NEEDED: usize = 8;
/// The same if there were pauses, in which what was taken earlier is read again, too.
const FILE_SCANNED_AND_PAUSED: usize = 4 * FILE_SCANNED;
const FEW_NEEDED_AND_PAUSED: usize = 2;

/// How many times what should be free is plenty even if something is swapped.
const PLENTY: usize = 4;

/// For how long what was seen tells something.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// After which time memory is not short for what was seen before.
    pub(crate) pause: Jiffies,
    /// After which time nothing is known of what happened meanwhile.
    pub(crate) gap: Jiffies,
}

/// What was seen of a node so far.
///
/// Reclaim asks right after it has looked at pages. So what was looked at since anybody
/// asked is put down to who asks now: to reclaim for the node, or for the limit of a
/// memory cgroup. One may trim the page cache while another swaps.
#[derive(Clone, Default)]
pub(crate) struct Node {
    last: Readings,
    asked: Option<Jiffies>,
    for_node: Seen,
    for_limits: Seen,
    mood: Option<Mood>,
}

impl Node {
    /// Returns the node's mood for a caller, from what has happened since it last asked.
    ///
    /// Reclaim asks for each memory cgroup, so the mood is mostly the cgroup's if it has
    /// pages. If not, it is what it was.
    pub(crate) fn look(
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
            if !caller.insists {
                scanned.leave_out_limits();
            }
            &mut self.for_node
        };
        seen.add(&scanned, now, times);
        // Where the page cache is next to nothing, reclaim has to take something else, and
        // MGLRU takes all that is lacking before it asks again.
        let is_tiny = read.lacking > 0 && read.free < read.high && read.cached < read.high;
        let is_short = seen.is_swapped || seen.is_needed || is_tiny;
        let plenty = read.high.saturating_mul(if is_short { PLENTY } else { 1 });
        let mood = match is_short {
            _ if !caller.insists && read.lacking == 0 && read.free > plenty => Mood::Plenty,
            true => Mood::Short,
            false => Mood::Calm,
        };
        self.mood = Some(mood);
        mood
    }

    /// Returns the mood that was last told, if any was.
    pub(crate) fn mood(&self) -> Option<Mood> {
        self.mood
    }
}

/// Returns whether who asks is at the limit of a memory cgroup.
///
/// A limit is not known as such. But the node has pages for who is at one, and who is
/// there needs them.
pub(crate) fn is_at_limit(read: &Readings, caller: Caller) -> bool {
    caller.insists && read.lacking == 0
}

/// What was scanned between two readings.
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

    /// Takes what others than `kswapd` have looked at for anonymous pages, as far as
    /// there were such: limits of memory cgroups that have nothing unpinned do not ask.
    fn leave_out_limits(&mut self) {
        let by_others = self
            .anon
            .saturating_add(self.file)
            .saturating_sub(self.by_kswapd);
        self.anon = self.anon.saturating_sub(by_others);
    }

    /// Takes what `kswapd` has looked at for pages of files, as far as there were such.
    fn leave_out_kswapd(&mut self) {
        self.file = self.file.saturating_sub(self.by_kswapd);
    }
}

/// How many pages have to be looked at, and that one in so many may be a sign by chance.
struct Enough {
    pages: usize,
    few: usize,
    pages_and_paused: usize,
    few_and_paused: usize,
}

/// Of anonymous pages among all.
const SWAPPED: Enough = Enough {
    pages: SCANNED,
    few: FEW_ANON,
    pages_and_paused: SCANNED_AND_PAUSED,
    few_and_paused: FEW_ANON,
};

/// Of pages that were read again among those of files.
const NEEDED: Enough = Enough {
    pages: FILE_SCANNED,
    few: FEW_NEEDED,
    pages_and_paused: FILE_SCANNED_AND_PAUSED,
    few_and_paused: FEW_NEEDED_AND_PAUSED,
};

/// Pages that were looked at since they last told something.
#[derive(Clone, Default)]
struct Window {
    /// Those since the last pause, and the signs among them.
    all: usize,
    signs: usize,
    /// Those before.
    all_before: usize,
    signs_before: usize,
}

impl Window {
    /// Adds pages, and returns what all of them tell, if that is enough.
    fn add(&mut self, signs: usize, all: usize, has_paused: bool, enough: &Enough) -> Option<bool> {
        self.signs = self.signs.saturating_add(signs);
        self.all = self.all.saturating_add(all);
        if has_paused {
            // The rest of an earlier shortage is no sign of another, and part of what is new
            // may belong to it: each CPU adds to the counters what it counted before.
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
    /// Whether anonymous pages are swapped out, or tried to.
    is_swapped: bool,
    anon: Window,
    /// Whether pages of files that are taken are needed.
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

/// Returns by how much a counter grew, which may be read on one CPU before another has
/// added to it.
fn grown(before: usize, now: usize) -> usize {
    // CAST: It is read more often than after half of all numbers.
    (now.wrapping_sub(before) as isize).max(0).unsigned_abs()
}

#[kunit_tests(rust_ashmem_mood)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        pause: 10,
        gap: 100,
    };

    const KSWAPD: Caller = Caller { insists: false };
    const TASK: Caller = Caller { insists: true };

    /// A node that is looked at, and what it counts.
    struct Watched {
        node: Node,
        read: Readings,
        now: Jiffies,
    }

    impl Watched {
        /// Was looked at once, at numbers that are about to wrap.
        fn new() -> Self {
            let mut watched = Self {
                node: Node::default(),
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
            assert_eq!(watched.look(TASK), Mood::Calm);
            assert_eq!(watched.look(KSWAPD), Mood::Calm);
            watched
        }

        fn look(&mut self, caller: Caller) -> Mood {
            self.node.look(&self.read, caller, self.now, TIMES)
        }

        /// Counts pages that a task or `kswapd` has looked at.
        fn count(&mut self, caller: Caller, anon: usize, file: usize) {
            self.read.anon_scanned = self.read.anon_scanned.wrapping_add(anon);
            self.read.file_scanned = self.read.file_scanned.wrapping_add(file);
            if !caller.insists {
                let all = anon.wrapping_add(file);
                self.read.kswapd_scanned = self.read.kswapd_scanned.wrapping_add(all);
            }
        }

        /// Counts pages that a task has looked at, and returns the mood after.
        fn scan(&mut self, anon: usize, file: usize) -> Mood {
            self.count(TASK, anon, file);
            self.look(TASK)
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
        assert_eq!(Watched::new().look(TASK), Mood::Calm);
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
            assert_eq!(watched.look(TASK), Mood::Short);
        }
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.look(TASK), Mood::Calm);
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
        assert_eq!(watched.look(KSWAPD), Mood::Calm);
        watched.count(KSWAPD, 0, 1000);
        assert_eq!(watched.look(KSWAPD), Mood::Calm);
    }

    #[test]
    fn seldom_signs_are_seen() {
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
            // Whether it asks or not.
            watched.count(KSWAPD, 0, 1000);
            assert_eq!(watched.look(KSWAPD), Mood::Calm);
            watched.count(TASK, 1000, 0);
            assert_eq!(watched.look(TASK), Mood::Short);
            watched.count(KSWAPD, 0, 1000);
            assert_eq!(watched.look(KSWAPD), Mood::Calm);
        }
    }

    #[test]
    fn a_limit_trims_while_kswapd_swaps() {
        let mut watched = Watched::new();
        for _ in 0..100 {
            watched.count(KSWAPD, 1000, 0);
            assert_eq!(watched.look(KSWAPD), Mood::Short);
            watched.count(TASK, 0, 1000);
            assert_eq!(watched.look(TASK), Mood::Calm);
        }
    }

    #[test]
    fn kswapd_swaps_with_others() {
        let mut watched = Watched::new();
        watched.count(TASK, SCANNED, 0);
        watched.count(KSWAPD, SCANNED, SCANNED);
        assert_eq!(watched.look(KSWAPD), Mood::Short);
    }

    #[test]
    fn who_lacks_pages_swaps_without_kswapd() {
        let mut watched = Watched::new();
        watched.read.lacking = 1;
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        assert_eq!(watched.look(KSWAPD), Mood::Short);
    }

    #[test]
    fn who_lacks_pages_of_the_node_is_at_no_limit() {
        let mut watched = Watched::new();
        watched.read.lacking = 1;
        watched.count(KSWAPD, SCANNED, 0);
        assert_eq!(watched.look(KSWAPD), Mood::Short);
        assert_eq!(watched.look(TASK), Mood::Short);
        watched.read.lacking = 0;
        assert_eq!(watched.look(TASK), Mood::Calm);
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
        // For those as well that come by often.
        assert_eq!(watched.scan(0, FILE_SCANNED - 1), Mood::Short);
        assert_eq!(watched.scan(0, 1), Mood::Calm);
        watched.refault(FILE_SCANNED / FEW_NEEDED);
        assert_eq!(watched.scan(0, FILE_SCANNED), Mood::Calm);
    }

    #[test]
    fn next_to_no_page_cache_is_short() {
        let mut watched = Watched::new();
        watched.read.cached = watched.read.high - 1;
        // Unless nothing lacks, or only in one zone.
        assert_eq!(watched.look(KSWAPD), Mood::Calm);
        watched.read.lacking = 1;
        watched.read.free = 10 * watched.read.high;
        assert_eq!(watched.look(TASK), Mood::Calm);
        watched.read.free = watched.read.high - 1;
        assert_eq!(watched.look(KSWAPD), Mood::Short);
        assert_eq!(watched.look(TASK), Mood::Short);
        watched.read.cached = watched.read.high;
        assert_eq!(watched.look(TASK), Mood::Calm);
    }

    #[test]
    fn plenty_is_enough_for_who_does_not_insist() {
        let mut watched = Watched::new();
        (watched.read.free, watched.read.lacking) = (watched.read.high + 1, 1);
        assert_eq!(watched.look(KSWAPD), Mood::Calm);
        watched.read.lacking = 0;
        assert_eq!(watched.look(KSWAPD), Mood::Plenty);
        assert_eq!(watched.look(TASK), Mood::Calm);
        watched.count(KSWAPD, SCANNED, 0);
        assert_eq!(watched.look(KSWAPD), Mood::Short);
        watched.read.free = PLENTY * watched.read.high + 1;
        assert_eq!(watched.look(KSWAPD), Mood::Plenty);
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
