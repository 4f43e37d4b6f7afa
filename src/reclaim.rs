// SPDX-License-Identifier: GPL-2.0

//! Pins, unpins and purges the pages of backing files, and answers memory reclaim.

use core::ptr;

use kernel::{
    new_condvar, new_mutex, new_spinlock,
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        lock::{
            spinlock::SpinLockBackend,
            Guard, //
        },
        Arc,
        CondVar,
        Mutex,
        SetOnce,
        SpinLock, //
    },
    task::might_sleep,
    time::msecs_to_jiffies,
};

use crate::{
    lru::{
        cgroup_of_caller,
        Item,
        Lru, //
    },
    mood::{
        self,
        Mood, //
    },
    pages::PageRange,
    quota::{
        Account,
        Accounts,
        Charge, //
    },
    retries::Retries,
    shmem::{
        Readiness,
        ShmemFile, //
    },
    shrinker::{
        account_reclaimed,
        is_kswapd,
        reclaimed,
        Place,
        Registration,
        Scan,
        Shrinker,
        Unregistered,
        Urgency, //
    },
    task,
    trace::{
        self,
        Why, //
    },
    tree::Node,
    unpinned::{
        self,
        Found,
        Order,
        Pinned,
        Range,
        Spare,
        SpareNeeded,
        Start,
        Tally,
        Unpinned, //
    },
    vmstat,
};

/// An unpinned range. It holds a reference to its backing, which keeps the LRU lists alive.
type Object = Node<Range<Arc<Backing>>>;

/// Estimates how many pages a purge of the range would free.
fn weight(range: &Object) -> usize {
    range.owner().file.weight(unpinned::pages(range))
}

/// A backing file, and the set of its pages that are unpinned.
///
/// # Invariants
///
/// While `unpinned` is unlocked, each range that can be purged is on an LRU list of `reclaim`,
/// unless a scan left it in swap. Each range on a list is in `unpinned`, except while
/// [`Backing::forget()`] removes it.
///
/// If there is a range, or was one, `membership` is set, and the backing is in the `backings` of
/// `reclaim` until [`Backing::forget()`] removes it.
///
/// `reclaim` and the ranges hold references to the backing, so it is not freed before
/// [`Backing::forget()`] was called.
#[pin_data]
pub(crate) struct Backing {
    file: ShmemFile,
    /// The file of private mappings, which is empty: only its name is used.
    private_file: SetOnce<ShmemFile>,
    pages: usize,
    reclaim: Arc<Reclaim>,
    membership: SetOnce<Membership>,
    #[pin]
    unpinned: SpinLock<Unpinned<Item<Object>>>,
    /// Where tasks wait for the end of a purge.
    #[pin]
    purge_ended: CondVar,
    /// The number of pins that found purged pages.
    found_purged: Atomic<usize>,
}

type Locked<'a> = Guard<'a, Unpinned<Item<Object>>, SpinLockBackend>;

/// What a backing has from its first unpin on.
struct Membership {
    /// The key of the backing in [`Backings::by_number`].
    number: u64,
    /// The account of the user who was the first to unpin pages of the backing.
    account: Arc<Account>,
}

