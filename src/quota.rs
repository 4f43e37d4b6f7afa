// SPDX-License-Identifier: GPL-2.0

//! Limits the number of unpinned ranges of each user, over all areas.
//!
//! A range takes about 90 bytes of kernel memory, and an area can have a million ranges.
//! Without a limit, whoever can open the device could use up all memory.

use kernel::{
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// The maximum number of ranges that can be charged to a user without `CAP_SYS_RESOURCE`.
///
/// They take about 6 MiB. Programs unpin a range for each object of a cache: hundreds, or a few
/// thousand. In an area with four or more ranges, up to two ranges that were pinned again may
/// still be charged.
const MOST: usize = 1 << 16;

/// The number of ranges of each area that are not charged. They take no more memory than the
/// area itself does.
const FREE: u32 = 4;

/// Returns whether a new range is charged to its user if the area has `ranges` ranges already.
pub(crate) fn is_charged(ranges: u32) -> bool {
    ranges >= FREE
}

/// The number of ranges that are charged to a user.
pub(crate) struct Account {
    user: u32,
    ranges: Atomic<usize>,
}

impl Account {
    /// Returns whether this is the account of `user`.
    pub(crate) fn is_of(&self, user: u32) -> bool {
        self.user == user
    }

    /// Charges one more range, unless the user is at the limit and `may_exceed` returns false.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn charge(self: &Arc<Self>, may_exceed: impl FnOnce() -> bool) -> Result<Charge> {
        // OVERFLOW: Each charge takes memory, so the count cannot get that large.
        self.ranges.add(1, Relaxed);
        let charge = Charge(self.clone());
        if self.ranges.load(Relaxed) > MOST && !may_exceed() {
            return Err(ENOMEM);
        }
        Ok(charge)
    }
}

/// The charge of one range to an account, which is undone when this is dropped.
pub(crate) struct Charge(Arc<Account>);

impl Drop for Charge {
    fn drop(&mut self) {
        // OVERFLOW: This adds -1, and 1 was added when the charge was made.
        self.0.ranges.add(1_usize.wrapping_neg(), Relaxed);
    }
}

struct Entry {
    account: Arc<Account>,
    holders: usize,
}

/// The accounts of all users, each with the number of its holders.
pub(crate) struct Accounts {
    by_user: RBTree<u32, Entry>,
}

impl Accounts {
    /// Creates an empty set of accounts.
    pub(crate) fn new() -> Self {
        Self {
            by_user: RBTree::new(),
        }
    }

    /// Returns the account of a user, and counts the caller as a holder until it calls
    /// [`Accounts::close()`]. May sleep.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn open(&mut self, user: u32) -> Result<Arc<Account>> {
        if let Some(entry) = self.by_user.get_mut(&user) {
            entry.holders += 1;
            return Ok(entry.account.clone());
        }
        let account = Arc::new(
            Account {
                user,
                ranges: Atomic::new(0),
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let entry = Entry {
            account: account.clone(),
            holders: 1,
        };
        self.by_user
            .try_create_and_insert(user, entry, GFP_KERNEL_ACCOUNT)?;
        Ok(account)
    }

    /// Ends what [`Accounts::open()`] began. The last holder must have dropped all charges
    /// before, because the account is removed.
    pub(crate) fn close(&mut self, account: &Account) {
        let Some(entry) = self.by_user.get_mut(&account.user) else {
            return;
        };
        entry.holders -= 1;
        if entry.holders == 0 {
            self.by_user.remove(&account.user);
        }
    }
}

#[kunit_tests(rust_ashmem_quota)]
mod tests {
    use super::*;

    /// Charges `ranges` ranges.
    fn charge(account: &Arc<Account>, ranges: usize) -> Result<KVec<Charge>> {
        let mut charges = KVec::new();
        for _ in 0..ranges {
            charges.push(account.charge(|| false)?, GFP_KERNEL)?;
        }
        Ok(charges)
    }

    #[test]
    fn holders_share_the_account_of_a_user() -> Result {
        let mut accounts = Accounts::new();
        let a = accounts.open(7)?;
        let b = accounts.open(7)?;
        let other = accounts.open(8)?;
        let mut charges = charge(&a, MOST)?;
        assert!(b.charge(|| false).is_err());
        assert!(b.charge(|| true).is_ok());
        assert!(other.charge(|| false).is_ok());
        assert!(a.is_of(7) && !a.is_of(8));
        charges.pop();
        assert!(b.charge(|| false).is_ok());
        Ok(())
    }

    #[test]
    fn refusal_charges_nothing() -> Result {
        let mut accounts = Accounts::new();
        let a = accounts.open(7)?;
        let charges = charge(&a, MOST)?;
        for _ in 0..3 {
            assert!(a.charge(|| false).is_err());
        }
        drop(charges);
        assert_eq!(a.ranges.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn account_lasts_until_its_last_holder() -> Result {
        let mut accounts = Accounts::new();
        let a = accounts.open(7)?;
        accounts.open(7)?;
        let charges = charge(&a, MOST)?;
        accounts.close(&a);
        assert!(accounts.open(7)?.charge(|| false).is_err());
        drop(charges);
        accounts.close(&a);
        accounts.close(&a);
        assert!(accounts.by_user.is_empty());
        Ok(())
    }

    #[test]
    fn a_few_ranges_of_each_area_are_free() {
        assert!(!is_charged(0));
        assert!(!is_charged(FREE - 1));
        assert!(is_charged(FREE));
    }
}
