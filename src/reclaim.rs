// SPDX-License-Identifier: GPL-2.0

//! Reclaim: backing files whose unpinned pages can be purged.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

use crate::{
    lru::{
        Item,
        Lru,
        Visit, //
    },
    pages::PageRange,
    shmem::ShmemFile,
    shrinker::{
        account_reclaimed,
        reclaimed,
        Place,
        Registration,
        Scan,
        Shrinker,
        Unregistered, //
    },
    task,
    unpinned::{
        Order,
        Spare,
        SpareNeeded,
        Unpinned, //
    },
};

/// Stands for a range that can be purged.
struct Token {
    backing: Arc<Backing>,
    /// A page of the range. Changes under `Backing::unpinned`; who reads it under
    /// the list's lock alone gets a hint.
    page: Atomic<usize>,
    /// How many pages the range has. Changes as `page` does.
    len: Atomic<usize>,
    /// When it was unpinned, counted in calls of [`Reclaim::purge_all()`].
    epoch: Atomic<usize>,
    /// The last scan that tried to purge it.
    scan: Atomic<usize>,
}

impl Token {
    fn set_range(&self, range: PageRange) {
        self.page.store(range.first(), Relaxed);
        self.len.store(range.len(), Relaxed);
    }
}

/// A backing file, and which of its pages are unpinned.
///
/// # Invariants
///
/// While `unpinned` is unlocked, a range's token is on the list of `reclaim`, and
/// `reclaim` has counted its pages.
///
/// Tokens refer to the backing they are part of, so [`Backing::forget()`] must be
/// called for it to be freed.
#[pin_data]
pub(crate) struct Backing {
    file: ShmemFile,
    pages: usize,
    reclaim: Arc<Reclaim>,
    #[pin]
    unpinned: Mutex<Unpinned<Item<Token>>>,
}