impl Backing {
    /// Creates the backing of an area of `pages` pages, all of them pinned.
    ///
    /// Fails with `ENOMEM`. May sleep.
    pub(crate) fn new(file: ShmemFile, pages: usize, reclaim: Arc<Reclaim>) -> Result<Arc<Self>> {
        // INVARIANT: There is no range.
        Arc::pin_init(
            pin_init!(Self {
                file,
                private_file: SetOnce::new(),
                pages,
                reclaim,
                membership: SetOnce::new(),
                unpinned <- new_spinlock!(Unpinned::new(), "Backing::unpinned"),
                purge_ended <- new_condvar!("Backing::purge_ended"),
                found_purged: Atomic::new(0),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Returns the file.
    pub(crate) fn file(&self) -> &ShmemFile {
        &self.file
    }

    /// Returns the file of private mappings, which the first such mapping sets.
    pub(crate) fn private_file(&self) -> &SetOnce<ShmemFile> {
        &self.private_file
    }

    /// Returns the number of pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// Pins pages, and returns whether any of them may have been purged. Sleeps while a range that
    /// has any of them is being purged.
    ///
    /// Handles many ranges in several steps. Fails with `ENOMEM`, before any change, if a range
    /// has to be split and there is no memory for the new range, or the user has too many
    /// ranges. May also fail with `ENOMEM` later, but only if the caller was killed.
    pub(crate) fn pin(self: &Arc<Self>, pages: PageRange) -> Result<bool> {
        let mut spare = None;
        let (mut left, mut has_begun, mut purged) = (pages, false, false);
        loop {
            match self.pin_some(left, &mut spare) {
                Ok(pinned) => {
                    purged |= pinned.purged;
                    let Some(rest) = pinned.rest else {
                        break;
                    };
                    (left, has_begun) = (rest, true);
                }
                // The first steps cannot be undone, so this one must not fail. A split is only
                // needed here if another thread has unpinned pages around the rest meanwhile.
                // It adds one range at most, so the user may exceed the limit.
                Err(needed) if has_begun => spare = Some(self.needed_spare(needed)?),
                Err(needed) => spare = Some(self.spare(needed, cgroup_of_caller())?),
            }
        }
        if purged {
            // OVERFLOW: Counting that far would take too long.
            self.found_purged.add(1, Relaxed);
        }
        Ok(purged)
    }

    /// Pins pages in one step, and returns those that are left for another.
    fn pin_some(
        &self,
        pages: PageRange,
        spare: &mut Option<Spare<Item<Object>>>,
    ) -> Result<Pinned, SpareNeeded> {
        let mut order = Listed(&self.reclaim);
        let mut unpinned = self.unpinned.lock();
        self.wait_for_purges(&mut unpinned, pages);
        unpinned.pin(pages, spare, cgroup_of_caller, &mut order)
    }

    /// Unpins pages, which may be purged from now on. Sleeps while a range that they are merged
    /// with is being purged.
    ///
    /// Merges many ranges in several steps. Fails with `ENOMEM`, before any change, also if the
    /// user has too many ranges. If memory runs out later, the rest of the pages stays pinned,
    /// and this succeeds.
    pub(crate) fn unpin(self: &Arc<Self>, pages: PageRange) -> Result {
        let cgroup = cgroup_of_caller();
        let mut unpinned = self.unpinned.lock();
        let mut spare = None;
        // Allocate a spare if one will most likely be needed. If that fails, the call may still
        // succeed without.
        if let Some(needed) = unpinned.needs(cgroup) {
            drop(unpinned);
            spare = self.spare(needed, cgroup).ok();
            unpinned = self.unpinned.lock();
        }
        let (mut left, mut has_begun) = (pages, false);
        loop {
            self.wait_for_purges(&mut unpinned, left);
            let pages = if has_begun {
                unpinned.still_to_unpin(left)
            } else {
                Some(left)
            };
            let result = pages.map_or(Ok(None), |pages| {
                unpinned.unpin(pages, &mut spare, cgroup, &mut Listed(&self.reclaim))
            });
            // Neither allocate a spare nor free one that is left over under the lock.
            drop(unpinned);
            match result {
                Ok(None) => return Ok(()),
                Ok(Some(rest)) => (left, has_begun) = (rest, true),
                Err(needed) => match self.spare(needed, cgroup) {
                    Ok(made) => spare = Some(made),
                    Err(_) if has_begun => return Ok(()),
                    Err(err) => return Err(err),
                },
            }
            unpinned = self.unpinned.lock();
        }
    }

    /// Sleeps while a purge is under way that a call for these pages has to wait for.
    #[inline]
    fn wait_for_purges(&self, unpinned: &mut Locked<'_>, pages: PageRange) {
        while unpinned.is_purging(pages) {
            self.purge_ended.wait(unpinned);
        }
    }

    /// Sleeps while any purge is under way. Only for a backing without ranges: others might be
    /// purged all the time.
    fn wait_for_all_purges(&self, unpinned: &mut Locked<'_>) {
        while unpinned.is_purging_any() {
            self.purge_ended.wait(unpinned);
        }
    }

    /// Returns whether all of the pages are pinned.
    pub(crate) fn is_pinned(&self, pages: PageRange) -> bool {
        self.unpinned.lock().is_pinned(pages)
    }

    /// Returns whether the area has any mapping, shared or private.
    pub(crate) fn is_mapped(&self) -> bool {
        let private = self.private_file.as_ref();
        self.file.is_mapped() || private.is_some_and(ShmemFile::is_mapped)
    }

    /// Returns what has been counted for this backing.
    fn past(&self) -> Past {
        Past {
            unpinned: self.unpinned.lock().so_far(),
            found_purged: self.found_purged.load(Relaxed),
            ..Past::default()
        }
    }

    /// Returns how much is unpinned. Drops the lock between groups of ranges, so with many
    /// ranges the result may be inconsistent. May sleep.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        let mut next = Some(0);
        while let Some(page) = next {
            might_sleep();
            next = self.unpinned.lock().tally(page, &mut sum);
        }
        sum
    }

    /// Drops all ranges, which pins all pages for good, and waits for purges that are under way.
    /// Nobody may pin or unpin pages afterwards. May sleep.
    pub(crate) fn forget(&self) {
        let Some(membership) = self.membership.as_ref() else {
            return;
        };
        let mut ranges = self.unpinned.lock().take();
        if ranges.count() >= MANY {
            // The ranges may well be the oldest of their memory cgroup. Then it is cheaper to
            // remove them by walking the list.
            for node in vmstat::nodes_with_memory() {
                let is_gone = |range: &Object| ptr::eq(&**range.owner(), self);
                self.reclaim.lru.remove_oldest(node, is_gone);
            }
        }
        self.reclaim.lru.discard(ranges.drain());
        // This also drops the spare objects that were kept, and their charges.
        drop(ranges);
        // A purge under way would take what is written to the pages from now on, too.
        let mut unpinned = self.unpinned.lock();
        self.wait_for_all_purges(&mut unpinned);
        drop(unpinned);
        // Up to here, `Reclaim::past()` counted this backing with those that exist.
        self.reclaim.dismiss(membership, self.past());
    }

    /// Allocates an object for one more range, in the memory cgroup `cgroup`, which is that of
    /// the current task. Charges it to the task's user, if needed. May sleep.
    ///
    /// Fails with `ENOMEM`, also if the user has too many ranges.
    fn spare(self: &Arc<Self>, needed: SpareNeeded, cgroup: u64) -> Result<Spare<Item<Object>>> {
        self.new_spare(needed, cgroup, task::may_exceed_limits)
    }

    /// Like [`Backing::spare()`], but ignores the limit of the user, and retries until it
    /// succeeds.
    ///
    /// Fails with `ENOMEM` if the caller was killed.
    fn needed_spare(self: &Arc<Self>, needed: SpareNeeded) -> Result<Spare<Item<Object>>> {
        let cgroup = cgroup_of_caller();
        loop {
            let spare = self.new_spare(needed, cgroup, || true);
            if spare.is_ok() || task::was_killed() {
                return spare;
            }
            might_sleep();
        }
    }

    /// Like [`Backing::spare()`], but `may_exceed` decides whether the user may exceed the
    /// limit.
    fn new_spare(
        self: &Arc<Self>,
        needed: SpareNeeded,
        cgroup: u64,
        may_exceed: fn() -> bool,
    ) -> Result<Spare<Item<Object>>> {
        if self.membership.as_ref().is_none() {
            self.reclaim.admit(self)?;
        }
        let charge = if needed.is_charged {
            Some(self.charge(may_exceed)?)
        } else {
            None
        };
        let range = self.reclaim.lru.item(Range::new(self.clone(), charge))?;
        // If the task was moved to another cgroup meanwhile, it is not known which one was
        // charged.
        let cgroup = Some(cgroup).filter(|&cgroup| cgroup == cgroup_of_caller());
        Ok(Spare { range, cgroup })
    }

    /// Charges one more range to the user of the current task.
    ///
    /// Fails with `ENOMEM`, also if the user has too many ranges and `may_exceed` returns
    /// false.
    fn charge(&self, may_exceed: fn() -> bool) -> Result<Charge> {
        let membership = self.membership.as_ref().ok_or(ENOMEM)?;
        let user = task::user();
        if membership.account.is_of(user) {
            membership.account.charge(may_exceed)
        } else {
            let account = self.reclaim.account_of(membership, user)?;
            account.charge(may_exceed)
        }
    }

    /// Purges the range that `page` is in, and returns about how many pages this freed. May
    /// sleep.
    ///
    /// Returns [`None`] without a purge if it would have to wait for a page that the current
    /// task may have locked, or to read from swap, or if the range has changed or is being
    /// purged.
    fn try_purge(&self, page: usize, why: Why) -> Option<usize> {
        let range = self.unpinned.lock().purgeable(page)?;
        let readiness = self.file.readiness(range);
        let mut unpinned = self.unpinned.lock();
        match readiness {
            // A task that swaps in a page, or collapses pages to a huge page, holds their locks
            // while it allocates memory, and may have entered reclaim from there.
            Readiness::Locked => return None,
            // A purge would have to read the folio from swap, to drop a part of it. Take the
            // range off its list instead. It stays off it until it is pinned or merged with
            // other pages, or everything is purged, even if it is read from swap meanwhile.
            Readiness::InSwap => {
                unpinned.with_purgeable(range, |range| self.reclaim.lru.remove(range));
                return None;
            }
            Readiness::Ready => (),
        }
        // Before the range leaves its list, so that may_retry() sees at least one of the two.
        self.reclaim.under_way.fetch_add(1, Full);
        if !unpinned.begin_purge(range, &mut Listed(&self.reclaim)) {
            self.reclaim.under_way.add(-1, Relaxed);
            return None;
        }
        drop(unpinned);
        self.note_purge(range, why);
        let weight = self.file.weight(range);
        if weight > 0 {
            let before = self.file.resident();
            self.file.punch(range);
            // Exact if nobody else uses the file meanwhile.
            account_reclaimed(before.saturating_sub(self.file.resident()));
            self.reclaim.freed.add(weight, Relaxed);
        }
        drop(self.end_purge(range));
        self.reclaim.under_way.fetch_add(-1, Release);
        Some(weight)
    }

    /// Traces and counts the purge of a range.
    fn note_purge(&self, range: PageRange, why: Why) {
        trace::purge(move |record| record(self.file.inode_number(), range, why));
        // OVERFLOW: Counting that far would take too long. CAST: The number of a variant.
        if let Some(purged) = self.reclaim.purged.get(why as usize) {
            purged.add(range.len(), Relaxed);
        }
    }

    /// Purges all ranges that can be purged, and waits for purges by others. Returns how many
    /// pages it purged itself. Stops early if the caller is killed. May sleep.
    fn purge_all(&self) -> usize {
        let mut purged = 0_usize;
        let mut order = Listed(&self.reclaim);
        let mut start = Start::At(0);
        let mut unpinned = self.unpinned.lock();
        loop {
            // Everything below `start` has been purged. If a range reaches from below to above
            // it by now, it was merged with pages that were unpinned meanwhile. It is found,
            // because ranges are looked up by their last page.
            let found = unpinned.purge_next(start, &mut order);
            if matches!(start, Start::After(_)) && unpinned.take_awaited() {
                self.purge_ended.notify_all();
            }
            let last = match found {
                Found::Begun(range) => {
                    drop(unpinned);
                    might_sleep();
                    self.note_purge(range, Why::Ioctl);
                    if self.file.has_any(range) {
                        self.file.punch(range);
                    }
                    purged = purged.saturating_add(range.len());
                    if task::was_killed() {
                        drop(self.end_purge(range));
                        return purged;
                    }
                    unpinned = self.unpinned.lock();
                    start = Start::After(range);
                    continue;
                }
                Found::Purging(range, purge) => {
                    // Do not wait for later purges of the same range: there might be no end of
                    // them.
                    while unpinned.is_under_way(range, purge) {
                        self.purge_ended.wait(&mut unpinned);
                    }
                    range.last()
                }
                Found::NothingTo(last) => {
                    drop(unpinned);
                    might_sleep();
                    unpinned = self.unpinned.lock();
                    last
                }
                Found::Nothing => {
                    // The area may have been closed while it was purged.
                    if unpinned.count() == 0 {
                        self.wait_for_all_purges(&mut unpinned);
                    }
                    return purged;
                }
            };
            if task::was_killed() {
                return purged;
            }
            start = Start::At(last + 1);
        }
    }

    /// Marks the purge of a range as ended, and wakes tasks that wait for it. Returns with
    /// `unpinned` locked.
    fn end_purge(&self, range: PageRange) -> Locked<'_> {
        let mut unpinned = self.unpinned.lock();
        if unpinned.end_purge(range) {
            self.purge_ended.notify_all();
        }
        unpinned
    }
}

/// Keeps the LRU lists in step with the ranges of a backing.
struct Listed<'a>(&'a Reclaim);

impl Order<Item<Object>> for Listed<'_> {
    fn push(&mut self, range: &Item<Object>) {
        self.0.lru.add(range);
    }

