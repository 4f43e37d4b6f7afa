// SPDX-License-Identifier: GPL-2.0

//! Which pages of an area are unpinned, and which of those were purged.
//!
//! A pure value: it knows no lock, file or list. What reclaim has to know of it
//! travels as tokens, one for each range that can be purged, and is told to an
//! [`Order`].

use kernel::{
    alloc::Flags,
    prelude::*,
    rbtree::{
        CursorMut,
        RBTree,
        RBTreeNodeReservation, //
    },
};

use crate::{
    pages::PageRange,
    quota::Charge, //
};

/// The order in which ranges were unpinned, oldest first.
pub(crate) trait Order<T> {
    /// A new range stands behind all others.
    fn push(&mut self, token: &T, range: PageRange);

    /// A range shrank and keeps its place.
    fn adjust(&mut self, token: &T, range: PageRange);

    /// A range is gone, or is being purged.
    fn remove(&mut self, token: T);
}

/// Memory for an entry, and who is charged for it.
struct Room<T> {
    node: RBTreeNodeReservation<usize, Entry<T>>,
    charge: Option<Charge>,
}

/// What one more range takes, allocated before the lock is taken.
pub(crate) struct Spare<T> {
    token: T,
    room: Option<Room<T>>,
}

impl<T> Spare<T> {
    /// Makes one that will do if there is room left over.
    pub(crate) fn new(token: T) -> Self {
        Self { token, room: None }
    }

    /// Makes one that will always do.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn with_room(self, charge: Option<Charge>, flags: Flags) -> Result<Self> {
        let node = RBTreeNodeReservation::new(flags)?;
        Ok(Self {
            token: self.token,
            room: Some(Room { node, charge }),
        })
    }
}

/// Says that pinning splits a range, for which a [`Spare`] with room is needed; nothing
/// was changed.
#[derive(Debug, PartialEq)]
pub(crate) struct SpareNeeded;

/// What pinning came to.
pub(crate) struct Pinned {
    /// Whether any of the pages was in a purged range.
    pub(crate) purged: bool,
    /// The pages that are still to be pinned.
    pub(crate) rest: Option<PageRange>,
}

/// What a purge of everything finds from some page on.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A range that could be purged, whose purge has begun.
    Begun(PageRange),
    /// A range that somebody else is purging, and which purge that is.
    Purging(PageRange, u32),
    /// Nothing, up to this page.
    NothingTo(usize),
    /// Nothing.
    Nothing,
}

/// A range, stored under its last page.
struct Entry<T> {
    first: usize,
    purged: bool,
    /// Which purge of it is under way, or 0.
    purge: u32,
    token: Option<T>,
    charge: Option<Charge>,
}

impl<T> Entry<T> {
    /// Begins to purge the range, if it can be purged, and counts that.
    fn begin(&mut self, purges: &mut u32, purging: &mut u32, order: &mut impl Order<T>) -> bool {
        let Some(token) = self.token.take() else {
            return false;
        };
        // OVERFLOW: Nobody waits for so long that the next of the same number begins.
        *purges = purges.wrapping_add(1).max(1);
        *purging += 1;
        // INVARIANT: No token, and purged.
        self.purged = true;
        self.purge = *purges;
        order.remove(token);
        true
    }
}

/// The unpinned ranges of an area.
///
/// A call deals with `PIECE` ranges at most, and then returns which pages are left
/// for another: what it does then is what a call for the other pages alone would
/// have done. None of these ranges must be being purged: [`Unpinned::is_purging()`]
/// tells.
///
/// # Invariants
///
/// - No two ranges have a page in common.
/// - A range was purged, or has a token, or both: fresh pages that were joined
///   to purged ones count as purged, as in the C driver, and can be purged,
///   which there they cannot.
/// - A range that is being purged counts as purged, has no token and does not
///   change.
/// - `ranges` is the number of ranges, `purges` that of the purges so far, and
///   `purging` that of those that are under way.
pub(crate) struct Unpinned<T, const PIECE: usize = 64> {
    // The key is the last page, so that the lower bound of a page is the first
    // range that can have it.
    tree: RBTree<usize, Entry<T>>,
    /// There can be a million, as only the first 4 GiB can be named.
    ranges: u32,
    purges: u32,
    purging: u32,
    /// Whether somebody was told of a purge that is under way since one ended.
    awaited: bool,
    /// That of the last range that was removed: often a pin is followed by an
    /// unpin.
    room: Option<Room<T>>,
}

