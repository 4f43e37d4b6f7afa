// SPDX-License-Identifier: GPL-2.0

//! LRU lists: one for each memory cgroup and node, with the oldest item first.
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

/// The object of an item.
#[repr(C)]
struct Node<T> {
    links: Opaque<bindings::list_head>,
    data: T,
}

/// An item, allocated by [`Lru::item()`]. An item that is dropped while it is on a list is
/// leaked.
///
/// # Invariants
///
/// The pointer is to an initialised object of [`Lru::cache`] that only this value owns. While
/// it is on a list, its links belong to that list.
pub(crate) struct Item<T>(NonNull<Node<T>>);

// SAFETY: An item owns its object, like a box. Once it is on a list, the links are only changed
// under the list's lock.
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

    /// Returns whether the item is on a list.
    fn is_listed(&self) -> bool {
        let links = self.links();
        // SAFETY: By the invariant the object is initialised. While the item is on a list,
        // other CPUs may change the pointer, but never to the item itself.
        unsafe { (&raw const (*links).next).read_volatile() != links }
    }
}

impl<T> Drop for Item<T> {
    fn drop(&mut self) {
        if self.is_listed() {
            tell_of_leak();
            return;
        }
        // SAFETY: By the invariant the object is initialised, and only this item owns it.
        unsafe { ptr::drop_in_place(&raw mut (*self.0.as_ptr()).data) };
        // SAFETY: The object is no longer used, and kfree() accepts objects of any cache.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

// Not inlined: there would be a copy in each place that drops an item.
#[cold]
#[inline(never)]
fn tell_of_leak() {
    pr_err!("leaking an object that was dropped while on a list\n");
}

// SAFETY: The object of an item never moves, and only shared references to it are given away,
// but by `get_mut()` while it is on no list. `from_raw()` undoes `into_raw()`.
unsafe impl<V> tree::Boxed for Item<tree::Node<V>> {
    type Value = V;

    fn get_mut(&mut self) -> Option<&mut V> {
        if self.is_listed() {
            return None;
        }
        // SAFETY: By the invariant the object is initialised, and only this item owns it.
        // Others reach it only through a list, and it is on none.
        Some(unsafe { self.0.as_mut() }.data.value_mut())
    }

    fn into_raw(self) -> NonNull<tree::Node<V>> {
        let node = ManuallyDrop::new(self).0;
        // SAFETY: By the invariant the object exists.
        unsafe { NonNull::new_unchecked(&raw mut (*node.as_ptr()).data) }
    }

    unsafe fn from_raw(raw: NonNull<tree::Node<V>>) -> Self {
        // SAFETY: By the caller's promise the pointer comes from `into_raw()`, so it is inside
        // an object. INVARIANT: `into_raw()` gave up the item that owned the object, and this
        // one owns it now.
        Self(unsafe { raw.byte_sub(offset_of!(Node<tree::Node<V>>, data)) }.cast())
    }
}

/// Returns the serial number of the current task's memory cgroup, which is never reused.
///
/// Without memory cgroups, all tasks have the same number. Does not sleep.
#[doc(alias = "mem_cgroup_from_task")]
pub(crate) fn cgroup_of_caller() -> u64 {
    #[cfg(CONFIG_MEMCG)]
    {
        let _guard = rcu::read_lock();
        let cgroup = cgroup();
        if cgroup.is_null() {
            return 0;
        }
        // SAFETY: RCU keeps the cgroup of the task from being freed, and its number never
        // changes.
        unsafe { (*cgroup).css.serial_nr }
    }
    #[cfg(not(CONFIG_MEMCG))]
    0
}

/// Returns the memory cgroup of the current task, or null without `CONFIG_MEMCG`. It
/// must be called in an RCU read-side critical section, which keeps the cgroup from being
/// freed.
fn cgroup() -> *mut bindings::mem_cgroup {
    #[cfg(CONFIG_MEMCG)]
    // SAFETY: The current task exists.
    return unsafe { bindings::mem_cgroup_from_task(bindings::get_current()) };
    #[cfg(not(CONFIG_MEMCG))]
    ptr::null_mut()
}

/// LRU lists, with the slab cache of their items.
///
/// # Invariants
///
/// `list` is initialised; everything on it is the [`Node::links`] of an [`Item<T>`] that
/// exists.
#[pin_data(PinnedDrop)]
pub(crate) struct Lru<T> {
    #[pin]
    list: Opaque<bindings::list_lru>,
    cache: Cache<Node<T>>,
}

// SAFETY: list_lru has a lock for each list.
unsafe impl<T: Send + Sync> Send for Lru<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Lru<T> {}

impl<T> Lru<T> {
    /// Creates empty lists, whose items `shrinker` will be asked to free.
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

    /// Returns whether each memory cgroup has a list of its own. `cgroup.memory=nokmem` on the
    /// kernel's command line disables that.
    pub(crate) fn is_per_cgroup(&self) -> bool {
        #[cfg(CONFIG_MEMCG)]
        // SAFETY: The list is initialised, and this field does not change afterwards.
        return unsafe { (*self.list.get()).memcg_aware };
        #[cfg(not(CONFIG_MEMCG))]
        true
    }

    /// Allocates an item and charges it to the memory cgroup of the current task. May sleep.
    ///
    /// The item must only be put on these lists, and must be dropped before they are.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_alloc_lru")]
    pub(crate) fn item(&self, data: T) -> Result<Item<T>> {
        // SAFETY: The cache and the list are valid by the invariant.
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
        // INVARIANT: The object is initialised now, and nobody else has it.
        Ok(Item(node))
    }

    /// Adds an item, which must be on no list, as the youngest. It goes to the list of the node
    /// that its memory is on and of the memory cgroup that it is charged to. The item must be
    /// removed before it is dropped. Does not sleep.
    #[doc(alias = "list_lru_add_obj")]
    pub(crate) fn add(&self, item: &Item<T>) {
        // SAFETY: The list is initialised. The item exists and is one of this list, as callers
        // of `item()` promise. INVARIANT: It exists for as long as it is on the list: see the
        // `drop` of `Item`.
        unsafe { bindings::list_lru_add_obj(self.list.get(), item.links()) };
    }

    /// Removes an item from its list, if it is on one. Does not sleep.
    #[doc(alias = "list_lru_del_obj")]
    pub(crate) fn remove(&self, item: &Item<T>) {
        // SAFETY: The list is initialised. The item exists and is one of this list, as callers
        // of `item()` promise.
        unsafe { bindings::list_lru_del_obj(self.list.get(), item.links()) };
    }

    /// Removes items from their lists and frees them, [`BATCH`] at a time. Nobody may add them
    /// to a list meanwhile. May sleep.
    #[doc(alias = "kmem_cache_free_bulk")]
    pub(crate) fn discard(&self, items: impl Iterator<Item = Item<T>>) {
        let mut objects = [ptr::null_mut(); BATCH];
        let mut count = 0;
        for item in items {
            if item.is_listed() {
                self.remove(&item);
            }
            let node = ManuallyDrop::new(item).0;
            // SAFETY: By the invariant the object is initialised, and only the item owned it.
            unsafe { ptr::drop_in_place(&raw mut (*node.as_ptr()).data) };
            objects[count] = node.as_ptr().cast();
            count += 1;
            if count == BATCH {
                // SAFETY: These are `count` objects that nobody uses any more. They may be of
                // any cache, as the null pointer says.
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

    /// Returns the number of items on the list of a place. Does not sleep.
    pub(crate) fn count(&self, place: &Place<'_>) -> usize {
        // SAFETY: The list is initialised. By the invariant of `Place` its node and cgroup
        // exist.
        unsafe { bindings::list_lru_count_one(self.list.get(), place.node(), place.memcg()) }
    }

    /// Calls `visit` with each of the oldest `most` items of a place. `visit` runs under the
    /// spinlock of the list, and must not use the list.
    pub(crate) fn sample(&self, place: &Place<'_>, most: usize, mut visit: impl FnMut(&T)) {
        self.walk(place.node(), place.memcg(), most, |data| {
            visit(data);
            Then::Skip
        });
    }

    /// Makes the oldest item of a place the youngest, and returns what `take` returns for it.
    /// `take` runs under the spinlock of the list, and must not use the list.
    pub(crate) fn rotate<R>(&self, place: &Place<'_>, take: impl Fn(&T) -> R) -> Option<R> {
        let mut taken = None;
        self.walk(place.node(), place.memcg(), 1, |data| {
            taken = Some(take(data));
            Then::Rotate
        });
        taken
    }

    /// Removes items for which `is_gone` returns true from the list of a node and the current
    /// task's memory cgroup. It walks the list in batches from its oldest item, and stops when
    /// less than half of a batch was removed. That is cheaper than removing items one by one.
    /// May sleep.
    ///
    /// `is_gone` runs under the spinlock of the list, and must not use the list.
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

    /// Calls `visit` with each of the oldest `most` items of a node and a memory cgroup, which
    /// must exist during the call. `visit` returns what to do with the item.
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
        // SAFETY: The list is initialised, and the node and the memory cgroup exist by the
        // callers' promise. `Self::visit::<F>` gets the pointer to an `F` that it expects.
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

    /// Calls the `F` behind `visit` with one item.
    ///
    /// # Safety
    ///
    /// `links` are those of an item on `list`, whose lock is held, and `visit` points to an
    /// `F`.
    unsafe extern "C" fn visit<F: FnMut(&T) -> Then>(
        links: *mut bindings::list_head,
        list: *mut bindings::list_lru_one,
        visit: *mut c_void,
    ) -> bindings::lru_status {
        // SAFETY: By the caller's promise.
        let visit = unsafe { &mut *visit.cast::<F>() };
        // SAFETY: The links are the first field of the object, which exists while it is on the
        // list.
        let node = unsafe { &*links.cast::<Node<T>>() };
        status(match visit(&node.data) {
            Then::Remove => {
                // SAFETY: By the caller's promise, the item is on `list`, whose lock is held.
                unsafe { bindings::list_lru_isolate(list, links) };
                LRU_REMOVED
            }
            Then::Rotate => LRU_ROTATE,
            Then::Skip => LRU_SKIP,
        })
    }
}

/// What to do with an item after it was visited.
enum Then {
    /// Remove it from the list.
    Remove,
    /// Make it the youngest.
    Rotate,
    Skip,
}

/// Members of `enum lru_status`.
const LRU_REMOVED: c_uint = 0;
const LRU_ROTATE: c_uint = 2;
const LRU_SKIP: c_uint = 3;

/// Converts a member to `bindings::lru_status`, which is a type of its own since Linux 7.1, and
/// an integer before.
fn status(member: c_uint) -> bindings::lru_status {
    // SAFETY: The type is an integer, or a structure that consists of one.
    unsafe { mem::transmute::<c_uint, bindings::lru_status>(member) }
}

/// The number of items that are removed or freed at a time.
const BATCH: usize = 32;

#[pinned_drop]
impl<T> PinnedDrop for Lru<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The list is initialised. It is empty: all items have been removed and
        // dropped, as callers of `item()` and `add()` promise.
        unsafe { bindings::list_lru_destroy(self.list.get()) };
    }
}
