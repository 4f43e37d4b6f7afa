// SPDX-License-Identifier: GPL-2.0

//! The set of unpinned pages of an area, as ranges, and which of them were purged.
//!
//! This is a plain data structure, without locks, files or LRU lists. It reports to an
//! [`Order`] which ranges can be purged.

use kernel::prelude::*;

use crate::{
    pages::PageRange,
    quota::{
        self,
        Charge, //
    },
    tree::{
        Boxed,
        Drain,
        Held,
        Node,
        Tree,
        Word, //
    },
};

/// An unpinned range of the pages of an owner. It is the value of a node in the tree of
/// [`Unpinned`].
///
/// It only changes while that is locked. Without the lock, for example when the range is found
/// on an LRU list, [`pages()`] may be called, but its result is only a hint.
pub(crate) struct Range<O> {
    first: Word,
    /// [`PURGED`], [`PURGEABLE`], and from the bit [`PURGE`] on the number of the purge that is
    /// under way, or 0.
    state: Word,
    /// The charge for the range, if there is one. It ends when this is dropped.
    charge: Option<Charge>,
    owner: O,
}

/// A purge of the range has begun, and may have ended.
const PURGED: usize = 1;
/// The range can be purged, and is in the [`Order`].
const PURGEABLE: usize = 2;
/// The lowest bit of the number of a purge.
const PURGE: usize = 4;

impl<O> Range<O> {
    /// Creates a range that has no pages yet.
    pub(crate) fn new(owner: O, charge: Option<Charge>) -> Node<Self> {
        Node::new(Self {
            first: Word::new(0),
            state: Word::new(0),
            charge,
            owner,
        })
    }

    /// Returns the owner of the pages.
    pub(crate) fn owner(&self) -> &O {
        &self.owner
    }

    fn has(&self, flag: usize) -> bool {
        self.state.load() & flag != 0
    }

    /// Returns whether the range can be purged.
    pub(crate) fn is_purgeable(&self) -> bool {
        self.has(PURGEABLE)
    }

    /// Returns the number of the purge that is under way, or 0.
    fn purge(&self) -> usize {
        self.state.load() / PURGE
    }
}

/// Returns the pages of a range. The key of a range is its last page, so the lower bound of a
/// page is the first range that can contain it.
pub(crate) fn pages<O>(range: &Node<Range<O>>) -> PageRange {
    let (first, last) = (range.first.load(), range.key());
    PageRange::from_ends(first, last.max(first))
}

/// The ranges that can be purged, in the order in which they were unpinned. A range may shrink
/// while it is in the order.
pub(crate) trait Order<B> {
    /// Adds a new range as the youngest.
    fn push(&mut self, range: &B);

    /// Removes a range, because it is gone or about to be purged.
    fn remove(&mut self, range: &B);
}

/// An object for one more range, allocated before the lock is taken, and the memory cgroup that
/// it is charged to, if known. In rare cases it is charged to another cgroup, or to none:
/// because its task was just moved, or the kernel lacked memory to record the charge. The range
/// is then on another list.
pub(crate) struct Spare<B> {
    pub(crate) range: B,
    pub(crate) cgroup: Option<u64>,
}

/// The error if a [`Spare`] is needed. Nothing was changed then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SpareNeeded {
    /// Whether the call adds a range that has to be charged.
    pub(crate) is_charged: bool,
}

/// The result of pinning.
pub(crate) struct Pinned {
    /// Whether any of the pages was in a purged range.
    pub(crate) purged: bool,
    /// The pages that are still to be pinned.
    pub(crate) rest: Option<PageRange>,
}

/// Where [`Unpinned::purge_next()`] starts to look.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// At this page.
    At(usize),
    /// After this range, whose pages the caller has purged.
    After(PageRange),
}

/// What [`Unpinned::purge_next()`] finds.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A range that could be purged. Its purge has begun.
    Begun(PageRange),
    /// A range that another task is purging, and the number of that purge.
    Purging(PageRange, usize),
    /// Nothing to purge up to this page. There may be more after it.
    NothingTo(usize),
    /// Nothing to purge, and no more ranges.
    Nothing,
}

/// How much of an area is unpinned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) ranges: usize,
    pub(crate) pages: usize,
    /// The pages for which a pin would report a purge.
    pub(crate) purged: usize,
}

/// Which memory cgroup the objects of an area are charged to.
#[derive(Clone, Copy, PartialEq)]
enum Home {
    /// There are no objects.
    None,
    /// The cgroup of this number.
    One(u64),
    Several,
}

/// The objects of an area's ranges.
///
/// # Invariants
///
/// All objects are charged to `home`, as far as is known (see [`Spare`]). If that is
/// [`Home::Several`], none is `kept`.
struct Objects<B> {
    home: Home,
    /// Unused objects, kept because a pin is often followed by an unpin. There are two, because
    /// a pin that splits a range takes one, and an unpin that merges the parts frees one.
    kept: [Option<B>; 2],
}

impl<O, B: Boxed<Value = Range<O>>> Objects<B> {
    /// Returns whether all objects are charged to this memory cgroup. Only then may its tasks
    /// reuse them, because a range is on the list of the cgroup that its object is charged to.
    fn are_of(&self, cgroup: u64) -> bool {
        self.home == Home::One(cgroup)
    }

    /// Takes the spare, or an object that was kept, for a task of this memory cgroup. If the
    /// range `is_charged`, a spare without a charge will not do.
    fn take(
        &mut self,
        spare: &mut Option<Spare<B>>,
        cgroup: impl FnOnce() -> u64,
        is_charged: bool,
    ) -> Result<B, SpareNeeded> {
        if let Some(spare) = spare.take_if(|spare| !is_charged || spare.range.charge.is_some()) {
            self.admit(spare.cgroup);
            return Ok(spare.range);
        }
        let kept = self.kept.iter_mut().find(|kept| kept.is_some());
        kept.filter(|_| self.home == Home::One(cgroup()))
            .and_then(Option::take)
            .ok_or(SpareNeeded { is_charged })
    }

    /// Returns whether an object was kept that tasks of this memory cgroup may use.
    fn is_kept(&self, cgroup: u64) -> bool {
        self.kept.iter().any(Option::is_some) && self.are_of(cgroup)
    }

    /// Notes that there is a new object, charged to this memory cgroup, if that is known.
    fn admit(&mut self, cgroup: Option<u64>) {
        match (self.home, cgroup) {
            (Home::None, Some(cgroup)) => self.home = Home::One(cgroup),
            (Home::One(home), Some(cgroup)) if home == cgroup => (),
            _ => {
                self.home = Home::Several;
                self.kept = [None, None];
            }
        }
    }

