// SPDX-License-Identifier: GPL-2.0

//! Reclaim: backing files whose unpinned pages can be purged.

use core::ptr;

use kernel::{
    new_condvar, new_mutex, new_spinlock,
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
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
    shmem::{
        Readiness,
        ShmemFile, //
    },
    shrinker::{
        account_reclaimed,
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

/// A range of pages that are unpinned. It has its backing and thereby the lists.
type Object = Node<Range<Arc<Backing>>>;

/// Returns about how many pages a purge of a range would free.
fn weight(range: &Object) -> usize {
    range.owner().file.weight(unpinned::pages(range))
}

/// A backing file, and which of its pages are unpinned.
///
/// # Invariants
///
/// While `unpinned` is unlocked, a range that can be purged is on the list of `reclaim`,
/// unless a scan left it to swap. What is on the list is in `unpinned`, but for those that
/// [`Backing::forget()`] is at.
///
/// If there is a range, or was one, `reclaim` knows of the backing, and `membership` is
/// set.
///
/// `reclaim` and the ranges refer to the backing, so [`Backing::forget()`] must be
/// called for it to be freed.
#[pin_data]
pub(crate) struct Backing {
    file: ShmemFile,
    /// That of private mappings, which has the name alone.
    private_file: SetOnce<ShmemFile>,
    pages: usize,
    reclaim: Arc<Reclaim>,
    membership: SetOnce<Membership>,
    #[pin]
    unpinned: SpinLock<Unpinned<Item<Object>>>,
    /// Whoever waits for the end of a purge.
    #[pin]
    purge_ended: CondVar,
    /// How many pins found that pages had been purged.
    found_purged: Atomic<usize>,
}

type Locked<'a> = Guard<'a, Unpinned<Item<Object>>, SpinLockBackend>;

/// What a backing has once something of it was unpinned.
struct Membership {
    /// Its place among the backings that [`Reclaim::purge_all()`] goes through.
    number: u64,
    /// That of the user who first unpinned something.
    account: Arc<Account>,
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

    /// Returns the file of private mappings; whoever makes the first one sets it.
    pub(crate) fn private_file(&self) -> &SetOnce<ShmemFile> {
        &self.private_file
    }

    /// Returns the number of pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// Pins pages and returns whether any of them was purged. Waits until no purge
    /// of any of them is under way.
    ///
    /// Many ranges are pinned some at a time. Fails with `ENOMEM`, before any change,
    /// if it has to split a range; or if the caller is killed.
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
                // What was pinned so far cannot be undone. Another thread has meanwhile
                // unpinned pages around what is left. That adds one range at most.
                Err(needed) if has_begun => spare = Some(self.needed_spare(needed)?),
                Err(needed) => spare = Some(self.spare(needed, cgroup_of_caller())?),
            }
        }
        if purged {
            // OVERFLOW: It would take too long.
            self.found_purged.add(1, Relaxed);
        }
        Ok(purged)
    }

    /// Pins pages; says which are still to be pinned.
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

    /// Unpins pages, which may be purged from now on. Waits until no purge of a range
    /// that it joins is under way.
    ///
    /// Many ranges are joined some at a time. Fails with `ENOMEM` if nothing has changed;
    /// after that, pages that cannot be unpinned stay pinned, and it succeeds.
    pub(crate) fn unpin(self: &Arc<Self>, pages: PageRange) -> Result {
        let cgroup = cgroup_of_caller();
        let mut unpinned = self.unpinned.lock();
        let mut spare = None;
        // Most likely it takes one.
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
            // Before a spare is made or freed.
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

    /// Waits until no purge is in the way of pinning or unpinning pages.
    #[inline]
    fn wait_for_purges(&self, unpinned: &mut Locked<'_>, pages: PageRange) {
        while unpinned.is_purging(pages) {
            self.purge_ended.wait(unpinned);
        }
    }

    /// Returns whether all the pages are pinned.
    pub(crate) fn is_pinned(&self, pages: PageRange) -> bool {
        self.unpinned.lock().is_pinned(pages)
    }

    /// Returns whether anybody has it mapped.
    pub(crate) fn is_mapped(&self) -> bool {
        let private = self.private_file.as_ref();
        self.file.is_mapped() || private.is_some_and(ShmemFile::is_mapped)
    }

    /// Returns what has happened to it so far.
    fn past(&self) -> Past {
        Past {
            unpinned: self.unpinned.lock().so_far(),
            found_purged: self.found_purged.load(Relaxed),
            ..Past::default()
        }
    }

    /// Returns how much is unpinned; that of many ranges is not of one moment.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        let mut next = Some(0);
        while let Some(page) = next {
            might_sleep();
            next = self.unpinned.lock().tally(page, &mut sum);
        }
        sum
    }

    /// Pins all pages for good and lets go of the ranges. Nobody may pin or unpin any
    /// more.
    pub(crate) fn forget(&self) {
        let Some(membership) = self.membership.as_ref() else {
            return;
        };
        let mut ranges = self.unpinned.lock().take();
        if ranges.count() >= MANY {
            // Often nothing else of their memory cgroup was unpinned before.
            for node in vmstat::nodes_with_memory() {
                let is_gone = |range: &Object| ptr::eq(&**range.owner(), self);
                self.reclaim.lru.remove_oldest(node, is_gone);
            }
        }
        self.reclaim.lru.discard(ranges.drain());
        // With what was kept, and its charges.
        drop(ranges);
        // Until here it was counted with the others.
        self.reclaim.dismiss(membership, self.past());
    }

    /// Makes an object for one more range; charged to the caller, of this memory cgroup.
    ///
    /// Fails with `ENOMEM`, also if the caller's user has too many ranges.
    fn spare(self: &Arc<Self>, needed: SpareNeeded, cgroup: u64) -> Result<Spare<Item<Object>>> {
        self.new_spare(needed, cgroup, task::may_exceed_limits)
    }

    /// The same, however long that takes, whatever the user's limit.
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
        // A caller that is moved meanwhile may be charged in either.
        let cgroup = Some(cgroup).filter(|&cgroup| cgroup == cgroup_of_caller());
        Ok(Spare { range, cgroup })
    }

    /// Charges one more range to the caller's user.
    ///
    /// Fails with `ENOMEM`, also if that has too many and may not.
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

    /// Purges the range that `page` is in, unless that would have to wait for a page that
    /// the calling task may have locked, or for swap, or the range is changing. Returns
    /// about how many pages it freed.
    fn try_purge(&self, page: usize, why: Why) -> Option<usize> {
        let range = self.unpinned.lock().purgeable(page)?;
        let readiness = self.file.readiness(range);
        let mut unpinned = self.unpinned.lock();
        match readiness {
            // A task that swaps in a page, or collapses several to a huge one, has
            // them locked while it allocates.
            Readiness::Locked => return None,
            // A purge would read it, and free nothing. This leaves it to swap, until it
            // is pinned or joined, or everything is purged.
            Readiness::InSwap => {
                unpinned.with_purgeable(range, |range| self.reclaim.lru.remove(range));
                return None;
            }
            Readiness::Ready => (),
        }
        if !unpinned.begin_purge(range, &mut Listed(&self.reclaim)) {
            return None;
        }
        drop(unpinned);
        self.note_purge(range, why);
        let weight = self.file.weight(range);
        if weight > 0 {
            let before = self.file.resident();
            self.file.punch(range);
            // It is right if nobody else touches the file.
            account_reclaimed(before.saturating_sub(self.file.resident()));
        }
        drop(self.end_purge(range));
        Some(weight)
    }

    /// Notes that a range is purged.
    fn note_purge(&self, range: PageRange, why: Why) {
        trace::purge(move |record| record(self.file.inode_number(), range, why));
        // OVERFLOW: It would take too long. CAST: The number of a variant.
        if let Some(purged) = self.reclaim.purged.get(why as usize) {
            purged.add(range.len(), Relaxed);
        }
    }

    /// Purges what is unpinned, or waits until it is purged. Returns how many pages it
    /// purged.
    fn purge_all(&self) -> usize {
        let mut purged = 0_usize;
        let mut order = Listed(&self.reclaim);
        let mut start = Start::At(0);
        let mut unpinned = self.unpinned.lock();
        loop {
            // What is below was purged. A range that reaches below only now was joined
            // to what was unpinned since, and is found by its last page.
            let found = unpinned.purge_next(start, &mut order);
            if matches!(start, Start::Behind(_)) && unpinned.take_awaited() {
                self.purge_ended.notify_all();
            }
            let last = match found {
                Found::Begun(range) => {
                    drop(unpinned);
                    might_sleep();
                    self.note_purge(range, Why::Everything);
                    if self.file.has_any(range) {
                        self.file.punch(range);
                    }
                    purged = purged.saturating_add(range.len());
                    if task::was_killed() {
                        drop(self.end_purge(range));
                        return purged;
                    }
                    unpinned = self.unpinned.lock();
                    start = Start::Behind(range);
                    continue;
                }
                Found::Purging(range, purge) => {
                    // Not for later ones of the same range: there might be no end.
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
                Found::Nothing => return purged,
            };
            if task::was_killed() {
                return purged;
            }
            start = Start::At(last + 1);
        }
    }

    /// Ends a purge: whoever wants the range has it from now on.
    fn end_purge(&self, range: PageRange) -> Locked<'_> {
        let mut unpinned = self.unpinned.lock();
        if unpinned.end_purge(range) {
            self.purge_ended.notify_all();
        }
        unpinned
    }
}

