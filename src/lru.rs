// SPDX-License-Identifier: GPL-2.0

//! A list of items, oldest first, for each memory cgroup and node.
//!
//! C headers: [`include/linux/list_lru.h`](srctree/include/linux/list_lru.h),
//! [`include/linux/memcontrol.h`](srctree/include/linux/memcontrol.h),
//! [`include/linux/slab.h`](srctree/include/linux/slab.h).

use core::{
    mem::{
        self,
        offset_of,
        ManuallyDrop, //
    },
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::rcu,
    task::might_sleep,
    types::Opaque, //
};

use crate::{
    shrinker::{
        Place,
        Unregistered, //
    },
    slab::Cache,
    tree, //
};

#[repr(C)]
struct Node<T> {
    links: Opaque<bindings::list_head>,
    data: T,
}

/// An item. One that is dropped while it is on a list is never freed.
///
/// # Invariants
///
/// An object of [`Lru::cache`] that is initialised and this value's own, but
/// that its links belong to the list it is on.
pub(crate) struct Item<T>(NonNull<Node<T>>);

// SAFETY: An item is a box; the links are only used under the list's lock.
unsafe impl<T: Send + Sync> Send for Item<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Item<T> {}

impl<T> Deref for Item<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the invariant the object is initialised.
        unsafe { &self.0.as_ref().data }
    }
}

impl<T> Item<T> {
    fn links(&self) -> *mut bindings::list_head {
        // SAFETY: By the invariant the object exists.
        unsafe { self.0.as_ref() }.links.get()
    }

    /// Returns whether it is on a list.
    fn is_listed(&self) -> bool {
        let links = self.links();
        // SAFETY: By the invariant the object is initialised. On a list, the
        // value may change meanwhile, to another that is not the item itself.
        unsafe { (&raw const (*links).next).read_volatile() != links }
    }
}

impl<T> Drop for Item<T> {
    fn drop(&mut self) {
        if self.is_listed() {
            tell_of_leak();
            return;
        }
        // SAFETY: By the invariant the object is initialised and ours.
        unsafe { ptr::drop_in_place(&raw mut (*self.0.as_ptr()).data) };
        // SAFETY: kfree() takes the objects of every cache.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

// Out of line: otherwise each place that drops an item would have a copy.
#[cold]
#[inline(never)]
fn tell_of_leak() {
    pr_err!("an item was dropped that is on a list\n");
}

// SAFETY: An item stays where it is, and gives away shared references alone. `from_raw()`
// undoes `into_raw()`.
unsafe impl<V> tree::Boxed for Item<tree::Node<V>> {
    type Value = V;

    fn get_mut(&mut self) -> Option<&mut V> {
        if self.is_listed() {
            return None;
        }
        // SAFETY: By the invariant the object is initialised and ours. Others come to it by
        // a list alone.
        Some(unsafe { self.0.as_mut() }.data.value_mut())
    }

    fn into_raw(self) -> NonNull<tree::Node<V>> {
        let node = ManuallyDrop::new(self).0;
        // SAFETY: By the invariant the object exists.
        unsafe { NonNull::new_unchecked(&raw mut (*node.as_ptr()).data) }
    }

    unsafe fn from_raw(raw: NonNull<tree::Node<V>>) -> Self {
        // SAFETY: By the caller's promise it is what `into_raw()` made of an object.
        // INVARIANT: That was an item's, and is this one's now.
        Self(unsafe { raw.byte_sub(offset_of!(Node<tree::Node<V>>, data)) }.cast())
    }
}

/// The number of the caller's memory cgroup, which no other one ever has.
///
/// Where there are none, all callers are of the same.
#[doc(alias = "mem_cgroup_from_task")]
pub(crate) fn cgroup_of_caller() -> u64 {
    #[cfg(CONFIG_MEMCG)]
    {
        let _guard = rcu::read_lock();
        let cgroup = cgroup();
        if cgroup.is_null() {
            return 0;
        }
        // SAFETY: The task's cgroup exists until the RCU lock is given back. This does not
        // change.
        unsafe { (*cgroup).css.serial_nr }
    }
    #[cfg(not(CONFIG_MEMCG))]
    0
}

/// Returns the caller's memory cgroup, which exists until the RCU lock is given back; null
/// where there are none.
fn cgroup() -> *mut bindings::mem_cgroup {
    #[cfg(CONFIG_MEMCG)]
    // SAFETY: The running task exists.
    return unsafe { bindings::mem_cgroup_from_task(bindings::get_current()) };
    #[cfg(not(CONFIG_MEMCG))]
    ptr::null_mut()
}

/// The lists.
///
/// # Invariants
///
/// `list` is initialised; everything on it is the [`Node::links`] of an
/// [`Item<T>`] that exists.
#[pin_data(PinnedDrop)]
pub(crate) struct Lru<T> {
    #[pin]
    list: Opaque<bindings::list_lru>,
    cache: Cache<Node<T>>,
}

// SAFETY: The C side has a lock for each list.
unsafe impl<T: Send + Sync> Send for Lru<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Lru<T> {}

impl<T> Lru<T> {
    /// Makes empty lists whose items `shrinker` will be asked to free.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new<'a>(
        name: &'static CStr,
        shrinker: &'a Unregistered,
    ) -> impl PinInit<Self, Error> + use<'a, T> {
        let shrinker = shrinker.as_ptr();
        try_pin_init!(Self {
            cache: Cache::new(name)?,
            list <- Opaque::try_ffi_init(move |list: *mut bindings::list_lru| {
                // SAFETY: The initialiser may write to its slot.
                unsafe { list.write(pin_init::zeroed()) };
                // SAFETY: The list is zeroed, and the shrinker is allocated.
                to_result(unsafe { bindings::__list_lru_init(list, true, shrinker) })
            }),
        })
    }