    fn remove(&mut self, range: &Item<Object>) {
        self.0.lru.remove(range);
    }
}

/// The backings that have, or had, unpinned ranges. They are numbered in the order of their
/// first unpin.
struct Backings {
    by_number: RBTree<u64, Member>,
    last: u64,
    accounts: Accounts,
    /// The sum of what was counted for backings that are gone.
    past: Past,
    /// The same, for backings that are gone since a running [`Reclaim::past()`] visited them.
    /// It has visited those up to `counted_to`.
    counted: Past,
    counted_to: u64,
}

/// Counts since the module was loaded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Past {
    /// Pages that were unpinned.
    pub(crate) unpinned: usize,
    /// Pins that found purged pages.
    pub(crate) found_purged: usize,
    /// Ranges that a scan could not purge.
    pub(crate) skipped: usize,
    purged: [usize; Why::ALL.len()],
}

impl Past {
    /// Returns how many pages were purged for this reason.
    pub(crate) fn purged(&self, why: Why) -> usize {
        // CAST: The number of a variant.
        self.purged.get(why as usize).copied().unwrap_or(0)
    }

    /// Adds the counts that each backing has of its own.
    fn add(&mut self, other: Self) {
        self.unpinned = self.unpinned.wrapping_add(other.unpinned);
        self.found_purged = self.found_purged.wrapping_add(other.found_purged);
    }
}

