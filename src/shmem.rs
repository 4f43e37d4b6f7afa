// SPDX-License-Identifier: GPL-2.0

//! Backing files: unlinked shmem files that hold the memory of areas.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h).

use core::{
    mem::{
        self,
        offset_of, //
    },
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};

use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_char,
        c_int,
        c_ulong,
        c_void, //
    },
    iov::IovIterDest,
    mm::virt::VmaNew,
    prelude::*,
    sync::SetOnce,
    task::might_sleep, //
};

use crate::{
    misc::{
        address_or_error,
        AddressRequest, //
    },
    module,
    pages::PageRange, //
};

extern "C" {
    // `bindings` lacks `linux/shmem_fs.h`. Files and inodes are declared as `c_void`, because a
    // `struct file` has fields that rustc warns of in an `extern` block.
    fn shmem_file_setup(
        name: *const c_char,
        size: bindings::loff_t,
        flags: bindings::vma_flags_t,
    ) -> *mut c_void;

    fn shmem_truncate_range(inode: *mut c_void, first: u64, last: u64);
}

/// `VM_MAYSHARE`. In Linux 7.1 and 7.2, the kernel crate's constant of this name is `VM_MAYEXEC`.
const MAYSHARE: bindings::vm_flags_t = 1 << bindings::VMA_MAYSHARE_BIT;

/// Returns whether a mapping is shared, that is, maps the area's memory.
///
/// Tests `VM_MAYSHARE`, because `mmap()` clears `VM_SHARED` for a shared mapping of a file that
/// was opened read-only.
pub(crate) fn is_shared(vma: &VmaNew) -> bool {
    vma.flags() & MAYSHARE != 0
}

/// `XA_PRESENT`, a macro with a cast, which `bindings` lacks.
const PRESENT: bindings::xa_mark_t = 8;

type GetUnmappedArea =
    unsafe extern "C" fn(*mut bindings::file, c_ulong, c_ulong, c_ulong, c_ulong) -> c_ulong;

/// How shmem maps its files, and the file operations that replace shmem's own in backing files.
///
/// # Invariants
///
/// `vm_ops` and `get_unmapped_area` are shmem's. To map an unlinked file, shmem sets the VMA's
/// `vm_ops` to this one, and changes nothing else in the VMA. `table` is a copy of shmem's file
/// operations, in which `mmap_prepare` fails, `get_unmapped_area` is null, and the owner is
/// this module.
struct Operations {
    vm_ops: &'static bindings::vm_operations_struct,
    get_unmapped_area: GetUnmappedArea,
    table: bindings::file_operations,
}

// SAFETY: The fields never change, and what they point to is not bound to a thread.
unsafe impl Send for Operations {}
// SAFETY: As above.
unsafe impl Sync for Operations {}

/// Set by [`init()`], and read-only once the module is loaded, because tables of function
/// pointers are a common target of attacks.
///
/// User-mode Linux does not protect the section. Besides, its modules may be above 2 GiB, and
/// LLVM 19 uses 32-bit addresses for data in a section of this name.
#[cfg_attr(not(CONFIG_UML), link_section = ".data..ro_after_init")]
static OPERATIONS: SetOnce<Operations> = SetOnce::new();

