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

use crate::pages::PageRange;

/// The order in which ranges were unpinned, oldest first.
pub(crate) trait Order<T> {
    /// A new range stands behind all others; it may have been part of that of
    /// `origin`.
    fn push(&mut self, token: &T, range: PageRange, origin: Option<&T>);

    /// A range shrank and keeps its place.
    fn adjust(&mut self, token: &T, range: PageRange);

    /// A range is gone, or was purged.
    fn remove(&mut self, token: T);
}

/// Memory for an entry.
type Node<T> = RBTreeNodeReservation<usize, Entry<T>>;

/// What one more range takes, allocated before the lock is taken.
pub(crate) struct Spare<T> {
    token: T,
    node: Option<Node<T>>,
}

impl<T> Spare<T> {
    /// Makes one that will do if there is a node left over.
    pub(crate) fn new(token: T) -> Self {
        Self { token, node: None }
    }

    /// Makes one that will always do.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn with_node(self, flags: Flags) -> Result<Self> {
        Ok(Self {
            token: self.token,
            node: Some(RBTreeNodeReservation::new(flags)?),
        })
    }
}

/// Says that pinning splits a range, for which a [`Spare`] with a node is needed;
/// nothing was changed.
#[derive(Debug, PartialEq)]
pub(crate) struct SpareNeeded;

/// A range, stored under its last page.
struct Entry<T> {
    first: usize,
    purged: bool,
    token: Option<T>,
}

/// The unpinned ranges of an area.
///
/// # Invariants
///
/// - No two ranges have a page in common.
/// - A range was purged, or has a token, or both: fresh pages that were joined
///   to purged ones count as purged, as in the C driver, and can be purged,
///   which there they cannot.
/// - `evictable` is the number of pages of the ranges with a token, and `tokens`
///   that of those ranges.
pub(crate) struct Unpinned<T> {
    // The key is the last page, so that the lower bound of a page is the first
    // range that can have it.
    ranges: RBTree<usize, Entry<T>>,
    evictable: usize,
    tokens: usize,
    /// That of the last range that was removed: often a pin is followed by an
    /// unpin.
    node: Option<Node<T>>,
}