    /// Keeps a spare that was not needed, so that the next such call need not allocate another.
    /// A spare with a charge is not kept, because no range belongs to the charge.
    fn keep_spare(&mut self, spare: &mut Option<Spare<B>>) {
        if let Some(spare) = spare.take() {
            let is_of_home = spare.cgroup.is_some_and(|cgroup| self.are_of(cgroup));
            if is_of_home && spare.range.charge.is_none() {
                self.keep(spare.range);
            }
        }
    }

    /// Adapts to the number of ranges after some were removed. If one more range would not be
    /// charged, drops the charges of objects that are kept. If no ranges are left, it no longer
    /// matters which memory cgroups the objects were charged to.
    fn settle(&mut self, ranges: u32) {
        if self.home == Home::Several {
            // None is kept.
            if ranges == 0 {
                self.home = Home::None;
            }
        } else if !quota::is_charged(ranges) {
            for kept in self.kept.iter_mut().flatten() {
                pass_charge(kept, None);
            }
        }
    }

    /// Keeps an object that is not needed any more, if there is a free slot.
    fn keep(&mut self, gone: B) {
        if self.home == Home::Several {
            return;
        }
        if let Some(free) = self.kept.iter_mut().find(|kept| kept.is_none()) {
            *free = Some(gone);
        }
    }
}

/// Moves the charge of an object to `to`, unless that has one, or drops it if there is no `to`.
/// Neither object may be in a tree or an [`Order`].
fn pass_charge<O, B: Boxed<Value = Range<O>>>(from: &mut B, to: Option<&mut B>) {
    if from.charge.is_none() || to.as_ref().is_some_and(|to| to.charge.is_some()) {
        return;
    }
    let charge = from.get_mut().and_then(|range| range.charge.take());
    if let Some(range) = to.and_then(B::get_mut) {
        range.charge = charge;
    }
}

/// The purges of an area's ranges: how many have begun so far, and how many are under way.
struct Purges {
    begun: usize,
    under_way: u32,
}

impl Purges {
    /// Begins to purge a range, if it can be purged, and returns whether it can.
    fn begin<O, B: Boxed<Value = Range<O>>>(
        &mut self,
        range: &B,
        order: &mut impl Order<B>,
    ) -> bool {
        if !range.is_purgeable() {
            return false;
        }
        // OVERFLOW: Counting that far would take too long, here and below.
        self.begun = self.begun.wrapping_add(1);
        self.under_way += 1;
        // INVARIANT: The range is being purged: it counts as purged and is not purgeable.
        range.state.store(PURGED | self.begun.wrapping_mul(PURGE));
        order.remove(range);
        true
    }

    /// Begins to purge the first range that can be purged, unless a range before it is being
    /// purged. Looks at no more than `most` ranges. `page` is where `ranges` begin.
    fn begin_one<'a, O, B: Boxed<Value = Range<O>> + 'a>(
        &mut self,
        mut ranges: impl Iterator<Item = Held<'a, B>>,
        page: usize,
        most: usize,
        order: &mut impl Order<B>,
    ) -> Found {
        let mut end = page;
        for _ in 0..most {
            let Some(range) = ranges.next() else {
                return Found::Nothing;
            };
            let (purge, pages) = (range.purge(), pages(&range));
            if purge != 0 {
                return Found::Purging(pages, purge);
            }
            if self.begin(&*range, order) {
                return Found::Begun(pages);
            }
            end = pages.last();
        }
        Found::NothingTo(end)
    }

    /// Ends the purge of a range, or of one that was removed by [`Unpinned::take()`].
    fn end<O, B: Boxed<Value = Range<O>>>(&mut self, range: Option<Held<'_, B>>) {
        if let Some(range) = range {
            range.state.store(PURGED);
        }
        self.under_way -= 1;
    }
}

/// The unpinned ranges of an area.
///
/// A call handles at most `PIECE` ranges, and returns the pages that are left for another call.
/// The effect is the same as if only the pages handled had been passed. Callers must make sure
/// that none of these ranges is being purged: see [`Unpinned::is_purging()`].
///
/// # Invariants
///
/// - No two ranges have a page in common.
/// - Each range counts as purged, is purgeable, or both. If pinned pages are merged with a purged
///   range, all of the new range counts as purged, as in the C driver. But unlike there, it is
///   purgeable.
/// - A range that is being purged counts as purged, is not purgeable and does not change.
/// - `ranges` is the number of ranges.
pub(crate) struct Unpinned<B: Boxed, const PIECE: usize = 64> {
    tree: Tree<B>,
    /// At most about a million, because only the first 4 GiB can be divided into ranges.
    ranges: u32,
    /// The number of pages that went from pinned to unpinned so far.
    so_far: usize,
    purges: Purges,
    /// Whether, since a purge last ended, a caller was told that one is under way, and may wait
    /// for it.
    awaited: bool,
    objects: Objects<B>,
}

impl<O, B: Boxed<Value = Range<O>>, const PIECE: usize> Unpinned<B, PIECE> {
    /// Creates the state of a new area, all of which is pinned.
    pub(crate) fn new() -> Self {
        // The first range of a piece may be the one that the piece before has made.
        const { assert!(PIECE >= 2) };
        // INVARIANT: There is no range.
        Self {
            tree: Tree::new(),
            ranges: 0,
            so_far: 0,
            purges: Purges {
                begun: 0,
                under_way: 0,
            },
            awaited: false,
            objects: Objects {
                home: Home::None,
                kept: [None, None],
            },
        }
    }