/// Copies shmem's file operations from a temporary file, because shmem does not export them.
/// Must be called once, before the first [`ShmemFile`] is created.
///
/// Fails with `ENODEV` if this kernel's shmem cannot be used, or with `ENOMEM`.
pub(crate) fn init() -> Result {
    let probe = RawFile::new(b"dev/ashmem\0", 0, Default::default())?;

    // SAFETY: By the invariant of `RawFile` the file is valid, and so are its operations while
    // it exists.
    let mut table = unsafe { *(*probe.0.as_ptr()).f_op };

    let vm_ops = learn_vm_ops(&probe, &table);
    let (Some(vm_ops), Some(get_unmapped_area)) = (vm_ops, table.get_unmapped_area) else {
        pr_err!("unsupported kernel: mmap() of shmem does more than set vm_ops\n");
        return Err(ENODEV);
    };
    table.owner = module::this_module();
    // remap_file_pages() maps the `vm_file` of a VMA again, which is the backing file, with all
    // rights that this file has, not those of the mask (CVE-2020-0009). So mapping a backing
    // file must fail. `mmap` could not refuse: `__mmap_region()` first tries to extend an
    // adjacent VMA.
    table.mmap = None;
    table.mmap_prepare = Some(refuse_mmap);
    // shmem's function only accepts files with shmem's own operations. Without one, mremap()
    // uses the default of the address space.
    table.get_unmapped_area = None;

    // INVARIANT: The table was changed as the type requires.
    OPERATIONS.populate(Operations {
        vm_ops,
        get_unmapped_area,
        table,
    });
    Ok(())
}

/// Returns the `vm_ops` that shmem gives the VMAs of unlinked files. Returns [`None`] if
/// mapping a file does more than set them: not every kernel exports the functions for the rest.
fn learn_vm_ops(
    probe: &RawFile,
    table: &bindings::file_operations,
) -> Option<&'static bindings::vm_operations_struct> {
    let file = probe.0.as_ptr();
    let vm_ops = match (table.mmap_prepare, table.mmap) {
        (Some(mmap_prepare), None) => {
            let prepare = |desc: *mut bindings::vm_area_desc| {
                // SAFETY: The descriptor is valid, and nobody else has it.
                unsafe { (*desc).file = file };
                // SAFETY: The file is shmem's by the invariant of `RawFile`, and this is its
                // `mmap_prepare`.
                let ret = unsafe { mmap_prepare(desc) };
                // SAFETY: As for the first access.
                unsafe { (*desc).file = ptr::null_mut() };
                ret
            };
            set_alone(offset_of!(bindings::vm_area_desc, vm_ops), prepare)?
        }
        (None, Some(mmap)) => {
            // SAFETY: Nobody else has the VMA. The file is shmem's, and this is its `mmap`.
            let map = |vma: *mut bindings::vm_area_struct| unsafe { mmap(file, vma) };
            set_alone(offset_of!(bindings::vm_area_struct, vm_ops), map)?
        }
        _ => return None,
    };
    // SAFETY: shmem's operations are a constant in the kernel's image.
    let vm_ops = unsafe { vm_ops.cast::<bindings::vm_operations_struct>().as_ref() }?;
    is_for_pages_alone(vm_ops).then_some(vm_ops)
}

/// Memory for a zeroed VMA or descriptor. An array of words, so that all fields can be compared
/// with zero, whichever a kernel has.
#[repr(C, align(128))]
struct Zeros([usize; 64]);

/// Calls `set` with a zeroed `T`, and returns the pointer that it stores at `offset`. Returns
/// [`None`] if it fails or changes anything else.
fn set_alone<T>(offset: usize, set: impl FnOnce(*mut T) -> c_int) -> Option<*const c_void> {
    const { assert!(size_of::<T>() <= size_of::<Zeros>()) };
    const { assert!(align_of::<T>() <= align_of::<Zeros>()) };

    let mut zeros = Zeros([0; 64]);
    let mapping = (&raw mut zeros).cast::<T>();
    to_result(set(mapping)).ok()?;
    // SAFETY: The callers' offset is that of a pointer in a `T`.
    let field = unsafe { &mut *mapping.byte_add(offset).cast::<*const c_void>() };
    let pointer = mem::replace(field, ptr::null());
    zeros.0.iter().all(|&word| word == 0).then_some(pointer)
}

/// Returns whether all operations before `fault` are null. Those act on a VMA as a whole, for
/// example when it is split. One of them, `mapped`, would not be called here, because the core
/// calls it only after `mmap_prepare`.
fn is_for_pages_alone(vm_ops: &bindings::vm_operations_struct) -> bool {
    const OTHERS: usize = offset_of!(bindings::vm_operations_struct, fault) / size_of::<usize>();
    let others = ptr::from_ref(vm_ops).cast::<usize>();
    // SAFETY: The fields before `fault` are that many function pointers.
    let others = unsafe { slice::from_raw_parts(others, OTHERS) };
    others.iter().all(|&other| other == 0)
}

