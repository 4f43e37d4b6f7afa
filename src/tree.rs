// SPDX-License-Identifier: GPL-2.0

//! An intrusive red-black tree: its nodes are allocated by the caller and contain their links,
//! so inserting never allocates.
//!
//! C header: [`include/linux/rbtree.h`](srctree/include/linux/rbtree.h).

use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    ffi::{
        c_ulong,
        c_void, //
    },
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// A number that any thread may read and write, without tearing.
///
/// An `Atomic` with relaxed accesses would do as well, but each access is a function call.
pub(crate) struct Word(UnsafeCell<usize>);

// SAFETY: All accesses are volatile accesses to an aligned word, like `READ_ONCE()`.
unsafe impl Sync for Word {}

impl Word {
    pub(crate) const fn new(value: usize) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[doc(alias = "READ_ONCE")]
    pub(crate) fn load(&self) -> usize {
        // SAFETY: The pointer is valid. Others may change the word, in one access.
        unsafe { self.0.get().read_volatile() }
    }

    #[doc(alias = "WRITE_ONCE")]
    pub(crate) fn store(&self, value: usize) {
        // SAFETY: As above.
        unsafe { self.0.get().write_volatile(value) }
    }
}

/// A node of a tree: a value with its key and links.
#[repr(C)]
#[pin_data]
pub(crate) struct Node<V> {
    links: Opaque<bindings::rb_node>,
    key: Word,
    #[pin]
    value: V,
}

// SAFETY: Only the tree uses the links.
unsafe impl<V: Send> Send for Node<V> {}
// SAFETY: As above.
unsafe impl<V: Sync> Sync for Node<V> {}

impl<V> Node<V> {
    /// Creates a node that is in no tree and whose key is 0.
    pub(crate) fn new(value: V) -> Self {
        Self {
            links: Opaque::uninit(),
            key: Word::new(0),
            value,
        }
    }

    /// The same, with the value initialised in place.
    pub(crate) fn pin_init<E>(value: impl PinInit<V, E>) -> impl PinInit<Self, E> {
        try_pin_init!(Self {
            links: Opaque::uninit(),
            key: Word::new(0),
            value <- value,
        } ? E)
    }

    /// Returns the key.
    pub(crate) fn key(&self) -> usize {
        self.key.load()
    }

    /// Returns the value.
    pub(crate) fn value_mut(&mut self) -> &mut V {
        &mut self.value
    }

    /// Changes the key. If the node is in a tree, the new key must keep it between its
    /// neighbours, or lookups will miss it.
    pub(crate) fn set_key(&self, key: usize) {
        self.key.store(key);
    }
}

impl<V> Deref for Node<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

/// A box for a [`Node`].
///
/// # Safety
///
/// From `into_raw()` until the box that `from_raw()` makes of the pointer is dropped, the
/// pointer is valid, nobody else moves the node or uses its links, and nobody has a mutable
/// reference to it.
pub(crate) unsafe trait Boxed: Deref<Target = Node<Self::Value>> {
    /// The value of the node.
    type Value;

    /// Returns the value, or [`None`] if others may have references to it.
    fn get_mut(&mut self) -> Option<&mut Self::Value>;

    /// Gives up the box, without dropping it.
    fn into_raw(self) -> NonNull<Node<Self::Value>>;

    /// Recreates the box.
    ///
    /// # Safety
    ///
    /// The pointer comes from `into_raw()`, and at most one of the boxes that are made of it is
    /// dropped.
    unsafe fn from_raw(raw: NonNull<Node<Self::Value>>) -> Self;
}

/// A reference to a box that is in a tree.
pub(crate) struct Held<'a, B>(ManuallyDrop<B>, PhantomData<&'a B>);

impl<B: Boxed> Held<'_, B> {
    /// # Safety
    ///
    /// The node is in a tree, and stays there for as long as this lives.
    unsafe fn new(node: NonNull<Node<B::Value>>) -> Self {
        // SAFETY: By the invariant of trees, the pointer comes from `into_raw()`; and this box
        // is not dropped.
        Self(ManuallyDrop::new(unsafe { B::from_raw(node) }), PhantomData)
    }
}

impl<B> Deref for Held<'_, B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

