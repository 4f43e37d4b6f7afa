// SPDX-License-Identifier: GPL-2.0

//! A list of items, oldest first, for each memory cgroup and node.
//!
//! C headers: [`include/linux/list_lru.h`](srctree/include/linux/list_lru.h),
//! [`include/linux/slab.h`](srctree/include/linux/slab.h).

use core::{
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*,
    types::Opaque,
};

use crate::shrinker::{
    Place,
    Unregistered, //
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
}

impl<T> Drop for Item<T> {
    fn drop(&mut self) {
        let links = self.links();
        // SAFETY: By the invariant the object is initialised. On a list, the
        // value may change meanwhile, to another that is not the item itself.
        if unsafe { (&raw const (*links).next).read_volatile() } != links {
            pr_err!("an item was dropped that is on a list\n");
            return;
        }
        // SAFETY: By the invariant the object is initialised and ours.
        unsafe { ptr::drop_in_place(&raw mut (*self.0.as_ptr()).data) };
        // SAFETY: kfree() takes the objects of every cache.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// The lists.
///
/// # Invariants
///
/// `list` is initialised; everything on it is the [`Node::links`] of an
/// [`Item<T>`] that exists. `cache` makes objects of the size of a [`Node<T>`].
#[pin_data(PinnedDrop)]
pub(crate) struct Lru<T> {
    #[pin]
    list: Opaque<bindings::list_lru>,
    cache: Cache<T>,
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

    /// Tells whether there is a list for each memory cgroup. `cgroup.memory=nokmem` does
    /// away with them.
    pub(crate) fn is_per_cgroup(&self) -> bool {
        #[cfg(CONFIG_MEMCG)]
        // SAFETY: The list is initialised, and this does not change after.
        return unsafe { (*self.list.get()).memcg_aware };
        #[cfg(not(CONFIG_MEMCG))]
        true
    }

    /// Makes an item, charged to the caller's memory cgroup.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "kmem_cache_alloc_lru")]
    pub(crate) fn item(&self, data: T) -> Result<Item<T>> {
        // SAFETY: Both are valid by the invariant.
        let node = unsafe {
            bindings::kmem_cache_alloc_lru_noprof(
                self.cache.as_ptr(),
                self.list.get(),
                bindings::GFP_KERNEL_ACCOUNT,
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
        // SAFETY: The list is initialised, the item exists. INVARIANT: It will
        // for as long as it is on the list: see its `drop`.
        unsafe { bindings::list_lru_add_obj(self.list.get(), item.links()) };
    }

    /// Takes an item off its list; it may be on none.
    #[doc(alias = "list_lru_del_obj")]
    pub(crate) fn remove(&self, item: &Item<T>) {
        // SAFETY: The list is initialised, the item exists.
        unsafe { bindings::list_lru_del_obj(self.list.get(), item.links()) };
    }

    /// Returns the number of items in a place.
    pub(crate) fn count(&self, place: &Place<'_>) -> usize {
        // SAFETY: The list is initialised, and the place exists.
        unsafe { bindings::list_lru_count_one(self.list.get(), place.node(), place.memcg()) }
    }

    /// Shows the oldest `most` items of a place to `visit`, which is called under a
    /// spinlock and must not come back to this list.
    pub(crate) fn sample(&self, place: &Place<'_>, most: usize, visit: &mut dyn FnMut(&T)) {
        self.walk(place, most, visit, Self::visit::<SKIP>);
    }

    /// Puts the oldest item of a place behind the others, and returns what `take` makes
    /// of it. That is called under a spinlock and must not come back to this list.
    pub(crate) fn rotate<R>(&self, place: &Place<'_>, take: impl Fn(&T) -> R) -> Option<R> {
        let mut taken = None;
        let mut visit = |data: &T| taken = Some(take(data));
        self.walk(place, 1, &mut visit, Self::visit::<ROTATE>);
        taken
    }

    #[doc(alias = "list_lru_walk_one")]
    fn walk(
        &self,
        place: &Place<'_>,
        most: usize,
        mut visit: &mut dyn FnMut(&T),
        visitor: Visitor,
    ) {
        // CAST: Both have the width of a `long`.
        let mut left = most as c_ulong;
        // SAFETY: The list is initialised, and the place exists. The visitor gets
        // what it asks for.
        unsafe {
            bindings::list_lru_walk_one(
                self.list.get(),
                place.node(),
                place.memcg(),
                Some(visitor),
                (&raw mut visit).cast(),
                &mut left,
            )
        };
    }

    /// Shows one item.
    ///
    /// # Safety
    ///
    /// `links` are an item's on a list whose lock is held, and `visit` is a
    /// `&mut dyn FnMut(&T)`.
    unsafe extern "C" fn visit<const ROTATED: bool>(
        links: *mut bindings::list_head,
        _list: *mut bindings::list_lru_one,
        visit: *mut c_void,
    ) -> bindings::lru_status {
        // SAFETY: By the caller's promise.
        let visit = unsafe { &mut *visit.cast::<&mut dyn FnMut(&T)>() };
        // SAFETY: The links are the first field of the item, which exists while
        // it is on the list.
        let node = unsafe { &*links.cast::<Node<T>>() };
        visit(&node.data);
        if ROTATED {
            bindings::lru_status::LRU_ROTATE
        } else {
            bindings::lru_status::LRU_SKIP
        }
    }
}

/// What `list_lru_walk_one()` calls for each item.
type Visitor = unsafe extern "C" fn(
    *mut bindings::list_head,
    *mut bindings::list_lru_one,
    *mut c_void,
) -> bindings::lru_status;

const ROTATE: bool = true;
const SKIP: bool = false;

#[pinned_drop]
impl<T> PinnedDrop for Lru<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The list is initialised; the items, each of which had to be
        // removed, are gone.
        unsafe { bindings::list_lru_destroy(self.list.get()) };
    }
}

/// `SLAB_ACCOUNT`.
#[cfg(CONFIG_MEMCG)]
const ACCOUNT: bindings::slab_flags_t = 1 << bindings::_slab_flag_bits__SLAB_ACCOUNT;
/// Nothing is accounted without memory cgroups.
#[cfg(not(CONFIG_MEMCG))]
const ACCOUNT: bindings::slab_flags_t = 0;

/// A slab cache of nodes whose memory is charged to memory cgroups.
struct Cache<T>(NonNull<bindings::kmem_cache>, core::marker::PhantomData<T>);

impl<T> Cache<T> {
    fn new(name: &'static CStr) -> Result<Self> {
        let mut args = bindings::kmem_cache_args {
            // CAST: The alignment of a few words.
            align: align_of::<Node<T>>() as c_uint,
            ..pin_init::zeroed()
        };
        // SAFETY: The name and the arguments are valid.
        let cache = unsafe {
            bindings::__kmem_cache_create_args(
                name.as_char_ptr(),
                // CAST: The size of a few words.
                size_of::<Node<T>>() as c_uint,
                &raw mut args,
                ACCOUNT,
            )
        };
        let cache = NonNull::new(from_err_ptr(cache)?).ok_or(ENOMEM)?;
        Ok(Self(cache, core::marker::PhantomData))
    }

    fn as_ptr(&self) -> *mut bindings::kmem_cache {
        self.0.as_ptr()
    }
}

impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        // SAFETY: All its objects are gone: items do not outlive the lists.
        unsafe { bindings::kmem_cache_destroy(self.as_ptr()) };
    }
}