struct Member {
    backing: Arc<Backing>,
    /// The accounts of all users who have unpinned pages of the backing.
    accounts: KVec<Arc<Account>>,
}

impl Backings {
    /// Returns the first backing whose number is above `number`, and its number.
    fn after(&mut self, number: u64) -> Option<(u64, Arc<Backing>)> {
        // OVERFLOW: Numbers never get that large.
        let found = self.by_number.cursor_lower_bound(&(number + 1))?;
        let (&number, member) = found.current();
        Some((number, member.backing.clone()))
    }

    /// Returns the account of a user, and opens it for the backing of this number if needed.
    ///
    /// Fails with `ENOMEM`.
    fn account(&mut self, number: u64, user: u32) -> Result<Arc<Account>> {
        let member = self.by_number.get_mut(&number).ok_or(ENOMEM)?;
        if let Some(account) = member.accounts.iter().find(|account| account.is_of(user)) {
            return Ok(account.clone());
        }
        member.accounts.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let account = self.accounts.open(user)?;
        member.accounts.push_within_capacity(account.clone())?;
        Ok(account)
    }

    /// Removes a backing, and adds its counts to those of backings that are gone.
    fn remove(&mut self, number: u64, past: Past) {
        let Some(member) = self.by_number.remove(&number) else {
            return;
        };
        if number <= self.counted_to {
            self.counted.add(past);
        } else {
            self.past.add(past);
        }
        for account in &member.accounts {
            self.accounts.close(account);
        }
    }
}