/// Keeps the list in step with the ranges.
struct Listed<'a>(&'a Reclaim);

impl Order<Item<Object>> for Listed<'_> {
    fn push(&mut self, range: &Item<Object>) {
        self.0.lru.add(range);
    }

    fn remove(&mut self, range: &Item<Object>) {
        self.0.lru.remove(range);
    }
}

/// The backings of which something was unpinned, by the order in which that first
/// happened.
struct Backings {
    by_number: RBTree<u64, Member>,
    last: u64,
    accounts: Accounts,
    /// What happened to those that are gone.
    past: Past,
    /// What of it [`Reclaim::past()`] has counted already, which is up to this number.
    counted: Past,
    counted_to: u64,
}

/// What has happened so far, in pages.
#[derive(Clone, Copy, Default)]
pub(crate) struct Past {
    /// Pages that were unpinned.
    pub(crate) unpinned: usize,
    /// Pins that found that pages had been purged.
    pub(crate) found_purged: usize,
    /// Ranges that a purge had to leave out.
    pub(crate) left_out: usize,
    purged: [usize; Why::ALL.len()],
}

impl Past {
    /// Returns how many pages were purged for this reason.
    pub(crate) fn purged(&self, why: Why) -> usize {
        // CAST: The number of a variant.
        self.purged.get(why as usize).copied().unwrap_or(0)
    }