impl<T, const PIECE: usize> Unpinned<T, PIECE> {
    /// Returns the state of a new area, which is pinned all over.
    pub(crate) fn new() -> Self {
        // A piece may begin with what the one before it made.
        const { assert!(PIECE >= 2) };
        // INVARIANT: There is no range.
        Self {
            tree: RBTree::new(),
            ranges: 0,
            purges: 0,
            purging: 0,
            awaited: false,
            room: None,
        }
    }

    /// Returns the number of ranges.
    pub(crate) fn ranges(&self) -> u32 {
        self.ranges
    }

    /// Tells whether none of the pages is unpinned.
    pub(crate) fn is_pinned(&self, pages: PageRange) -> bool {
        overlapping(&self.tree, pages).is_none()
    }

    /// Unpins pages; returns those that are still to be unpinned.
    ///
    /// Pages within one unpinned range stay as they are. Otherwise every range
    /// that they overlap becomes part of a new one, which is the youngest and
    /// counts as purged if any of those was. Only if all of it was purged before
    /// is there nothing in it to purge.
    ///
    /// Returns the spare, with nothing changed, if it has to have room.
    pub(crate) fn unpin(
        &mut self,
        pages: PageRange,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<Option<PageRange>, Spare<T>> {
        match overlapping(&self.tree, pages) {
            None => self.add(pages, false, true, spare, order).map(|()| None),
            // No other range overlaps such pages.
            Some(found) if found.contains(pages) => Ok(None),
            Some(_) => self.join(pages, spare, order),
        }
    }

    /// Goes on with pages that [`Unpinned::unpin()`] left. If somebody pinned meanwhile
    /// what has been joined, that is not undone.
    pub(crate) fn unpin_rest(
        &mut self,
        rest: PageRange,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<Option<PageRange>, Spare<T>> {
        let joined = PageRange::from_ends(rest.first(), rest.first());
        if !self.is_pinned(joined) {
            return self.unpin(rest, spare, order);
        }
        match rest.after(joined) {
            Some(pages) => self.unpin(pages, spare, order),
            None => Ok(None),
        }
    }

    /// Makes one range of pages and of those that they overlap.
    // Not in the frame of those that overlap none.
    #[inline(never)]
    fn join(
        &mut self,
        pages: PageRange,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<Option<PageRange>, Spare<T>> {
        let (mut hull, mut rest) = (pages, None);
        let (mut purged, mut empty) = (false, 0);
        let (mut count, mut end) = (0, pages.first());

        while let Some((found, cursor)) = overlapping_mut(&mut self.tree, pages) {
            if count == PIECE {
                // What is left begins with what is joined here, so that it is joined,
                // too.
                hull = PageRange::from_ends(hull.first(), end);
                rest = Some(PageRange::from_ends(end, pages.last()));
                break;
            }
            let entry = cursor.current().1;
            count += 1;
            end = found.last();
            hull = hull.hull(found);
            purged |= entry.purged;
            if entry.token.is_none() {
                empty += found.len();
            }
            let gone = remove(cursor);
            self.forget(gone, order);
        }
        // There is the room of what was removed.
        self.add(hull, purged, empty < hull.len(), spare, order)?;
        Ok(rest)
    }

    /// Adds a range that overlaps none, the youngest if it can be purged.
    fn add(
        &mut self,
        range: PageRange,
        purged: bool,
        is_purgeable: bool,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<(), Spare<T>> {
        let Some(room) = spare.room.or_else(|| self.room.take()) else {
            return Err(Spare::new(spare.token));
        };
        let token = is_purgeable.then_some(spare.token);
        if let Some(token) = &token {
            order.push(token, range);
        }
        self.insert(range, purged, token, room);
        Ok(())
    }

    /// Pins pages; tells whether any of them was in a purged range, and which are
    /// still to be pinned.
    ///
    /// Fails, with nothing changed, if a range is split and there is no spare with room.
    pub(crate) fn pin(
        &mut self,
        pages: PageRange,
        spare: Option<Spare<T>>,
        order: &mut impl Order<T>,
    ) -> Result<Pinned, SpareNeeded> {
        let mut purged = false;
        let mut rest = Some(pages);
        let mut count = 0;

        while let Some((found, cursor)) = overlapping_mut(&mut self.tree, pages) {
            if count == PIECE {
                return Ok(Pinned { purged, rest });
            }
            count += 1;
            let was_purged = cursor.current().1.purged;
            purged |= was_purged;
            rest = pages.after(found);
            match (found.before(pages), found.after(pages)) {
                (None, None) => {
                    let gone = remove(cursor);
                    self.forget(gone, order);
                }
                (None, Some(upper)) => {
                    keep_upper(cursor, upper, order);
                    break;
                }
                (Some(lower), None) => {
                    let (token, room) = remove(cursor);
                    self.ranges -= 1;
                    if let Some(token) = &token {
                        order.adjust(token, lower);
                    }
                    self.insert(lower, was_purged, token, room);
                }
                (Some(lower), Some(upper)) => {
                    // No other range overlaps such pages.
                    self.split(lower, upper, spare.ok_or(SpareNeeded)?, order)?;
                    break;
                }
            }
        }
        Ok(Pinned { purged, rest: None })
    }

    /// Lets `f` see the token of a range, if it still is one that can be purged.
    pub(crate) fn with_token(&self, range: PageRange, f: impl FnOnce(&T)) {
        let entry = self.tree.get(&range.last());
        let entry = entry.filter(|entry| entry.first == range.first());
        if let Some(token) = entry.and_then(|entry| entry.token.as_ref()) {
            f(token);
        }
    }

    /// Returns the range that has `page`, if it can be purged.
    pub(crate) fn purgeable(&self, page: usize) -> Option<PageRange> {
        let cursor = self.tree.cursor_lower_bound(&page)?;
        let (&last, entry) = cursor.current();
        let has_page = entry.first <= page && entry.token.is_some();
        has_page.then(|| PageRange::from_ends(entry.first, last))
    }

    /// Begins to purge a range, if it is still one that can be purged, and tells
    /// whether it is. [`Unpinned::end_purge()`] must follow.
    pub(crate) fn begin_purge(&mut self, range: PageRange, order: &mut impl Order<T>) -> bool {
        let Some(entry) = self.tree.get_mut(&range.last()) else {
            return false;
        };
        entry.first == range.first() && entry.begin(&mut self.purges, &mut self.purging, order)
    }

    /// Ends the purge of a range, which may have been forgotten meanwhile. Tells whether
    /// somebody may be waiting.
    pub(crate) fn end_purge(&mut self, range: PageRange) -> bool {
        if let Some(entry) = self.tree.get_mut(&range.last()) {
            entry.purge = 0;
            self.purging -= 1;
        }
        core::mem::take(&mut self.awaited)
    }

    /// Tells whether some of the ranges that a call for these pages deals with are
    /// being purged.
    pub(crate) fn is_purging(&mut self, pages: PageRange) -> bool {
        let is_purging = self.purging != 0 && self.finds_purging(pages);
        self.awaited |= is_purging;
        is_purging
    }

    #[cold]
    fn finds_purging(&mut self, pages: PageRange) -> bool {
        let mut next = self.tree.cursor_lower_bound_mut(&pages.first());
        for _ in 0..PIECE {
            let Some(cursor) = next else {
                return false;
            };
            let entry = cursor.current().1;
            if entry.first > pages.last() || entry.purge != 0 {
                return entry.first <= pages.last();
            }
            next = cursor.move_next();
        }
        false
    }

    /// Looks for something to purge, or that is being purged, from a page on. What can
    /// be purged, it begins to purge, as [`Unpinned::begin_purge()`] does.
    pub(crate) fn purge_next(&mut self, page: usize, order: &mut impl Order<T>) -> Found {
        // The other kind of cursor does not move.
        let mut next = self.tree.cursor_lower_bound_mut(&page);
        let mut end = page;
        for _ in 0..PIECE {
            let Some(mut cursor) = next else {
                return Found::Nothing;
            };
            let (&last, entry) = cursor.current_mut();
            let range = PageRange::from_ends(entry.first, last);
            if entry.purge != 0 {
                return Found::Purging(range, entry.purge);
            }
            if entry.begin(&mut self.purges, &mut self.purging, order) {
                return Found::Begun(range);
            }
            end = last;
            next = cursor.move_next();
        }
        Found::NothingTo(end)
    }

    /// Tells whether a purge that [`Unpinned::purge_next()`] found is still under way.
    pub(crate) fn is_under_way(&mut self, range: PageRange, purge: u32) -> bool {
        let entry = self.tree.get(&range.last());
        let is_under_way = entry.is_some_and(|entry| entry.purge == purge);
        self.awaited |= is_under_way;
        is_under_way
    }

    /// Forgets all ranges: everything is pinned. Returns them, with their tokens. Who
    /// waits for the end of a purge still does.
    pub(crate) fn take(&mut self) -> Self {
        let mut empty = Self::new();
        empty.awaited = self.awaited;
        core::mem::replace(self, empty)
    }

    /// Returns the tokens of all ranges.
    pub(crate) fn tokens(&mut self) -> impl Iterator<Item = T> + use<'_, T, PIECE> {
        self.tree
            .values_mut()
            .filter_map(|entry| entry.token.take())
    }

    /// Inserts a range that overlaps none.
    fn insert(&mut self, range: PageRange, purged: bool, token: Option<T>, room: Room<T>) {
        let entry = Entry {
            first: range.first(),
            purged,
            purge: 0,
            token,
            charge: room.charge,
        };
        self.tree.insert(room.node.into_node(range.last(), entry));
        // INVARIANT: One more.
        self.ranges += 1;
    }

    /// Leaves of a range its two ends. The lower one keeps its place, the upper one
    /// is the youngest.
    ///
    /// Fails, with nothing changed, if there is no room.
    // Not in the frame of the others.
    #[inline(never)]
    fn split(
        &mut self,
        lower: PageRange,
        upper: PageRange,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<(), SpareNeeded> {
        let room = spare.room.or_else(|| self.room.take());
        let room = room.ok_or(SpareNeeded)?;
        // The entry has the key of the upper part.
        let Some(entry) = self.tree.get_mut(&upper.last()) else {
            return Ok(());
        };
        entry.first = upper.first();
        let purged = entry.purged;
        let token = entry.token.take();
        if let Some(token) = &token {
            order.adjust(token, lower);
            order.push(&spare.token, upper);
            entry.token = Some(spare.token);
        }
        self.insert(lower, purged, token, room);
        Ok(())
    }

    /// Counts a range no more.
    fn forget(&mut self, (token, room): (Option<T>, Room<T>), order: &mut impl Order<T>) {
        self.room = Some(room);
        // INVARIANT: One less.
        self.ranges -= 1;
        if let Some(token) = token {
            order.remove(token);
        }
    }
}

/// Returns the first range that has a page in common with `pages`.
fn overlapping<T>(tree: &RBTree<usize, Entry<T>>, pages: PageRange) -> Option<PageRange> {
    let cursor = tree.cursor_lower_bound(&pages.first())?;
    let (&last, entry) = cursor.current();
    (entry.first <= pages.last()).then(|| PageRange::from_ends(entry.first, last))
}

/// The same, with its entry to change or remove.
fn overlapping_mut<T>(
    tree: &mut RBTree<usize, Entry<T>>,
    pages: PageRange,
) -> Option<(PageRange, CursorMut<'_, usize, Entry<T>>)> {
    let cursor = tree.cursor_lower_bound_mut(&pages.first())?;
    let (&last, entry) = cursor.current();
    let first = entry.first;
    (first <= pages.last()).then(|| (PageRange::from_ends(first, last), cursor))
}

/// Removes an entry, of which the token and the room are left.
fn remove<T>(mut cursor: CursorMut<'_, usize, Entry<T>>) -> (Option<T>, Room<T>) {
    let (_, entry) = cursor.current_mut();
    let (token, charge) = (entry.token.take(), entry.charge.take());
    let (_, node) = cursor.remove_current();
    let node = node.into_reservation();
    (token, Room { node, charge })
}

/// Leaves of a range its upper part.
fn keep_upper<T>(
    mut cursor: CursorMut<'_, usize, Entry<T>>,
    upper: PageRange,
    order: &mut impl Order<T>,
) {
    let (_, entry) = cursor.current_mut();
    entry.first = upper.first();
    if let Some(token) = &entry.token {
        order.adjust(token, upper);
    }
}

#[kunit_tests(rust_ashmem_unpinned)]
mod tests {
    use super::*;

    /// Tells whether the two have a page in common.
    fn overlap(a: PageRange, b: PageRange) -> bool {
        a.first() <= b.last() && b.first() <= a.last()
    }

    /// A range of the model.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Known {
        range: PageRange,
        purged: bool,
        /// Its place in the order, if it can be purged.
        age: Option<usize>,
    }

    /// The model: a list of ranges, lowest first, every operation a walk over
    /// all of them.
    struct Model {
        ranges: KVec<Known>,
        clock: usize,
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
            while let Some(known) = self.take(pages) {
                hull = hull.hull(known.range);
                purged |= known.purged;
                empty += known.age.map_or(known.range.len(), |_| 0);
            }
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

        fn purge_oldest(&mut self) -> Option<PageRange> {
            let aged = self.ranges.iter_mut().filter(|k| k.age.is_some());
            let oldest = aged.min_by_key(|k| k.age)?;
            oldest.purged = true;
            oldest.age = None;
            Some(oldest.range)
        }

        /// Returns the age of a range, if it is one and can be purged.
        fn age(&self, range: PageRange) -> Option<usize> {
            let first = range.first();
            let at = self
                .ranges
                .binary_search_by_key(&first, |k| k.range.first());
            let known = self.ranges.get(at.ok()?)?;
            known.age.filter(|_| known.range == range)
        }
    }

    /// The tokens in order, with their ranges.
    struct Recorder {
        tokens: KVec<(usize, PageRange)>,
    }

    impl Recorder {
        fn at(&self, token: usize) -> usize {
            let at = self.tokens.iter().position(|&(known, _)| known == token);
            at.unwrap_or(usize::MAX)
        }
    }

    impl Order<usize> for Recorder {
        fn push(&mut self, &token: &usize, range: PageRange) {
            let _ = self.tokens.push((token, range), GFP_KERNEL);
        }

        fn adjust(&mut self, &token: &usize, range: PageRange) {
            let at = self.at(token);
            self.tokens[at].1 = range;
        }

        fn remove(&mut self, token: usize) {
            let at = self.at(token);
            let _ = self.tokens.remove(at);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Unpin(PageRange),
        Pin(PageRange),
        PurgeOldest,
    }

    /// The tested value, in pieces as small as can be, beside its model, which knows
    /// neither pieces nor purges that take a while.
    struct Pair {
        real: Unpinned<usize, 2>,
        order: Recorder,
        model: Model,
        next: usize,
        purging: Option<PageRange>,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                real: Unpinned::new(),
                order: Recorder {
                    tokens: KVec::new(),
                },
                model: Model {
                    ranges: KVec::new(),
                    clock: 0,
                },
                next: 0,
                purging: None,
            }
        }

        fn spare(&mut self) -> Spare<usize> {
            self.next += 1;
            Spare::new(self.next)
        }

        /// What a refusal must not change.
        fn state(&self) -> (u32, usize) {
            (self.real.ranges(), self.order.tokens.len())
        }

        /// Takes a step in both and tells whether they answer alike.
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
                    let oldest = self.order.tokens.first().map(|&(_, range)| range);
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

        /// Ends the purge that a call for these pages has to wait for; fails if there
        /// is no reason to wait.
        fn wait(&mut self, pages: PageRange) -> Result {
            if self.real.is_purging(pages) {
                let is_right = self.purging.is_some_and(|range| overlap(range, pages));
                self.end_purge();
                return is_right.then_some(()).ok_or(EINVAL);
            }
            Ok(())
        }

        /// Unpins, at first without room.
        fn unpin(&mut self, pages: PageRange) -> Result<Option<PageRange>> {
            self.wait(pages)?;
            let before = self.state();
            let spare = self.spare();
            let spare = match self.real.unpin(pages, spare, &mut self.order) {
                Ok(rest) => return Ok(rest),
                Err(spare) => spare.with_room(None, GFP_KERNEL)?,
            };
            if self.state() != before {
                return Err(EINVAL);
            }
            self.real
                .unpin(pages, spare, &mut self.order)
                .map_err(|_| EINVAL)
        }

        fn unpin_rest(&mut self, rest: PageRange) -> Result<Option<PageRange>> {
            self.wait(rest)?;
            let spare = self.spare().with_room(None, GFP_KERNEL)?;
            self.real
                .unpin_rest(rest, spare, &mut self.order)
                .map_err(|_| EINVAL)
        }

        /// Pins, at first without a spare, then with one without room.
        fn pin(&mut self, pages: PageRange) -> Result<Pinned> {
            self.wait(pages)?;
            let before = self.state();
            let bare = self.spare();
            let whole = self.spare().with_room(None, GFP_KERNEL)?;
            for spare in [None, Some(bare), Some(whole)] {
                if let Ok(pinned) = self.real.pin(pages, spare, &mut self.order) {
                    return Ok(pinned);
                }
                if self.state() != before {
                    break;
                }
            }
            Err(EINVAL)
        }

        /// Purges all that can be, from the first page on, as the model does; tells
        /// whether the same is purged.
        fn purge_all(&mut self) -> bool {
            let (mut page, mut same) = (0, true);
            self.end_purge();
            loop {
                page = 1 + match self.real.purge_next(page, &mut self.order) {
                    Found::Begun(range) => {
                        let found = self.real.purge_next(page, &mut self.order);
                        same &= found == Found::Purging(range, self.real.purges);
                        same &= self.real.is_under_way(range, self.real.purges);
                        self.real.end_purge(range);
                        same &= !self.real.is_under_way(range, self.real.purges);
                        range.last()
                    }
                    Found::Purging(..) => return false,
                    Found::NothingTo(last) => last,
                    Found::Nothing => break,
                };
            }
            while self.model.purge_oldest().is_some() {}
            same && self.check()
        }

        /// Checks every invariant, and that the two agree on everything.
        fn check(&self) -> bool {
            let (mut ranges, mut tokens, mut end, mut sound) = (0, 0, 0, true);
            let mut model = self.model.ranges.iter();
            for (&last, entry) in self.real.tree.iter() {
                sound &= end <= entry.first && entry.first <= last;
                sound &= entry.purged || entry.token.is_some();
                end = last + 1;
                let range = PageRange::from_ends(entry.first, last);
                let is_purging = entry.purge != 0;
                sound &= is_purging == (self.purging == Some(range));
                sound &= !is_purging || (entry.purged && entry.token.is_none());
                sound &= model.next().is_some_and(|known| {
                    known.range == range
                        && known.purged == entry.purged
                        && known.age.is_some() == entry.token.is_some()
                });
                ranges += 1;
                tokens += usize::from(entry.token.is_some());
            }
            sound
                && model.next().is_none()
                && self.real.ranges() == ranges
                && self.order.tokens.len() == tokens
                && self.is_in_order()
        }

        /// Tells whether every token has a range of the model, by age.
        fn is_in_order(&self) -> bool {
            let mut last = None;
            self.order.tokens.iter().all(|&(_, range)| {
                let age = self.model.age(range);
                core::mem::replace(&mut last, age) < age
            })
        }

        /// Returns a number that is the same for two that will behave alike.
        fn fingerprint(&self) -> u64 {
            let mut sum = 0_u64;
            // CAST: Small numbers.
            let mut mix = |n: usize| sum = (sum ^ n as u64).wrapping_mul(0x100_0000_01b3) ^ 1;
            for (&last, entry) in self.real.tree.iter() {
                mix(entry.first);
                mix(last);
                mix(usize::from(entry.purged) + 2 * usize::from(entry.purge != 0));
                mix(entry.token.map_or(99, |token| self.order.at(token)));
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

    /// Takes steps from the beginning; returns the fingerprint of where they
    /// lead, or fails if that is not as in the model.
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

    /// Takes every step from the end of every given sequence, all of a length;
    /// returns those sequences that lead to something new.
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

    /// Every sequence of four steps, but that of several that lead to the same
    /// only one is gone on with.
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

    /// A generator of numbers that are always the same (xorshift).
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
            // Mostly short ones, or there would never be many.
            let most = if self.below(16) == 0 { pages } else { 16 };
            let len = self.below((pages - first).min(most));
            PageRange::from_ends(first, first + len)
        }
    }

    const PAGES: usize = 4096;

    /// Goes so many steps at random and checks after each.
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
            assert_eq!(wander(seed, 25_000), Ok(true));
        }
    }

    #[test]
    fn what_is_taken_has_all_tokens() -> Result {
        let mut pair = Pair::new();
        for at in [0, 9, 14] {
            pair.step(Step::Unpin(range_at(at)))?;
        }
        pair.step(Step::PurgeOldest)?;
        let mut taken = pair.real.take();
        assert!(pair.real.is_pinned(PageRange::from_ends(0, 4)));
        assert_eq!(pair.real.ranges(), 0);
        assert_eq!(taken.ranges(), 3);
        let tokens = taken.tokens().count();
        assert_eq!(tokens, pair.order.tokens.len());
        // A purge that was under way finds nothing when it ends.
        pair.end_purge();
        Ok(())
    }

    #[test]
    fn only_what_has_a_token_is_purged() -> Result {
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
        let found = pair.real.purge_next(0, &mut pair.order);
        assert_eq!(found, Found::Purging(range, 1));
        assert!(!pair.real.end_purge(range));
        assert_eq!(pair.real.purge_next(0, &mut pair.order), Found::Nothing);
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
        // Whichever it was, who waits looks again.
        assert!(pair.real.end_purge(ranges[0]));
        assert!(pair.real.is_under_way(ranges[1], 2));
        assert!(pair.real.end_purge(ranges[1]));
        assert!(!pair.real.is_purging(PageRange::from_ends(0, 4)));
        // A later purge of the same range is none of its business.
        pair.step(Step::Pin(ranges[1]))?;
        pair.step(Step::Unpin(ranges[1]))?;
        assert!(pair.real.begin_purge(ranges[1], &mut pair.order));
        assert!(!pair.real.is_under_way(ranges[1], 2));
        assert!(pair.real.is_under_way(ranges[1], 3));
        pair.real.end_purge(ranges[1]);
        // Nor is it forgotten with the ranges.
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

    /// Unpins and pins many ranges at once; each call deals with a few.
    #[test]
    fn long_work_is_done_in_pieces() -> Result {
        const RANGES: usize = 1000;

        let mut order = Recorder {
            tokens: KVec::new(),
        };
        for pins in [false, true] {
            let mut real = Unpinned::<usize>::new();
            for page in 0..RANGES {
                let pages = PageRange::from_ends(2 * page, 2 * page);
                let spare = Spare::new(page).with_room(None, GFP_KERNEL)?;
                assert!(real.unpin(pages, spare, &mut order).is_ok());
            }
            let mut rest = Some(PageRange::from_ends(0, 2 * RANGES));
            let mut calls = 0;
            while let Some(pages) = rest {
                let before = real.ranges();
                let spare = Spare::new(RANGES + calls).with_room(None, GFP_KERNEL)?;
                rest = if pins {
                    let pinned = real.pin(pages, None, &mut order);
                    pinned.map_err(|_| EINVAL)?.rest
                } else {
                    let unpinned = real.unpin(pages, spare, &mut order);
                    unpinned.map_err(|_| EINVAL)?
                };
                assert!(before - real.ranges() <= 64);
                calls += 1;
            }
            assert!(calls > RANGES / 65);
            assert_eq!(real.ranges(), u32::from(!pins));
            order.tokens.clear();
        }
        Ok(())
    }
}
