// SPDX-License-Identifier: GPL-2.0

//! The protection mask of an area. Bits can only be removed from it.

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

/// The rights that mappings of an area may have.
///
/// # Invariants
///
/// Only `PROT_READ`, `PROT_WRITE` and `PROT_EXEC` can be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ProtMask(u8);

impl ProtMask {
    /// The mask of a new area, which allows everything.
    // INVARIANT: No other bit is set. CAST: The sum is 7.
    pub(crate) const ALL: Self = Self((PROT_READ | PROT_WRITE | PROT_EXEC) as u8);

    /// Returns the mask as `ASHMEM_GET_PROT_MASK` returns it.
    pub(crate) fn bits(self) -> usize {
        usize::from(self.0)
    }

    /// Returns this mask without the bits that `wanted` lacks.
    ///
    /// With `read_implies_exec`, for a caller with that personality, a mask that keeps read
    /// also keeps execute. The C driver even adds execute again after it was removed. This one
    /// does not, because a mask that can grow protects nothing.
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
        // INVARIANT: Both are subsets of this mask. CAST: So they fit, as this mask does.
        Ok(Self((wanted | implied) as u8))
    }

    /// Removes the rights that the mask lacks from a mapping, for good: `mprotect()` cannot add
    /// them later.
    ///
    /// Fails with `EPERM` if the mapping asks for such a right. Others may have been removed by
    /// then.
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