impl Backing {
    /// Adds what reclaim needs to a file of so many pages, all pinned.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(file: ShmemFile, pages: usize, reclaim: Arc<Reclaim>) -> Result<Arc<Self>> {
        // INVARIANT: There is no range.
        Arc::pin_init(
            pin_init!(Self {
                file,
                pages,
                reclaim,
                unpinned <- new_mutex!(Unpinned::new(), "Backing::unpinned"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Returns the file.
    pub(crate) fn file(&self) -> &ShmemFile {
        &self.file
    }

    /// Returns the number of pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// Pins pages and tells whether any of them was purged. Waits until no purge
    /// of this file is under way.
    ///
    /// Fails with `ENOMEM`, before any change, if it has to split a range.
    pub(crate) fn pin(self: &Arc<Self>, pages: PageRange) -> Result<bool> {
        let mut spare = None;
        loop {
            let given = spare.take();
            match self.change(|unpinned, order| unpinned.pin(pages, given, order)) {
                Ok(purged) => return Ok(purged),
                Err(SpareNeeded) => spare = Some(self.spare()?.with_node(GFP_KERNEL_ACCOUNT)?),
            }
        }
    }

    /// Unpins pages, which may be purged from now on.
    ///
    /// Fails with `ENOMEM` before any change.
    pub(crate) fn unpin(self: &Arc<Self>, pages: PageRange) -> Result {
        let mut spare = self.spare()?;
        loop {
            match self.change(|unpinned, order| unpinned.unpin(pages, spare, order)) {
                Ok(()) => return Ok(()),
                Err(needs_node) => spare = needs_node.with_node(GFP_KERNEL_ACCOUNT)?,
            }
        }
    }

    /// Tells whether all the pages are pinned.
    pub(crate) fn is_pinned(&self, pages: PageRange) -> bool {
        self.unpinned.lock().is_pinned(pages)
    }

    /// Pins all pages for good and lets go of the tokens.
    pub(crate) fn forget(&self) {
        self.change(|unpinned, order| unpinned.clear(order));
    }

    /// Allocates a token for one more range; charged to the caller.
    fn spare(self: &Arc<Self>) -> Result<Spare<Item<Token>>> {
        let token = Token {
            backing: self.clone(),
            page: Atomic::new(0),
            len: Atomic::new(0),
            epoch: Atomic::new(0),
            scan: Atomic::new(0),
        };
        Ok(Spare::new(self.reclaim.lru.item(token)?))
    }

    /// Locks the ranges, lets `f` change them and counts what changed.
    fn change<R>(&self, f: impl FnOnce(&mut Unpinned<Item<Token>>, &mut Listed<'_>) -> R) -> R {
        let mut unpinned = self.unpinned.lock();
        self.change_locked(&mut unpinned, f)
    }

    fn change_locked<R>(
        &self,
        unpinned: &mut Unpinned<Item<Token>>,
        f: impl FnOnce(&mut Unpinned<Item<Token>>, &mut Listed<'_>) -> R,
    ) -> R {
        let before = unpinned.evictable();
        let mut listed = Listed {
            reclaim: &self.reclaim,
            removed: None,
            overdue: None,
        };
        let result = f(unpinned, &mut listed);
        if let Some(page) = listed.overdue.take() {
            self.purge_listed(unpinned, page, &mut listed);
        }
        drop(listed);
        self.reclaim.settle(before, unpinned.evictable());
        result
    }

    /// Purges the range that `page` is in, if it can be; returns its pages.
    fn purge(&self, unpinned: &mut Unpinned<Item<Token>>, page: usize) -> usize {
        self.change_locked(unpinned, |unpinned, listed| {
            self.purge_listed(unpinned, page, listed)
        })
    }

    fn purge_listed(
        &self,
        unpinned: &mut Unpinned<Item<Token>>,
        page: usize,
        listed: &mut Listed<'_>,
    ) -> usize {
        let Some(range) = unpinned.purge(page, listed) else {
            return 0;
        };
        // Under the lock, so that no pin returns while its pages vanish, and with the
        // token on its list, so that no purge of everything does.
        account_reclaimed(self.file.punch(range));
        range.len()
    }

    /// Purges as [`Backing::purge()`] does, but not if that had to wait for a lock
    /// that the calling task may hold: that of the ranges, or of one of the pages.
    fn try_purge(&self, page: usize) -> Option<usize> {
        let mut unpinned = self.unpinned.try_lock()?;
        // A task that swaps in a page, or collapses several to a huge one, has
        // them locked while it allocates.
        let range = unpinned.range_of(page);
        if range.is_some_and(|range| !self.file.is_idle(range)) {
            return None;
        }
        Some(self.purge(&mut unpinned, page))
    }
}

/// Keeps the list in step with the ranges.
struct Listed<'a> {
    reclaim: &'a Reclaim,
    /// What was removed, or the oldest of it, is on its list until this is dropped.
    /// What it was joined to is on one by then, so that at any time one of them is.
    removed: Option<Item<Token>>,
    /// A page of a range that a purge of everything is about to purge.
    overdue: Option<usize>,
}

impl Order<Item<Token>> for Listed<'_> {
    fn push(&mut self, token: &Item<Token>, range: PageRange, origin: Option<&Item<Token>>) {
        token.set_range(range);
        // Neither splitting nor joining hides a part from a purge of everything, nor
        // makes more of what that has to find.
        let now = self.reclaim.epoch.load(Relaxed);
        let origin = origin.or(self.removed.as_ref());
        let epoch = origin.map_or(now, |origin| origin.epoch.load(Relaxed));
        token.epoch.store(epoch, Relaxed);
        if epoch != now {
            self.overdue = Some(range.first());
        }
        self.reclaim.lru.add(token);
    }

    fn adjust(&mut self, token: &Item<Token>, range: PageRange) {
        token.set_range(range);
    }

    fn remove(&mut self, token: Item<Token>) {
        let is_oldest = |than: &Item<Token>| token.epoch.load(Relaxed) < than.epoch.load(Relaxed);
        let rest = if self.removed.as_ref().is_none_or(is_oldest) {
            self.removed.replace(token)
        } else {
            Some(token)
        };
        if let Some(token) = rest {
            self.reclaim.lru.remove(&token);
        }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if let Some(token) = &self.removed {
            self.reclaim.lru.remove(token);
        }
    }
}

/// All that can be purged, of all areas.
#[pin_data]
pub(crate) struct Reclaim {
    #[pin]
    lru: Lru<Token>,
    /// The pages of all ranges on the lists, and the number of these ranges.
    pages: Atomic<usize>,
    ranges: Atomic<usize>,
    epoch: Atomic<usize>,
    scans: Atomic<usize>,
}

impl Reclaim {
    /// Makes an empty one and lets memory reclaim call it.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn register() -> Result<Registration<Self>> {
        let shrinker = Unregistered::new(c"ashmem")?;
        let lru = Lru::new(c"ashmem_unpinned", &shrinker);
        let reclaim = Arc::pin_init(
            try_pin_init!(Self {
                lru <- lru,
                pages: Atomic::new(0),
                ranges: Atomic::new(0),
                epoch: Atomic::new(0),
                scans: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        Ok(shrinker.register(reclaim))
    }

    /// Purges everything that can be purged when it is called, and returns how
    /// many pages that was.
    ///
    /// Sleeps for the locks that it needs, unlike [`Shrinker::scan()`]. Gives up if
    /// the caller is killed.
    // Not in the frame of the other calls.
    #[inline(never)]
    pub(crate) fn purge_all(&self) -> usize {
        // What is unpinned from now on is of the next epoch, or this would go on
        // for as long as somebody unpins.
        let epoch = self.epoch.fetch_add(1, Full);
        let (mut purged, mut found_none) = (0, 0);
        // A walk sees one place after the other. What is split or joined meanwhile may
        // go to one that it has seen, but only if who does that has not seen the new
        // epoch: else it is purged at once. That is over when the second walk begins,
        // which is also for a cgroup that is removed: the one above takes over its
        // list.
        while found_none < 2 && !task::was_killed() {
            let batch: [_; BATCH] = self.oldest(None, |t| t.epoch.load(Relaxed) <= epoch);
            found_none = match &batch {
                [None, ..] => found_none + 1,
                _ => 0,
            };
            for (backing, page) in batch.into_iter().flatten() {
                let pages = backing.purge(&mut backing.unpinned.lock(), page);
                purged = pages.saturating_add(purged);
            }
        }
        purged
    }

    /// Returns the backing and the page of each of the oldest tokens that `wanted`
    /// accepts, the missing ones last.
    fn oldest<const N: usize>(
        &self,
        place: Option<&Place<'_>>,
        wanted: impl Fn(&Token) -> bool,
    ) -> [Option<(Arc<Backing>, usize)>; N] {
        let mut found = [const { None }; N];
        let mut free = found.iter_mut();
        let mut visit = |token: &Token| {
            if !wanted(token) {
                return Visit::Next;
            }
            if let Some(slot) = free.next() {
                *slot = Some((token.backing.clone(), token.page.load(Relaxed)));
            }
            match free.len() {
                0 => Visit::Stop,
                _ => Visit::Next,
            }
        };
        match place {
            Some(place) => self.lru.walk(place, &mut visit),
            None => self.lru.walk_all(&mut visit),
        }
        found
    }

    /// Returns the pages of so many ranges in a place, taking the oldest for average
    /// if there are many.
    fn estimate(&self, place: &Place<'_>, ranges: usize) -> usize {
        let (mut seen, mut pages) = (0, 0_usize);
        self.lru.walk(place, &mut |token| {
            seen += 1;
            pages = pages.saturating_add(token.len.load(Relaxed));
            match seen {
                SAMPLE => Visit::Stop,
                _ => Visit::Next,
            }
        });
        match seen {
            SAMPLE => (pages / SAMPLE).saturating_mul(ranges),
            _ => pages,
        }
    }

    /// Counts what became of a file's ranges.
    fn settle(&self, before: (usize, usize), after: (usize, usize)) {
        if before != after {
            // OVERFLOW: The sum is right when all have settled.
            self.pages.add(after.0.wrapping_sub(before.0), Relaxed);
            self.ranges.add(after.1.wrapping_sub(before.1), Relaxed);
        }
    }
}

/// How many ranges a purge of everything takes at a time: each walk passes all that
/// are younger.
const BATCH: usize = 32;

/// How many ranges of a place are looked at to tell how large they are.
const SAMPLE: usize = 64;

impl Shrinker for Reclaim {
    /// Reclaim then wants half of what there is, however little pressure there is:
    /// who unpins said that it can go. The C driver's share was a fraction of that
    /// of the page cache, so more was swapped than purged. (Of one page alone, half
    /// is nothing.)
    const SEEKS: i32 = 0;

    fn count(&self, place: &Place<'_>) -> usize {
        let here = self.lru.count(place);
        // What is not settled yet must not look like nothing: reclaim then asks
        // no more until the list has been empty.
        match self.ranges.load(Relaxed) {
            _ if here == 0 => 0,
            // All are here.
            all if here >= all => self.pages.load(Relaxed).max(here),
            _ => self.estimate(place, here),
        }
    }

    fn scan(&self, place: &Place<'_>, wanted: usize) -> Scan {
        let so_far = reclaimed();
        if so_far >= ENOUGH && so_far >= self.count(place) / 3 {
            return Scan::Stop;
        }
        // Not 0, which is what new tokens have, until it wraps.
        let scan = self.scans.fetch_add(1, Relaxed).wrapping_add(1);
        let (mut purged, mut left_out) = (0, 0);
        // What cannot be purged now must not keep younger ranges from it.
        while purged < wanted && left_out < MOST_LEFT_OUT {
            let free = |token: &Token| {
                // Whoever holds the lock may be the one that needs memory.
                if token.scan.load(Relaxed) == scan || token.backing.unpinned.try_lock().is_none() {
                    return false;
                }
                token.scan.store(scan, Relaxed);
                true
            };
            let [Some((backing, page))] = self.oldest(Some(place), free) else {
                break;
            };
            match backing.try_purge(page) {
                Some(pages) => purged = pages.saturating_add(purged),
                None => left_out += 1,
            }
        }
        match purged {
            0 => Scan::Stop,
            pages => Scan::Freed(pages),
        }
    }
}

/// How many ranges a scan leaves out because they cannot be purged now.
const MOST_LEFT_OUT: usize = 64;

/// With how many pages one reclaim should be content, if they are a quarter of what
/// there was.
///
/// It wants 64 or so, but that of a memory cgroup does not see that it got them, and
/// comes back until nothing is left. The quarter is for a limit that is lowered at
/// once: the kernel tries 16 times before it kills.
const ENOUGH: usize = 512;