    /// Returns whether there is a list for each memory cgroup. `cgroup.memory=nokmem` does
    /// away with them.
    pub(crate) fn is_per_cgroup(&self) -> bool {
        #[cfg(CONFIG_MEMCG)]
        // SAFETY: The list is initialised, and this does not change after.
        return unsafe { (*self.list.get()).memcg_aware };
        #[cfg(not(CONFIG_MEMCG))]
        true
    }

    /// Makes an item, charged to the caller's memory cgroup. It must be dropped before
    /// these lists are, and be put on no others.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_alloc_lru")]
    pub(crate) fn item(&self, data: T) -> Result<Item<T>> {
        // SAFETY: Both are valid by the invariant.
        let node = unsafe {
            bindings::kmem_cache_alloc_lru_noprof(
                self.cache.as_ptr(),
                self.list.get(),
                bindings::GFP_KERNEL,
            )
        };
        let node = NonNull::new(node.cast::<Node<T>>()).ok_or(ENOMEM)?;
        // SAFETY: The object has the size and the alignment of a node.
        let links = Opaque::cast_into(unsafe { &raw const (*node.as_ptr()).links });
        let unlinked = bindings::list_head {
            next: links,
            prev: links,
        };
        // SAFETY: As above.
        unsafe { links.write(unlinked) };
        // SAFETY: As above.
        unsafe { (&raw mut (*node.as_ptr()).data).write(data) };
        // INVARIANT: It is initialised now.
        Ok(Item(node))
    }

    /// Puts an item behind the others of its place; it must be removed before it
    /// is dropped.
    #[doc(alias = "list_lru_add_obj")]
    pub(crate) fn add(&self, item: &Item<T>) {
        // SAFETY: The list is initialised, the item exists and is of this list, by the
        // promise at `item()`. INVARIANT: It exists for as long as it is on the list: see
        // its `drop`.
        unsafe { bindings::list_lru_add_obj(self.list.get(), item.links()) };
    }

    /// Takes an item off its list; it may be on none.
    #[doc(alias = "list_lru_del_obj")]
    pub(crate) fn remove(&self, item: &Item<T>) {
        // SAFETY: The list is initialised, the item exists and is of this list, by the
        // promise at `item()`.
        unsafe { bindings::list_lru_del_obj(self.list.get(), item.links()) };
    }

    /// Takes items off their lists and drops them, many at a time. Nobody puts them on a
    /// list meanwhile.
    #[doc(alias = "kmem_cache_free_bulk")]
    pub(crate) fn discard(&self, items: impl Iterator<Item = Item<T>>) {
        let mut objects = [ptr::null_mut(); BATCH];
        let mut count = 0;
        for item in items {
            if item.is_listed() {
                self.remove(&item);
            }
            let node = ManuallyDrop::new(item).0;
            // SAFETY: By the invariant the object is initialised and was the item's.
            unsafe { ptr::drop_in_place(&raw mut (*node.as_ptr()).data) };
            objects[count] = node.as_ptr().cast();
            count += 1;
            if count == BATCH {
                // SAFETY: So many objects, of any caches, which nobody has any more.
                unsafe {
                    bindings::kmem_cache_free_bulk(ptr::null_mut(), count, objects.as_mut_ptr())
                };
                count = 0;
                might_sleep();
            }
        }
        // SAFETY: As above.
        unsafe { bindings::kmem_cache_free_bulk(ptr::null_mut(), count, objects.as_mut_ptr()) };
    }