/// A tree of boxes, ordered by key.
///
/// # Invariants
///
/// Every link points to the links of a node whose box was given up to the tree by
/// [`Boxed::into_raw()`]. No node is in the tree twice.
pub(crate) struct Tree<B: Boxed> {
    root: bindings::rb_root,
    boxes: PhantomData<B>,
}

// SAFETY: A tree owns boxes, which are `Send`.
unsafe impl<B: Boxed + Send> Send for Tree<B> {}
// SAFETY: A shared reference gives access only to shared references to boxes, which are `Sync`.
unsafe impl<B: Boxed + Sync> Sync for Tree<B> {}

/// Returns the node that begins with these links, or [`None`] for null.
fn node_of<V>(links: *mut bindings::rb_node) -> Option<NonNull<Node<V>>> {
    NonNull::new(links.cast())
}

impl<B: Boxed> Tree<B> {
    /// Creates an empty tree.
    pub(crate) const fn new() -> Self {
        let rb_node = ptr::null_mut();
        // INVARIANT: There are no links.
        Self {
            root: bindings::rb_root { rb_node },
            boxes: PhantomData,
        }
    }

    /// Returns the first box whose key is at least `key`.
    pub(crate) fn lower_bound(&self, key: usize) -> Option<Held<'_, B>> {
        let node = self.descend(key).following?;
        // SAFETY: The node stays in the tree while that is borrowed.
        Some(unsafe { Held::new(node) })
    }

    /// Returns a cursor at the first box whose key is at least `key`.
    pub(crate) fn lower_bound_mut(&mut self, key: usize) -> Option<Cursor<'_, B>> {
        let node = self.descend(key).following?;
        // INVARIANT: The node was found in the tree.
        Some(Cursor { tree: self, node })
    }

    /// Returns an iterator over all boxes whose keys are at least `key`, in order.
    pub(crate) fn iter_from(&self, key: usize) -> impl Iterator<Item = Held<'_, B>> {
        let mut first = self.descend(key).following;
        let mut last = None;
        core::iter::from_fn(move || {
            // Look up the next node only when it is asked for: some callers need only the
            // first.
            let node = last.map_or_else(|| first.take(), following)?;
            last = Some(node);
            // SAFETY: The node stays in the tree while that is borrowed.
            Some(unsafe { Held::new(node) })
        })
    }

    /// Returns the gap before the first box whose key is at least `key`.
    pub(crate) fn gap(&mut self, key: usize) -> Gap<'_, B> {
        let place = self.descend(key);
        // INVARIANT: The place was just found in the tree.
        Gap { tree: self, place }
    }

    /// Inserts a box, before others with the same key.
    pub(crate) fn insert(&mut self, new: B) {
        self.gap(new.key()).insert(new);
    }

    /// Descends to the place where `key` belongs.
    fn descend(&self, key: usize) -> Place<B::Value> {
        let mut place = Place {
            parent: None,
            is_right: false,
            following: None,
        };
        let mut next = node_of::<B::Value>(self.root.rb_node);
        while let Some(node) = next {
            // SAFETY: By the invariant the node exists.
            let node_ref = unsafe { node.as_ref() };
            // SAFETY: The links of a node that is in a tree are initialised.
            let links = unsafe { &*node_ref.links.get() };
            place.parent = next;
            place.is_right = node_ref.key() < key;
            next = node_of(if place.is_right {
                links.rb_right
            } else {
                place.following = next;
                links.rb_left
            });
        }
        place
    }

    /// Removes all boxes, in no particular order.
    #[doc(alias = "rbtree_postorder_for_each_entry_safe")]
    pub(crate) fn drain(&mut self) -> Drain<B> {
        let root = core::mem::replace(self, Self::new());
        let root = ManuallyDrop::new(root);
        // SAFETY: The tree is valid, and nobody else has it.
        let next = node_of(unsafe { bindings::rb_first_postorder(&root.root) });
        // INVARIANT: All nodes were given to the tree, and none was taken back yet.
        Drain { next }
    }
}

impl<B: Boxed> Drop for Tree<B> {
    fn drop(&mut self) {
        self.drain().for_each(drop);
    }
}

