// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: callbacks by which memory reclaim frees pages that it cannot find by itself.
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

/// The memory cgroup and the node that a call of a shrinker is for.
///
/// # Invariants
///
/// Both exist during the call, which this does not outlive.
pub(crate) struct Place<'a> {
    control: &'a bindings::shrink_control,
}

impl Place<'_> {
    /// Returns the number of the node.
    pub(crate) fn node(&self) -> c_int {
        self.control.nid
    }

    /// Returns the memory cgroup, or null without memory cgroups.
    pub(crate) fn memcg(&self) -> *mut bindings::mem_cgroup {
        self.control.memcg
    }

    /// Returns the ID of the memory cgroup in user space, which is the inode number of its
    /// directory. Returns 0 without memory cgroups.
    #[doc(alias = "cgroup_id")]
    pub(crate) fn cgroup(&self) -> u64 {
        #[cfg(CONFIG_MEMCG)]
        if let Some(memcg) = NonNull::new(self.memcg()) {
            // SAFETY: By the invariant the cgroup exists, and its directory as long. This makes
            // no reference, because others change other fields of the cgroup meanwhile.
            return unsafe { (*(*(*memcg.as_ptr()).css.cgroup).kn).id };
        }
        0
    }

    /// Returns what kind of reclaim the call is part of.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            needs_pages: !is_kswapd()
                && self.control.gfp_mask & (1 << bindings::___GFP_NORETRY_BIT) == 0,
        }
    }
}

/// The result of a scan.
pub(crate) enum Scan {
    /// `objects` objects were freed, with the effort that `scanned` objects stand for.
    Freed {
        objects: usize,
        /// At least 1.
        scanned: usize,
    },
    /// No object can be freed now.
    Stop,
}

/// How urgently objects should be freed.
#[derive(Clone, Copy)]
pub(crate) enum Urgency {
    /// At any priority of reclaim.
    Now,
    /// Only if reclaim finds little else, at priority 3 and below.
    LastResort,
    /// Not by this reclaim.
    Never,
}

