// SPDX-License-Identifier: GPL-2.0

//! A red-black tree of objects that it does not allocate: each has its links inside.
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

/// A number that any thread may read and write, each time as a whole.
///
/// An `Atomic` with relaxed accesses would do as well, but each of those is a function call.
pub(crate) struct Word(UnsafeCell<usize>);

// SAFETY: It is only read and written as a whole.
unsafe impl Sync for Word {}

impl Word {
    pub(crate) const fn new(value: usize) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[doc(alias = "READ_ONCE")]
    pub(crate) fn load(&self) -> usize {
        // SAFETY: It exists. It may change meanwhile, as a whole.
        unsafe { self.0.get().read_volatile() }
    }

    #[doc(alias = "WRITE_ONCE")]
    pub(crate) fn store(&self, value: usize) {
        // SAFETY: As above.
        unsafe { self.0.get().write_volatile(value) }
    }
}

/// What can be in a tree: a value with its key and links.
#[repr(C)]
#[pin_data]
pub(crate) struct Node<V> {
    links: Opaque<bindings::rb_node>,
    key: Word,
    #[pin]
    value: V,
}

// SAFETY: The links are used by the tree alone.
unsafe impl<V: Send> Send for Node<V> {}
// SAFETY: As above.
unsafe impl<V: Sync> Sync for Node<V> {}

impl<V> Node<V> {
    /// Makes one that is in no tree.
    pub(crate) fn new(value: V) -> Self {
        Self {
            links: Opaque::uninit(),
            key: Word::new(0),
            value,
        }
    }

    /// Makes one of a value that is made where it stays.
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

    /// Returns the value, to change.
    pub(crate) fn value_mut(&mut self) -> &mut V {
        &mut self.value
    }

    /// Changes the key. Where that would put the node to another place of the tree that
    /// it is in, it will not be found.
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
/// From `into_raw()` until the box that `from_raw()` makes of the pointer is dropped,
/// the pointer is valid, nobody moves the node or uses its links, and nobody has a
/// mutable reference to it.
pub(crate) unsafe trait Boxed: Deref<Target = Node<Self::Value>> {
    /// What the node has besides key and links.
    type Value;

    /// Returns what the node has, to change, if nobody else can see it.
    fn get_mut(&mut self) -> Option<&mut Self::Value>;

    /// Gives up the box.
    fn into_raw(self) -> NonNull<Node<Self::Value>>;

    /// Makes the box again.
    ///
    /// # Safety
    ///
    /// The pointer comes from `into_raw()`, and only one of the boxes that are made of it
    /// is ever dropped.
    unsafe fn from_raw(raw: NonNull<Node<Self::Value>>) -> Self;
}

/// A box that a tree holds.
pub(crate) struct Held<'a, B>(ManuallyDrop<B>, PhantomData<&'a B>);

impl<B: Boxed> Held<'_, B> {
    /// # Safety
    ///
    /// The node is in a tree, and stays there for as long as this lives.
    unsafe fn new(node: NonNull<Node<B::Value>>) -> Self {
        // SAFETY: By the invariant of trees; this box is not dropped.
        Self(ManuallyDrop::new(unsafe { B::from_raw(node) }), PhantomData)
    }
}

impl<B> Deref for Held<'_, B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

/// A tree, in the order of its keys.
///
/// # Invariants
///
/// Every link points to the links of a node that [`Boxed::into_raw()`] gave to the tree,
/// and each node was given once.
pub(crate) struct Tree<B: Boxed> {
    root: bindings::rb_root,
    boxes: PhantomData<B>,
}

// SAFETY: A tree is a collection of boxes.
unsafe impl<B: Boxed + Send> Send for Tree<B> {}
// SAFETY: Shared, it gives away shared references to boxes.
unsafe impl<B: Boxed + Sync> Sync for Tree<B> {}

/// Returns the node with these links, which are its first field.
fn node_of<V>(links: *mut bindings::rb_node) -> Option<NonNull<Node<V>>> {
    NonNull::new(links.cast())
}

impl<B: Boxed> Tree<B> {
    /// Makes an empty tree.
    pub(crate) const fn new() -> Self {
        let rb_node = ptr::null_mut();
        // INVARIANT: There is no link.
        Self {
            root: bindings::rb_root { rb_node },
            boxes: PhantomData,
        }
    }