/// Returns an address for a shared mapping, aligned for huge pages if shmem uses them.
///
/// Fails as shmem's function does, with `ENOMEM` if the address space has no gap that is large
/// enough.
pub(crate) fn unmapped_area(request: &AddressRequest) -> Result<usize> {
    let operations = OPERATIONS.as_ref().ok_or(ENODEV)?;
    // SAFETY: shmem's function accepts a null file, as it gets for mappings of /dev/zero.
    let address = unsafe {
        (operations.get_unmapped_area)(
            ptr::null_mut(),
            request.hint,
            request.len,
            request.page_offset,
            request.flags,
        )
    };
    address_or_error(address)
}

/// `mmap_prepare` of backing files: always fails.
extern "C" fn refuse_mmap(_desc: *mut bindings::vm_area_desc) -> c_int {
    EPERM.to_errno()
}

/// An unlinked file of shmem. Its file operations are shmem's own until
/// [`ShmemFile::with_operations()`] replaces them.
///
/// # Invariants
///
/// The pointer is to a valid file from `shmem_file_setup()`, and `self` holds a reference to
/// it.
struct RawFile(NonNull<bindings::file>);

impl RawFile {
    /// Creates an unlinked file of `size` bytes. `name` must end with a NUL. `flags` are those
    /// of a mapping, of which `VM_NORESERVE` says how the file's memory is accounted. May
    /// sleep.
    ///
    /// Fails with `EINVAL` if the size is too large for a file, or with `ENOMEM`.
    fn new(name: &[u8], size: usize, flags: bindings::vma_flags_t) -> Result<Self> {
        let size = size.try_into().map_err(|_| EINVAL)?;
        if name.last() != Some(&0) {
            return Err(EINVAL);
        }
        // SAFETY: `name` has a NUL, and shmem copies it up to the first one.
        let file = unsafe { shmem_file_setup(name.as_ptr().cast(), size, flags) };
        let file = from_err_ptr(file.cast()).map_err(|err| match err {
            // The internal mount of shmem has no limit on inodes, so it is memory that is
            // short.
            ENOSPC => ENOMEM,
            err => err,
        })?;
        // INVARIANT: The call returns a reference to the new file.
        Ok(Self(NonNull::new(file).ok_or(ENOMEM)?))
    }
}