    /// Returns the first range that has a page in common with `pages`.
    fn overlapping(&self, pages: PageRange) -> Option<Held<'_, B>> {
        let range = self.tree.lower_bound(pages.first())?;
        (range.first.load() <= pages.last()).then_some(range)
    }

    /// Returns whether none of the pages is unpinned.
    pub(crate) fn is_pinned(&self, pages: PageRange) -> bool {
        self.overlapping(pages).is_none()
    }

    /// Returns the number of pages that went from pinned to unpinned so far.
    pub(crate) fn so_far(&self) -> usize {
        self.so_far
    }

    /// Adds unpinned pages, from `page` on, to `sum`. Returns the page to continue at, or
    /// [`None`] at the end.
    pub(crate) fn tally(&self, page: usize, sum: &mut Tally) -> Option<usize> {
        let mut ranges = self.tree.iter_from(page);
        let mut next = page;
        for _ in 0..PIECE {
            let range = ranges.next()?;
            let found = pages(&range);
            // Pages below `next` have been added before, and were merged with this range since.
            let len = found.last() - found.first().max(next) + 1;
            sum.ranges += 1;
            sum.pages += len;
            sum.purged += if range.has(PURGED) { len } else { 0 };
            next = found.last() + 1;
        }
        Some(next)
    }

    /// Returns which spare [`Unpinned::unpin()`] will most likely need for a task of this
    /// memory cgroup, if it needs one.
    pub(crate) fn needs(&self, cgroup: u64) -> Option<SpareNeeded> {
        (!self.objects.is_kept(cgroup)).then(|| SpareNeeded {
            is_charged: quota::is_charged(self.ranges),
        })
    }

    /// Unpins pages for a task of this memory cgroup. Returns those that are still to be
    /// unpinned.
    ///
    /// If all the pages are in one range, nothing changes. Otherwise they are merged with all
    /// ranges that they overlap into a new range. It is the youngest, and counts as purged if
    /// any of these ranges did. It can be purged, unless all of it consists of ranges that
    /// could not be.
    pub(crate) fn unpin(
        &mut self,
        pages: PageRange,
        spare: &mut Option<Spare<B>>,
        cgroup: u64,
        order: &mut impl Order<B>,
    ) -> Result<Option<PageRange>, SpareNeeded> {
        let gap = self.tree.gap(pages.first());
        let following = gap.following().map(|range| self::pages(&range));
        match following.filter(|found| found.first() <= pages.last()) {
            None => {
                let is_charged = quota::is_charged(self.ranges);
                let new = self.objects.take(spare, || cgroup, is_charged)?;
                set_up(&new, pages, PURGEABLE, order);
                gap.insert(new);
                // INVARIANT: One range more.
                self.ranges += 1;
                self.so_far = self.so_far.wrapping_add(pages.len());
                Ok(None)
            }
            // No other range can overlap these pages.
            Some(found) if found.contains(pages) => {
                self.objects.keep_spare(spare);
                Ok(None)
            }
            Some(_) => {
                let new = if self.objects.are_of(cgroup) {
                    None
                } else {
                    Some(self.objects.take(spare, || cgroup, false)?)
                };
                self.objects.keep_spare(spare);
                Ok(self.join(pages, new, order))
            }
        }
    }

    /// Returns which pages of `rest`, as returned by [`Unpinned::unpin()`], are to be unpinned
    /// next. The first page of `rest` has been unpinned already. If it was pinned again
    /// meanwhile, it is left out, so that this pin is not undone.
    pub(crate) fn still_to_unpin(&self, rest: PageRange) -> Option<PageRange> {
        let joined = PageRange::from_ends(rest.first(), rest.first());
        if self.is_pinned(joined) {
            rest.after(joined)
        } else {
            Some(rest)
        }
    }

    /// Merges pages and the ranges that they overlap into one range. It uses the object `new`,
    /// or else that of the first of these ranges.
    // Not inlined, to keep its stack frame out of other unpins.
    #[inline(never)]
    fn join(
        &mut self,
        pages: PageRange,
        mut new: Option<B>,
        order: &mut impl Order<B>,
    ) -> Option<PageRange> {
        let (mut hull, mut rest) = (pages, None);
        let (mut purged, mut empty) = (0, 0);
        let (mut count, mut end) = (0, pages.first());
        let mut before = 0;

        let mut next = self.tree.lower_bound_mut(pages.first());
        while let Some(cursor) = next {
            let found = self::pages(&cursor.get());
            if found.first() > pages.last() {
                break;
            }
            if count == PIECE {
                // The rest begins with a page of the range that is made here, so that the next
                // call merges the two.
                hull = PageRange::from_ends(hull.first(), end);
                rest = Some(PageRange::from_ends(end, pages.last()));
                break;
            }
            let (mut gone, after) = cursor.remove();
            next = after;
            count += 1;
            end = found.last();
            before += found.len();
            hull = hull.hull(found);
            purged |= gone.state.load() & PURGED;
            if gone.is_purgeable() {
                order.remove(&gone);
            } else {
                empty += found.len();
            }
            // INVARIANT: One range less.
            self.ranges -= 1;
            if new.is_some() {
                // The new object was not charged, because it replaces others: it takes over the
                // charge of one.
                pass_charge(&mut gone, new.as_mut());
                self.objects.keep(gone);
            } else {
                new = Some(gone);
            }
        }
        self.so_far = self.so_far.wrapping_add(hull.len() - before);
        let purgeable = if empty < hull.len() { PURGEABLE } else { 0 };
        if let Some(new) = new {
            self.insert(new, hull, purged | purgeable, order);
            self.objects.settle(self.ranges);
        }
        rest
    }

    /// Inserts a range that overlaps no other.
    fn insert(&mut self, new: B, pages: PageRange, state: usize, order: &mut impl Order<B>) {
        set_up(&new, pages, state, order);
        self.tree.insert(new);
        // INVARIANT: One range more.
        self.ranges += 1;
    }

    /// Pins pages. Returns whether any of them was in a purged range, and which are still to be
    /// pinned.
    ///
    /// Fails if a range has to be split and there is no object for the new one.
    pub(crate) fn pin(
        &mut self,
        pages: PageRange,
        spare: &mut Option<Spare<B>>,
        cgroup: impl FnOnce() -> u64,
        order: &mut impl Order<B>,
    ) -> Result<Pinned, SpareNeeded> {
        let mut purged = false;
        let mut count = 0;

        let mut next = self.tree.lower_bound_mut(pages.first());
        while let Some(cursor) = next {
            let range = cursor.get();
            let found = self::pages(&range);
            if found.first() > pages.last() {
                break;
            }
            if count == PIECE {
                let rest = Some(PageRange::from_ends(found.first(), pages.last()));
                return Ok(Pinned { purged, rest });
            }
            count += 1;
            purged |= range.has(PURGED);
            match (found.before(pages), found.after(pages)) {
                (None, None) => {
                    // No other range can overlap pages that end where this one does.
                    let (gone, after) = if found.last() == pages.last() {
                        (cursor.take(), None)
                    } else {
                        cursor.remove()
                    };
                    next = after;
                    if gone.is_purgeable() {
                        order.remove(&gone);
                    }
                    // INVARIANT: One range less.
                    self.ranges -= 1;
                    self.objects.keep(gone);
                    self.objects.settle(self.ranges);
                }
                (Some(lower), None) => {
                    range.set_key(lower.last());
                    next = cursor.next();
                }
                // No other range can overlap these pages.
                (None, Some(upper)) => {
                    range.first.store(upper.first());
                    break;
                }
                (Some(lower), Some(upper)) => {
                    self.split(lower, upper, spare, cgroup, order)?;
                    break;
                }
            }
        }
        Ok(Pinned { purged, rest: None })
    }

    /// Splits a range by pinning what is between `lower` and `upper`. The lower part keeps its
    /// place in the order; the upper one becomes the youngest.
    ///
    /// Fails if there is no object for the upper part.
    // Not inlined, to keep its stack frame out of other pins.
    #[inline(never)]
    fn split(
        &mut self,
        lower: PageRange,
        upper: PageRange,
        spare: &mut Option<Spare<B>>,
        cgroup: impl FnOnce() -> u64,
        order: &mut impl Order<B>,
    ) -> Result<(), SpareNeeded> {
        let is_charged = quota::is_charged(self.ranges);
        let new = self.objects.take(spare, cgroup, is_charged)?;
        let mut state = 0;
        if let Some(range) = self.overlapping(upper) {
            range.set_key(lower.last());
            state = range.state.load();
        }
        self.insert(new, upper, state, order);
        Ok(())
    }

    /// Calls `f` with the range of exactly these pages, if there is one and it can be purged.
    pub(crate) fn with_purgeable(&self, pages: PageRange, f: impl FnOnce(&B)) {
        if let Some(range) = exactly(&self.tree, pages).filter(|range| range.is_purgeable()) {
            f(&range);
        }
    }

    /// Returns the range that contains `page`, if there is one and it can be purged.
    pub(crate) fn purgeable(&self, page: usize) -> Option<PageRange> {
        let range = self.overlapping(PageRange::from_ends(page, page))?;
        range.is_purgeable().then(|| pages(&range))
    }

    /// Begins to purge the range of exactly these pages, if there is one and it can be purged.
    /// Returns whether there is. If so, the caller must call [`Unpinned::end_purge()`] later.
    pub(crate) fn begin_purge(&mut self, pages: PageRange, order: &mut impl Order<B>) -> bool {
        match exactly(&self.tree, pages) {
            Some(range) => self.purges.begin(&*range, order),
            None => false,
        }
    }

    /// Ends the purge of a range, which may have been removed by [`Unpinned::take()`]
    /// meanwhile. Returns whether somebody may be waiting for a purge to end.
    pub(crate) fn end_purge(&mut self, pages: PageRange) -> bool {
        self.purges.end(exactly(&self.tree, pages));
        self.take_awaited()
    }

    /// Returns whether any range that a call for these pages would handle is being purged. If
    /// so, notes that the caller may wait.
    pub(crate) fn is_purging(&mut self, pages: PageRange) -> bool {
        let is_purging = self.purges.under_way != 0 && self.finds_purging(pages);
        self.awaited |= is_purging;
        is_purging
    }

    /// Returns whether any purge is under way, also of a range that [`Unpinned::take()`] removed.
    /// If so, notes that the caller may wait.
    pub(crate) fn is_purging_any(&mut self) -> bool {
        let is_purging = self.purges.under_way != 0;
        self.awaited |= is_purging;
        is_purging
    }

    #[cold]
    fn finds_purging(&self, pages: PageRange) -> bool {
        let ranges = self.tree.iter_from(pages.first()).take(PIECE);
        ranges
            .take_while(|range| range.first.load() <= pages.last())
            .any(|range| range.purge() != 0)
    }

    /// Finds the next range that can be purged or is being purged. If it can be purged, begins
    /// the purge, as [`Unpinned::begin_purge()`] does. From [`Start::After`], ends the purge
    /// of that range first, as [`Unpinned::end_purge()`] does, but the caller must call
    /// [`Unpinned::take_awaited()`].
    pub(crate) fn purge_next(&mut self, start: Start, order: &mut impl Order<B>) -> Found {
        let page = match start {
            Start::At(page) => page,
            Start::After(ended) => ended.last(),
        };
        let mut ranges = self.tree.iter_from(page);
        if let Start::After(_) = start {
            // If the range was removed by `take()`, there are no others.
            self.purges.end(ranges.next());
        }
        self.purges.begin_one(ranges, page, PIECE, order)
    }

    /// Returns whether somebody may be waiting for a purge to end, and clears that.
    pub(crate) fn take_awaited(&mut self) -> bool {
        core::mem::take(&mut self.awaited)
    }

    /// Returns whether the purge of this number, which [`Unpinned::purge_next()`] found, is
    /// still under way. If so, notes that the caller may wait.
    pub(crate) fn is_under_way(&mut self, pages: PageRange, purge: usize) -> bool {
        let is_under_way = exactly(&self.tree, pages).is_some_and(|range| range.purge() == purge);
        self.awaited |= is_under_way;
        is_under_way
    }

    /// Removes all ranges and returns them, so that everything is pinned once the purges under
    /// way have ended. Callers that wait for the end of a purge remain noted, and the number of
    /// pages unpinned so far is kept.
    pub(crate) fn take(&mut self) -> Self {
        let mut empty = Self::new();
        empty.awaited = self.awaited;
        empty.purges.under_way = self.purges.under_way;
        empty.so_far = self.so_far;
        core::mem::replace(self, empty)
    }

    /// Returns the number of ranges.
    pub(crate) fn count(&self) -> u32 {
        self.ranges
    }

    /// Removes all ranges, in no particular order.
    pub(crate) fn drain(&mut self) -> Drain<B> {
        self.ranges = 0;
        self.tree.drain()
    }
}