    /// Returns the first from a key on.
    pub(crate) fn lower_bound(&self, key: usize) -> Option<Held<'_, B>> {
        let node = self.descend(key).following?;
        // SAFETY: It stays, as the tree is borrowed.
        Some(unsafe { Held::new(node) })
    }

    /// The same, to remove it.
    pub(crate) fn lower_bound_mut(&mut self, key: usize) -> Option<Cursor<'_, B>> {
        let node = self.descend(key).following?;
        // INVARIANT: It was found.
        Some(Cursor { tree: self, node })
    }

    /// Goes through all from a key on.
    pub(crate) fn iter_from(&self, key: usize) -> impl Iterator<Item = Held<'_, B>> {
        let mut first = self.descend(key).following;
        let mut last = None;
        core::iter::from_fn(move || {
            // No sooner than it is asked for: of some, callers want no other.
            let node = last.map_or_else(|| first.take(), following)?;
            last = Some(node);
            // SAFETY: It stays, as the tree is borrowed.
            Some(unsafe { Held::new(node) })
        })
    }

    /// Returns the place before the first from a key on.
    pub(crate) fn gap(&mut self, key: usize) -> Gap<'_, B> {
        let place = self.descend(key);
        // INVARIANT: It was just found.
        Gap { tree: self, place }
    }

    /// Puts a box behind all with a lower key.
    pub(crate) fn insert(&mut self, new: B) {
        self.gap(new.key()).insert(new);
    }

    /// Goes down to where a key is to be inserted.
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
            // SAFETY: Links of a node that is in a tree are initialised.
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

    /// Empties the tree, in no order.
    #[doc(alias = "rbtree_postorder_for_each_entry_safe")]
    pub(crate) fn drain(&mut self) -> Drain<B> {
        let root = core::mem::replace(self, Self::new());
        let root = ManuallyDrop::new(root);
        // SAFETY: A tree, which nobody else has.
        let next = node_of(unsafe { bindings::rb_first_postorder(&root.root) });
        // INVARIANT: All are there.
        Drain { next }
    }
}

impl<B: Boxed> Drop for Tree<B> {
    fn drop(&mut self) {
        self.drain().for_each(drop);
    }
}

/// A place without a node: the root's, or the left or right one below a parent.
struct Place<V> {
    parent: Option<NonNull<Node<V>>>,
    is_right: bool,
    following: Option<NonNull<Node<V>>>,
}

/// A place in a tree where there is no node.
///
/// # Invariants
///
/// `place` is one of `tree`.
pub(crate) struct Gap<'a, B: Boxed> {
    tree: &'a mut Tree<B>,
    place: Place<B::Value>,
}

impl<B: Boxed> Gap<'_, B> {
    /// Returns what is behind the place.
    pub(crate) fn following(&self) -> Option<Held<'_, B>> {
        // SAFETY: It stays, as the tree is borrowed.
        self.place.following.map(|node| unsafe { Held::new(node) })
    }

    /// Puts a box there. If that is out of the order of keys, it may not be found.
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
                // CAST: As C keeps it, with the colour, which is red, in the lowest bit.
                __rb_parent_color: parent as c_ulong,
                rb_right: ptr::null_mut(),
                rb_left: ptr::null_mut(),
            })
        };
        // SAFETY: By the invariant the place is one of the tree, which is borrowed.
        // INVARIANT: The node was just given.
        unsafe { *link = links };
        // SAFETY: The node is a new leaf of this tree.
        unsafe { bindings::rb_insert_color(links, &mut self.tree.root) };
    }
}

fn following<V>(node: NonNull<Node<V>>) -> Option<NonNull<Node<V>>> {
    // SAFETY: The links are those of a node in a tree.
    node_of(unsafe { bindings::rb_next(node.as_ptr().cast()) })
}

/// A place in a tree.
///
/// # Invariants
///
/// `node` is in `tree`.
pub(crate) struct Cursor<'a, B: Boxed> {
    tree: &'a mut Tree<B>,
    node: NonNull<Node<B::Value>>,
}

impl<'a, B: Boxed> Cursor<'a, B> {
    /// Returns what is there.
    pub(crate) fn get(&self) -> Held<'_, B> {
        // SAFETY: By the invariant, and it stays, as this is borrowed.
        unsafe { Held::new(self.node) }
    }

    /// Moves on to the next.
    pub(crate) fn next(self) -> Option<Self> {
        // INVARIANT: The next one is in the same tree.
        following(self.node).map(|node| Self { node, ..self })
    }

    /// Removes what is there and moves on to the next.
    pub(crate) fn remove(mut self) -> (B, Option<Self>) {
        let next = following(self.node);
        // SAFETY: This cursor goes on to another node.
        let gone = unsafe { self.erase() };
        // INVARIANT: The next one is still there.
        (gone, next.map(|node| Self { node, ..self }))
    }

    /// Removes what is there.
    pub(crate) fn take(mut self) -> B {
        // SAFETY: This cursor ends here.
        unsafe { self.erase() }
    }

    /// Removes what is there.
    ///
    /// # Safety
    ///
    /// The cursor must not be used after it.
    unsafe fn erase(&mut self) -> B {
        // SAFETY: By the invariant the node is in this tree.
        unsafe { bindings::rb_erase(self.node.as_ptr().cast(), &mut self.tree.root) };
        // SAFETY: No link points to it any more, so the tree makes no other box of it.
        unsafe { B::from_raw(self.node) }
    }
}