/// Where a node can be inserted: at the root, or to the left or right of a parent.
struct Place<V> {
    parent: Option<NonNull<Node<V>>>,
    is_right: bool,
    following: Option<NonNull<Node<V>>>,
}

/// A place between two nodes of a tree.
///
/// # Invariants
///
/// `place` is in `tree`.
pub(crate) struct Gap<'a, B: Boxed> {
    tree: &'a mut Tree<B>,
    place: Place<B::Value>,
}

impl<B: Boxed> Gap<'_, B> {
    /// Returns the box that follows the gap.
    pub(crate) fn following(&self) -> Option<Held<'_, B>> {
        // SAFETY: The node stays in the tree while that is borrowed.
        self.place.following.map(|node| unsafe { Held::new(node) })
    }

    /// Inserts a box in the gap. Its key must belong there, or lookups will miss the box.
    #[doc(alias = "rb_link_node")]
    pub(crate) fn insert(self, new: B) {
        let links = new.into_raw().as_ptr().cast::<bindings::rb_node>();
        let (parent, link) = match self.place.parent {
            None => (ptr::null_mut(), &raw mut self.tree.root.rb_node),
            Some(parent) => {
                let parent = parent.as_ptr().cast::<bindings::rb_node>();
                // SAFETY: By the invariant the parent is in the tree.
                let link = unsafe {
                    if self.place.is_right {
                        &raw mut (*parent).rb_right
                    } else {
                        &raw mut (*parent).rb_left
                    }
                };
                (parent, link)
            }
        };
        // SAFETY: Nobody else uses the links of a box that was given up.
        unsafe {
            links.write(bindings::rb_node {
                // CAST: C stores the parent as a number, with the colour in the lowest bit; 0
                // is red.
                __rb_parent_color: parent as c_ulong,
                rb_right: ptr::null_mut(),
                rb_left: ptr::null_mut(),
            })
        };
        // SAFETY: By the invariant the place is in the tree, which is borrowed. INVARIANT: The
        // box was given up to the tree just now.
        unsafe { *link = links };
        // SAFETY: The node is a new leaf of this tree.
        unsafe { bindings::rb_insert_color(links, &mut self.tree.root) };
    }
}

fn following<V>(node: NonNull<Node<V>>) -> Option<NonNull<Node<V>>> {
    // SAFETY: The callers' node is in a tree.
    node_of(unsafe { bindings::rb_next(node.as_ptr().cast()) })
}

/// A position at a node of a tree.
///
/// # Invariants
///
/// `node` is in `tree`.
pub(crate) struct Cursor<'a, B: Boxed> {
    tree: &'a mut Tree<B>,
    node: NonNull<Node<B::Value>>,
}

impl<'a, B: Boxed> Cursor<'a, B> {
    /// Returns the box.
    pub(crate) fn get(&self) -> Held<'_, B> {
        // SAFETY: By the invariant the node is in the tree, and it stays there while this is
        // borrowed.
        unsafe { Held::new(self.node) }
    }

    /// Moves to the next box, if there is one.
    pub(crate) fn next(self) -> Option<Self> {
        // INVARIANT: The next node is in the same tree.
        following(self.node).map(|node| Self { node, ..self })
    }

    /// Removes the box, and moves to the next one, if there is one.
    pub(crate) fn remove(mut self) -> (B, Option<Self>) {
        let next = following(self.node);
        // SAFETY: The cursor moves to another node.
        let gone = unsafe { self.erase() };
        // INVARIANT: The next node is still in the tree.
        (gone, next.map(|node| Self { node, ..self }))
    }

    /// Removes the box.
    pub(crate) fn take(mut self) -> B {
        // SAFETY: The cursor is not used any more.
        unsafe { self.erase() }
    }

    /// Removes the box.
    ///
    /// # Safety
    ///
    /// The cursor must not be used afterwards.
    unsafe fn erase(&mut self) -> B {
        // SAFETY: By the invariant the node is in this tree.
        unsafe { bindings::rb_erase(self.node.as_ptr().cast(), &mut self.tree.root) };
        // SAFETY: No link points to the node any more, so no other box that is made of it is
        // dropped.
        unsafe { B::from_raw(self.node) }
    }
}