impl Drop for RawFile {
    fn drop(&mut self) {
        // SAFETY: By the invariant, this drops a reference that `self` holds.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// Whether pages can be freed by [`ShmemFile::punch()`] now.
pub(crate) enum Readiness {
    /// They can.
    Ready,
    /// One of them is locked, maybe by the current task.
    Locked,
    /// A large folio that was swapped out as a whole is only partly in the range, so a punch
    /// would read it from swap.
    InSwap,
}

/// A backing file.
///
/// # Invariants
///
/// The file is in no descriptor table. Its file operations are the table in [`OPERATIONS`], for
/// which it holds a reference to this module. The core drops that in `__fput()`. So a mapping
/// keeps the file, and the file keeps the module.
pub(crate) struct ShmemFile(RawFile);

// SAFETY: The reference count of a file is atomic, and any thread may use the file.
unsafe impl Send for ShmemFile {}
// SAFETY: The methods only make calls that may run concurrently.
unsafe impl Sync for ShmemFile {}

impl ShmemFile {
    /// Creates a file of `size` bytes for an area, whose first mapping is `vma`. `name` must
    /// end with a NUL. May sleep.
    ///
    /// Fails with `EINVAL` if the size is too large for a file, or with `ENOMEM`.
    #[doc(alias = "shmem_file_setup")]
    pub(crate) fn new(name: &[u8], size: usize, vma: &VmaNew) -> Result<Self> {
        let flags = bindings::vma_flags_t {
            __vma_flags: [vma.flags()],
        };
        Self::with_operations(RawFile::new(name, size, flags)?)
    }

    /// Creates an empty file, which cannot be written to, for private mappings. `name` must end
    /// with a NUL. May sleep.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn empty(name: &[u8]) -> Result<Self> {
        let file = Self::with_operations(RawFile::new(name, 0, Default::default())?)?;
        // SAFETY: Nobody else has seen the file or its inode yet.
        let flags = unsafe { &mut (*(*file.as_ptr()).f_inode).i_flags };
        // Otherwise, users who may open /proc/PID/map_files for writing could add pages to the
        // file and remove them: see `map_name()` for what that does.
        *flags |= bindings::S_IMMUTABLE;
        Ok(file)
    }

    fn with_operations(file: RawFile) -> Result<Self> {
        let operations = OPERATIONS.as_ref().ok_or(ENODEV)?;
        // `__fput()` drops the reference by `fops_put()`.
        module::get();
        // SAFETY: Nobody else has seen the file yet.
        unsafe { (*file.0.as_ptr()).f_op = &operations.table };
        // INVARIANT: The operations were just set, and the reference was just taken.
        Ok(Self(file))
    }

    fn as_ptr(&self) -> *mut bindings::file {
        self.0 .0.as_ptr()
    }

    /// Returns the inode number, which `/proc/PID/maps` shows.
    #[expect(
        clippy::unnecessary_cast,
        reason = "an `unsigned long` before Linux 7.1"
    )]
    pub(crate) fn inode_number(&self) -> u64 {
        // SAFETY: The inode lives as long as the file, and its number does not change.
        let number = unsafe { (*(*self.as_ptr()).f_inode).i_ino };
        // CAST: An `unsigned long` is no wider.
        number as u64
    }

    /// Makes `vma` a shared mapping of this file. It does what `shmem_zero_setup()` does, which
    /// is not exported.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        let operations = OPERATIONS.as_ref().ok_or(ENODEV)?;
        self.set_file(vma);
        // SAFETY: The VMA is being set up, so nobody reads this field. Its file is an unlinked
        // file of shmem, which these operations are for.
        unsafe { (*vma.as_ptr()).vm_ops = operations.vm_ops };
        Ok(())
    }

    /// Makes `vma` a private mapping, which shows the name of this file. Its memory is
    /// anonymous and zero-filled, as ART's heaps expect; the file has to be empty.
    ///
    /// The file of an area must not be used for this. The pages of a private mapping are not in
    /// the file, but when the kernel unmaps pages of a file, it visits all VMAs of that file:
    /// it would zap huge pages of the private mapping, and warn of its anonymous pages.
    pub(crate) fn map_name(&self, vma: &VmaNew) {
        self.set_file(vma);
        // SAFETY: The VMA is being set up, so nobody reads this field. The VMA lacks
        // `VM_SHARED`, and without operations it is anonymous memory, like a private mapping of
        // /dev/zero.
        unsafe { (*vma.as_ptr()).vm_ops = ptr::null() };
    }

    fn set_file(&self, vma: &VmaNew) {
        // SAFETY: The VMA is being set up, and its file is that of the device. If mmap() fails,
        // the core drops the new file instead.
        unsafe { bindings::vma_set_file(vma.as_ptr(), self.as_ptr()) };
    }

    /// Punches a hole: frees the pages, in memory and in swap, so that they read as zeros. May
    /// sleep.
    ///
    /// May be called from memory reclaim: unlike `fallocate()`, it does not take the inode
    /// lock, which tasks hold across allocations.
    #[doc(alias = "shmem_truncate_range")]
    pub(crate) fn punch(&self, pages: PageRange) {
        // A mapping that is made after this check is handled by the truncation, which unmaps
        // pages, too.
        if self.has_other_references() {
            // Unmap the whole range first. The truncation would do it page by page, and would
            // also remove guard regions, which this keeps.
            // SAFETY: The file is valid, and so is its mapping while it exists.
            unsafe {
                bindings::unmap_mapping_pages(
                    (*self.as_ptr()).f_mapping,
                    // CAST: Both have the width of a `long`.
                    pages.first() as c_ulong,
                    pages.len() as c_ulong,
                    false,
                )
            };
        }
        let (first, last) = pages.bytes();
        // SAFETY: The file is valid, and its inode is shmem's.
        unsafe { shmem_truncate_range((*self.as_ptr()).f_inode.cast(), first, last) };
    }

    /// Estimates how many of the pages are in memory or in swap. Zero is exact. Does not sleep.
    pub(crate) fn weight(&self, pages: PageRange) -> usize {
        if self.has_any(pages) {
            // Pages in swap are not counted as resident, so assume at least one page.
            pages.len().min(self.resident().max(1))
        } else {
            0
        }
    }

    /// Returns whether any of the pages is in memory or in swap. Does not sleep.
    #[doc(alias = "xa_find")]
    pub(crate) fn has_any(&self, pages: PageRange) -> bool {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let entries = unsafe { &raw mut (*(*self.as_ptr()).f_mapping).i_pages };
        // CAST: Both have the width of a `long`.
        let (mut page, last) = (pages.first() as c_ulong, pages.last() as c_ulong);
        // SAFETY: As above; the entry is not dereferenced.
        let entry = unsafe {
            // A range often has one page, and xa_load() is cheaper.
            if page == last {
                bindings::xa_load(entries, page)
            } else {
                bindings::xa_find(entries, &mut page, last, PRESENT)
            }
        };
        !entry.is_null()
    }

    /// Returns whether there are references to the file besides this one. Each mapping has one.
    #[doc(alias = "file_count")]
    fn has_other_references(&self) -> bool {
        // SAFETY: The file is valid.
        let references = unsafe { &raw const (*self.as_ptr()).f_ref.refcnt.counter };
        // A single reference is counted as 0, `FILE_REF_ONEREF`.
        // SAFETY: As above; others may change the counter.
        unsafe { references.read_volatile() != 0 }
    }

    /// Returns whether the file is mapped. It may seem not to be while a mapping is being
    /// changed.
    #[doc(alias = "mapping_mapped")]
    pub(crate) fn is_mapped(&self) -> bool {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let root = unsafe { &raw const (*(*self.as_ptr()).f_mapping).i_mmap.rb_root.rb_node };
        // SAFETY: As above; others may change the pointer, which is not dereferenced.
        !unsafe { root.read_volatile() }.is_null()
    }

    /// Returns the number of pages of the file that are in memory.
    pub(crate) fn resident(&self) -> usize {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let pages = unsafe { &raw const (*(*self.as_ptr()).f_mapping).nrpages };
        // SAFETY: As above; others may change the number.
        unsafe { pages.read_volatile() }
    }

    /// Returns whether [`ShmemFile::punch()`] can free the pages without waiting.
    ///
    /// A punch waits for locked pages, so a task that has locked one must not punch. A page
    /// that another task locks after this check cannot cause a deadlock: that task checks
    /// before it punches, too.
    #[doc(alias = "filemap_get_folios")]
    pub(crate) fn readiness(&self, pages: PageRange) -> Readiness {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let mapping = unsafe { (*self.as_ptr()).f_mapping };
        // CAST: Both have the width of a `long`.
        let (mut next, last) = (pages.first() as c_ulong, pages.last() as c_ulong);
        if is_end_in_swap(mapping, next, last) {
            return Readiness::InSwap;
        }
        let mut batch: bindings::folio_batch = pin_init::zeroed();
        loop {
            might_sleep();
            // SAFETY: The mapping is valid, and the batch is empty.
            let count =
                unsafe { bindings::filemap_get_folios(mapping, &mut next, last, &mut batch) };
            if count == 0 {
                return Readiness::Ready;
            }
            // CAST: A batch has few folios.
            let mut folios = batch.folios.iter().take(count as usize);
            let is_locked = folios.any(|&folio| is_locked(folio));
            // SAFETY: The batch holds references to its folios, which this drops.
            unsafe { bindings::__folio_batch_release(&mut batch) };
            if is_locked {
                return Readiness::Locked;
            }
        }
    }

    /// Reads from position `pos`, and advances it. Reading a hole allocates nothing. May sleep.
    ///
    /// Writes to user memory, so no lock may be held. Fails as shmem's read does.
    #[doc(alias = "vfs_iter_read")]
    pub(crate) fn read(&self, to: &mut IovIterDest<'_>, pos: &mut i64) -> Result<usize> {
        // SAFETY: The file, the iterator and the position are valid.
        let ret = unsafe { bindings::vfs_iter_read(self.as_ptr(), to.as_raw(), pos, 0) };
        usize::try_from(ret).map_err(|_| errno(ret as i64))
    }

    /// Returns the new position of a seek that starts from the position `pos`.
    ///
    /// The result does not depend on the position of the backing file itself, so threads may
    /// call this concurrently. Fails as shmem's llseek does: with `EINVAL` or, for data or a
    /// hole beyond the end, with `ENXIO`.
    #[doc(alias = "vfs_llseek")]
    pub(crate) fn seek(&self, pos: i64, offset: i64, whence: Whence) -> Result<i64> {
        let (offset, whence) = match whence {
            // If the sum overflows, it is negative, and shmem refuses it.
            Whence::CURRENT => (pos.wrapping_add(offset), Whence::SET),
            whence => (offset, whence),
        };
        // SAFETY: The file is valid.
        let ret = unsafe { bindings::vfs_llseek(self.as_ptr(), offset, whence.0) };
        if ret < 0 {
            return Err(errno(ret));
        }
        Ok(ret)
    }
}

