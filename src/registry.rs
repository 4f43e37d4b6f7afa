// SPDX-License-Identifier: GPL-2.0

//! What is open, for whoever wants to see all of it.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    task::might_sleep,
};

use crate::tree::{
    Node,
    Tree, //
};

/// How many entries are looked up at a time.
const BATCH: usize = 32;

/// Entries, by a number that tells in which order they were added.
#[pin_data]
pub(crate) struct Registry<V> {
    #[pin]
    entries: Mutex<Entries<V>>,
}

struct Entries<V> {
    by_number: Tree<Arc<Node<V>>>,
    last: usize,
}

impl<V> Registry<V> {
    /// Makes an empty one.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            entries <- new_mutex!(Entries {
                by_number: Tree::new(),
                last: 0,
            }, "Registry::entries"),
        })
    }

    /// Adds an entry that is in no tree.
    pub(crate) fn add(&self, entry: Arc<Node<V>>) {
        let mut entries = self.entries.lock();
        // OVERFLOW: Nobody adds so many.
        entries.last += 1;
        entry.set_key(entries.last);
        entries.by_number.insert(entry);
    }

    /// Removes an entry that was added.
    pub(crate) fn remove(&self, entry: &Node<V>) {
        let mut entries = self.entries.lock();
        let found = entries.by_number.lower_bound_mut(entry.key());
        let gone = found.map(|cursor| cursor.remove().0);
        drop(entries);
        // Not under the lock.
        drop(gone);
    }

    /// Calls `f` for each entry that was there at the beginning and still is. Adding and
    /// removing wait for a batch to be looked up, and not for `f`.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&V)) {
        let (mut number, mut last) = (0, None);
        loop {
            might_sleep();
            let mut batch = [const { None }; BATCH];
            let entries = self.entries.lock();
            let last = *last.get_or_insert(entries.last);
            let found = entries.by_number.iter_from(number + 1);
            for (to, entry) in batch.iter_mut().zip(found) {
                *to = Some((*entry).clone());
            }
            drop(entries);
            for entry in &batch {
                let Some(entry) = entry.as_ref().filter(|entry| entry.key() <= last) else {
                    return;
                };
                number = entry.key();
                f(entry);
            }
        }
    }
}

#[kunit_tests(rust_ashmem_registry)]
mod tests {
    use super::*;

    #[test]
    fn each_is_seen_once_and_in_order() -> Result {
        let registry = Arc::pin_init(Registry::new(), GFP_KERNEL)?;
        let mut entries = KVec::new();
        for number in 0..3 * BATCH {
            let entry = Arc::new(Node::new(number), GFP_KERNEL)?;
            registry.add(entry.clone());
            entries.push(entry, GFP_KERNEL)?;
        }
        let mut next = 0;
        registry.for_each(|&number| {
            assert_eq!(number, next);
            next += 1;
        });
        assert_eq!(next, 3 * BATCH);
        for entry in entries.iter().step_by(2) {
            registry.remove(entry);
        }
        let mut next = 1;
        registry.for_each(|&number| {
            assert_eq!(number, next);
            next += 2;
        });
        assert_eq!(next, 3 * BATCH + 1);
        entries
            .iter()
            .skip(1)
            .step_by(2)
            .for_each(|entry| registry.remove(entry));
        registry.for_each(|_| assert!(false));
        Ok(())
    }

    #[test]
    fn what_changes_meanwhile_is_no_matter() -> Result {
        let registry = Arc::pin_init(Registry::new(), GFP_KERNEL)?;
        let mut entries = KVec::new();
        for number in 0..2 * BATCH {
            let entry = Arc::new(Node::new(number), GFP_KERNEL)?;
            registry.add(entry.clone());
            entries.push(entry, GFP_KERNEL)?;
        }
        let spare = Arc::new(Node::new(9999), GFP_KERNEL)?;
        let (mut seen, mut spare) = (0, Some(spare));
        registry.for_each(|_| {
            seen += 1;
            if let Some(spare) = spare.take() {
                entries
                    .iter()
                    .skip(BATCH)
                    .for_each(|entry| registry.remove(entry));
                registry.add(spare);
            }
        });
        assert_eq!(seen, BATCH);
        Ok(())
    }
}