/// An iterator over the boxes of a tree that was emptied. It drops those that are left.
///
/// # Invariants
///
/// `next` and all nodes that follow it in postorder were given to the tree and not taken back.
pub(crate) struct Drain<B: Boxed> {
    next: Option<NonNull<Node<B::Value>>>,
}

impl<B: Boxed> Iterator for Drain<B> {
    type Item = B;

    fn next(&mut self) -> Option<B> {
        let node = self.next?;
        // SAFETY: By the invariant the node exists. In postorder a node follows its children,
        // so this reads only nodes that have not been taken back.
        self.next = node_of(unsafe { bindings::rb_next_postorder(node.as_ptr().cast()) });
        // SAFETY: By the invariant the node was given to the tree and not taken back.
        // INVARIANT: `next` comes after it now.
        Some(unsafe { B::from_raw(node) })
    }
}

impl<B: Boxed> Drop for Drain<B> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// The owner's half of a node that can be in a tree at the same time. The node is freed when
/// the owner gets the other half, the [`Loan`], back.
///
/// # Invariants
///
/// The node comes from a pinned [`KBox`]. Until [`Owner::take_back()`], it is not moved, and
/// nobody has a mutable reference to it. Each node has one owner and at most one loan.
pub(crate) struct Owner<V>(NonNull<Node<V>>);

/// The tree's half of a node that somebody owns. If it is dropped, the node is leaked.
///
/// # Invariants
///
/// Those of [`Owner`].
pub(crate) struct Loan<V>(NonNull<Node<V>>);

// SAFETY: Any thread may read the node through either half, and free it.
unsafe impl<V: Send + Sync> Send for Owner<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Sync for Owner<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Send for Loan<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Sync for Loan<V> {}

impl<V> Owner<V> {
    /// Splits a node into its two halves.
    pub(crate) fn lend(node: Pin<KBox<Node<V>>>) -> (Self, Loan<V>) {
        // SAFETY: The node is not moved through the pointer.
        let node = NonNull::from(KBox::leak(unsafe { Pin::into_inner_unchecked(node) }));
        // INVARIANT: The box is gone, and these are the only owner and loan of the node.
        (Self(node), Loan(node))
    }

    /// Frees the node if `loan` is its loan. Otherwise the node is leaked.
    pub(crate) fn take_back(self, loan: Option<Loan<V>>) {
        if loan.is_some_and(|loan| loan.0 == self.0) {
            // SAFETY: By the invariant the node comes from a box, and nobody but these two
            // halves, which end here, refers to it.
            drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
        }
    }
}

impl<V> Deref for Owner<V> {
    type Target = Node<V>;

    fn deref(&self) -> &Node<V> {
        // SAFETY: By the invariant the node exists.
        unsafe { self.0.as_ref() }
    }
}

impl<V> Deref for Loan<V> {
    type Target = Node<V>;

    fn deref(&self) -> &Node<V> {
        // SAFETY: By the invariant the node exists.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: The pointer is to a node, which has this alignment.
unsafe impl<V: 'static> ForeignOwnable for Owner<V> {
    const FOREIGN_ALIGN: usize = align_of::<Node<V>>();

    type Borrowed<'a> = &'a Node<V>;
    type BorrowedMut<'a> = &'a Node<V>;

    fn into_foreign(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // SAFETY: By the caller's promise the pointer comes from `into_foreign()`.
        // INVARIANT: `into_foreign()` consumed the owner, and this one replaces it.
        Self(unsafe { NonNull::new_unchecked(ptr.cast()) })
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> &'a Node<V> {
        // SAFETY: As above. The owner, which could free the node, does not come back while this
        // is borrowed.
        unsafe { &*ptr.cast() }
    }

    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> &'a Node<V> {
        // SAFETY: As above.
        unsafe { &*ptr.cast() }
    }
}

// SAFETY: By the invariant the node exists until the owner gets its loan back, and there is no
// other loan. Owners do not use the links.
unsafe impl<V> Boxed for Loan<V> {
    type Value = V;

    fn get_mut(&mut self) -> Option<&mut V> {
        None
    }

    fn into_raw(self) -> NonNull<Node<V>> {
        self.0
    }