impl<T> Unpinned<T> {
    /// Returns the state of a new area, which is pinned all over.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is no range.
        Self {
            ranges: RBTree::new(),
            evictable: 0,
            tokens: 0,
            node: None,
        }
    }

    /// Returns the number of pages that can be purged, and of their ranges.
    pub(crate) fn evictable(&self) -> (usize, usize) {
        (self.evictable, self.tokens)
    }

    /// Tells whether none of the pages is unpinned.
    pub(crate) fn is_pinned(&self, pages: PageRange) -> bool {
        match self.ranges.cursor_lower_bound(&pages.first()) {
            Some(cursor) => cursor.current().1.first > pages.last(),
            None => true,
        }
    }

    /// Unpins pages.
    ///
    /// Pages within one unpinned range stay as they are. Otherwise every range
    /// that they overlap becomes part of a new one, which is the youngest and
    /// counts as purged if any of those was. Only if all of it was purged before
    /// is there nothing in it to purge.
    ///
    /// Returns the spare, with nothing changed, if it needs a node.
    pub(crate) fn unpin(
        &mut self,
        pages: PageRange,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<(), Spare<T>> {
        let mut hull = pages;
        let mut purged = false;
        let mut empty = 0;

        while let Some((found, cursor)) = overlapping_mut(&mut self.ranges, hull) {
            // No other range overlaps such pages, so nothing was removed yet.
            if found.contains(pages) {
                return Ok(());
            }
            hull = hull.hull(found);
            purged |= cursor.current().1.purged;
            if cursor.current().1.token.is_none() {
                empty += found.len();
            }
            let (token, node) = remove(cursor);
            self.node = Some(node);
            self.forget(found, token, order);
        }
        // If something was removed, there is a node.
        let Some(node) = spare.node.or_else(|| self.node.take()) else {
            return Err(Spare::new(spare.token));
        };
        let token = (empty < hull.len()).then_some(spare.token);
        self.insert(hull, purged, token, node, order);
        Ok(())
    }

    /// Pins pages and tells whether any of them was in a purged range.
    ///
    /// Fails, with nothing changed, if a range is split and there is no spare.
    pub(crate) fn pin(
        &mut self,
        pages: PageRange,
        spare: Option<Spare<T>>,
        order: &mut impl Order<T>,
    ) -> Result<bool, SpareNeeded> {
        let mut purged = false;

        while let Some((found, cursor)) = overlapping_mut(&mut self.ranges, pages) {
            purged |= cursor.current().1.purged;
            match (found.before(pages), found.after(pages)) {
                (None, None) => {
                    let (token, node) = remove(cursor);
                    self.node = Some(node);
                    self.forget(found, token, order);
                }
                (None, Some(upper)) => {
                    self.evictable -= keep_upper(cursor, upper, order);
                    break;
                }
                (Some(lower), None) => {
                    let was_purged = cursor.current().1.purged;
                    let (token, node) = remove(cursor);
                    if let Some(token) = &token {
                        // INVARIANT: That many pages less.
                        self.evictable -= found.len() - lower.len();
                        order.adjust(token, lower);
                    }
                    let entry = Entry {
                        first: lower.first(),
                        purged: was_purged,
                        token,
                    };
                    self.ranges.insert(node.into_node(lower.last(), entry));
                }
                (Some(lower), Some(upper)) => {
                    // No other range overlaps such pages.
                    self.split(lower, upper, spare.ok_or(SpareNeeded)?, order)?;
                    break;
                }
            }
        }
        Ok(purged)
    }

    /// Marks the range as purged that has `page` and a token, and returns it.
    pub(crate) fn purge(&mut self, page: usize, order: &mut impl Order<T>) -> Option<PageRange> {
        let mut cursor = self.ranges.cursor_lower_bound_mut(&page)?;
        let (&last, entry) = cursor.current_mut();
        if entry.first > page {
            return None;
        }
        let range = PageRange::from_ends(entry.first, last);
        let token = entry.token.take()?;
        // INVARIANT: The range has no token now, and was purged.
        entry.purged = true;
        self.forget(range, Some(token), order);
        Some(range)
    }

    /// Returns the range that has `page`.
    pub(crate) fn range_of(&self, page: usize) -> Option<PageRange> {
        self.overlapping(PageRange::from_ends(page, page))
    }

    /// Forgets all ranges: everything is pinned.
    pub(crate) fn clear(&mut self, order: &mut impl Order<T>) {
        for entry in self.ranges.values_mut() {
            if let Some(token) = entry.token.take() {
                order.remove(token);
            }
        }
        *self = Self::new();
    }

    /// Returns the first range that has a page in common with `pages`.
    fn overlapping(&self, pages: PageRange) -> Option<PageRange> {
        let cursor = self.ranges.cursor_lower_bound(&pages.first())?;
        let (&last, entry) = cursor.current();
        (entry.first <= pages.last()).then(|| PageRange::from_ends(entry.first, last))
    }

    /// Inserts a range that overlaps none.
    fn insert(
        &mut self,
        range: PageRange,
        purged: bool,
        token: Option<T>,
        node: RBTreeNodeReservation<usize, Entry<T>>,
        order: &mut impl Order<T>,
    ) {
        if let Some(token) = &token {
            order.push(token, range, None);
            // INVARIANT: One more range with a token.
            self.evictable += range.len();
            self.tokens += 1;
        }
        let entry = Entry {
            first: range.first(),
            purged,
            token,
        };
        self.ranges.insert(node.into_node(range.last(), entry));
    }

    /// Leaves of a range its two ends. The lower one keeps its place, the upper one
    /// is the youngest.
    fn split(
        &mut self,
        lower: PageRange,
        upper: PageRange,
        spare: Spare<T>,
        order: &mut impl Order<T>,
    ) -> Result<(), SpareNeeded> {
        let node = spare.node.or_else(|| self.node.take());
        let node = node.ok_or(SpareNeeded)?;
        // The node has the key of the upper part.
        let Some(entry) = self.ranges.get_mut(&upper.last()) else {
            return Ok(());
        };
        entry.first = upper.first();
        let purged = entry.purged;
        let token = entry.token.take();
        if let Some(token) = &token {
            order.adjust(token, lower);
            order.push(&spare.token, upper, Some(token));
            entry.token = Some(spare.token);
            // INVARIANT: The pages between are gone, one token is new.
            self.evictable -= upper.first() - lower.last() - 1;
            self.tokens += 1;
        }
        let entry = Entry {
            first: lower.first(),
            purged,
            token,
        };
        self.ranges.insert(node.into_node(lower.last(), entry));
        Ok(())
    }

    /// Counts a range no more whose token this was.
    fn forget(&mut self, range: PageRange, token: Option<T>, order: &mut impl Order<T>) {
        if let Some(token) = token {
            self.evictable -= range.len();
            self.tokens -= 1;
            order.remove(token);
        }
    }
}

/// Returns the first range that has a page in common with `pages`.
fn overlapping_mut<T>(
    ranges: &mut RBTree<usize, Entry<T>>,
    pages: PageRange,
) -> Option<(PageRange, CursorMut<'_, usize, Entry<T>>)> {
    let cursor = ranges.cursor_lower_bound_mut(&pages.first())?;
    let (&last, entry) = cursor.current();
    let first = entry.first;
    (first <= pages.last()).then(|| (PageRange::from_ends(first, last), cursor))
}

/// Removes an entry, of which the token and the node are left.
fn remove<T>(mut cursor: CursorMut<'_, usize, Entry<T>>) -> (Option<T>, Node<T>) {
    let token = cursor.current_mut().1.token.take();
    let (_, node) = cursor.remove_current();
    (token, node.into_reservation())
}

