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
    pub(crate) is_kswapd: bool,
    /// Whether it could do without: `kswapd` works ahead of need, and some try for
    /// several pages in a row and else take single ones.
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
/// One in so many pages that reclaim looks at may be anonymous: it looks at some even
/// where there are plenty of others.
const FEW_ANON: usize = 4;

/// After how many pages of files it shows whether they are needed.
const FILE_SCANNED: usize = 512;
/// One in so many of these may be needed, as some are read again at any time.
const FEW_NEEDED: usize = 8;

/// How many times what should be free is plenty even if something is swapped.
const PLENTY: usize = 4;

/// For how long, in some unit of time, what was seen tells something.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// After which time without a look memory is not short for what was seen before.
    pub(crate) pause: Jiffies,
    /// After which time without a look nothing is known of what happened meanwhile.
    pub(crate) gap: Jiffies,
}

/// What was seen of a node so far, by `kswapd` and by others: one trims the page cache
/// while a memory cgroup is swapped out by its limit.
#[derive(Default)]
pub(crate) struct Node {
    by_kswapd: Seen,
    by_others: Seen,
}

impl Node {
    /// Returns the node's mood for a caller, from what has happened since it last asked.
    ///
    /// Reclaim asks for each memory cgroup, right after it has looked at the pages of
    /// that, so the mood is mostly the cgroup's if it has pages. If not, it is what it
    /// was.
    pub(crate) fn look(
        &mut self,
        read: &Readings,
        caller: Caller,
        now: Jiffies,
        times: Times,
    ) -> Mood {
        let seen = match caller.is_kswapd {
            true => &mut self.by_kswapd,
            false => &mut self.by_others,
        };
        let is_short = seen.is_short(read, caller.is_kswapd, now, times);
        let plenty = read.high.saturating_mul(if is_short { PLENTY } else { 1 });
        match is_short {
            _ if !caller.insists && read.lacking == 0 && read.free > plenty => Mood::Plenty,
            true => Mood::Short,
            false => Mood::Calm,
        }
    }
}

#[derive(Default)]
struct Seen {
    looked: Option<Jiffies>,
    is_short: bool,
    /// What was read at the last look.
    last: Readings,
    /// What was read when that last told something of anonymous pages.
    scanned: Readings,
    /// The same of pages of files.
    refaulted: Readings,
}

impl Seen {
    fn is_short(&mut self, read: &Readings, is_kswapd: bool, now: Jiffies, times: Times) -> bool {
        let since = self.looked.map(|looked| now.wrapping_sub(looked));
        if since.is_none_or(|since| since > times.gap) {
            (self.scanned, self.refaulted) = (*read, *read);
            self.is_short = false;
        } else if since.is_some_and(|since| since > times.pause) {
            // A part of what takes so many pages to tell something would be stale.
            self.scanned = self.last;
            self.is_short = false;
        }
        (self.looked, self.last) = (Some(now), *read);
        if let Some(is_short) = self.sign(read, is_kswapd) {
            self.is_short = is_short;
        }
        self.is_short
    }

    /// Tells whether there is a sign that memory is short, or that it is not.
    fn sign(&mut self, read: &Readings, is_kswapd: bool) -> Option<bool> {
        let file = grown(self.refaulted.file_scanned, read.file_scanned);
        if file >= FILE_SCANNED {
            let needed = grown(self.refaulted.file_refaulted, read.file_refaulted);
            self.refaulted = *read;
            if needed > file / FEW_NEEDED {
                return Some(true);
            }
        }
        let (anon, file) = scanned_by(is_kswapd, &self.scanned, read);
        let all = anon.saturating_add(file);
        if all < SCANNED {
            return None;
        }
        self.scanned = *read;
        Some(anon > all / FEW_ANON)
    }
}

/// Returns about how many anonymous pages, and pages of files, `kswapd` or others have
/// looked at.
///
/// That is not counted by itself. So what others have looked at is taken for anonymous
/// pages, and what `kswapd` has for pages of files, as far as there were such.
fn scanned_by(is_kswapd: bool, before: &Readings, now: &Readings) -> (usize, usize) {
    let anon = grown(before.anon_scanned, now.anon_scanned);
    let file = grown(before.file_scanned, now.file_scanned);
    let by_kswapd = grown(before.kswapd_scanned, now.kswapd_scanned);
    match is_kswapd {
        true => {
            let by_others = anon.saturating_add(file).saturating_sub(by_kswapd);
            (anon.saturating_sub(by_others), file)
        }
        false => (anon, file.saturating_sub(by_kswapd)),
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

    const KSWAPD: Caller = Caller {
        is_kswapd: true,
        insists: false,
    };
    const TASK: Caller = Caller {
        is_kswapd: false,
        insists: true,
    };
    const IDLER: Caller = Caller {
        is_kswapd: false,
        insists: false,
    };

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
                    free: 50,
                    high: 100,
                    lacking: 50,
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
            if caller.is_kswapd {
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
    fn a_part_of_a_sign_is_forgotten_in_a_pause() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED - 1, 0), Mood::Calm);
        watched.wait(TIMES.pause + 1);
        assert_eq!(watched.scan(1, SCANNED - 2), Mood::Calm);
        assert_eq!(watched.scan(0, 1), Mood::Calm);
    }

    #[test]
    fn seldom_signs_are_seen() {
        let mut watched = Watched::new();
        watched.wait(TIMES.gap);
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        watched.refault(FILE_SCANNED);
        for _ in 1..4 {
            watched.wait(TIMES.gap);
            assert_eq!(watched.scan(0, FILE_SCANNED / 4), Mood::Calm);
        }
        watched.wait(TIMES.gap);
        assert_eq!(watched.scan(0, FILE_SCANNED / 4), Mood::Short);
    }

    #[test]
    fn what_happens_in_a_gap_is_no_sign() {
        let mut watched = Watched::new();
        watched.wait(TIMES.gap + 1);
        watched.refault(FILE_SCANNED);
        assert_eq!(watched.scan(SCANNED, FILE_SCANNED), Mood::Calm);
        assert_eq!(watched.scan(SCANNED - 1, 0), Mood::Calm);
        assert_eq!(watched.scan(1, 0), Mood::Short);
    }

    #[test]
    fn kswapd_trims_while_others_swap() {
        let mut watched = Watched::new();
        for _ in 0..100 {
            watched.count(TASK, 1000, 0);
            watched.count(KSWAPD, 0, 1000);
            assert_eq!(watched.look(KSWAPD), Mood::Calm);
            assert_eq!(watched.look(TASK), Mood::Short);
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
        watched.refault(FILE_SCANNED / FEW_NEEDED);
        assert_eq!(watched.scan(0, FILE_SCANNED), Mood::Calm);
    }

    #[test]
    fn plenty_is_enough_for_who_does_not_insist() {
        for caller in [KSWAPD, IDLER] {
            let mut watched = Watched::new();
            (watched.read.free, watched.read.lacking) = (watched.read.high + 1, 1);
            assert_eq!(watched.look(caller), Mood::Calm);
            watched.read.lacking = 0;
            assert_eq!(watched.look(caller), Mood::Plenty);
            assert_eq!(watched.look(TASK), Mood::Calm);
            watched.count(caller, SCANNED, 0);
            assert_eq!(watched.look(caller), Mood::Short);
            watched.read.free = PLENTY * watched.read.high + 1;
            assert_eq!(watched.look(caller), Mood::Plenty);
        }
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