    unsafe fn from_raw(raw: NonNull<Node<V>>) -> Self {
        // INVARIANT: `into_raw()` consumed the loan. By the caller's promise, only one of those
        // that are made of the pointer is dropped.
        Self(raw)
    }
}

// SAFETY: The box does not move the node, and a pointer from `KBox::leak()` is valid until
// the box is recreated.
#[cfg(CONFIG_KUNIT)]
unsafe impl<V> Boxed for KBox<Node<V>> {
    type Value = V;

    fn get_mut(&mut self) -> Option<&mut V> {
        Some(self.value_mut())
    }

    fn into_raw(self) -> NonNull<Node<V>> {
        NonNull::from(Self::leak(self))
    }

    unsafe fn from_raw(raw: NonNull<Node<V>>) -> Self {
        // SAFETY: The pointer comes from `into_raw()`, by the caller's promise.
        unsafe { Self::from_raw(raw.as_ptr()) }
    }
}

#[kunit_tests(rust_ashmem_tree)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    type Tested = Tree<KBox<Node<usize>>>;

    const KEYS: usize = 509;

    /// Returns every key once, in a scattered order: the number of keys is a prime.
    fn scattered() -> impl Iterator<Item = usize> {
        (1..=KEYS).map(|i| i * 200 % KEYS)
    }

    fn filled() -> Result<Tested> {
        let mut tree = Tree::new();
        for key in scattered() {
            let new = KBox::new(Node::new(key), GFP_KERNEL)?;
            new.set_key(2 * key);
            tree.insert(new);
        }
        Ok(tree)
    }

    #[test]
    fn all_are_found_in_order() -> Result {
        let tree = filled()?;
        for key in 0..2 * KEYS {
            let found = tree.lower_bound(key).map(|held| ***held);
            assert_eq!(found, Some(key.div_ceil(2)).filter(|&key| key < KEYS));
            assert!(tree
                .iter_from(key)
                .map(|held| ***held)
                .eq(key.div_ceil(2)..KEYS));
        }
        Ok(())
    }

    #[test]
    fn what_is_removed_is_gone() -> Result {
        let mut tree = filled()?;
        let mut left = KEYS;
        for key in scattered() {
            let cursor = tree.lower_bound_mut(2 * key).ok_or(EINVAL)?;
            let (gone, next) = cursor.remove();
            assert_eq!(**gone, key);
            let next = next.map(|cursor| **cursor.get().deref().deref());
            assert_eq!(next, tree.lower_bound(2 * key).map(|held| ***held));
            left -= 1;
            assert_eq!(tree.iter_from(0).count(), left);
        }
        Ok(())
    }

    #[test]
    fn gap_is_before_what_follows_it() -> Result {
        let mut tree = filled()?;
        for key in scattered() {
            let gap = tree.gap(2 * key + 1);
            let following = gap.following().map(|held| ***held);
            assert_eq!(following, Some(key + 1).filter(|&key| key < KEYS));
            let new = KBox::new(Node::new(KEYS), GFP_KERNEL)?;
            new.set_key(2 * key + 1);
            gap.insert(new);
        }
        assert!(tree.iter_from(0).map(|held| held.key()).eq(0..2 * KEYS));
        Ok(())
    }

    #[test]
    fn node_is_freed_once_its_loan_is_back() -> Result {
        let value = Arc::new(1, GFP_KERNEL)?;
        let (owner, loan) = Owner::lend(KBox::pin(Node::new(value.clone()), GFP_KERNEL)?);
        let mut tree = Tree::new();
        tree.insert(loan);
        assert_eq!(***owner, 1);
        owner.take_back(tree.lower_bound_mut(0).map(Cursor::take));
        assert!(tree.lower_bound(0).is_none());
        assert!(Arc::into_unique_or_drop(value).is_some());
        Ok(())
    }

    #[test]
    fn drained_tree_gives_each_once() -> Result {
        let mut tree = filled()?;
        let sum: usize = tree.drain().map(|gone| **gone).sum();
        assert_eq!(sum, KEYS * (KEYS - 1) / 2);
        assert!(tree.lower_bound(0).is_none());
        // The rest of a tree, or of one that is being emptied, must be freed, too: kmemleak
        // would report it.
        drop(filled()?.drain().next());
        Ok(())
    }
}
