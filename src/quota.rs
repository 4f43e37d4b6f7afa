// SPDX-License-Identifier: GPL-2.0

//! How many unpinned ranges a user may have, in all areas together.
//!
//! A range takes some 250 bytes of kernel memory, and an area has room for a million.
//! So whoever can open the device could otherwise fill all memory.

use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// How many ranges are too many for a user without `CAP_SYS_RESOURCE`.
///
/// That is 16 MiB. Programs unpin a range for each object of a cache: hundreds, or
/// a few thousand.
const MOST: usize = 1 << 16;

/// How many ranges of an area do not count: they take no more than the area does by
/// itself.
const FREE: usize = 4;

/// What a user has.
pub(crate) struct Account {
    user: u32,
    ranges: Atomic<usize>,
}

impl Account {
    /// Counts that an area which had `before` ranges has `after`.
    pub(crate) fn settle(&self, before: usize, after: usize) {
        let (before, after) = (before.saturating_sub(FREE), after.saturating_sub(FREE));
        if before != after {
            // OVERFLOW: The sum is right when all have settled.
            self.ranges.add(after.wrapping_sub(before), Relaxed);
        }
    }

    /// Tells whether one range more is too many for an area that has so many.
    pub(crate) fn is_full(&self, ranges: usize) -> bool {
        ranges >= FREE && self.ranges.load(Relaxed) >= MOST
    }
}

/// What an account takes, allocated before a lock is taken.
pub(crate) struct NewAccount {
    account: Arc<Account>,
    node: RBTreeNodeReservation<u32, Entry>,
}

impl NewAccount {
    /// Makes one for a user who may have one already.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(user: u32) -> Result<Self> {
        let account = Account {
            user,
            ranges: Atomic::new(0),
        };
        Ok(Self {
            account: Arc::new(account, GFP_KERNEL)?,
            node: RBTreeNodeReservation::new(GFP_KERNEL)?,
        })
    }
}

struct Entry {
    account: Arc<Account>,
    areas: usize,
}

/// The accounts of the users that have an area with ranges.
pub(crate) struct Accounts {
    by_user: RBTree<u32, Entry>,
}

impl Accounts {
    pub(crate) fn new() -> Self {
        Self {
            by_user: RBTree::new(),
        }
    }

    /// Returns the account of the user that `new` is for, for one area more.
    pub(crate) fn open(&mut self, new: NewAccount) -> Arc<Account> {
        if let Some(entry) = self.by_user.get_mut(&new.account.user) {
            entry.areas += 1;
            return entry.account.clone();
        }
        let entry = Entry {
            account: new.account.clone(),
            areas: 1,
        };
        self.by_user.insert(new.node.into_node(new.account.user, entry));
        new.account
    }

    /// Closes an account if that was the last area.
    pub(crate) fn close(&mut self, account: &Account) {
        let Some(entry) = self.by_user.get_mut(&account.user) else {
            return;
        };
        entry.areas -= 1;
        if entry.areas == 0 {
            self.by_user.remove(&account.user);
        }
    }
}

#[kunit_tests(rust_ashmem_quota)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_a_user_share_an_account() -> Result {
        let mut accounts = Accounts::new();
        let a = accounts.open(NewAccount::new(7)?);
        let b = accounts.open(NewAccount::new(7)?);
        let other = accounts.open(NewAccount::new(8)?);
        a.settle(0, MOST + FREE);
        assert!(b.is_full(FREE));
        assert!(!other.is_full(FREE));
        a.settle(MOST + FREE, MOST + FREE - 1);
        assert!(!b.is_full(FREE));
        Ok(())
    }

    #[test]
    fn account_lasts_until_its_last_area() -> Result {
        let mut accounts = Accounts::new();
        let a = accounts.open(NewAccount::new(7)?);
        accounts.open(NewAccount::new(7)?);
        a.settle(0, MOST + FREE);
        accounts.close(&a);
        assert!(accounts.open(NewAccount::new(7)?).is_full(FREE));
        accounts.close(&a);
        accounts.close(&a);
        assert!(!accounts.open(NewAccount::new(7)?).is_full(FREE));
        Ok(())
    }

    #[test]
    fn a_few_ranges_of_each_area_are_free() -> Result {
        let mut accounts = Accounts::new();
        let a = accounts.open(NewAccount::new(7)?);
        for _ in 0..MOST {
            a.settle(0, FREE);
        }
        assert!(!a.is_full(FREE));
        a.settle(FREE, FREE + MOST);
        assert!(a.is_full(FREE));
        assert!(!a.is_full(FREE - 1));
        a.settle(FREE + MOST, 0);
        assert!(!a.is_full(FREE));
        Ok(())
    }
}