/// Returns the range of exactly these pages, if there is one.
fn exactly<O, B: Boxed<Value = Range<O>>>(tree: &Tree<B>, pages: PageRange) -> Option<Held<'_, B>> {
    let range = tree.lower_bound(pages.last())?;
    (self::pages(&range) == pages).then_some(range)
}

/// Sets the pages and the state of a new range. If it can be purged, it becomes the youngest.
fn set_up<O, B: Boxed<Value = Range<O>>>(
    range: &B,
    pages: PageRange,
    state: usize,
    order: &mut impl Order<B>,
) {
    range.first.store(pages.first());
    range.set_key(pages.last());
    range.state.store(state);
    if state & PURGEABLE != 0 {
        order.push(range);
    }
}

#[kunit_tests(rust_ashmem_unpinned)]
mod tests {
    use super::*;

    use kernel::rbtree::RBTree;

    use crate::quota::Accounts;

    /// Returns whether the two ranges have a page in common.
    fn overlap(a: PageRange, b: PageRange) -> bool {
        a.first() <= b.last() && b.first() <= a.last()
    }

    /// A range of the model.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Known {
        range: PageRange,
        purged: bool,
        /// When it was unpinned, if it can be purged.
        age: Option<usize>,
    }

    /// The model: a sorted list of ranges. Every operation walks over all of them.
    struct Model {
        ranges: KVec<Known>,
        clock: usize,
        so_far: usize,
    }

    impl Model {
        fn tick(&mut self) -> Option<usize> {
            self.clock += 1;
            Some(self.clock)
        }

        fn add(&mut self, range: PageRange, purged: bool, age: Option<usize>) -> Result {
            let first = range.first();
            let behind = self.ranges.iter().position(|k| k.range.first() > first);
            let at = behind.unwrap_or(self.ranges.len());
            self.ranges.reserve(1, GFP_KERNEL)?;
            let known = Known { range, purged, age };
            self.ranges
                .insert_within_capacity(at, known)
                .map_err(|_| ENOMEM)
        }

        /// Removes a range that overlaps `pages`.
        fn take(&mut self, pages: PageRange) -> Option<Known> {
            let at = self.ranges.iter().position(|k| overlap(k.range, pages))?;
            self.ranges.remove(at).ok()
        }

        fn unpin(&mut self, pages: PageRange) -> Result {
            if self.ranges.iter().any(|k| k.range.contains(pages)) {
                return Ok(());
            }
            let (mut hull, mut purged, mut empty) = (pages, false, 0);
            let mut before = 0;
            while let Some(known) = self.take(pages) {
                before += known.range.len();
                hull = hull.hull(known.range);
                purged |= known.purged;
                empty += known.age.map_or(known.range.len(), |_| 0);
            }
            self.so_far += hull.len() - before;
            let age = self.tick().filter(|_| empty != hull.len());
            self.add(hull, purged, age)
        }

        fn pin(&mut self, pages: PageRange) -> Result<bool> {
            let mut was_purged = false;
            while let Some(known) = self.take(pages) {
                was_purged |= known.purged;
                let (lower, upper) = (known.range.before(pages), known.range.after(pages));
                if let Some(lower) = lower {
                    self.add(lower, known.purged, known.age)?;
                }
                if let Some(upper) = upper {
                    let is_split = lower.is_some() && known.age.is_some();
                    let age = if is_split { self.tick() } else { known.age };
                    self.add(upper, known.purged, age)?;
                }
            }
            Ok(was_purged)
        }

        fn is_pinned(&self, pages: PageRange) -> bool {
            !self.ranges.iter().any(|k| overlap(k.range, pages))
        }

        fn tally(&self) -> Tally {
            let mut sum = Tally::default();
            for known in &self.ranges {
                sum.ranges += 1;
                sum.pages += known.range.len();
                sum.purged += known.range.len() * usize::from(known.purged);
            }
            sum
        }

        fn purge_oldest(&mut self) -> Option<PageRange> {
            let aged = self.ranges.iter_mut().filter(|k| k.age.is_some());
            let oldest = aged.min_by_key(|k| k.age)?;
            oldest.purged = true;
            oldest.age = None;
            Some(oldest.range)
        }

        /// Returns the age of the range of exactly these pages, if there is one and it can be
        /// purged.
        fn age(&self, range: PageRange) -> Option<usize> {
            let first = range.first();
            let at = self
                .ranges
                .binary_search_by_key(&first, |k| k.range.first());
            let known = self.ranges.get(at.ok()?)?;
            known.age.filter(|_| known.range == range)
        }
    }

    /// A range whose owner is a number, which identifies it.
    type Numbered = KBox<Node<Range<usize>>>;

    /// Records the numbers of the ranges that can be purged, in order.
    struct Recorder(KVec<usize>);

    impl Order<Numbered> for Recorder {
        fn push(&mut self, range: &Numbered) {
            let _ = self.0.push(*range.owner(), GFP_KERNEL);
        }

        fn remove(&mut self, range: &Numbered) {
            let at = self.0.iter().position(|number| number == range.owner());
            let _ = self.0.remove(at.unwrap_or(usize::MAX));
        }
    }

    /// The memory cgroup of all callers, where it does not matter.
    const CGROUP: u64 = 5;

    /// Creates a spare, with a charge if `is_charged`.
    fn spare(number: usize, is_charged: bool) -> Result<Option<Spare<Numbered>>> {
        let account = Accounts::new().open(7)?;
        let charge = is_charged.then(|| account.charge(|| true)).transpose()?;
        let range = KBox::new(Range::new(number, charge), GFP_KERNEL)?;
        Ok(Some(Spare {
            range,
            cgroup: Some(CGROUP),
        }))
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Unpin(PageRange),
        Pin(PageRange),
        PurgeOldest,
    }

    /// The tested structure, with the smallest pieces possible, beside its model. The model
    /// knows neither pieces nor purges that take time.
    struct Pair {
        real: Unpinned<Numbered, 2>,
        order: Recorder,
        model: Model,
        next: usize,
        purging: Option<PageRange>,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                real: Unpinned::new(),
                order: Recorder(KVec::new()),
                model: Model {
                    ranges: KVec::new(),
                    clock: 0,
                    so_far: 0,
                },
                next: 0,
                purging: None,
            }
        }

        /// Returns what a failed call must not change.
        fn state(&self) -> (u32, usize) {
            (self.real.ranges, self.order.0.len())
        }

        /// Takes a step in both, and returns whether their results are equal.
        fn step(&mut self, step: Step) -> Result<bool> {
            match step {
                Step::Unpin(pages) => {
                    let mut rest = self.unpin(pages)?;
                    while let Some(pages) = rest {
                        rest = self.unpin_rest(pages)?;
                    }
                    self.model.unpin(pages)?;
                    Ok(true)
                }
                Step::Pin(pages) => {
                    let (mut rest, mut purged) = (Some(pages), false);
                    while let Some(pages) = rest {
                        let pinned = self.pin(pages)?;
                        purged |= pinned.purged;
                        rest = pinned.rest;
                    }
                    Ok(purged == self.model.pin(pages)?)
                }
                Step::PurgeOldest => {
                    self.end_purge();
                    let oldest = self.order.0.first().and_then(|&number| self.find(number));
                    let found = oldest.and_then(|oldest| self.real.purgeable(oldest.last()));
                    self.purging = found.filter(|&r| self.real.begin_purge(r, &mut self.order));
                    Ok(self.purging == self.model.purge_oldest())
                }
            }
        }

        /// Ends the purge that is under way, if there is one.
        fn end_purge(&mut self) {
            if let Some(range) = self.purging.take() {
                self.real.end_purge(range);
            }
        }

        /// Ends the purge that a call for these pages has to wait for. Fails if there is no
        /// reason to wait.
        fn wait(&mut self, pages: PageRange) -> Result {
            if self.real.is_purging(pages) {
                let is_right = self.purging.is_some_and(|range| overlap(range, pages));
                self.end_purge();
                return is_right.then_some(()).ok_or(EINVAL);
            }
            Ok(())
        }

        /// Returns the pages of the range with this number.
        fn find(&self, number: usize) -> Option<PageRange> {
            let mut ranges = self.real.tree.iter_from(0);
            let range = ranges.find(|range| *range.owner() == number)?;
            Some(super::pages(&range))
        }

        /// Calls `f` without a spare, and again with one if it needs one. Fails if it still
        /// needs one then, or if the first call has changed something.
        fn with_spare<R>(
            &mut self,
            mut f: impl FnMut(&mut Self, &mut Option<Spare<Numbered>>) -> Result<R, SpareNeeded>,
        ) -> Result<R> {
            let before = self.state();
            let needed = match f(self, &mut None) {
                Ok(done) => return Ok(done),
                Err(needed) => needed,
            };
            self.next += 1;
            // A spare without a charge must not be accepted if a charge is needed.
            if needed.is_charged && f(self, &mut spare(self.next, false)?).is_ok() {
                return Err(EINVAL);
            }
            if self.state() != before {
                return Err(EINVAL);
            }
            f(self, &mut spare(self.next, needed.is_charged)?).map_err(|_| EINVAL)
        }

        fn unpin(&mut self, pages: PageRange) -> Result<Option<PageRange>> {
            self.wait(pages)?;
            self.with_spare(|pair, spare| {
                let order = &mut pair.order;
                pair.real.unpin(pages, spare, CGROUP, order)
            })
        }

        fn unpin_rest(&mut self, rest: PageRange) -> Result<Option<PageRange>> {
            self.wait(rest)?;
            self.with_spare(|pair, spare| {
                let order = &mut pair.order;
                match pair.real.still_to_unpin(rest) {
                    Some(rest) => pair.real.unpin(rest, spare, CGROUP, order),
                    None => Ok(None),
                }
            })
        }

        fn pin(&mut self, pages: PageRange) -> Result<Pinned> {
            self.wait(pages)?;
            self.with_spare(|pair, spare| {
                let order = &mut pair.order;
                pair.real.pin(pages, spare, || CGROUP, order)
            })
        }

        /// Purges all ranges that can be purged, in both, and returns whether the two agree.
        fn purge_all(&mut self) -> bool {
            let mut same = true;
            self.end_purge();
            let mut start = Start::At(0);
            let mut ended = None;
            loop {
                let found = self.real.purge_next(start, &mut self.order);
                if let Some((range, purge)) = ended.take() {
                    same &= self.real.take_awaited();
                    same &= !self.real.is_under_way(range, purge);
                }
                start = match found {
                    Found::Begun(range) => {
                        let purge = self.real.purges.begun;
                        let start = Start::At(range.first());
                        let found = self.real.purge_next(start, &mut self.order);
                        same &= found == Found::Purging(range, purge);
                        same &= self.real.is_under_way(range, purge);
                        ended = Some((range, purge));
                        Start::After(range)
                    }
                    Found::Purging(..) => return false,
                    Found::NothingTo(last) => Start::At(last + 1),
                    Found::Nothing => break,
                };
            }
            while self.model.purge_oldest().is_some() {}
            same && self.check()
        }

        /// Returns how much is unpinned, added up in pieces.
        fn tally(&self) -> Tally {
            let (mut sum, mut next) = (Tally::default(), Some(0));
            while let Some(page) = next {
                next = self.real.tally(page, &mut sum);
            }
            sum
        }

        /// Checks every invariant, and that the two agree on everything.
        fn check(&self) -> bool {
            let (mut ranges, mut purgeables, mut end, mut sound) = (0, 0, 0, true);
            let mut model = self.model.ranges.iter();
            for range in self.real.tree.iter_from(0) {
                let (purged, purgeable) = (range.has(PURGED), range.is_purgeable());
                let first = range.first.load();
                sound &= end <= first && first <= range.key();
                sound &= purged || purgeable;
                end = range.key() + 1;
                let pages = super::pages(&range);
                let is_purging = range.purge() != 0;
                sound &= is_purging == (self.purging == Some(pages));
                sound &= !is_purging || (purged && !purgeable);
                sound &= model.next().is_some_and(|known| {
                    known.range == pages
                        && known.purged == purged
                        && known.age.is_some() == purgeable
                });
                ranges += 1;
                purgeables += usize::from(purgeable);
            }
            sound
                && model.next().is_none()
                && self.real.ranges == ranges
                && self.order.0.len() == purgeables
                && self.is_in_order()
                && self.tally() == self.model.tally()
                && self.real.so_far() == self.model.so_far
        }

        /// Returns whether every recorded number is that of a range of the model, in the order
        /// of age.
        fn is_in_order(&self) -> bool {
            let mut last = None;
            self.order.0.iter().all(|&number| {
                let age = self.find(number).and_then(|range| self.model.age(range));
                core::mem::replace(&mut last, age) < age
            })
        }

        /// Returns a number that is equal for two structures that will behave alike, except for
        /// the objects that they use.
        fn fingerprint(&self) -> u64 {
            let mut sum = 0_u64;
            // CAST: Small numbers.
            let mut mix = |n: usize| sum = (sum ^ n as u64).wrapping_mul(0x100_0000_01b3) ^ 1;
            for range in self.real.tree.iter_from(0) {
                let number = range.owner();
                mix(range.first.load());
                mix(range.key());
                mix(usize::from(range.has(PURGED)) + 2 * usize::from(range.purge() != 0));
                mix(self.order.0.iter().position(|n| n == number).unwrap_or(99));
            }
            sum
        }
    }

    /// Every range within five pages.
    const RANGES: [(usize, usize); 15] = [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 2),
        (2, 3),
        (2, 4),
        (3, 3),
        (3, 4),
        (4, 4),
    ];

    /// The number of different steps on five pages.
    const STEPS: usize = 2 * RANGES.len() + 1;

    fn range_at(at: usize) -> PageRange {
        let (first, last) = RANGES[at % RANGES.len()];
        PageRange::from_ends(first, last)
    }

    fn step_at(at: usize) -> Step {
        match at / RANGES.len() {
            0 => Step::Unpin(range_at(at)),
            1 => Step::Pin(range_at(at)),
            _ => Step::PurgeOldest,
        }
    }

    /// Takes steps, starting from a new area. Returns the fingerprint of the result, or fails
    /// if that is not as in the model.
    fn replay(steps: &[usize]) -> Result<u64> {
        let mut pair = Pair::new();
        let mut well = true;
        for &at in steps {
            well &= pair.step(step_at(at))?;
        }
        for at in 0..RANGES.len() {
            let pages = range_at(at);
            well &= pair.real.is_pinned(pages) == pair.model.is_pinned(pages);
        }
        well &= pair.check();
        let fingerprint = pair.fingerprint();
        if !well || !pair.purge_all() {
            pr_err!("after the steps {:?}\n", steps);
            return Err(EINVAL);
        }
        Ok(fingerprint)
    }

    /// Appends every step to every sequence, all of which have `len` steps. Returns the new
    /// sequences that lead to a state not seen before.
    fn extend(
        sequences: &[[usize; 4]],
        len: usize,
        seen: &mut RBTree<u64, ()>,
    ) -> Result<KVec<[usize; 4]>> {
        let mut longer = KVec::new();
        for sequence in sequences {
            for at in 0..STEPS {
                let mut steps = *sequence;
                steps[len] = at;
                let fingerprint = replay(&steps[..=len])?;
                if seen.get(&fingerprint).is_none() {
                    seen.try_create_and_insert(fingerprint, (), GFP_KERNEL)?;
                    longer.push(steps, GFP_KERNEL)?;
                }
            }
        }
        Ok(longer)
    }

    /// Tests every sequence of four steps, except that of several sequences that lead to the
    /// same state only one is continued.
    #[test]
    fn every_short_sequence_is_as_the_model() -> Result {
        let mut seen = RBTree::new();
        let mut sequences = KVec::new();
        sequences.push([0; 4], GFP_KERNEL)?;
        for len in 0..4 {
            sequences = extend(&sequences, len, &mut seen)?;
        }
        assert!(sequences.len() > 100);
        Ok(())
    }

    /// A generator of pseudo-random numbers, which are the same in each run (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            // CAST: The remainder is below a `usize`.
            (self.0 % end as u64) as usize
        }

        fn range(&mut self, pages: usize) -> PageRange {
            let first = self.below(pages);
            // Mostly short ranges, otherwise there would never be many.
            let most = if self.below(16) == 0 { pages } else { 16 };
            let len = self.below((pages - first).min(most));
            PageRange::from_ends(first, first + len)
        }
    }

    const PAGES: usize = 4096;

    /// Takes `steps` random steps, and checks the result after each.
    fn wander(seed: u64, steps: usize) -> Result<bool> {
        let mut random = Random(seed);
        let mut pair = Pair::new();
        for at in 0..steps {
            let pages = random.range(PAGES);
            let step = match random.below(16) {
                0 => Step::PurgeOldest,
                1..9 => Step::Unpin(pages),
                _ => Step::Pin(pages),
            };
            let well = pair.step(step)?;
            let pages = random.range(PAGES);
            let same = pair.real.is_pinned(pages) == pair.model.is_pinned(pages);
            if !well || !same || !pair.check() {
                pr_err!("seed {}, step {}: {:?}\n", seed, at, step);
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[test]
    fn long_random_sequences_are_as_the_model() {
        for seed in 1..=4 {
            assert_eq!(wander(seed, 8_000), Ok(true));
        }
    }

    #[test]
    fn what_is_taken_has_all_ranges() -> Result {
        let mut pair = Pair::new();
        for at in [0, 9, 14] {
            pair.step(Step::Unpin(range_at(at)))?;
        }
        pair.step(Step::PurgeOldest)?;
        let so_far = pair.real.so_far();
        let mut taken = pair.real.take();
        assert_eq!(pair.real.so_far(), so_far);
        assert!(pair.real.is_pinned(PageRange::from_ends(0, 4)));
        assert_eq!(pair.real.ranges, 0);
        let mut ranges = 0;
        for range in taken.drain() {
            ranges += 1;
            if range.is_purgeable() {
                pair.order.remove(&range);
            }
        }
        assert_eq!(ranges, 3);
        assert!(pair.order.0.is_empty());
        // A purge that was under way finds no range when it ends.
        pair.end_purge();
        Ok(())
    }

    #[test]
    fn only_what_can_be_purged_is() -> Result {
        let mut pair = Pair::new();
        let range = PageRange::from_ends(1, 2);
        pair.step(Step::Unpin(range))?;
        assert_eq!(pair.real.purgeable(0), None);
        assert_eq!(pair.real.purgeable(3), None);
        assert_eq!(pair.real.purgeable(1), Some(range));
        for other in [(1, 1), (2, 2), (0, 2), (1, 3)] {
            let other = PageRange::from_ends(other.0, other.1);
            assert!(!pair.real.begin_purge(other, &mut pair.order));
        }
        assert!(pair.real.begin_purge(range, &mut pair.order));
        assert!(!pair.real.begin_purge(range, &mut pair.order));
        assert_eq!(pair.real.purgeable(1), None);
        let found = pair.real.purge_next(Start::At(0), &mut pair.order);
        assert_eq!(found, Found::Purging(range, 1));
        assert!(!pair.real.end_purge(range));
        let found = pair.real.purge_next(Start::At(0), &mut pair.order);
        assert_eq!(found, Found::Nothing);
        Ok(())
    }

    #[test]
    fn end_of_a_purge_is_told_to_whoever_waits() -> Result {
        let mut pair = Pair::new();
        let ranges = [PageRange::from_ends(0, 0), PageRange::from_ends(2, 2)];
        for range in ranges {
            pair.step(Step::Unpin(range))?;
            assert!(pair.real.begin_purge(range, &mut pair.order));
        }
        assert!(pair.real.is_purging(PageRange::from_ends(1, 2)));
        assert!(!pair.real.is_purging(PageRange::from_ends(1, 1)));
        // Whichever purge has ended, waiters have to check again.
        assert!(pair.real.end_purge(ranges[0]));
        assert!(pair.real.is_under_way(ranges[1], 2));
        assert!(pair.real.end_purge(ranges[1]));
        assert!(!pair.real.is_purging(PageRange::from_ends(0, 4)));
        // A later purge of the same range is a different one.
        pair.step(Step::Pin(ranges[1]))?;
        pair.step(Step::Unpin(ranges[1]))?;
        assert!(pair.real.begin_purge(ranges[1], &mut pair.order));
        assert!(!pair.real.is_under_way(ranges[1], 2));
        assert!(pair.real.is_under_way(ranges[1], 3));
        pair.real.end_purge(ranges[1]);
        // Waiters are still noted after the ranges were taken.
        let range = PageRange::from_ends(1, 1);
        pair.step(Step::Unpin(range))?;
        assert!(pair.real.begin_purge(range, &mut pair.order));
        assert!(pair.real.is_under_way(range, 4));
        drop(pair.real.take());
        assert!(!pair.real.is_under_way(range, 4));
        assert!(pair.real.end_purge(range));
        Ok(())
    }

    #[test]
    fn purge_outlives_its_range() -> Result {
        let range = PageRange::from_ends(1, 1);
        for is_last in [false, true] {
            let mut pair = Pair::new();
            assert!(!pair.real.is_purging_any());
            pair.step(Step::Unpin(range))?;
            assert!(pair.real.begin_purge(range, &mut pair.order));
            drop(pair.real.take());
            assert!(pair.real.is_purging_any());
            if is_last {
                let found = pair.real.purge_next(Start::After(range), &mut pair.order);
                assert_eq!(found, Found::Nothing);
                assert!(pair.real.take_awaited());
            } else {
                assert!(pair.real.end_purge(range));
            }
            assert!(!pair.real.is_purging_any());
        }
        Ok(())
    }

    #[test]
    fn what_is_pinned_meanwhile_stays_pinned() -> Result {
        let mut pair = Pair::new();
        for page in [0, 2, 4] {
            pair.step(Step::Unpin(PageRange::from_ends(page, page)))?;
        }
        let rest = pair.unpin(PageRange::from_ends(0, 4))?;
        assert_eq!(rest, Some(PageRange::from_ends(2, 4)));
        pair.pin(PageRange::from_ends(0, 2))?;
        assert_eq!(pair.unpin_rest(PageRange::from_ends(2, 4)), Ok(None));
        assert!(pair.real.is_pinned(PageRange::from_ends(0, 2)));
        assert!(!pair.real.is_pinned(PageRange::from_ends(3, 3)));
        assert_eq!(pair.unpin_rest(PageRange::from_ends(1, 1)), Ok(None));
        assert!(pair.real.is_pinned(PageRange::from_ends(0, 2)));
        Ok(())
    }

    /// Unpins and pins many ranges at once, of which each call handles a few.
    #[test]
    fn long_work_is_done_in_pieces() -> Result {
        const RANGES: usize = 1000;

        let mut order = Recorder(KVec::new());
        for pins in [false, true] {
            let mut real = Unpinned::<Numbered>::new();
            for page in 0..RANGES {
                let pages = PageRange::from_ends(2 * page, 2 * page);
                let mut spare = spare(page, true)?;
                let unpinned = real.unpin(pages, &mut spare, CGROUP, &mut order);
                assert_eq!(unpinned, Ok(None));
            }
            let mut rest = Some(PageRange::from_ends(0, 2 * RANGES));
            let mut calls = 0;
            while let Some(pages) = rest {
                let before = real.ranges;
                let mut spare = spare(RANGES + calls, false)?;
                rest = if pins {
                    let pinned = real.pin(pages, &mut None, || CGROUP, &mut order);
                    pinned.map_err(|_| EINVAL)?.rest
                } else {
                    let unpinned = real.unpin(pages, &mut spare, CGROUP, &mut order);
                    unpinned.map_err(|_| EINVAL)?
                };
                assert!(before - real.ranges <= 64);
                calls += 1;
            }
            assert!(calls > RANGES / 65);
            assert_eq!(real.ranges, u32::from(!pins));
            order.0.clear();
        }
        Ok(())
    }

    /// A range with a kept object goes on the list of the memory cgroup that the object was
    /// charged to.
    #[test]
    fn what_is_kept_is_for_the_same_cgroup() -> Result {
        let mut pair = Pair::new();
        let pages = PageRange::from_ends(1, 1);
        let needed = SpareNeeded { is_charged: false };
        assert_eq!(pair.real.needs(CGROUP), Some(needed));
        pair.step(Step::Unpin(pages))?;
        pair.step(Step::Pin(pages))?;
        assert_eq!(pair.real.needs(CGROUP), None);
        assert_eq!(pair.real.needs(CGROUP + 1), Some(needed));
        let order = &mut pair.order;
        let unpinned = pair.real.unpin(pages, &mut None, CGROUP + 1, order);
        assert_eq!(unpinned, Err(needed));
        let unpinned = pair.real.unpin(pages, &mut None, CGROUP, order);
        assert_eq!(unpinned, Ok(None));
        // From now on there are objects of both cgroups.
        let mut spare = spare(99, false)?;
        if let Some(spare) = &mut spare {
            spare.cgroup = Some(CGROUP + 1);
        }
        let pages = PageRange::from_ends(3, 3);
        let unpinned = pair.real.unpin(pages, &mut spare, CGROUP + 1, order);
        assert_eq!(unpinned, Ok(None));
        assert!(pair.real.pin(pages, &mut None, || CGROUP, order).is_ok());
        for cgroup in [CGROUP, CGROUP + 1] {
            assert_eq!(pair.real.needs(cgroup), Some(needed));
        }
        Ok(())
    }

    /// Returns how many ranges are charged.
    fn charged(pair: &Pair) -> usize {
        let ranges = pair.real.tree.iter_from(0);
        ranges.filter(|range| range.charge.is_some()).count()
    }

    /// Merging ranges from another memory cgroup takes a new object, to which a charge is
    /// moved.
    #[test]
    fn charges_are_neither_lost_nor_kept() -> Result {
        let mut pair = Pair::new();
        for page in 0..10 {
            pair.step(Step::Unpin(PageRange::from_ends(3 * page, 3 * page)))?;
        }
        assert_eq!(charged(&pair), 6);
        for page in 0..10 {
            let pages = PageRange::from_ends(3 * page, 3 * page + 1);
            let mut spare = spare(100 + page, false)?;
            if let Some(spare) = &mut spare {
                spare.cgroup = Some(CGROUP + 1);
            }
            let order = &mut pair.order;
            let unpinned = pair.real.unpin(pages, &mut spare, CGROUP + 1, order);
            assert_eq!(unpinned, Ok(None));
            assert!(spare.is_none());
        }
        assert_eq!(charged(&pair), 6);
        // The cgroup no longer matters once no ranges are left.
        let mut rest = Some(PageRange::from_ends(0, 40));
        while let Some(pages) = rest {
            let pinned = pair.real.pin(pages, &mut None, || CGROUP, &mut pair.order);
            rest = pinned.map_err(|_| EINVAL)?.rest;
        }
        assert!(pair.real.objects.home == Home::None);
        for page in 0..10 {
            let pages = PageRange::from_ends(3 * page, 3 * page);
            let unpinned = pair.unpin(pages)?;
            assert_eq!(unpinned, None);
        }
        // Kept objects are charged only while there are ranges that are charged.
        let mut left = 10;
        for page in (0..10).rev() {
            let pages = PageRange::from_ends(3 * page, 3 * page);
            pair.pin(pages)?;
            left -= 1;
            let kept = pair.real.objects.kept.iter().flatten();
            let charged = kept.filter(|kept| kept.charge.is_some()).count();
            assert!(charged == 0 || left >= 4);
        }
        Ok(())
    }
}
