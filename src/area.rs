// SPDX-License-Identifier: GPL-2.0

//! Areas: the rules of name, size, protection mask and mapping.

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

/// What all areas share.
#[pin_data]
pub(crate) struct Shared {
    /// What can be purged.
    pub(crate) reclaim: Arc<Reclaim>,
    /// Those that are open.
    #[pin]
    pub(crate) regions: Registry<Area>,
}

impl Shared {
    /// Makes what areas will share; none is open.
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

/// What one open `/dev/ashmem` stands for.
///
/// Descriptors made by `dup()`, `fork()` or `SCM_RIGHTS` share it.
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
    /// Changes under `inner`.
    size: Atomic<usize>,
    backing: SetOnce<Arc<Backing>>,
    shared: Arc<Shared>,
}

struct Inner {
    name: Name,
    mask: ProtMask,
    /// Which process opened it. That never changes; it is here as there is room beside `mask`.
    opener: i32,
}

// So that a page of 4 KiB has room for 32, where a mutex takes 24 bytes. What debugging adds to
// one does not count.
static_assert!(size_of::<Node<Area>>() - size_of::<Mutex<()>>() <= 128 - 24);

/// How far an area has come on its way to memory.
pub(crate) enum State<'a> {
    /// It has no size.
    Empty,
    /// It has a size and was never mapped.
    Sized,
    /// It was mapped; its name and size are final.
    Mapped(&'a Arc<Backing>),
}

impl Area {
    /// Makes an area without name and size whose mask allows everything.
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

    /// Returns what all areas share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the process that opened it.
    pub(crate) fn opener(&self) -> i32 {
        self.inner.lock().opener
    }

    /// Pins all pages for good: nobody can ask for any. Mappings keep the file, but not
    /// what was unpinned. Must be called before the area is dropped.
    pub(crate) fn close(&self) {
        if let Some(backing) = self.backing() {
            backing.forget();
        }
    }

    /// Returns the backing file, which exists once the area was mapped.
    pub(crate) fn backing(&self) -> Option<&Arc<Backing>> {
        self.backing.as_ref()
    }

    /// Returns how far the area has come.
    pub(crate) fn state(&self) -> State<'_> {
        if let Some(backing) = self.backing() {
            return State::Mapped(backing);
        }
        match self.size() {
            0 => State::Empty,
            _ => State::Sized,
        }
    }

    /// Calls `f` with the name, and with `inner` locked.
    pub(crate) fn with_name<R>(&self, f: impl FnOnce(&Name) -> R) -> R {
        f(&self.inner.lock().name)
    }

    /// Sets the name, which is only made if it can be set.
    ///
    /// Fails with `EINVAL` once the area was mapped, and as `name` does.
    pub(crate) fn set_name(&self, name: impl FnOnce() -> Result<Name>) -> Result {
        let mut inner = self.inner.lock();
        self.check_unmapped()?;
        inner.name = name()?;
        Ok(())
    }

    /// Returns the size in bytes, as it was set.
    pub(crate) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// Sets the size in bytes; whether it makes sense is for [`Area::map()`] to
    /// say.
    ///
    /// Fails with `EINVAL` once the area was mapped.
    pub(crate) fn set_size(&self, size: usize) -> Result {
        let _inner = self.inner.lock();
        self.check_unmapped()?;
        self.size.store(size, Relaxed);
        Ok(())
    }

    /// Returns the protection mask.
    pub(crate) fn mask(&self) -> ProtMask {
        self.inner.lock().mask
    }

    /// Takes from the mask what `wanted` lacks; mappings that exist keep their
    /// rights.
    ///
    /// Fails with `EINVAL` if the mask would have to grow.
    pub(crate) fn narrow_mask(&self, wanted: usize, read_implies_exec: bool) -> Result {
        let mut inner = self.inner.lock();
        inner.mask = inner.mask.narrow(wanted, read_implies_exec)?;
        Ok(())
    }

    /// Maps the area; the first time makes its backing file.
    ///
    /// Fails with `EINVAL` if the area has no size or the mapping is longer,
    /// with `EPERM` if the mask lacks a right that it asks for, and with
    /// whatever keeps the file from being made. A failure leaves name and size
    /// free to change.
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
        // INVARIANT: A mapping fits, so the size is not 0; `inner` is locked.
        self.backing.populate(backing);
        Ok(())
    }

    /// Must be called with `inner` locked, or the answer is stale at once.
    fn check_unmapped(&self) -> Result {
        match self.backing() {
            Some(_) => Err(EINVAL),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Maps a backing file, or if the mapping is private, the name.
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
