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
    sync::SetOnce, //
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
    // `bindings` does not include `linux/shmem_fs.h`. The result is a
    // `struct file`, which holds types that rustc warns of in an `extern`.
    fn shmem_file_setup(
        name: *const c_char,
        size: bindings::loff_t,
        flags: bindings::vma_flags_t,
    ) -> *mut c_void;

    fn shmem_truncate_range(inode: *mut c_void, first: u64, last: u64);
}

/// `VM_MAYSHARE`. In 7.2, what the kernel crate calls so is `VM_MAYEXEC`.
const MAYSHARE: bindings::vm_flags_t = 1 << bindings::VMA_MAYSHARE_BIT;

/// Returns whether a mapping is to show the region's memory.
///
/// A shared mapping of a descriptor opened for reading alone has lost `VM_SHARED` by
/// now, so it is `VM_MAYSHARE` that tells.
pub(crate) fn is_shared(vma: &VmaNew) -> bool {
    vma.flags() & MAYSHARE != 0
}

/// `XA_PRESENT`, which is a cast to C.
const PRESENT: bindings::xa_mark_t = 8;

type GetUnmappedArea =
    unsafe extern "C" fn(*mut bindings::file, c_ulong, c_ulong, c_ulong, c_ulong) -> c_ulong;

/// How shmem maps its files, and the operations that backing files have
/// instead of shmem's own.
///
/// # Invariants
///
/// The first two are shmem's. To map an unlinked file, shmem gives the VMA `vm_ops` and
/// changes nothing else in it. `table` is a copy of shmem's with `mmap_prepare`
/// refusing, `get_unmapped_area` empty, and this module as owner.
struct Operations {
    vm_ops: &'static bindings::vm_operations_struct,
    get_unmapped_area: GetUnmappedArea,
    table: bindings::file_operations,
}

// SAFETY: No field changes once it is set, and nothing they point to is bound to a
// thread.
unsafe impl Send for Operations {}
// SAFETY: As above.
unsafe impl Sync for Operations {}

/// Set by [`init()`] and then out of reach of stray writes: tables of functions
/// are a popular target.
///
/// User-mode Linux protects no section. Its modules may lie above 2 GiB, where
/// LLVM 19 still takes 32 bits for the address of data in a section so named.
#[cfg_attr(not(CONFIG_UML), link_section = ".data..ro_after_init")]
static OPERATIONS: SetOnce<Operations> = SetOnce::new();

/// Learns shmem's file operations; must be called once, before the first
/// [`ShmemFile`] is made.
///
/// shmem does not export them, so a throw-away file is asked.
pub(crate) fn init() -> Result {
    let probe = RawFile::new(b"dev/ashmem\0", 0, Default::default())?;

    // SAFETY: By the invariant of `RawFile` the file is valid, and so are its
    // operations for as long as it exists.
    let mut table = unsafe { *(*probe.0.as_ptr()).f_op };

    let vm_ops = learn_vm_ops(&probe, &table);
    let (Some(vm_ops), Some(get_unmapped_area)) = (vm_ops, table.get_unmapped_area) else {
        pr_err!("this kernel maps shmem files in a way that is not known to this version\n");
        return Err(ENODEV);
    };
    table.owner = module::this_module();
    // A mapping's `vm_file` is the backing file, and remap_file_pages() maps
    // that again with every right the file has (CVE-2020-0009). `mmap` could not
    // refuse: `__mmap_region()` first tries to grow a neighbour.
    table.mmap = None;
    table.mmap_prepare = Some(refuse_mmap);
    // shmem's insists on shmem's own operations; without any, mremap() takes
    // the default of the address space.
    table.get_unmapped_area = None;

    // INVARIANT: Changed as the type asks.
    OPERATIONS.populate(Operations {
        vm_ops,
        get_unmapped_area,
        table,
    });
    Ok(())
}