/// All that can be purged, of all areas, and what is known about memory being short.
#[pin_data]
pub(crate) struct Reclaim {
    #[pin]
    lru: Lru<Object>,
    /// The history of each node of memory, by its number.
    #[pin]
    nodes: SpinLock<KVec<mood::History>>,
    #[pin]
    backings: Mutex<Backings>,
    /// Held by [`Reclaim::past()`], which can only run once at a time.
    #[pin]
    counting: Mutex<()>,
    /// The number of pages that were purged, by reason.
    purged: [Atomic<usize>; Why::ALL.len()],
    /// The number of ranges that scans could not purge.
    skipped: Atomic<usize>,
    /// The number of pages that scans have purged, in memory or swapped out. It may wrap.
    freed: Atomic<usize>,
    /// The number of purges by scans that are under way.
    under_way: Atomic<isize>,
    retries: Retries,
}

impl Reclaim {
    /// Creates the state, without any range, and registers the shrinker.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn register() -> Result<Registration<Self>> {
        let shrinker = Unregistered::new(c"ashmem")?;
        let lru = Lru::new(c"ashmem_unpinned", &shrinker);
        let nodes = KVec::from_elem(mood::History::default(), vmstat::nodes(), GFP_KERNEL)?;
        let reclaim = Arc::pin_init(
            try_pin_init!(Self {
                lru <- lru,
                nodes <- new_spinlock!(nodes, "Reclaim::nodes"),
                backings <- new_mutex!(Backings {
                    by_number: RBTree::new(),
                    last: 0,
                    accounts: Accounts::new(),
                    past: Past::default(),
                    counted: Past::default(),
                    counted_to: 0,
                }, "Reclaim::backings"),
                counting <- new_mutex!((), "Reclaim::counting"),
                purged: [const { Atomic::new(0) }; Why::ALL.len()],
                skipped: Atomic::new(0),
                freed: Atomic::new(0),
                under_way: Atomic::new(0),
                retries: Retries::new(),
            }),
            GFP_KERNEL,
        )?;
        if !reclaim.lru.is_per_cgroup() {
            pr_info!("cgroup.memory=nokmem: nothing is purged at memory cgroup limits\n");
        }
        Ok(shrinker.register(reclaim))
    }

    /// Registers a backing before its first unpin. May sleep.
    ///
    /// Fails with `ENOMEM`.
    #[cold]
    fn admit(&self, backing: &Arc<Backing>) -> Result {
        let mut backings = self.backings.lock();
        // Another thread may have been faster.
        if backing.membership.as_ref().is_some() {
            return Ok(());
        }
        // OVERFLOW: Numbers never get that large.
        let number = backings.last + 1;
        let member = Member {
            backing: backing.clone(),
            accounts: KVec::new(),
        };
        backings
            .by_number
            .try_create_and_insert(number, member, GFP_KERNEL_ACCOUNT)?;
        let account = backings
            .account(number, task::user())
            .inspect_err(|_| backings.remove(number, Past::default()))?;
        backings.last = number;
        backing.membership.populate(Membership { number, account });
        Ok(())
    }

    /// Undoes [`Reclaim::admit()`], and keeps what was counted for the backing. May sleep.
    fn dismiss(&self, membership: &Membership, past: Past) {
        self.backings.lock().remove(membership.number, past);
    }

    /// Returns what has been counted so far, for all backings. May sleep.
    pub(crate) fn past(&self) -> Past {
        let _one = self.counting.lock();
        let mut sum = Past::default();
        let mut last = None;
        loop {
            might_sleep();
            let mut backings = self.backings.lock();
            // Leave out backings that are admitted during the walk.
            let last = *last.get_or_insert(backings.last);
            let mut is_end = false;
            for _ in 0..BATCH {
                let next = backings.counted_to + 1;
                let cursor = backings.by_number.cursor_lower_bound(&next);
                let Some(cursor) = cursor.filter(|cursor| *cursor.current().0 <= last) else {
                    is_end = true;
                    break;
                };
                let (&number, member) = cursor.current();
                sum.add(member.backing.past());
                backings.counted_to = number;
            }
            if !is_end {
                continue;
            }
            // `past` has the counts of backings that were gone before they could be visited.
            // Those of backings that went later are in `counted`, and have been added above.
            sum.add(backings.past);
            let counted = core::mem::take(&mut backings.counted);
            backings.past.add(counted);
            backings.counted_to = 0;
            break;
        }
        for (to, purged) in sum.purged.iter_mut().zip(&self.purged) {
            *to = purged.load(Relaxed);
        }
        sum.skipped = self.skipped.load(Relaxed);
        sum
    }

    /// Returns the account of a user, and opens it for a backing if needed. May sleep.
    ///
    /// Fails with `ENOMEM`.
    fn account_of(&self, membership: &Membership, user: u32) -> Result<Arc<Account>> {
        self.backings.lock().account(membership.number, user)
    }

    /// Purges all ranges that can be purged when this is called, and waits for purges by others.
    /// Returns how many pages it purged itself.
    ///
    /// May sleep; unlike [`Shrinker::scan()`], it also waits for page locks and purges by
    /// others. Stops early if the caller is killed.
    // Not inlined, to keep its stack frame out of other ioctls.
    #[inline(never)]
    pub(crate) fn purge_all(&self) -> usize {
        let (mut number, mut purged) = (0, 0_usize);
        // Backings that are admitted later had no unpinned ranges at the time of the call.
        let mut last_at_first = None;
        loop {
            let mut backings = self.backings.lock();
            let last = *last_at_first.get_or_insert(backings.last);
            let Some((found, backing)) = backings.after(number) else {
                return purged;
            };
            drop(backings);
            if found > last || task::was_killed() {
                return purged;
            }
            number = found;
            purged = purged.saturating_add(backing.purge_all());
            if number == last {
                return purged;
            }
        }
    }
}