/// The boxes of a tree that was emptied.
///
/// # Invariants
///
/// `next` and what follows it were given to the tree and not taken back.
pub(crate) struct Drain<B: Boxed> {
    next: Option<NonNull<Node<B::Value>>>,
}

impl<B: Boxed> Iterator for Drain<B> {
    type Item = B;

    fn next(&mut self) -> Option<B> {
        let node = self.next?;
        // SAFETY: By the invariant. A node comes after all below it, so none that was
        // taken back is looked at.
        self.next = node_of(unsafe { bindings::rb_next_postorder(node.as_ptr().cast()) });
        // SAFETY: By the invariant. INVARIANT: `next` is past it.
        Some(unsafe { B::from_raw(node) })
    }
}

impl<B: Boxed> Drop for Drain<B> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Who owns a node while a tree may have it: it is freed once the [`Loan`] is back.
///
/// # Invariants
///
/// The node comes from a pinned [`KBox`]. Until [`Owner::take_back()`] it stays where it is,
/// and nobody has a mutable reference to it. There is one owner of it and at most one loan.
pub(crate) struct Owner<V>(NonNull<Node<V>>);

/// What a tree has of a node that somebody owns. Without it the node is never freed.
///
/// # Invariants
///
/// Those of [`Owner`].
pub(crate) struct Loan<V>(NonNull<Node<V>>);

// SAFETY: Any thread may look at the node through either, and free it.
unsafe impl<V: Send + Sync> Send for Owner<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Sync for Owner<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Send for Loan<V> {}
// SAFETY: As above.
unsafe impl<V: Send + Sync> Sync for Loan<V> {}

impl<V> Owner<V> {
    /// Lends a node.
    pub(crate) fn lend(node: Pin<KBox<Node<V>>>) -> (Self, Loan<V>) {
        // SAFETY: The pointer moves nothing.
        let node = NonNull::from(KBox::leak(unsafe { Pin::into_inner_unchecked(node) }));
        // INVARIANT: The box is gone, and these are the first of this node.
        (Self(node), Loan(node))
    }

    /// Frees the node. Without its loan it stays for good.
    pub(crate) fn take_back(self, loan: Option<Loan<V>>) {
        if loan.is_some_and(|loan| loan.0 == self.0) {
            // SAFETY: By the invariant the node is of a box, and nobody has any more of it
            // than what ends here.
            drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
        }
    }
}

impl<V> Deref for Owner<V> {
    type Target = Node<V>;

    fn deref(&self) -> &Node<V> {
        // SAFETY: By the invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<V> Deref for Loan<V> {
    type Target = Node<V>;

    fn deref(&self) -> &Node<V> {
        // SAFETY: By the invariant.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: The pointer is to a node, which is aligned.
unsafe impl<V: 'static> ForeignOwnable for Owner<V> {
    const FOREIGN_ALIGN: usize = align_of::<Node<V>>();

    type Borrowed<'a> = &'a Node<V>;
    type BorrowedMut<'a> = &'a Node<V>;

    fn into_foreign(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // SAFETY: By the caller's promise the pointer comes from `into_foreign()`.
        // INVARIANT: That owner is gone.
        Self(unsafe { NonNull::new_unchecked(ptr.cast()) })
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> &'a Node<V> {
        // SAFETY: As above; the owner does not come back before this ends.
        unsafe { &*ptr.cast() }
    }

    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> &'a Node<V> {
        // SAFETY: As above.
        unsafe { &*ptr.cast() }
    }
}

// SAFETY: By the invariant the node exists until this is back with its owner, and there is
// no other for it. Owners use no links.
unsafe impl<V> Boxed for Loan<V> {
    type Value = V;

    fn get_mut(&mut self) -> Option<&mut V> {
        None
    }

    fn into_raw(self) -> NonNull<Node<V>> {
        self.0
    }

    unsafe fn from_raw(raw: NonNull<Node<V>>) -> Self {
        // INVARIANT: By the caller's promise.
        Self(raw)
    }
}

// SAFETY: A box neither moves nor changes what is in it. `KBox::into_raw()` gives up a
// valid pointer.
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
        // SAFETY: By the caller's promise.
        unsafe { Self::from_raw(raw.as_ptr()) }
    }
}

#[kunit_tests(rust_ashmem_tree)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    type Tested = Tree<KBox<Node<usize>>>;

    const KEYS: usize = 509;

    /// Every key once, in an order that is none: the number of keys is a prime.
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
        // What is left of a tree, or of one that is being emptied, is freed: kmemleak.
        drop(filled()?.drain().next());
        Ok(())
    }
}
