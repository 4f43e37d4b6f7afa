// SPDX-License-Identifier: GPL-2.0

//! A registry of entries, here of all open areas, that can be walked without holding a lock for
//! long.

use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex,
    task::might_sleep, //
};

use crate::{
    slab::Cache,
    tree::{
        Cursor,
        Loan,
        Node,
        Owner,
        Tree, //
    },
};

/// The maximum number of entries that are visited while the lock is held.
const BATCH: usize = 32;

/// Entries, each with a number that grows in the order in which they were added.
#[pin_data]
pub(crate) struct Registry<V> {
    #[pin]
    entries: Mutex<Entries<V>>,
    /// The slab cache that entries are allocated from.
    cache: Cache<Node<V>>,
}

struct Entries<V> {
    by_number: Tree<Loan<V>>,
    last: usize,
}

// A 32-bit number could be made to overflow within hours by opening the device again and again.
static_assert!(usize::BITS == 64);

/// The progress of a walk over all entries.
#[derive(Default)]
struct Walk {
    /// The number of the entry that was visited last.
    number: usize,
    /// The number of the last entry that existed when the walk began.
    last: Option<usize>,
}

impl<V> Registry<V> {
    /// Creates an empty registry. `name` is that of its slab cache.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(name: &'static CStr) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            cache: Cache::new(name)?,
            entries <- new_mutex!(Entries {
                by_number: Tree::new(),
                last: 0,
            }, "Registry::entries"),
        })
    }

    /// Adds an entry. To free it, pass what [`Registry::remove()`] returns to
    /// [`Owner::take_back()`]. May sleep.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn add(&self, entry: impl PinInit<V>) -> Result<Owner<V>> {
        let (owner, loan) = Owner::lend(self.cache.make(Node::pin_init(entry))?);
        let mut entries = self.entries.lock();
        // OVERFLOW: Adding 2^64 entries would take centuries.
        entries.last += 1;
        loan.set_key(entries.last);
        entries.by_number.insert(loan);
        Ok(owner)
    }

    /// Removes an entry that was added, and returns what [`Owner::take_back()`] needs. May
    /// sleep.
    pub(crate) fn remove(&self, entry: &Owner<V>) -> Option<Loan<V>> {
        let mut entries = self.entries.lock();
        let found = entries.by_number.lower_bound_mut(entry.key());
        found.map(Cursor::take)
    }

    /// Returns the number of the entry that was added last, or 0 if there was none. May sleep.
    pub(crate) fn last(&self) -> usize {
        self.entries.lock().last
    }

    /// Returns the lowest number of an entry that is at least `number`. May sleep.
    pub(crate) fn first_from(&self, number: usize) -> Option<usize> {
        let entries = self.entries.lock();
        entries
            .by_number
            .lower_bound(number)
            .map(|found| found.key())
    }

    /// Calls `f` with the entry of this number, if it exists. Holds the lock meanwhile, so `f`
    /// must not add or remove entries. May sleep.
    pub(crate) fn with<R>(&self, number: usize, f: impl FnOnce(&V) -> R) -> Option<R> {
        let entries = self.entries.lock();
        let found = entries.by_number.lower_bound(number)?;
        (found.key() == number).then(|| f(&found))
    }

    /// Calls `f` for each entry that existed when the walk began and still exists, until `f`
    /// fails. Holds the lock for a batch of entries, so `f` must not add or remove entries. May
    /// sleep.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&V) -> Result) -> Result {
        let mut walk = Walk::default();
        while self.each_of_batch(&mut walk, &mut f)? {
            might_sleep();
        }
        Ok(())
    }

    /// Calls `f` for the next batch of entries. Returns whether there may be more.
    fn each_of_batch(&self, walk: &mut Walk, f: &mut impl FnMut(&V) -> Result) -> Result<bool> {
        let entries = self.entries.lock();
        let last = *walk.last.get_or_insert(entries.last);
        let rest = entries.by_number.iter_from(walk.number + 1);
        let mut count = 0;
        for entry in rest.take(BATCH).take_while(|entry| entry.key() <= last) {
            walk.number = entry.key();
            count += 1;
            f(&entry)?;
        }
        Ok(count == BATCH)
    }
}

