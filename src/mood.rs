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

/// What is known of a node of memory, in pages. All but the last two are counted from
/// boot on, and wrap.
#[derive(Clone, Copy)]
pub(crate) struct Readings {
    /// Anonymous pages that reclaim has looked at. There are none without swap.
    pub(crate) anon_scanned: usize,
    /// Pages of files that it has looked at.
    pub(crate) file_scanned: usize,
    /// Pages of files that were read again after it had taken them.
    pub(crate) file_refaulted: usize,
    /// Pages that are free.
    pub(crate) free: usize,
    /// How many of them `kswapd` sees to.
    pub(crate) high: usize,
}

impl Readings {
    /// Returns how many more pages would have to be free for `kswapd` to have nothing to
    /// do, if nobody wanted several in a row.
    pub(crate) fn lacking(&self) -> usize {
        self.high.saturating_sub(self.free)
    }
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

/// How many times what `kswapd` sees to is plenty even if something is swapped.
const PLENTY: usize = 4;

/// What was seen of a node while reclaim is at it.
#[derive(Default)]
pub(crate) struct Node {
    looked: Jiffies,
    seen: Option<Seen>,
}

struct Seen {
    mood: Mood,
    /// What was read when that last told something of anonymous pages.
    scanned: Readings,
    /// The same of pages of files.
    refaulted: Readings,
}

impl Node {
    /// Returns the node's mood, from what has happened since this was last asked, for
    /// somebody who insists, or not: `kswapd` works ahead of need, and some try for
    /// several pages in a row and else take single ones.
    ///
    /// Reclaim asks for each memory cgroup, right after it has looked at the pages of
    /// that, so the mood is the cgroup's if it has pages. If not, it is what it was.
    /// After a pause of more than `pause` it starts anew: nothing is known of what has
    /// happened meanwhile.
    pub(crate) fn look(
        &mut self,
        read: &Readings,
        insists: bool,
        now: Jiffies,
        pause: Jiffies,
    ) -> Mood {
        if now.wrapping_sub(self.looked) > pause {
            self.seen = None;
        }
        self.looked = now;
        let seen = self.seen.get_or_insert(Seen {
            mood: Mood::Calm,
            scanned: *read,
            refaulted: *read,
        });
        if let Some(mood) = seen.signs(read) {
            seen.mood = mood;
        }
        let plenty = match seen.mood {
            Mood::Short => read.high.saturating_mul(PLENTY),
            _ => read.high,
        };
        match insists || read.free <= plenty {
            true => seen.mood,
            false => Mood::Plenty,
        }
    }
}

impl Seen {
    /// Returns what there are signs of, if there are any.
    fn signs(&mut self, read: &Readings) -> Option<Mood> {
        let file = grown(self.refaulted.file_scanned, read.file_scanned);
        if file >= FILE_SCANNED {
            let needed = grown(self.refaulted.file_refaulted, read.file_refaulted);
            self.refaulted = *read;
            if needed > file / FEW_NEEDED {
                return Some(Mood::Short);
            }
        }
        let anon = grown(self.scanned.anon_scanned, read.anon_scanned);
        let all = anon.saturating_add(grown(self.scanned.file_scanned, read.file_scanned));
        if all < SCANNED {
            return None;
        }
        self.scanned = *read;
        match anon > all / FEW_ANON {
            true => Some(Mood::Short),
            false => Some(Mood::Calm),
        }
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

    const PAUSE: Jiffies = 10;

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
                    file_refaulted: usize::MAX,
                    free: 50,
                    high: 100,
                },
                now: Jiffies::MAX - 2,
            };
            assert_eq!(watched.look(), Mood::Calm);
            watched
        }

        fn look(&mut self) -> Mood {
            self.node.look(&self.read, true, self.now, PAUSE)
        }

        fn look_idly(&mut self) -> Mood {
            self.node.look(&self.read, false, self.now, PAUSE)
        }

        /// Counts pages and returns the mood after.
        fn scan(&mut self, anon: usize, file: usize) -> Mood {
            self.read.anon_scanned = self.read.anon_scanned.wrapping_add(anon);
            self.read.file_scanned = self.read.file_scanned.wrapping_add(file);
            self.look()
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
        assert_eq!(Watched::new().look(), Mood::Calm);
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
            watched.wait(PAUSE);
            assert_eq!(watched.look(), Mood::Short);
        }
        watched.wait(PAUSE + 1);
        assert_eq!(watched.look(), Mood::Calm);
    }

    #[test]
    fn what_happens_in_a_pause_is_no_sign() {
        let mut watched = Watched::new();
        assert_eq!(watched.scan(SCANNED - 1, 0), Mood::Calm);
        watched.wait(PAUSE + 1);
        watched.refault(FILE_SCANNED);
        assert_eq!(watched.scan(SCANNED, FILE_SCANNED), Mood::Calm);
        assert_eq!(watched.scan(SCANNED - 1, 0), Mood::Calm);
        assert_eq!(watched.scan(1, 0), Mood::Short);
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
        let mut watched = Watched::new();
        assert_eq!(watched.look_idly(), Mood::Calm);
        watched.read.free = watched.read.high + 1;
        assert_eq!(watched.look_idly(), Mood::Plenty);
        assert_eq!(watched.look(), Mood::Calm);
        assert_eq!(watched.scan(SCANNED, 0), Mood::Short);
        assert_eq!(watched.look_idly(), Mood::Short);
        watched.read.free = PLENTY * watched.read.high + 1;
        assert_eq!(watched.look_idly(), Mood::Plenty);
        assert_eq!(watched.look(), Mood::Short);
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

    #[test]
    fn lacking_is_what_is_not_free() {
        let mut watched = Watched::new();
        assert_eq!(watched.read.lacking(), 50);
        watched.read.free = 101;
        assert_eq!(watched.read.lacking(), 0);
    }
}