/// Leaves of a range its upper part, and returns how many pages less can be
/// purged.
fn keep_upper<T>(
    mut cursor: CursorMut<'_, usize, Entry<T>>,
    upper: PageRange,
    order: &mut impl Order<T>,
) -> usize {
    let (_, entry) = cursor.current_mut();
    let lost = upper.first() - entry.first;
    entry.first = upper.first();
    match &entry.token {
        Some(token) => {
            order.adjust(token, upper);
            lost
        }
        None => 0,
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
        fn push(&mut self, &token: &usize, range: PageRange, _origin: Option<&usize>) {
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

    /// The tested value beside its model.
    struct Pair {
        real: Unpinned<usize>,
        order: Recorder,
        model: Model,
        next: usize,
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
            }
        }

        fn spare(&mut self) -> Spare<usize> {
            self.next += 1;
            Spare::new(self.next)
        }

        /// What a refusal must not change.
        fn state(&self) -> ((usize, usize), usize) {
            (self.real.evictable(), self.order.tokens.len())
        }

        /// Takes a step in both and tells whether they answer alike.
        fn step(&mut self, step: Step) -> Result<bool> {
            match step {
                Step::Unpin(pages) => {
                    self.unpin(pages)?;
                    self.model.unpin(pages)?;
                    Ok(true)
                }
                Step::Pin(pages) => Ok(self.pin(pages)? == self.model.pin(pages)?),
                Step::PurgeOldest => {
                    let oldest = self.order.tokens.first().map(|&(_, range)| range);
                    let purged = oldest.and_then(|o| self.real.purge(o.last(), &mut self.order));
                    Ok(purged == self.model.purge_oldest())
                }
            }
        }

        /// Unpins, at first without a node.
        fn unpin(&mut self, pages: PageRange) -> Result {
            let before = self.state();
            let spare = self.spare();
            let Err(spare) = self.real.unpin(pages, spare, &mut self.order) else {
                return Ok(());
            };
            let spare = spare.with_node(GFP_KERNEL)?;
            if self.state() != before {
                return Err(EINVAL);
            }
            self.real
                .unpin(pages, spare, &mut self.order)
                .map_err(|_| EINVAL)
        }

        /// Pins, at first without a spare, then with one without a node.
        fn pin(&mut self, pages: PageRange) -> Result<bool> {
            let before = self.state();
            let bare = self.spare();
            let whole = self.spare().with_node(GFP_KERNEL)?;
            for spare in [None, Some(bare), Some(whole)] {
                if let Ok(purged) = self.real.pin(pages, spare, &mut self.order) {
                    return Ok(purged);
                }
                if self.state() != before {
                    break;
                }
            }
            Err(EINVAL)
        }

        /// Checks every invariant, and that the two agree on everything.
        fn check(&self) -> bool {
            let (mut pages, mut tokens, mut end, mut sound) = (0, 0, 0, true);
            let mut model = self.model.ranges.iter();
            for (&last, entry) in self.real.ranges.iter() {
                sound &= end <= entry.first && entry.first <= last;
                sound &= entry.purged || entry.token.is_some();
                end = last + 1;
                let range = PageRange::from_ends(entry.first, last);
                sound &= model.next().is_some_and(|known| {
                    known.range == range
                        && known.purged == entry.purged
                        && known.age.is_some() == entry.token.is_some()
                });
                if entry.token.is_some() {
                    pages += range.len();
                    tokens += 1;
                }
            }
            sound
                && model.next().is_none()
                && self.real.evictable() == (pages, tokens)
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
            for (&last, entry) in self.real.ranges.iter() {
                mix(entry.first);
                mix(last);
                mix(usize::from(entry.purged));
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
        if !well || !pair.check() {
            pr_err!("after the steps {:?}\n", steps);
            return Err(EINVAL);
        }
        Ok(pair.fingerprint())
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
    fn clearing_forgets_all() -> Result {
        let mut pair = Pair::new();
        for at in [0, 9, 14] {
            pair.step(Step::Unpin(range_at(at)))?;
        }
        pair.step(Step::PurgeOldest)?;
        pair.real.clear(&mut pair.order);
        assert!(pair.real.is_pinned(PageRange::from_ends(0, 4)));
        assert_eq!(pair.real.evictable(), (0, 0));
        assert!(pair.order.tokens.is_empty());
        Ok(())
    }

    #[test]
    fn only_what_has_a_token_is_purged() -> Result {
        let mut pair = Pair::new();
        pair.step(Step::Unpin(PageRange::from_ends(1, 2)))?;
        assert_eq!(pair.real.purge(0, &mut pair.order), None);
        assert_eq!(pair.real.purge(3, &mut pair.order), None);
        let purged = pair.real.purge(1, &mut pair.order);
        assert_eq!(purged, Some(PageRange::from_ends(1, 2)));
        assert_eq!(pair.real.purge(1, &mut pair.order), None);
        Ok(())
    }
}