/// From this number of ranges of a backing on, it is worth checking whether they are the oldest
/// of a list.
const MANY: u32 = 512;

/// The maximum number of backings that are visited while the lock is held.
const BATCH: usize = 64;

/// The maximum number of ranges that are sampled to estimate the average size of all.
const SAMPLE: usize = 64;

/// A scan stops after this many ranges that cannot be purged now. It also stops after this many
/// ranges with nothing in memory, or after [`EMPTY_RANGES`] for each wanted page if that is more.
/// This is high enough to reach younger ranges, and low enough not to take long.
const TRIES: usize = 4096;

/// The number of ranges with nothing in memory that count as one page.
const EMPTY_RANGES: usize = 64;

/// See [`mood::Times`], in milliseconds.
const PAUSE: u32 = 100;
const GAP: u32 = 10_000;

impl Shrinker for Reclaim {
    fn is_empty(&self, place: &Place<'_>) -> bool {
        self.lru.count(place) == 0
    }

    fn urgency(&self, place: &Place<'_>) -> Urgency {
        let times = mood::Times {
            pause: msecs_to_jiffies(PAUSE),
            gap: msecs_to_jiffies(GAP),
        };
        let mut nodes = self.nodes.lock();
        // Read under the lock, so that readings are added in the order in which they were made.
        let read = vmstat::read(place.node());
        // CAST: Not negative.
        let mood = match nodes.get_mut(place.node() as usize) {
            Some(node) => node.update(&read, place.caller(), vmstat::now(), times),
            None => Mood::Short,
        };
        drop(nodes);
        match mood {
            Mood::Plenty => Urgency::Never,
            Mood::Calm => Urgency::LastResort,
            Mood::Short => Urgency::Now,
        }
    }