/// Returns whether a folio is locked at this moment.
fn is_locked(folio: *mut bindings::folio) -> bool {
    let page = folio.cast::<bindings::page>();
    // SAFETY: The caller has a reference to the folio, which begins with its first page.
    let flags = unsafe { &raw const (*page).flags };
    // SAFETY: As above. The flags are one word, which others may change.
    let flags = unsafe { flags.cast::<c_ulong>().read_volatile() };
    flags & (1 << bindings::pageflags_PG_locked) != 0
}

/// Returns whether a large folio that was swapped out as a whole crosses an end of
/// `first..=last`. A punch would read it from swap, and wait for that.
#[cfg(CONFIG_XARRAY_MULTI)]
fn is_end_in_swap(mapping: *mut bindings::address_space, first: c_ulong, last: c_ulong) -> bool {
    let ends = [first, last];
    // A range often has one page, and then its ends are the same.
    ends.iter().skip(usize::from(first == last)).any(|&page| {
        // SAFETY: The caller's mapping is valid.
        let entries = unsafe { &raw mut (*mapping).i_pages };
        // SAFETY: As above; the entry is not dereferenced.
        let entry = unsafe { bindings::xa_load(entries, page) };
        // Swap entries are values, which `xa_is_value()` recognises by the lowest bit.
        if entry.addr() & 1 == 0 {
            return false;
        }
        // SAFETY: As above.
        let order = unsafe { bindings::xa_get_order(entries, page) };
        let start = page >> order << order;
        start < first || start + (1 << order) - 1 > last
    })
}

/// Returns false: without `CONFIG_XARRAY_MULTI`, each swap entry is for one page.
#[cfg(not(CONFIG_XARRAY_MULTI))]
fn is_end_in_swap(_mapping: *mut bindings::address_space, _first: c_ulong, _last: c_ulong) -> bool {
    false
}

/// The `whence` argument of `lseek()`.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Whence(pub(crate) c_int);

impl Whence {
    /// `SEEK_SET`.
    const SET: Self = Self(0);
    /// `SEEK_CUR`.
    const CURRENT: Self = Self(1);
}

/// Returns the error for a negative result of a C function.
fn errno(ret: i64) -> Error {
    // CAST: An error number is above -4096.
    Error::from_errno(ret as c_int)
}