/// Returns the operations that shmem gives the VMAs of unlinked files, or [`None`] if it does
/// more than that to map one: not every kernel exports what would do the rest.
fn learn_vm_ops(
    probe: &RawFile,
    table: &bindings::file_operations,
) -> Option<&'static bindings::vm_operations_struct> {
    let file = probe.0.as_ptr();
    let vm_ops = match (table.mmap_prepare, table.mmap) {
        (Some(mmap_prepare), None) => {
            let prepare = |desc: *mut bindings::vm_area_desc| {
                // SAFETY: The descriptor is ours.
                unsafe { (*desc).file = file };
                // SAFETY: The file is shmem's, by its own invariant what this is for.
                let ret = unsafe { mmap_prepare(desc) };
                // SAFETY: As for the first access.
                unsafe { (*desc).file = ptr::null_mut() };
                ret
            };
            set_alone(offset_of!(bindings::vm_area_desc, vm_ops), prepare)?
        }
        (None, Some(mmap)) => {
            // SAFETY: The VMA is ours, and the file is what this is for.
            let map = |vma: *mut bindings::vm_area_struct| unsafe { mmap(file, vma) };
            set_alone(offset_of!(bindings::vm_area_struct, vm_ops), map)?
        }
        _ => return None,
    };
    // SAFETY: They are a part of the kernel, and constant.
    let vm_ops = unsafe { vm_ops.cast::<bindings::vm_operations_struct>().as_ref() }?;
    is_for_pages_alone(vm_ops).then_some(vm_ops)
}

/// Zeros that are a mapping of nothing, for nobody. As words, every field is looked at,
/// whichever a kernel has.
#[repr(C, align(128))]
struct Zeros([usize; 64]);

/// Returns the pointer that `set` puts at `offset` of a `T` of zeros, unless it changes
/// anything else.
fn set_alone<T>(offset: usize, set: impl FnOnce(*mut T) -> c_int) -> Option<*const c_void> {
    const { assert!(size_of::<T>() <= size_of::<Zeros>()) };
    const { assert!(align_of::<T>() <= align_of::<Zeros>()) };

    let mut zeros = Zeros([0; 64]);
    let mapping = (&raw mut zeros).cast::<T>();
    to_result(set(mapping)).ok()?;
    // SAFETY: At the callers' offset is such a pointer.
    let field = unsafe { &mut *mapping.byte_add(offset).cast::<*const c_void>() };
    let pointer = mem::replace(field, ptr::null());
    zeros.0.iter().all(|&word| word == 0).then_some(pointer)
}

/// Returns whether none of the operations is about the VMA as such. Those come before
/// `fault`; the core calls `mapped` once it has called `mmap_prepare`, which it does not do
/// here.
fn is_for_pages_alone(vm_ops: &bindings::vm_operations_struct) -> bool {
    const OTHERS: usize = offset_of!(bindings::vm_operations_struct, fault) / size_of::<usize>();
    let others = ptr::from_ref(vm_ops).cast::<usize>();
    // SAFETY: Before `fault` are so many pointers to functions.
    let others = unsafe { slice::from_raw_parts(others, OTHERS) };
    others.iter().all(|&other| other == 0)
}