/// Objects that can be freed when memory is short, per memory cgroup and node.
///
/// Normally, memory reclaim decides how many objects a shrinker frees: the same share as of the
/// page cache that it scans. Here the implementation decides, by [`Shrinker::urgency()`]. So
/// reclaim is not given the number of objects, but one that makes it call
/// [`Shrinker::relieve()`] always, never, or only as a last resort.
pub(crate) trait Shrinker: Send + Sync {
    /// Returns whether there are no objects. Must not sleep.
    fn is_empty(&self, place: &Place<'_>) -> bool;

    /// Returns how urgently objects should be freed. Called for every count by reclaim, even if
    /// there are no objects. Must not sleep.
    fn urgency(&self, place: &Place<'_>) -> Urgency;

    /// Frees a good part of the objects, and returns how many objects were freed. Called if
    /// they should be freed now, or if reclaim has scanned an eighth of all pages and has not
    /// found enough. Reclaim calls this several times before it gives up; together, these calls
    /// should free all objects.
    ///
    /// May be called from any allocation with `__GFP_FS`, so locks that are held across
    /// allocations may only be tried. May sleep.
    fn relieve(&self, place: &Place<'_>) -> usize;

    /// Returns how many objects could be freed. Called for a manual scan: a write to
    /// `/proc/sys/vm/drop_caches` or to the shrinker's debugfs files. Must not sleep.
    fn count(&self, place: &Place<'_>) -> usize;

    /// Frees about `wanted` objects. Called for a manual scan; otherwise like
    /// [`Shrinker::relieve()`].
    fn scan(&self, place: &Place<'_>, wanted: usize) -> Scan;
}

/// A shrinker that is allocated but not registered.
///
/// # Invariants
///
/// The pointer comes from `shrinker_alloc()`, and the shrinker is not registered.
pub(crate) struct Unregistered(NonNull<bindings::shrinker>);

impl Unregistered {
    /// Allocates a shrinker that is aware of memory cgroups and nodes. May sleep.
    ///
    /// Fails with `ENOMEM`.
    #[doc(alias = "shrinker_alloc")]
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The second argument is a format, and the third is the C string that it asks
        // for.
        let shrinker = unsafe {
            bindings::shrinker_alloc(
                AWARE_OF_NODES | AWARE_OF_MEMCGS,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        // INVARIANT: The shrinker was just allocated.
        Ok(Self(NonNull::new(shrinker).ok_or(ENOMEM)?))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::shrinker {
        self.0.as_ptr()
    }

    /// Registers the shrinker: memory reclaim calls `state` from now on. May sleep.
    #[doc(alias = "shrinker_register")]
    pub(crate) fn register<S: Shrinker>(self, state: Arc<S>) -> Registration<S> {
        let shrinker = self.0;
        core::mem::forget(self);
        // SAFETY: The shrinker is not registered, so it is ours to change.
        let fields = unsafe { &mut *shrinker.as_ptr() };
        fields.count_objects = Some(count::<S>);
        fields.scan_objects = Some(scan::<S>);
        fields.seeks = SEEKS;
        // With the default batch of 128, a remainder of fewer objects would not be scanned.
        fields.batch = 1;
        fields.private_data = Arc::as_ptr(&state).cast_mut().cast();
        // SAFETY: All fields are set, and `state` lives until the shrinker is freed.
        unsafe { bindings::shrinker_register(shrinker.as_ptr()) };
        // INVARIANT: The shrinker is registered, and its private data is `state`.
        Registration { shrinker, state }
    }
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        // SAFETY: By the invariant the shrinker is allocated, and nobody else has it.
        unsafe { bindings::shrinker_free(self.as_ptr()) };
    }
}

/// A registered shrinker, which is unregistered and freed when this is dropped.
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
// SAFETY: A shared reference gives access only to `state`, which is `Sync`.
unsafe impl<S: Shrinker> Sync for Registration<S> {}

impl<S: Shrinker> Registration<S> {
    /// Returns the state that the shrinker calls.
    pub(crate) fn state(&self) -> &Arc<S> {
        &self.state
    }
}

impl<S: Shrinker> Drop for Registration<S> {
    fn drop(&mut self) {
        // SAFETY: By the invariant the shrinker is registered. The call waits for running
        // callbacks, so `state` may be dropped after it.
        unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
    }
}

/// Returns the reclaim state of the current task, or null if the task is not in memory reclaim.
fn reclaim_state() -> *mut bindings::reclaim_state {
    // SAFETY: The current task exists, and only the task itself uses the field.
    unsafe { (*bindings::get_current()).reclaim_state }
}

/// Reports freed pages to memory reclaim, so that it can stop when it has enough. Does nothing
/// outside of reclaim.
#[doc(alias = "mm_account_reclaimed_pages")]
pub(crate) fn account_reclaimed(pages: usize) {
    let state = reclaim_state();
    // SAFETY: The pointer is null or to a variable on the stack of the current task.
    if let Some(state) = unsafe { state.as_mut() } {
        // OVERFLOW: No more pages are freed than there are.
        state.reclaimed = state.reclaimed.wrapping_add(pages);
    }
}

/// Returns whether memory reclaim is calling. Otherwise it is a manual scan: a write to
/// `/proc/sys/vm/drop_caches` or to the shrinker's debugfs files.
fn is_reclaim() -> bool {
    !reclaim_state().is_null()
}

/// Returns whether `kswapd` is calling, which reclaims before pages are needed.
#[doc(alias = "current_is_kswapd")]
pub(crate) fn is_kswapd() -> bool {
    // SAFETY: The current task exists, and only the task itself changes its flags.
    unsafe { (*bindings::get_current()).flags & bindings::PF_KSWAPD != 0 }
}

/// Returns how many pages the current reclaim has got outside of the LRU lists of pages, and
/// has not added to its own count.
///
/// Reclaim for the limit of a memory cgroup never adds them, so for it this is the total so
/// far. Reclaim for a node adds them after each cgroup with MGLRU, and otherwise after all
/// cgroups of the node. For `kswapd` this returns 0.
pub(crate) fn reclaimed() -> usize {
    if is_kswapd() {
        return 0;
    }
    // SAFETY: The pointer is null or to a variable on the stack of the current task.
    unsafe { reclaim_state().as_ref() }.map_or(0, |state| state.reclaimed)
}

const AWARE_OF_NODES: u32 = 1 << 2;
const AWARE_OF_MEMCGS: u32 = 1 << 3;
/// `SHRINK_STOP`.
const STOP: c_ulong = !0;
/// `SHRINK_EMPTY`: reclaim does not call the shrinker for this memory cgroup again until an
/// object is added.
const EMPTY: c_ulong = !0 - 1;

/// Reclaim asks to scan `(count >> priority) * 4 / SEEKS` objects. The priority falls from 12
/// to 0 while reclaim finds too little.
const SEEKS: c_int = 4;
/// The lowest count for which that is above 0 at every priority.
const ALWAYS: c_ulong = 1 << bindings::DEF_PRIORITY;
/// The lowest count for which that is above 0 at priority 3 and below.
const AS_LAST_RESORT: c_ulong = 1 << 3;

/// The number of objects that a manual scan reports as scanned if nothing can be freed: large
/// enough that `do_shrink_slab()` soon stops calling. As pages of 4 KiB, it is 4 GiB.
const ALL: c_ulong = 1 << 20;

/// # Safety
///
/// Called by memory reclaim for the shrinker of a [`Registration<S>`].
unsafe extern "C" fn count<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: By the invariant of `Registration`, the private data is an `S` that lives as
    // long.
    let state = unsafe { &*(*shrinker).private_data.cast::<S>() };
    // SAFETY: `control` is valid during the call.
    let control = unsafe { &*control };
    // INVARIANT: The place does not outlive this call.
    let place = Place { control };
    // Ask even if there are no objects: what reclaim scans now would otherwise be attributed to
    // a later call, and count as a sign that memory is short.
    let urgency = is_reclaim().then(|| state.urgency(&place));
    match urgency {
        _ if state.is_empty(&place) => EMPTY,
        // `do_shrink_slab()` multiplies the count by up to 8, as a signed number.
        None => state.count(&place).min(c_ulong::MAX / 16),
        // The scan would be refused, and any other count deferred to a later call.
        Some(_) if !may_purge(control) => 0,
        Some(Urgency::Now) => ALWAYS,
        Some(Urgency::LastResort) => AS_LAST_RESORT,
        Some(Urgency::Never) => 0,
    }
}

/// Returns whether the allocation allows a purge, which takes locks of a file system: shmem's.
fn may_purge(control: &bindings::shrink_control) -> bool {
    control.gfp_mask & (1 << bindings::___GFP_FS_BIT) != 0
}

/// # Safety
///
/// Called by memory reclaim for the shrinker of a [`Registration<S>`].
unsafe extern "C" fn scan<S: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: `control` is valid during the call, and nobody else uses it.
    let control = unsafe { &mut *control };
    if !may_purge(control) {
        return STOP;
    }
    // SAFETY: By the invariant of `Registration`, the private data is an `S` that lives as
    // long.
    let state = unsafe { &*(*shrinker).private_data.cast::<S>() };
    // INVARIANT: The place does not outlive this call.
    let place = Place { control };
    if is_reclaim() {
        let freed = state.relieve(&place);
        // The most that reclaim asks for, so that nothing is deferred to a later call.
        control.nr_scanned = ALWAYS;
        return freed;
    }
    match state.scan(&place, control.nr_to_scan) {
        // `STOP` would defer what remains to a later call.
        Scan::Stop => {
            control.nr_scanned = ALL;
            0
        }
        Scan::Freed { objects, scanned } => {
            // `do_shrink_slab()` repeats this until it has scanned as many as it wants, so 0
            // would make it loop.
            control.nr_scanned = scanned.max(1);
            objects
        }
    }
}

#[kunit_tests(rust_ashmem_shrinker)]
mod tests {
    use super::*;

    /// A shrinker whose objects are all freed by one call.
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

    /// Returns the results of a count and of a scan, and how many objects the scan reported as
    /// scanned.
    fn answers(state: &Objects, gfp_mask: bindings::gfp_t) -> (c_ulong, c_ulong, c_ulong) {
        let mut shrinker: bindings::shrinker = pin_init::zeroed();
        shrinker.private_data = core::ptr::from_ref(state).cast_mut().cast();
        let mut control = bindings::shrink_control {
            gfp_mask,
            nr_to_scan: 1,
            nr_scanned: 1,
            ..pin_init::zeroed()
        };
        // SAFETY: The private data is an `Objects`, as that of a registered shrinker would be.
        let counted = unsafe { count::<Objects>(&raw mut shrinker, &raw mut control) };
        // SAFETY: As above.
        let freed = unsafe { scan::<Objects>(&raw mut shrinker, &raw mut control) };
        (counted, freed, control.nr_scanned)
    }

    /// Returns the same, when memory reclaim is calling.
    fn answers_to_reclaim(
        state: &Objects,
        gfp_mask: bindings::gfp_t,
    ) -> (c_ulong, c_ulong, c_ulong) {
        let mut reclaim: bindings::reclaim_state = pin_init::zeroed();
        // SAFETY: The current task exists, and only the task itself uses the field.
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
    fn manual_scan_is_told_counts() {
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

    /// Returns how many objects reclaim asks to scan at a priority, as `do_shrink_slab()`
    /// calculates it.
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
            // Nothing is deferred.
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