    /// Purges half of what is unpinned, and at least [`ENOUGH`] pages. That is a lot for one
    /// call, but whoever unpinned the pages agreed to it. If the node lacks more pages, purges
    /// as many as it lacks, because the kernel may kill a process after a single reclaim.
    fn relieve(&self, place: &Place<'_>) -> usize {
        let half = self.count(place).div_ceil(2);
        let read = vmstat::read(place.node());
        let why = if mood::is_at_limit(&read, place.caller()) {
            Why::Cgroup
        } else {
            Why::Node
        };
        match self.purge_oldest(place, half.max(read.lacking).max(ENOUGH), why) {
            Scan::Stop => 0,
            Scan::Freed { objects, .. } => objects,
        }
    }

    /// Estimates the number of pages, from a sample of the oldest ranges if there are many.
    fn count(&self, place: &Place<'_>) -> usize {
        let ranges = self.lru.count(place);
        let (mut seen, mut pages) = (0, 0_usize);
        self.lru.sample(place, SAMPLE, |range| {
            seen += 1;
            pages = pages.saturating_add(weight(range));
        });
        if seen > 0 && seen < ranges {
            pages = pages.saturating_mul(ranges).div_ceil(seen);
        }
        // Younger ranges may have pages in memory even if none of the sampled ranges has any.
        pages.max(ranges.div_ceil(EMPTY_RANGES))
    }