#[kunit_tests(rust_ashmem_registry)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    type Tested = Registry<usize>;

    fn empty() -> Result<Arc<Tested>> {
        Arc::pin_init(Registry::new(c"rust_ashmem_registry"), GFP_KERNEL)
    }

    fn filled(registry: &Tested, count: usize) -> Result<KVec<Option<Owner<usize>>>> {
        let mut owners = KVec::new();
        for number in 0..count {
            owners.push(Some(registry.add(number)?), GFP_KERNEL)?;
        }
        Ok(owners)
    }

    /// Removes and frees the entries that are left of `owners`.
    fn remove<'a>(registry: &Tested, owners: impl Iterator<Item = &'a mut Option<Owner<usize>>>) {
        for owner in owners.filter_map(Option::take) {
            let loan = registry.remove(&owner);
            assert!(loan.as_ref().is_some_and(|loan| loan.key() == owner.key()));
            owner.take_back(loan);
        }
    }

    #[test]
    fn each_is_seen_once_and_in_order() -> Result {
        let registry = empty()?;
        let mut owners = filled(&registry, 3 * BATCH)?;
        let mut next = 0;
        registry.for_each(|&number| {
            assert_eq!(number, next);
            next += 1;
            Ok(())
        })?;
        assert_eq!(next, 3 * BATCH);
        remove(&registry, owners.iter_mut().step_by(2));
        let mut next = 1;
        registry.for_each(|&number| {
            assert_eq!(number, next);
            next += 2;
            Ok(())
        })?;
        assert_eq!(next, 3 * BATCH + 1);
        remove(&registry, owners.iter_mut());
        registry.for_each(|_| Err(EINVAL))
    }

    #[test]
    fn concurrent_changes_are_tolerated() -> Result {
        let registry = empty()?;
        let mut owners = filled(&registry, 2 * BATCH)?;
        let (mut walk, mut seen) = (Walk::default(), 0);
        assert!(registry.each_of_batch(&mut walk, &mut |_| {
            seen += 1;
            Ok(())
        })?);
        assert_eq!(seen, BATCH);
        remove(&registry, owners.iter_mut().skip(BATCH));
        owners.push(Some(registry.add(9999)?), GFP_KERNEL)?;
        assert!(!registry.each_of_batch(&mut walk, &mut |_| Err(EINVAL))?);
        remove(&registry, owners.iter_mut());
        Ok(())
    }

    #[test]
    fn failure_ends_a_walk() -> Result {
        let registry = empty()?;
        let mut owners = filled(&registry, 2 * BATCH)?;
        let mut seen = 0;
        let result = registry.for_each(|&number| {
            seen += 1;
            if number == BATCH {
                Err(EINTR)
            } else {
                Ok(())
            }
        });
        assert_eq!(result, Err(EINTR));
        assert_eq!(seen, BATCH + 1);
        remove(&registry, owners.iter_mut());
        Ok(())
    }

    #[test]
    fn entry_is_found_by_its_number() -> Result {
        let registry = empty()?;
        assert_eq!((registry.last(), registry.first_from(0)), (0, None));
        let mut owners = filled(&registry, 4)?;
        remove(&registry, owners.iter_mut().skip(1).take(2));
        assert_eq!(registry.last(), 4);
        for (from, found) in [
            (0, Some(1)),
            (1, Some(1)),
            (2, Some(4)),
            (4, Some(4)),
            (5, None),
        ] {
            assert_eq!(registry.first_from(from), found);
        }
        for (number, entry) in [(0, None), (1, Some(0)), (2, None), (4, Some(3)), (5, None)] {
            assert_eq!(registry.with(number, |&entry| entry), entry);
        }
        remove(&registry, owners.iter_mut());
        assert_eq!((registry.last(), registry.first_from(0)), (4, None));
        Ok(())
    }
}