/// Returns where a shared mapping may go: aligned for huge pages, where shmem
/// has them.
///
/// Fails as shmem's does: `ENOMEM` if there is no room.
pub(crate) fn unmapped_area(request: &AddressRequest) -> Result<usize> {
    let operations = OPERATIONS.as_ref().ok_or(ENODEV)?;
    // SAFETY: shmem takes no file for a mapping that is to get one, as those of
    // /dev/zero are.
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

/// `mmap_prepare` of backing files.
extern "C" fn refuse_mmap(_desc: *mut bindings::vm_area_desc) -> c_int {
    EPERM.to_errno()
}

/// A file of shmem's own.
///
/// # Invariants
///
/// A valid file from `shmem_file_setup()`, of which `self` holds one reference.
struct RawFile(NonNull<bindings::file>);

impl RawFile {
    /// Makes an unlinked file of `size` bytes, whose name ends with a NUL; it is accounted
    /// for as `flags` of its first mapping say.
    ///
    /// Fails with `EINVAL` if the size is beyond a file's, `ENOMEM` without
    /// memory.
    fn new(name: &[u8], size: usize, flags: bindings::vma_flags_t) -> Result<Self> {
        let size = size.try_into().map_err(|_| EINVAL)?;
        if name.last() != Some(&0) {
            return Err(EINVAL);
        }
        // SAFETY: `name` has a NUL, up to the first of which shmem copies it.
        let file = unsafe { shmem_file_setup(name.as_ptr().cast(), size, flags) };
        let file = from_err_ptr(file.cast()).map_err(|err| match err {
            // Of inodes there are as many as memory has room for, so that is what is short.
            ENOSPC => ENOMEM,
            err => err,
        })?;
        // INVARIANT: The reference to a new file is the caller's.
        Ok(Self(NonNull::new(file).ok_or(ENOMEM)?))
    }
}

impl Drop for RawFile {
    fn drop(&mut self) {
        // SAFETY: By the invariant this is our reference.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}

/// Whether pages can be punched now.
pub(crate) enum Readiness {
    /// They can.
    Ready,
    /// One is locked, maybe by the caller.
    Locked,
    /// Pages beyond them were swapped out with some of them as one, and had to be read.
    InSwap,
}

/// A backing file.
///
/// # Invariants
///
/// The file is in no descriptor table. Its operations are [`OPERATIONS`]'s
/// table, and the file holds a reference to this module for them, which the
/// core drops in `__fput()`: a mapping keeps the file and thereby the module.
pub(crate) struct ShmemFile(RawFile);

// SAFETY: Files are reference counted with atomics and may be used from any
// thread.
unsafe impl Send for ShmemFile {}
// SAFETY: Every method makes only calls that the core allows concurrently.
unsafe impl Sync for ShmemFile {}

impl ShmemFile {
    /// Makes a file of `size` bytes for the first mapping of an area. The name ends with a
    /// NUL.
    ///
    /// Fails with `EINVAL` if the size is beyond a file's, `ENOMEM` without
    /// memory.
    #[doc(alias = "shmem_file_setup")]
    pub(crate) fn new(name: &[u8], size: usize, vma: &VmaNew) -> Result<Self> {
        let flags = bindings::vma_flags_t {
            __vma_flags: [vma.flags()],
        };
        Self::with_operations(RawFile::new(name, size, flags)?)
    }

    /// Makes an empty file of that name, which ends with a NUL, for private mappings;
    /// nothing can be written to it.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn empty(name: &[u8]) -> Result<Self> {
        let file = Self::with_operations(RawFile::new(name, 0, Default::default())?)?;
        // SAFETY: No one else has seen the file yet, nor its inode.
        let flags = unsafe { &mut (*(*file.as_ptr()).f_inode).i_flags };
        // Or whoever may open /proc/PID/map_files for writing could give it pages, and take
        // them away: see `map_name()`.
        *flags |= bindings::S_IMMUTABLE;
        Ok(file)
    }

    fn with_operations(file: RawFile) -> Result<Self> {
        let operations = OPERATIONS.as_ref().ok_or(ENODEV)?;
        // `__fput()` drops it through `fops_put()`.
        module::get();
        // SAFETY: No one else has seen the file yet.
        unsafe { (*file.0.as_ptr()).f_op = &operations.table };
        // INVARIANT: Both were just done.
        Ok(Self(file))
    }

    fn as_ptr(&self) -> *mut bindings::file {
        self.0 .0.as_ptr()
    }

    /// Returns the number by which `/proc/PID/maps` names the memory.
    #[expect(
        clippy::unnecessary_cast,
        reason = "an `unsigned long` before Linux 7.1"
    )]
    pub(crate) fn inode_number(&self) -> u64 {
        // SAFETY: A file's inode lives as long as the file and its number does
        // not change.
        let number = unsafe { (*(*self.as_ptr()).f_inode).i_ino };
        // CAST: No narrower.
        number as u64
    }

    /// Has a shared mapping show this file's memory, as `shmem_zero_setup()` does, which is
    /// not exported.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        let operations = OPERATIONS.as_ref().ok_or(ENODEV)?;
        self.set_file(vma);
        // SAFETY: The VMA is being set up, so nobody reads this field. Its file is shmem's,
        // and unlinked.
        unsafe { (*vma.as_ptr()).vm_ops = operations.vm_ops };
        Ok(())
    }

    /// Has a private mapping, which is zero-fill anonymous memory as ART's heaps
    /// expect, show the name of this file, which is empty.
    ///
    /// It must not be the file of a region: a page of such a mapping is none of the
    /// file, but the kernel looks for the file's pages in all that map it. It zaps huge
    /// pages that it finds there, and warns of anonymous pages.
    pub(crate) fn map_name(&self, vma: &VmaNew) {
        self.set_file(vma);
        // SAFETY: The VMA is being set up, so nobody reads this field. It lacks
        // `VM_SHARED`, and such a VMA without operations is anonymous memory, as a
        // private mapping of /dev/zero is.
        unsafe { (*vma.as_ptr()).vm_ops = ptr::null() };
    }

    fn set_file(&self, vma: &VmaNew) {
        // SAFETY: The VMA is being set up and has the device as its file. The core
        // drops whatever file it then has, should mmap() fail.
        unsafe { bindings::vma_set_file(vma.as_ptr(), self.as_ptr()) };
    }

    /// Punches a hole: the pages are freed and read as zeros from then on.
    ///
    /// May be called from memory reclaim: it takes no inode lock, which tasks
    /// hold across allocations, unlike `fallocate()`.
    #[doc(alias = "shmem_truncate_range")]
    pub(crate) fn punch(&self, pages: PageRange) {
        // If somebody maps it only now, truncating unmaps the pages.
        if self.has_other_references() {
            // Truncating would unmap them page by page, and guards with them, which stay here.
            // SAFETY: The file is valid, and so is its mapping for as long.
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

    /// Returns about how many of the pages are in memory or in swap; of none it is
    /// right.
    pub(crate) fn weight(&self, pages: PageRange) -> usize {
        if self.has_any(pages) {
            // What was found may be in swap, which is not counted.
            pages.len().min(self.resident().max(1))
        } else {
            0
        }
    }

    /// Returns whether any of the pages is in memory or in swap.
    #[doc(alias = "xa_find")]
    pub(crate) fn has_any(&self, pages: PageRange) -> bool {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let entries = unsafe { &raw mut (*(*self.as_ptr()).f_mapping).i_pages };
        // CAST: Both have the width of a `long`.
        let (mut page, last) = (pages.first() as c_ulong, pages.last() as c_ulong);
        // SAFETY: As above; the entry is not followed.
        let entry = unsafe {
            // Often it is one page, for which this is less to do.
            if page == last {
                bindings::xa_load(entries, page)
            } else {
                bindings::xa_find(entries, &mut page, last, PRESENT)
            }
        };
        !entry.is_null()
    }

    /// Returns whether there is a reference to the file besides this, as each mapping has one.
    #[doc(alias = "file_count")]
    fn has_other_references(&self) -> bool {
        // SAFETY: The file is valid.
        let references = unsafe { &raw const (*self.as_ptr()).f_ref.refcnt.counter };
        // FILE_REF_ONEREF is 0.
        // SAFETY: As above; others may change it.
        unsafe { references.read_volatile() != 0 }
    }

    /// Returns whether anybody has the file mapped. While a mapping is being changed it may
    /// seem that nobody has.
    #[doc(alias = "mapping_mapped")]
    pub(crate) fn is_mapped(&self) -> bool {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let root = unsafe { &raw const (*(*self.as_ptr()).f_mapping).i_mmap.rb_root.rb_node };
        // SAFETY: As above; others may change it, and it is not followed.
        !unsafe { root.read_volatile() }.is_null()
    }

    /// Returns how many pages of the file are in memory.
    pub(crate) fn resident(&self) -> usize {
        // SAFETY: The file is valid, and so is its mapping for as long.
        let pages = unsafe { &raw const (*(*self.as_ptr()).f_mapping).nrpages };
        // SAFETY: As above; others may change it.
        unsafe { pages.read_volatile() }
    }

    /// Returns whether [`ShmemFile::punch()`] would have to wait.
    ///
    /// It waits for a page's lock, so a task that holds one must not punch. What
    /// is locked later may be waited for: whoever comes to punch with it asks
    /// first, too.
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
            // SAFETY: All are valid, and the batch is empty.
            let count =
                unsafe { bindings::filemap_get_folios(mapping, &mut next, last, &mut batch) };
            if count == 0 {
                return Readiness::Ready;
            }
            // CAST: A batch has few folios.
            let mut folios = batch.folios.iter().take(count as usize);
            let is_locked = folios.any(|&folio| is_locked(folio));
            // SAFETY: The batch holds references, which this drops.
            unsafe { bindings::__folio_batch_release(&mut batch) };
            if is_locked {
                return Readiness::Locked;
            }
        }
    }

    /// Reads from `pos` on and moves it; reading holes allocates nothing.
    ///
    /// Touches user memory. Fails as shmem's read does.
    #[doc(alias = "vfs_iter_read")]
    pub(crate) fn read(&self, to: &mut IovIterDest<'_>, pos: &mut i64) -> Result<usize> {
        // SAFETY: The file, the iterator and the position are all valid.
        let ret = unsafe { bindings::vfs_iter_read(self.as_ptr(), to.as_raw(), pos, 0) };
        usize::try_from(ret).map_err(|_| errno(ret as i64))
    }

    /// Returns the position that seeking from `pos` leads to.
    ///
    /// The file's own position takes part in nothing that is returned: threads
    /// may seek in it at once. Fails as shmem's llseek does: with `EINVAL` or,
    /// for data or a hole beyond the end, `ENXIO`.
    #[doc(alias = "vfs_llseek")]
    pub(crate) fn seek(&self, pos: i64, offset: i64, whence: Whence) -> Result<i64> {
        let (offset, whence) = match whence {
            // A sum past the largest position is negative and refused below.
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

/// Returns whether a folio is locked, now.
fn is_locked(folio: *mut bindings::folio) -> bool {
    let page = folio.cast::<bindings::page>();
    // SAFETY: The caller has a reference to the folio, which begins with a page.
    let flags = unsafe { &raw const (*page).flags };
    // SAFETY: As above. The flags are one word that others may change.
    let flags = unsafe { flags.cast::<c_ulong>().read_volatile() };
    flags & (1 << bindings::pageflags_PG_locked) != 0
}

/// Returns whether several pages that were swapped out as one lie across an end of
/// `first..=last`: a punch then brings them in, and waits for that.
#[cfg(CONFIG_XARRAY_MULTI)]
fn is_end_in_swap(mapping: *mut bindings::address_space, first: c_ulong, last: c_ulong) -> bool {
    let ends = [first, last];
    // Often it is one page.
    ends.iter().skip(usize::from(first == last)).any(|&page| {
        // SAFETY: The caller's mapping is valid.
        let entries = unsafe { &raw mut (*mapping).i_pages };
        // SAFETY: As above; the entry is not followed.
        let entry = unsafe { bindings::xa_load(entries, page) };
        // Swap entries are values, as `xa_is_value()` tells them.
        if entry.addr() & 1 == 0 {
            return false;
        }
        // SAFETY: As above.
        let order = unsafe { bindings::xa_get_order(entries, page) };
        let start = page >> order << order;
        start < first || start + (1 << order) - 1 > last
    })
}

/// No swap entry is of several pages.
#[cfg(not(CONFIG_XARRAY_MULTI))]
fn is_end_in_swap(_mapping: *mut bindings::address_space, _first: c_ulong, _last: c_ulong) -> bool {
    false
}

/// What an offset in a file is relative to, or what to seek.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Whence(pub(crate) c_int);

impl Whence {
    /// `SEEK_SET`.
    const SET: Self = Self(0);
    /// `SEEK_CUR`.
    const CURRENT: Self = Self(1);
}

/// Returns the error that a negative result of C stands for.
fn errno(ret: i64) -> Error {
    // CAST: An errno is above -4096.
    Error::from_errno(ret as c_int)
}