    fn scan(&self, place: &Place<'_>, wanted: usize) -> Scan {
        self.purge_oldest(place, wanted, Why::Manual)
    }
}

impl Reclaim {
    /// Returns whether reclaim by the current task has failed, but is worth another try before
    /// the kernel kills a process: others may have taken what was purged, or watermarks may
    /// have risen meanwhile.
    pub(crate) fn may_retry(&self) -> bool {
        // With MGLRU, `kswapd` may ask for a kill although it has reclaimed enough. A task that
        // was killed gets memory at once. For an allocation that must not enter file systems, no
        // process is killed anyway.
        if is_kswapd() || task::was_killed() || task::has_nofs_scope() {
            return false;
        }
        // `under_way` first: a purge that ends between the two loads is then in `freed`.
        let is_purging = self.under_way.load(Acquire) != 0;
        let freed = self.freed.load(Relaxed);
        let second = msecs_to_jiffies(1000);
        self.retries
            .ask(task::pid(), freed, is_purging, vmstat::now(), second)
    }

    /// Purges the oldest ranges of a place, until about `wanted` pages have been freed. May
    /// sleep.
    fn purge_oldest(&self, place: &Place<'_>, wanted: usize, why: Why) -> Scan {
        let so_far = reclaimed();
        // count() is what is left, so a third of it is a quarter of what there was.
        if so_far >= ENOUGH && so_far >= self.count(place) / 3 {
            return Scan::Stop;
        }
        trace::scan_begin(|record| {
            let nodes = self.nodes.lock();
            // CAST: Not negative.
            let node = nodes.get(place.node() as usize);
            let mood = node.and_then(mood::History::mood);
            drop(nodes);
            record(place.cgroup(), place.node(), wanted, why, mood);
        });
        let (mut freed, mut empty, mut vain) = (0, 0, 0);
        let most_empty = wanted.saturating_mul(EMPTY_RANGES).max(TRIES);
        let mut left = self.lru.count(place);
        while freed < wanted && empty < most_empty && vain < TRIES && left > 0 {
            left -= 1;
            might_sleep();
            // This makes it the youngest, so that a range that cannot be purged does not stay
            // in the way.
            let oldest = self.lru.rotate(place, |range| {
                (range.owner().clone(), unpinned::pages(range).first())
            });
            let Some((backing, page)) = oldest else {
                break;
            };
            match backing.try_purge(page, why) {
                None => vain += 1,
                Some(0) => empty += 1,
                Some(pages) => freed = pages.saturating_add(freed),
            }
        }
        // OVERFLOW: Counting that far would take too long.
        self.skipped.add(vain, Relaxed);
        trace::scan_end(|record| record(place.cgroup(), place.node(), freed, vain));
        match freed + empty {
            0 => Scan::Stop,
            _ => Scan::Freed {
                objects: freed,
                scanned: freed.max((empty + vain).div_ceil(EMPTY_RANGES)),
            },
        }
    }
}

/// The number of pages that is enough for one reclaim, if it is also a quarter of what there
/// was.
///
/// Reclaim asks for about 64 pages. But reclaim for the limit of a memory cgroup does not
/// notice that they were freed, and would call again until nothing is left. The quarter matters
/// when a limit is lowered by a lot: the kernel makes 16 attempts before it kills a process.
const ENOUGH: usize = 512;