    /// Adds what is counted for each backing.
    fn add(&mut self, other: Self) {
        self.unpinned = self.unpinned.wrapping_add(other.unpinned);
        self.found_purged = self.found_purged.wrapping_add(other.found_purged);
    }
}

struct Member {
    backing: Arc<Backing>,
    /// Those of the users who unpinned something.
    accounts: KVec<Arc<Account>>,
}

impl Backings {
    /// Returns the first backing after that of a number, and its own number.
    fn after(&mut self, number: u64) -> Option<(u64, Arc<Backing>)> {
        // OVERFLOW: Nobody counts so far.
        let found = self.by_number.cursor_lower_bound(&(number + 1))?;
        let (&number, member) = found.current();
        Some((number, member.backing.clone()))
    }

    /// Returns a user's account with a backing.
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

/// All that can be purged, of all areas.
#[pin_data]
pub(crate) struct Reclaim {
    #[pin]
    lru: Lru<Object>,
    /// The nodes of memory, by number.
    #[pin]
    nodes: SpinLock<KVec<mood::Node>>,
    #[pin]
    backings: Mutex<Backings>,
    /// Taken by who adds up what has happened.
    #[pin]
    counting: Mutex<()>,
    /// Pages that were purged, by the reason.
    purged: [Atomic<usize>; Why::ALL.len()],
    /// Ranges that were left out.
    left_out: Atomic<usize>,
}

impl Reclaim {
    /// Makes an empty one and lets memory reclaim call it.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn register() -> Result<Registration<Self>> {
        let shrinker = Unregistered::new(c"ashmem")?;
        let lru = Lru::new(c"ashmem_unpinned", &shrinker);
        let nodes = KVec::from_elem(mood::Node::default(), vmstat::nodes(), GFP_KERNEL)?;
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
                left_out: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        if !reclaim.lru.is_per_cgroup() {
            pr_info!("cgroup.memory=nokmem: no limit of a memory cgroup purges anything\n");
        }
        Ok(shrinker.register(reclaim))
    }

