// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: what memory reclaim calls when it needs pages.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h).

use core::ptr::NonNull;

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_ulong, //
    },
    prelude::*,
    sync::Arc,
};

use crate::mood::Caller;

/// A memory cgroup and a node: what a call of a shrinker is about.
///
/// # Invariants
///
/// Both exist during that call, which this does not outlive.
pub(crate) struct Place<'a> {
    control: &'a bindings::shrink_control,
}

impl Place<'_> {
    pub(crate) fn node(&self) -> c_int {
        self.control.nid
    }

    pub(crate) fn memcg(&self) -> *mut bindings::mem_cgroup {
        self.control.memcg
    }

    /// Returns the number by which user space knows the memory cgroup: that of its
    /// directory's inode. Where there are none, it is 0.
    #[doc(alias = "cgroup_id")]
    pub(crate) fn cgroup(&self) -> u64 {
        #[cfg(CONFIG_MEMCG)]
        if let Some(memcg) = NonNull::new(self.memcg()) {
            // SAFETY: By the invariant it exists, and its directory for as long. Others change
            // other fields of it meanwhile, so this makes no reference.
            return unsafe { (*(*(*memcg.as_ptr()).css.cgroup).kn).id };
        }
        0
    }

    /// Returns who calls.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            insists: !is_kswapd()
                && self.control.gfp_mask & (1 << bindings::___GFP_NORETRY_BIT) == 0,
        }
    }
}

/// What a scan came to.
pub(crate) enum Scan {
    /// So many objects were freed, and it took as long as for `scanned`.
    Freed {
        objects: usize,
        /// At least 1.
        scanned: usize,
    },
    /// Nothing can be done now.
    Stop,
}

/// When objects should go.
#[derive(Clone, Copy)]
pub(crate) enum Urgency {
    /// Now.
    Now,
    /// Once reclaim finds little else.
    LastResort,
    /// Not for what reclaim is at now.
    Never,
}

