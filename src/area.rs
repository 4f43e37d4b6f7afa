// SPDX-License-Identifier: GPL-2.0

//! An area: the state behind one open file of the device, and the rules for changing it.

use kernel::{
    mm::virt::VmaNew,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SetOnce, //
    },
};

use crate::{
    name::Name,
    pages,
    prot::ProtMask,
    reclaim::{
        Backing,
        Reclaim, //
    },
    registry::Registry,
    shmem::{
        self,
        ShmemFile, //
    },
    tree::Node, //
};

/// State that all areas share.
#[pin_data]
pub(crate) struct Shared {
    /// The unpinned ranges of all areas.
    pub(crate) reclaim: Arc<Reclaim>,
    /// All open areas.
    #[pin]
    pub(crate) regions: Registry<Area>,
}

impl Shared {
    /// Creates the shared state, without any area.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(reclaim: Arc<Reclaim>) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                reclaim,
                regions <- Registry::new(c"ashmem_area"),
            }),
            GFP_KERNEL,
        )
    }
}

/// A region of shared memory: the state of one open file of `/dev/ashmem`.
///
/// Descriptors that `dup()`, `fork()` or `SCM_RIGHTS` make refer to the same area.
///
/// # Invariants
///
/// - Once `backing` is set, neither the name nor the size changes, and the size
///   is not 0.
/// - `backing` is set only under `inner`.
#[pin_data]
pub(crate) struct Area {
    #[pin]
    inner: Mutex<Inner>,
    /// In bytes. Written under `inner`, read without it.
    size: Atomic<usize>,
    backing: SetOnce<Arc<Backing>>,
    shared: Arc<Shared>,
}

struct Inner {
    name: Name,
    mask: ProtMask,
    /// The process that opened the area, by its ID in the initial PID namespace. It never
    /// changes, and is under the lock only because `Inner` has padding after `mask`.
    opener: i32,
}

// 32 nodes have to fit a slab of 4 KiB when a mutex takes 24 bytes. The rest of a mutex exists
// only with lock debugging and is not counted.
static_assert!(size_of::<Node<Area>>() - size_of::<Mutex<()>>() <= 128 - 24);

/// How far an area has been set up.
pub(crate) enum State<'a> {
    /// No size has been set.
    Empty,
    /// A size has been set, but the area has not been mapped yet.
    Sized,
    /// The area has been mapped, so its name and size are final.
    Mapped(&'a Arc<Backing>),
}

impl Area {
    /// Creates an area that has no name and no size, and whose mask allows everything.
    pub(crate) fn new(shared: Arc<Shared>, opener: i32) -> impl PinInit<Self> {
        // INVARIANT: There is no backing.
        pin_init!(Self {
            inner <- new_mutex!(Inner {
                name: Name::empty(),
                mask: ProtMask::ALL,
                opener,
            }, "Area::inner"),
            size: Atomic::new(0),
            backing: SetOnce::new(),
            shared,
        })
    }

    /// Returns the state that all areas share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the process that opened the area, by its ID in the initial PID namespace. May
    /// sleep.
    pub(crate) fn opener(&self) -> i32 {
        self.inner.lock().opener
    }

    /// Forgets all unpinned ranges, so that reclaim no longer purges pages of this area.
    ///
    /// Mappings may outlive the area; their pages count as pinned from then on, so this waits for
    /// purges that are under way. Must be called before the area is dropped, and no other method
    /// may be called after it. May sleep.
    pub(crate) fn close(&self) {
        if let Some(backing) = self.backing() {
            backing.forget();
        }
    }

    /// Returns the backing, or [`None`] if the area has not been mapped yet.
    pub(crate) fn backing(&self) -> Option<&Arc<Backing>> {
        self.backing.as_ref()
    }

    /// Returns how far the area has been set up.
    pub(crate) fn state(&self) -> State<'_> {
        if let Some(backing) = self.backing() {
            return State::Mapped(backing);
        }
        match self.size() {
            0 => State::Empty,
            _ => State::Sized,
        }
    }

    /// Calls `f` with the name. Holds `inner` meanwhile, so `f` must not access user memory.
    pub(crate) fn with_name<R>(&self, f: impl FnOnce(&Name) -> R) -> R {
        f(&self.inner.lock().name)
    }

    /// Sets the name to what `name` returns, which is called only if the name may still change.
    ///
    /// Fails with `EINVAL` if the area has been mapped, and with the error of `name`. May
    /// sleep.
    pub(crate) fn set_name(&self, name: impl FnOnce() -> Result<Name>) -> Result {
        let mut inner = self.inner.lock();
        self.check_unmapped()?;
        inner.name = name()?;
        Ok(())
    }

    /// Returns the size in bytes, exactly as it was set.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// Sets the size in bytes. Any size is accepted here; [`Area::map()`] refuses those that
    /// cannot be mapped.
    ///
    /// Fails with `EINVAL` if the area has been mapped. May sleep.
    pub(crate) fn set_size(&self, size: usize) -> Result {
        let _inner = self.inner.lock();
        self.check_unmapped()?;
        self.size.store(size, Relaxed);
        Ok(())
    }

    /// Returns the protection mask. May sleep.
    pub(crate) fn mask(&self) -> ProtMask {
        self.inner.lock().mask
    }

    /// Removes from the mask the rights that `wanted` lacks. Existing mappings keep their
    /// rights.
    ///
    /// With `read_implies_exec`, a new mask that has read keeps execute, too: see
    /// [`ProtMask::narrow()`].
    ///
    /// Fails with `EINVAL` if `wanted` has a right that the mask lacks. May sleep.
    pub(crate) fn narrow_mask(&self, wanted: usize, read_implies_exec: bool) -> Result {
        let mut inner = self.inner.lock();
        inner.mask = inner.mask.narrow(wanted, read_implies_exec)?;
        Ok(())
    }

    /// Maps the area. The first call creates its backing file.
    ///
    /// Fails with `EINVAL` if the area has no size, is too large, or is smaller than the
    /// mapping; with `EPERM` if the mask lacks a right that the mapping asks for; and with the
    /// error of creating the file. If the first call fails, name and size can still change. May
    /// sleep; called with `mmap_lock` held.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        let inner = self.inner.lock();
        let size = self.size();
        let pages = pages::count(size).ok_or(EINVAL)?;
        if !pages::fits(vma.end() - vma.start(), pages) {
            return Err(EINVAL);
        }
        inner.mask.restrict(vma)?;

        if let Some(backing) = self.backing() {
            return inner.map(backing, vma);
        }
        let file = inner
            .name
            .with_full(|name| ShmemFile::new(name, size, vma))?;
        let backing = Backing::new(file, pages, self.shared.reclaim.clone())?;
        inner.map(&backing, vma)?;
        // INVARIANT: The mapping fits and is not empty, so the size is not 0; `inner` is
        // locked.
        self.backing.populate(backing);
        Ok(())
    }

    /// Fails with `EINVAL` if the area has been mapped. `inner` must be locked, or the area may
    /// be mapped right after the check.
    fn check_unmapped(&self) -> Result {
        match self.backing() {
            Some(_) => Err(EINVAL),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Sets up a mapping: a shared one maps the backing file. A private one is anonymous memory
    /// that only shows the area's name.
    fn map(&self, backing: &Backing, vma: &VmaNew) -> Result {
        if shmem::is_shared(vma) {
            return backing.file().map(vma);
        }
        let file = backing.private_file();
        if file.as_ref().is_none() {
            file.populate(self.name.with_full(ShmemFile::empty)?);
        }
        file.as_ref().ok_or(ENOMEM)?.map_name(vma);
        Ok(())
    }
}