    /// Makes a backing one of which something may be unpinned.
    ///
    /// Fails with `ENOMEM`.
    #[cold]
    fn admit(&self, backing: &Arc<Backing>) -> Result {
        let mut backings = self.backings.lock();
        // Another thread may have done it.
        if backing.membership.as_ref().is_some() {
            return Ok(());
        }
        // OVERFLOW: Nobody counts so far.
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

    /// Undoes [`Reclaim::admit()`].
    fn dismiss(&self, membership: &Membership, past: Past) {
        self.backings.lock().remove(membership.number, past);
    }

    /// Returns what has happened so far.
    pub(crate) fn past(&self) -> Past {
        let _one = self.counting.lock();
        let mut sum = Past::default();
        let mut last = None;
        loop {
            might_sleep();
            let mut backings = self.backings.lock();
            // What is admitted later can wait for the next time.
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
            // What went before it was counted is here, and what went after is not.
            sum.add(backings.past);
            let counted = core::mem::take(&mut backings.counted);
            backings.past.add(counted);
            backings.counted_to = 0;
            break;
        }
        for (to, purged) in sum.purged.iter_mut().zip(&self.purged) {
            *to = purged.load(Relaxed);
        }
        sum.left_out = self.left_out.load(Relaxed);
        sum
    }

    /// Returns a user's account with a backing.
    ///
    /// Fails with `ENOMEM`.
    fn account_of(&self, membership: &Membership, user: u32) -> Result<Arc<Account>> {
        self.backings.lock().account(membership.number, user)
    }

    /// Purges everything that can be purged when it is called, and returns how
    /// many pages that was.
    ///
    /// Sleeps for the locks that it needs, unlike [`Shrinker::scan()`]. Gives up if
    /// the caller is killed.
    // Out of line: otherwise every ioctl would have its stack frame.
    #[inline(never)]
    pub(crate) fn purge_all(&self) -> usize {
        let (mut number, mut purged) = (0, 0_usize);
        // A backing that comes later has nothing that was unpinned by now.
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

/// How many ranges of a backing are so many that it is worth a look whether they are the
/// oldest.
const MANY: u32 = 512;

/// How many backings are looked at under one lock.
const BATCH: usize = 64;

/// How many ranges of a place are looked at to tell how large they are.
const SAMPLE: usize = 64;

/// How many ranges that cannot be purged now a scan looks at, or of which nothing is in
/// memory: they must not keep younger ones from it, nor take long.
const TRIES: usize = 4096;

/// How many ranges of which nothing is in memory take as long as a page.
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
        // Under the lock, so that who reads first looks first.
        let read = vmstat::read(place.node());
        // CAST: Not negative.
        let mood = match nodes.get_mut(place.node() as usize) {
            Some(node) => node.look(&read, place.caller(), vmstat::now(), times),
            None => Mood::Short,
        };
        drop(nodes);
        match mood {
            Mood::Plenty => Urgency::Never,
            Mood::Calm => Urgency::LastResort,
            Mood::Short => Urgency::Now,
        }
    }

    /// Purges half of what there is, but enough for the one who calls: who unpins said
    /// that it can go. If the node lacks more, then that, as the kernel may kill after it
    /// has come four times.
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

    /// Takes the oldest for average if there are many.
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
        // Even if nothing of the oldest is in memory, of others something may be.
        pages.max(ranges.div_ceil(EMPTY_RANGES))
    }

    fn scan(&self, place: &Place<'_>, wanted: usize) -> Scan {
        self.purge_oldest(place, wanted, Why::Hand)
    }
}

impl Reclaim {
    /// Purges the oldest ranges of a place, until so many pages are free.
    fn purge_oldest(&self, place: &Place<'_>, wanted: usize, why: Why) -> Scan {
        let so_far = reclaimed();
        if so_far >= ENOUGH && so_far >= self.count(place) / 3 {
            return Scan::Stop;
        }
        trace::scan_begin(|record| {
            let nodes = self.nodes.lock();
            // CAST: Not negative.
            let node = nodes.get(place.node() as usize);
            let mood = node.and_then(mood::Node::mood);
            drop(nodes);
            record(place.cgroup(), place.node(), wanted, why, mood);
        });
        let (mut freed, mut empty, mut vain) = (0, 0, 0);
        let most_empty = wanted.saturating_mul(EMPTY_RANGES).max(TRIES);
        let mut left = self.lru.count(place);
        while freed < wanted && empty < most_empty && vain < TRIES && left > 0 {
            left -= 1;
            might_sleep();
            // It is the youngest then; if it can be purged, that is no matter.
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
        // OVERFLOW: It would take too long.
        self.left_out.add(vain, Relaxed);
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

/// With how many pages one reclaim should be content, if they are a quarter of what
/// there was.
///
/// It wants 64 or so, but that of a memory cgroup does not see that it got them, and
/// comes back until nothing is left. The quarter is for a limit that is lowered at
/// once: the kernel tries 16 times before it kills.
const ENOUGH: usize = 512;