/// Something that can give memory back, per memory cgroup and node.
///
/// Memory reclaim asks for a share of the objects that follows that of the page cache
/// which it looks at. Here it is the shrinker that knows when its objects should go; so
/// what reclaim is told instead of their number makes it call [`Shrinker::relieve()`]
/// always, or only as a last resort.
pub(crate) trait Shrinker: Send + Sync {
    /// Returns whether there is any object. Must not sleep.
    fn is_empty(&self, place: &Place<'_>) -> bool;

    /// Returns when objects should go. Every reclaim asks, whether there are any or not.
    /// Must not sleep.
    fn urgency(&self, place: &Place<'_>) -> Urgency;

    /// Frees a good part of the objects, and returns how many that were: as they are
    /// needed, or because reclaim has looked at an eighth of all pages and found too
    /// little. Before it gives up, it comes so often that all have to go.
    ///
    /// May be called from any allocation that lets file systems work, so locks
    /// that are held across allocations can only be tried.
    fn relieve(&self, place: &Place<'_>) -> usize;

    /// Returns how many objects could be freed, for who asks by hand. Must not sleep.
    fn count(&self, place: &Place<'_>) -> usize;

    /// Frees about `wanted` objects, for who asks by hand. Otherwise as
    /// [`Shrinker::relieve()`].
    fn scan(&self, place: &Place<'_>, wanted: usize) -> Scan;
}

/// A shrinker that is not called yet.
///
/// # Invariants
///
/// From `shrinker_alloc()`, and not registered.
pub(crate) struct Unregistered(NonNull<bindings::shrinker>);

impl Unregistered {
    /// Allocates a shrinker that is aware of memory cgroups and nodes.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "shrinker_alloc")]
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: A format, and what it asks for.
        let shrinker = unsafe {
            bindings::shrinker_alloc(
                AWARE_OF_NODES | AWARE_OF_MEMCGS,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        // INVARIANT: Just allocated.
        Ok(Self(NonNull::new(shrinker).ok_or(ENOMEM)?))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::shrinker {
        self.0.as_ptr()
    }

    /// Lets memory reclaim call `state`.
    #[doc(alias = "shrinker_register")]
    pub(crate) fn register<S: Shrinker>(self, state: Arc<S>) -> Registration<S> {
        let shrinker = self.0;
        core::mem::forget(self);
        // SAFETY: The shrinker is not registered, so it is ours to change.
        let fields = unsafe { &mut *shrinker.as_ptr() };
        fields.count_objects = Some(count::<S>);
        fields.scan_objects = Some(scan::<S>);
        fields.seeks = SEEKS;
        // The last objects are worth a call, too.
        fields.batch = 1;
        fields.private_data = Arc::as_ptr(&state).cast_mut().cast();
        // SAFETY: All its fields are set, and `state` stays until it is freed.
        unsafe { bindings::shrinker_register(shrinker.as_ptr()) };
        // INVARIANT: Registered, with that state.
        Registration { shrinker, state }
    }
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is allocated and ours.
        unsafe { bindings::shrinker_free(self.as_ptr()) };
    }
}

/// A shrinker that memory reclaim calls until this is dropped.
///
/// # Invariants
///
/// `shrinker` is registered and its private data is `state`.
pub(crate) struct Registration<S: Shrinker> {
    shrinker: NonNull<bindings::shrinker>,
    state: Arc<S>,
}

// SAFETY: `shrinker_free()` may be called from any thread.
unsafe impl<S: Shrinker> Send for Registration<S> {}
// SAFETY: Shared, it gives away `state` alone.
unsafe impl<S: Shrinker> Sync for Registration<S> {}

impl<S: Shrinker> Registration<S> {
    /// Returns what is called.
    pub(crate) fn state(&self) -> &Arc<S> {
        &self.state
    }
}

impl<S: Shrinker> Drop for Registration<S> {
    fn drop(&mut self) {
        // SAFETY: By the invariant. It waits until no call is under way, so
        // that `state` can go after.
        unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
    }
}

/// Returns what memory reclaim keeps of the calling task, or null if that is not at it.
fn reclaim_state() -> *mut bindings::reclaim_state {
    // SAFETY: The current task exists; the field is only used by the task itself.
    unsafe { (*bindings::get_current()).reclaim_state }
}

/// Tells memory reclaim, if that is who calls, that so many pages were freed, so
/// that it can stop when it has enough.
#[doc(alias = "mm_account_reclaimed_pages")]
pub(crate) fn account_reclaimed(pages: usize) {
    let state = reclaim_state();
    // SAFETY: Reclaim sets it to something on the task's own stack, or to null.
    if let Some(state) = unsafe { state.as_mut() } {
        // OVERFLOW: No more pages are freed than there are.
        state.reclaimed = state.reclaimed.wrapping_add(pages);
    }
}

/// Returns whether it is memory reclaim that calls. Else it is somebody who wrote to
/// `/proc/sys/vm/drop_caches`, or uses the shrinker's files in debugfs.
fn is_reclaim() -> bool {
    !reclaim_state().is_null()
}

/// Returns whether it is `kswapd` that calls, which works ahead of need.
#[doc(alias = "current_is_kswapd")]
fn is_kswapd() -> bool {
    // SAFETY: The current task exists; only the task itself changes its flags.
    unsafe { (*bindings::get_current()).flags & bindings::PF_KSWAPD != 0 }
}

/// Returns how many pages the reclaim that calls has got by other means than its own
/// lists of pages, or 0 if it counts them itself.
pub(crate) fn reclaimed() -> usize {
    if is_kswapd() {
        return 0;
    }
    // SAFETY: Reclaim sets it to something on the task's own stack, or to null.
    unsafe { reclaim_state().as_ref() }.map_or(0, |state| state.reclaimed)
}

const AWARE_OF_NODES: u32 = 1 << 2;
const AWARE_OF_MEMCGS: u32 = 1 << 3;
/// `SHRINK_STOP`.
const STOP: c_ulong = !0;
/// `SHRINK_EMPTY`, which lets reclaim forget a memory cgroup until there is
/// something again.
const EMPTY: c_ulong = !0 - 1;

/// Of what a count says, reclaim wants `4 / SEEKS` shifted right by its priority. That
/// falls from 12 to 0 while it finds too little.
const SEEKS: c_int = 4;
/// A count of which something is wanted at every priority.
const ALWAYS: c_ulong = 1 << bindings::DEF_PRIORITY;
/// A count of which something is wanted from priority 3 on.
const AS_LAST_RESORT: c_ulong = 1 << 3;

/// A good part of what can be wanted at once by hand: 4 GiB, if a page has 4 KiB.
const ALL: c_ulong = 1 << 20;

/// # Safety
///
/// Called by memory reclaim for a [`Registration<S>`].
unsafe extern "C" fn count<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: The private data of a registered shrinker.
    let state = unsafe { &*(*shrinker).private_data.cast::<S>() };
    // SAFETY: `control` is valid during the call.
    let control = unsafe { &*control };
    // INVARIANT: A call is under way.
    let place = Place { control };
    // Reclaim is watched where there is nothing, too: else what it does then would be taken
    // for a sign as soon as there is something.
    let urgency = is_reclaim().then(|| state.urgency(&place));
    match urgency {
        _ if state.is_empty(&place) => EMPTY,
        // `do_shrink_slab()` multiplies by up to 8, in signed numbers.
        None => state.count(&place).min(c_ulong::MAX / 16),
        // It would be kept in mind for a later call.
        Some(_) if !may_purge(control) => 0,
        Some(Urgency::Now) => ALWAYS,
        Some(Urgency::LastResort) => AS_LAST_RESORT,
        Some(Urgency::Never) => 0,
    }
}

/// Returns whether the locks may be taken that a purge takes: those of the file system
/// shmem.
fn may_purge(control: &bindings::shrink_control) -> bool {
    control.gfp_mask & (1 << bindings::___GFP_FS_BIT) != 0
}

/// # Safety
///
/// Called by memory reclaim for a [`Registration<S>`].
unsafe extern "C" fn scan<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: `control` is valid during the call, and this call's alone.
    let control = unsafe { &mut *control };
    if !may_purge(control) {
        return STOP;
    }
    // SAFETY: The private data of a registered shrinker.
    let state = unsafe { &*(*shrinker).private_data.cast::<S>() };
    // INVARIANT: A call is under way.
    let place = Place { control };
    if is_reclaim() {
        let freed = state.relieve(&place);
        // All that can be wanted of any count: nothing is to be done later.
        control.nr_scanned = ALWAYS;
        return freed;
    }
    match state.scan(&place, control.nr_to_scan) {
        // With `STOP`, what it wanted beyond that would be wanted of a later call.
        Scan::Stop => {
            control.nr_scanned = ALL;
            0
        }
        Scan::Freed { objects, scanned } => {
            // `do_shrink_slab()` goes on until it has scanned what it wants.
            control.nr_scanned = scanned.max(1);
            objects
        }
    }
}

#[kunit_tests(rust_ashmem_shrinker)]
mod tests {
    use super::*;

    /// Has so many objects, all of which go at once.
    struct Objects {
        objects: usize,
        urgency: Urgency,
    }

    impl Shrinker for Objects {
        fn is_empty(&self, _place: &Place<'_>) -> bool {
            self.objects == 0
        }

        fn urgency(&self, _place: &Place<'_>) -> Urgency {
            self.urgency
        }

        fn relieve(&self, _place: &Place<'_>) -> usize {
            self.objects
        }

        fn count(&self, _place: &Place<'_>) -> usize {
            self.objects
        }

        fn scan(&self, _place: &Place<'_>, _wanted: usize) -> Scan {
            match self.objects {
                0 => Scan::Stop,
                objects => Scan::Freed {
                    objects,
                    scanned: objects.saturating_add(1),
                },
            }
        }
    }

    const NO_FS: bindings::gfp_t = bindings::GFP_KERNEL & !(1 << bindings::___GFP_FS_BIT);

    /// Returns what a count and a scan answer, and how many objects that one is said
    /// to have looked at.
    fn answers(state: &Objects, gfp_mask: bindings::gfp_t) -> (c_ulong, c_ulong, c_ulong) {
        let mut shrinker: bindings::shrinker = pin_init::zeroed();
        shrinker.private_data = core::ptr::from_ref(state).cast_mut().cast();
        let mut control = bindings::shrink_control {
            gfp_mask,
            nr_to_scan: 1,
            nr_scanned: 1,
            ..pin_init::zeroed()
        };
        // SAFETY: As if a registered shrinker had that private data.
        let counted = unsafe { count::<Objects>(&raw mut shrinker, &raw mut control) };
        // SAFETY: As above.
        let freed = unsafe { scan::<Objects>(&raw mut shrinker, &raw mut control) };
        (counted, freed, control.nr_scanned)
    }

    /// Returns what they answer to memory reclaim.
    fn answers_to_reclaim(
        state: &Objects,
        gfp_mask: bindings::gfp_t,
    ) -> (c_ulong, c_ulong, c_ulong) {
        let mut reclaim: bindings::reclaim_state = pin_init::zeroed();
        // SAFETY: The current task exists; the field is only used by the task itself.
        let state_of_task = unsafe { &mut (*bindings::get_current()).reclaim_state };
        *state_of_task = &raw mut reclaim;
        let answers = answers(state, gfp_mask);
        *state_of_task = core::ptr::null_mut();
        answers
    }

    fn objects(objects: usize, urgency: Urgency) -> Objects {
        Objects { objects, urgency }
    }

    #[test]
    fn who_asks_by_hand_is_told_numbers() {
        for urgency in [Urgency::Never, Urgency::LastResort, Urgency::Now] {
            let answers = |number| answers(&objects(number, urgency), bindings::GFP_KERNEL);
            assert_eq!(answers(7), (7, 7, 8));
            assert_eq!(answers(0), (EMPTY, 0, ALL));
        }
    }

    #[test]
    fn counts_can_be_multiplied() {
        let (counted, _, _) = answers(&objects(usize::MAX, Urgency::Never), bindings::GFP_KERNEL);
        assert!(i64::try_from(counted).is_ok_and(|n| n.checked_mul(8).is_some()));
    }

    /// What reclaim wants at a priority, as `do_shrink_slab()` does.
    fn wanted(counted: c_ulong, priority: u32) -> c_ulong {
        // CAST: A small number.
        (counted >> priority) * 4 / SEEKS as c_ulong
    }

    #[test]
    fn reclaim_comes_when_it_is_needed_or_desperate() {
        let answers = |urgency| answers_to_reclaim(&objects(7, urgency), bindings::GFP_KERNEL);
        let (now, freed, scanned) = answers(Urgency::Now);
        let (last, ..) = answers(Urgency::LastResort);
        let (never, ..) = answers(Urgency::Never);
        assert_eq!(freed, 7);
        for priority in 0..=bindings::DEF_PRIORITY {
            assert!(wanted(now, priority) > 0);
            let comes = wanted(last, priority) > 0;
            assert_eq!(comes, priority <= 3);
            assert_eq!(wanted(never, priority), 0);
            // Nothing is kept for later.
            assert!(wanted(now, priority) <= scanned);
        }
    }

    #[test]
    fn reclaim_forgets_only_who_is_empty() {
        let answers = |number, gfp| answers_to_reclaim(&objects(number, Urgency::Now), gfp).0;
        assert_eq!(answers(0, bindings::GFP_KERNEL), EMPTY);
        assert_eq!(answers(0, NO_FS), EMPTY);
        assert_eq!(answers(7, NO_FS), 0);
    }

    #[test]
    fn file_systems_have_to_be_allowed() {
        let objects = objects(7, Urgency::Now);
        assert_eq!(answers(&objects, NO_FS), (7, STOP, 1));
        assert_eq!(answers_to_reclaim(&objects, NO_FS).1, STOP);
    }
}
