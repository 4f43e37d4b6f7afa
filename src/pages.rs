// SPDX-License-Identifier: GPL-2.0

//! Page ranges of an area. All arithmetic on numbers from user space is here.

use kernel::{
    page::{
        page_align,
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
};

/// Returns the number of pages of an area of `size` bytes, rounded up.
///
/// Returns [`None`] if rounding up overflows. The C driver's rounding wraps to zero then.
pub(crate) fn count(size: usize) -> Option<usize> {
    page_align(size).map(|span| span >> PAGE_SHIFT)
}

/// Returns whether a mapping of `len` bytes fits an area of `pages` pages.
pub(crate) fn fits(len: usize, pages: usize) -> bool {
    len.div_ceil(PAGE_SIZE) <= pages
}

/// Returns the size of `pages` pages in KiB.
pub(crate) fn kib(pages: usize) -> usize {
    pages.saturating_mul(PAGE_SIZE / 1024)
}

/// A range of one or more pages.
///
/// # Invariants
///
/// `first <= last < usize::MAX`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PageRange {
    first: usize,
    last: usize,
}

impl PageRange {
    /// Creates the range that a `struct ashmem_pin` names in an area of `pages` pages. A length
    /// of zero means all pages from the offset on.
    ///
    /// Returns [`None`] for a length of zero at the end of the area, where no page is left. The
    /// C driver makes an inverted range of this.
    ///
    /// Fails with `EINVAL` unless offset and length are multiples of the page size, and their
    /// sum is at most 4 GiB and at most the size of the area in whole pages.
    pub(crate) fn new(offset: u32, len: u32, pages: usize) -> Result<Option<Self>> {
        // CAST: A page has fewer than 2^32 bytes, and a `usize` fits 64 bits.
        let (page, pages) = (PAGE_SIZE as u64, pages as u64);
        // OVERFLOW: The sum of two 32-bit numbers fits 64 bits.
        let end = u64::from(offset) + u64::from(len);
        if u64::from(offset) % page != 0 || end % page != 0 || end > 1 << 32 {
            return Err(EINVAL);
        }
        let first = u64::from(offset) / page;
        let end = if len == 0 { pages } else { end / page };
        if first.max(end) > pages {
            return Err(EINVAL);
        }
        // CAST: Both are at most `pages`, which was a `usize`.
        let (first, end) = (first as usize, end as usize);
        // INVARIANT: `first <= end - 1`, which is below `usize::MAX`.
        Ok((first < end).then(|| Self {
            first,
            last: end - 1,
        }))
    }

    /// Creates a range from its first and last page.
    ///
    /// The pages must come from existing ranges, and `first` must not be greater than `last`.
    pub(crate) fn from_ends(first: usize, last: usize) -> Self {
        debug_assert!(first <= last);
        // INVARIANT: By the caller's promise.
        Self { first, last }
    }

    /// Returns the first page.
    pub(crate) fn first(self) -> usize {
        self.first
    }

    /// Returns the last page.
    pub(crate) fn last(self) -> usize {
        self.last
    }

    /// Returns the number of pages.
    pub(crate) fn len(self) -> usize {
        // OVERFLOW: By the invariant there is none. Wrapping operations save callers a check.
        self.last.wrapping_sub(self.first).wrapping_add(1)
    }

    /// Returns the offsets of the first and the last byte.
    pub(crate) fn bytes(self) -> (u64, u64) {
        // CAST: A `usize` fits 64 bits. OVERFLOW: The range is inside a file.
        let (first, last) = (self.first as u64, self.last as u64);
        (
            first << PAGE_SHIFT,
            last << PAGE_SHIFT | (PAGE_SIZE - 1) as u64,
        )
    }

    /// Returns whether this range has all pages of `other`.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Returns the smallest range that contains both.
    pub(crate) fn hull(self, other: Self) -> Self {
        // INVARIANT: Each end is that of one of the ranges, and they are in order.
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    /// Returns the pages of this range that come before `other`.
    pub(crate) fn before(self, other: Self) -> Option<Self> {
        // INVARIANT: The new range begins where this one does, and does not end before that.
        (self.first < other.first).then(|| Self {
            first: self.first,
            last: self.last.min(other.first - 1),
        })
    }

    /// Returns the pages of this range that come after `other`.
    pub(crate) fn after(self, other: Self) -> Option<Self> {
        // INVARIANT: The new range ends where this one does, and does not begin after that.
        (other.last < self.last).then(|| Self {
            first: self.first.max(other.last + 1),
            last: self.last,
        })
    }
}

#[kunit_tests(rust_ashmem_pages)]
mod tests {
    use super::*;

