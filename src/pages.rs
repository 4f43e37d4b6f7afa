// SPDX-License-Identifier: GPL-2.0

//! Pages of an area: the only arithmetic on numbers that a user chose.

use kernel::{
    page::page_align,
    prelude::*, //
};

/// Tells whether a mapping of `len` bytes fits an area of `size` bytes.
///
/// The last page counts whole. A size that cannot be rounded up to pages fits
/// nothing, where the C driver's rounding wraps to zero with the same result.
pub(crate) fn fits(len: usize, size: usize) -> bool {
    page_align(size).is_some_and(|span| len <= span)
}

#[kunit_tests(rust_ashmem_pages)]
mod tests {
    use super::*;
    use kernel::page::PAGE_SIZE;

    #[test]
    fn last_page_counts_whole() {
        for pages in 0..4 {
            let span = pages * PAGE_SIZE;
            for size in [span.saturating_sub(PAGE_SIZE - 1), span] {
                assert!(fits(span, size) || size == 0);
                assert!(!fits(span + PAGE_SIZE, size) || size > span);
            }
        }
        assert!(!fits(1, 0));
        assert!(fits(PAGE_SIZE, 1));
        assert!(!fits(PAGE_SIZE + 1, PAGE_SIZE));
    }

    #[test]
    fn a_size_at_the_end_of_the_numbers_fits_nothing() {
        for off in 0..PAGE_SIZE - 1 {
            assert!(!fits(PAGE_SIZE, usize::MAX - off));
        }
        let largest = usize::MAX - (PAGE_SIZE - 1);
        assert!(fits(largest, largest));
    }
}