    /// Returns the number of items in a place.
    pub(crate) fn count(&self, place: &Place<'_>) -> usize {
        // SAFETY: The list is initialised, and the place exists.
        unsafe { bindings::list_lru_count_one(self.list.get(), place.node(), place.memcg()) }
    }

    /// Shows the oldest `most` items of a place to `visit`, which is called under a
    /// spinlock and must not come back to this list.
    pub(crate) fn sample(&self, place: &Place<'_>, most: usize, mut visit: impl FnMut(&T)) {
        self.walk(place.node(), place.memcg(), most, |data| {
            visit(data);
            Then::Skip
        });
    }

    /// Puts the oldest item of a place behind the others, and returns what `take` makes
    /// of it. That is called under a spinlock and must not come back to this list.
    pub(crate) fn rotate<R>(&self, place: &Place<'_>, take: impl Fn(&T) -> R) -> Option<R> {
        let mut taken = None;
        self.walk(place.node(), place.memcg(), 1, |data| {
            taken = Some(take(data));
            Then::Rotate
        });
        taken
    }

    /// Takes those items of a node and the caller's memory cgroup off their list for which
    /// `is_gone` is true, as long as most of the oldest are such. That is cheaper than to
    /// remove each.
    ///
    /// `is_gone` is called under a spinlock and must not come back to this list.
    pub(crate) fn remove_oldest(&self, node: c_int, is_gone: impl Fn(&T) -> bool) {
        loop {
            let mut removed = 0;
            let guard = rcu::read_lock();
            self.walk(node, cgroup(), BATCH, |data| {
                if !is_gone(data) {
                    return Then::Skip;
                }
                removed += 1;
                Then::Remove
            });
            drop(guard);
            if removed < BATCH / 2 {
                return;
            }
            might_sleep();
        }
    }

    /// Shows the oldest `most` items of a node and a memory cgroup, which has to exist during
    /// the call, to `visit`; that says what becomes of them.
    #[doc(alias = "list_lru_walk_one")]
    fn walk<F: FnMut(&T) -> Then>(
        &self,
        node: c_int,
        memcg: *mut bindings::mem_cgroup,
        most: usize,
        mut visit: F,
    ) {
        // CAST: Both have the width of a `long`.
        let mut left = most as c_ulong;
        // SAFETY: The list is initialised, the callers' node has memory, and the memory cgroup
        // exists. The visitor gets what it asks for.
        unsafe {
            bindings::list_lru_walk_one(
                self.list.get(),
                node,
                memcg,
                Some(Self::visit::<F>),
                (&raw mut visit).cast(),
                &mut left,
            )
        };
    }

    /// Shows one item.
    ///
    /// # Safety
    ///
    /// `links` are an item's on this `list`, whose lock is held, and `visit` is an `F`.
    unsafe extern "C" fn visit<F: FnMut(&T) -> Then>(
        links: *mut bindings::list_head,
        list: *mut bindings::list_lru_one,
        visit: *mut c_void,
    ) -> bindings::lru_status {
        // SAFETY: By the caller's promise.
        let visit = unsafe { &mut *visit.cast::<F>() };
        // SAFETY: The links are the first field of the item, which exists while
        // it is on the list.
        let node = unsafe { &*links.cast::<Node<T>>() };
        status(match visit(&node.data) {
            Then::Remove => {
                // SAFETY: By the caller's promise.
                unsafe { bindings::list_lru_isolate(list, links) };
                LRU_REMOVED
            }
            Then::Rotate => LRU_ROTATE,
            Then::Skip => LRU_SKIP,
        })
    }
}

/// What becomes of an item that was shown.
enum Then {
    /// It is taken off its list.
    Remove,
    /// It is put behind the others.
    Rotate,
    Skip,
}

/// Members of C's `enum lru_status`.
const LRU_REMOVED: c_uint = 0;
const LRU_ROTATE: c_uint = 2;
const LRU_SKIP: c_uint = 3;

/// Makes what a visitor returns, which `bindings` has a type for from Linux 7.1 on.
fn status(member: c_uint) -> bindings::lru_status {
    // SAFETY: It is an integer, or a structure of one.
    unsafe { mem::transmute::<c_uint, bindings::lru_status>(member) }
}

/// How many items are freed at a time.
const BATCH: usize = 32;

#[pinned_drop]
impl<T> PinnedDrop for Lru<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The list is initialised; the items, each of which had to be
        // removed, are gone.
        unsafe { bindings::list_lru_destroy(self.list.get()) };
    }
}