    const PAGE: u32 = PAGE_SIZE as u32;

    #[test]
    fn last_page_counts_whole() {
        for pages in 1..4 {
            let span = pages * PAGE_SIZE;
            for size in [span - PAGE_SIZE + 1, span - 1, span] {
                assert_eq!(count(size), Some(pages));
            }
            assert!(fits(1, pages));
            assert!(fits(span, pages));
            assert!(!fits(span + 1, pages));
        }
        assert_eq!(count(0), Some(0));
        assert!(!fits(1, 0));
    }

    #[test]
    fn a_size_at_the_end_of_the_numbers_has_no_pages() {
        for off in 0..PAGE_SIZE - 1 {
            assert_eq!(count(usize::MAX - off), None);
        }
        let largest = usize::MAX - (PAGE_SIZE - 1);
        assert_eq!(count(largest), Some(largest >> PAGE_SHIFT));
    }

    /// Returns the range that a user names in pages: its first page, and the one behind its
    /// last.
    fn named(offset: u32, len: u32, pages: usize) -> Option<(usize, usize)> {
        let range = PageRange::new(offset * PAGE, len * PAGE, pages);
        let empty = (offset as usize, offset as usize);
        range
            .ok()
            .map(|range| range.map_or(empty, |range| (range.first(), range.last() + 1)))
    }

    #[test]
    fn every_small_range_is_as_named() {
        for pages in 0..7_usize {
            for offset in 0..9_u32 {
                for len in 0..9_u32 {
                    let first = offset as usize;
                    let end = if len == 0 {
                        pages
                    } else {
                        first + len as usize
                    };
                    let want = (first <= end && end <= pages).then_some((first, end));
                    assert_eq!(named(offset, len, pages), want);
                }
            }
        }
    }

    #[test]
    fn ends_off_the_pages_are_refused() {
        for off in [1, PAGE / 2, PAGE - 1] {
            assert!(PageRange::new(off, PAGE, 8).is_err());
            assert!(PageRange::new(off, PAGE - off, 8).is_err());
            assert!(PageRange::new(off, 0, 8).is_err());
            assert!(PageRange::new(PAGE, off, 8).is_err());
        }
    }

    #[test]
    fn four_gigabytes_are_the_end() {
        let huge = usize::MAX >> PAGE_SHIFT;
        let last = u32::MAX - (PAGE - 1);
        assert!(PageRange::new(last, PAGE, huge).is_ok());
        assert!(PageRange::new(last, 2 * PAGE, huge).is_err());
        assert!(PageRange::new(u32::MAX, u32::MAX, huge).is_err());
        // A length of zero may reach beyond 4 GiB.
        let all = PageRange::new(0, 0, huge);
        assert!(matches!(all, Ok(Some(range)) if range.len() == huge));
        let rest = PageRange::new(last, 0, huge);
        assert!(matches!(rest, Ok(Some(range)) if range.last() == huge - 1));
    }

    /// Returns every range within six pages.
    fn all() -> impl Iterator<Item = PageRange> {
        (0..6).flat_map(|first| (first..6).map(move |last| PageRange::from_ends(first, last)))
    }

    fn has(range: PageRange, page: usize) -> bool {
        range.first() <= page && page <= range.last()
    }

    fn is(range: Option<PageRange>, member: impl Fn(usize) -> bool) -> bool {
        // A range without pages would break the invariant.
        range.is_none_or(|range| range.first() <= range.last())
            && (0..6).all(|page| range.is_some_and(|range| has(range, page)) == member(page))
    }

    #[test]
    fn relations_are_those_of_sets() {
        for a in all() {
            assert_eq!(a.len(), (0..6).filter(|&page| has(a, page)).count());
            for b in all() {
                assert_eq!(a.contains(b), (0..6).all(|p| has(a, p) || !has(b, p)));
                let hull = a.hull(b);
                assert!(hull.contains(a) && hull.contains(b));
                assert!(hull.len() <= 6);
                assert!(is(a.before(b), |page| has(a, page) && page < b.first()));
                assert!(is(a.after(b), |page| has(a, page) && page > b.last()));
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_pages() {
        // CAST: As in the tested code.
        let page = PAGE_SIZE as u64;
        assert_eq!(PageRange::from_ends(0, 0).bytes(), (0, page - 1));
        assert_eq!(PageRange::from_ends(2, 4).bytes(), (2 * page, 5 * page - 1));
        let last = (usize::MAX >> PAGE_SHIFT) - 1;
        assert!(PageRange::from_ends(0, last).bytes().1 > 0);
    }
}
