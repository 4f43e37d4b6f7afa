// SPDX-License-Identifier: GPL-2.0

//! The protection mask of an area, which can only lose bits.

use core::fmt;

use kernel::{
    mm::virt::VmaNew,
    prelude::*, //
};

use crate::uapi::{
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE, //
};

/// What a mapping of an area may be allowed.
///
/// # Invariants
///
/// No bit but `PROT_READ`, `PROT_WRITE` and `PROT_EXEC` is set, each of which fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ProtMask(u8);

impl ProtMask {
    /// The mask of a new area, which allows everything.
    // INVARIANT: No other bit is set. CAST: 7 fits.
    pub(crate) const ALL: Self = Self((PROT_READ | PROT_WRITE | PROT_EXEC) as u8);

    /// Returns the mask as `ASHMEM_GET_PROT_MASK` answers it.
    pub(crate) fn bits(self) -> usize {
        usize::from(self.0)
    }

    /// Returns the mask that `wanted` leaves of this one.
    ///
    /// For a caller whose `READ_IMPLIES_EXEC` personality is set, keeping read
    /// keeps execute too. The C driver then even gives execute back after it
    /// was removed; a mask that grows protects nothing, so this one does not.
    ///
    /// Fails with `EINVAL` if `wanted` has a bit that this mask lacks.
    pub(crate) fn narrow(self, wanted: usize, read_implies_exec: bool) -> Result<Self> {
        if wanted & !self.bits() != 0 {
            return Err(EINVAL);
        }
        let implied = if read_implies_exec && wanted & PROT_READ != 0 {
            self.bits() & PROT_EXEC
        } else {
            0
        };
        // INVARIANT: Both are subsets of this mask. CAST: So they fit as it does.
        Ok(Self((wanted | implied) as u8))
    }

    /// Takes from a mapping what the mask lacks, so that `mprotect()` cannot
    /// bring it back.
    ///
    /// Fails with `EPERM` if the mapping was asked for with such a right; some
    /// others may then have been taken already.
    pub(crate) fn restrict(self, vma: &VmaNew) -> Result {
        if self.bits() & PROT_READ == 0 {
            vma.try_clear_mayread().map_err(|_| EPERM)?;
        }
        if self.bits() & PROT_WRITE == 0 {
            vma.try_clear_maywrite().map_err(|_| EPERM)?;
        }
        if self.bits() & PROT_EXEC == 0 {
            vma.try_clear_mayexec().map_err(|_| EPERM)?;
        }
        Ok(())
    }
}

impl fmt::Display for ProtMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(PROT_READ, "r"), (PROT_WRITE, "w"), (PROT_EXEC, "x")] {
            f.write_str(if self.bits() & bit == 0 { "-" } else { letter })?;
        }
        Ok(())
    }
}

#[kunit_tests(rust_ashmem_prot)]
mod tests {
    use super::*;

    #[test]
    fn narrows_and_never_grows() {
        for mask in (0..8).map(ProtMask) {
            for wanted in 0..64 {
                for implies in [false, true] {
                    let new = mask.narrow(wanted, implies);
                    let subset = wanted & !mask.bits() == 0;
                    assert_eq!(new.is_ok(), subset);
                    let Ok(new) = new else { continue };
                    assert_eq!(new.bits() & !mask.bits(), 0);
                    assert_eq!(new.bits() & wanted, wanted);
                }
            }
        }
    }

    #[test]
    fn read_keeps_exec_for_those_who_ask() {
        assert_eq!(ProtMask(7).narrow(1, true), Ok(ProtMask(5)));
        assert_eq!(ProtMask(7).narrow(1, false), Ok(ProtMask(1)));
        assert_eq!(ProtMask(7).narrow(2, true), Ok(ProtMask(2)));
        assert_eq!(ProtMask(3).narrow(1, true), Ok(ProtMask(1)));
    }

    #[test]
    fn refuses_huge_values() {
        assert_eq!(ProtMask::ALL.narrow(usize::MAX, false), Err(EINVAL));
        assert_eq!(ProtMask::ALL.narrow(1 << 31, false), Err(EINVAL));
    }
}
