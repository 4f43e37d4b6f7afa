// SPDX-License-Identifier: GPL-2.0

//! A directory in debugfs whose open files hold a reference to this module.
//!
//! Files made with the kernel crate's `debugfs` module hold none up to Linux 7.3, because they
//! have no owner: closing one after the module was unloaded would call code that is gone.
//!
//! C headers: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h).

use core::ptr;

use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

use crate::{
    misc,
    module,
    task, //
};

#[cfg(CONFIG_DEBUG_FS)]
use bindings::{
    debugfs_create_dir,
    debugfs_create_file_full,
    debugfs_remove, //
};
#[cfg(not(CONFIG_DEBUG_FS))]
use none::{
    debugfs_create_dir,
    debugfs_create_file_full,
    debugfs_remove, //
};

/// Stubs for a kernel without debugfs, where they are inline functions in C.
#[cfg(not(CONFIG_DEBUG_FS))]
#[allow(clippy::missing_safety_doc, reason = "they do nothing")]
mod none {
    use super::*;
    use kernel::ffi::c_char;

    pub(super) unsafe fn debugfs_create_dir(
        _name: *const c_char,
        _parent: *mut bindings::dentry,
    ) -> *mut bindings::dentry {
        ptr::null_mut()
    }

    pub(super) unsafe fn debugfs_create_file_full(
        _name: *const c_char,
        _mode: bindings::umode_t,
        _parent: *mut bindings::dentry,
        _data: *mut c_void,
        _aux: *const c_void,
        _operations: *const bindings::file_operations,
    ) -> *mut bindings::dentry {
        ptr::null_mut()
    }

    pub(super) unsafe fn debugfs_remove(_entry: *mut bindings::dentry) {}
}

/// The contents of a file that has a line for each of many numbered entries.
///
/// No lock is held between lines, so entries may come and go while the file is read.
pub(crate) trait Lines: Send + Sync {
    /// The first line, including the newline.
    const HEADING: &'static CStr;

    /// Returns the greatest number of any entry so far. It is read when a walk begins, and
    /// limits the walk: entries that are added later are not shown.
    fn last(&self) -> usize;

    /// Returns the lowest number of an entry that is at least `number`, which is at least 1.
    fn first_from(&self, number: usize) -> Option<usize>;

    /// Prints the line of an entry. Returns whether the entry still exists.
    fn print(&self, number: usize, m: &SeqFile) -> bool;
}

/// The contents of a file that are printed as a whole.
pub(crate) trait Text: Send + Sync {
    /// Prints the contents.
    fn print(&self, m: &SeqFile) -> Result;
}

/// A directory, which is removed when this is dropped.
///
/// # Invariants
///
/// - `entry` was returned by `debugfs_create_dir()`, and nobody else removes it.
/// - The private data of each file in it is `shown`.
pub(crate) struct Dir<T> {
    entry: *mut bindings::dentry,
    shown: Arc<T>,
}

// SAFETY: debugfs functions may be called from any thread. `Arc<T>` is `Send` with these
// bounds.
unsafe impl<T: Send + Sync> Send for Dir<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Dir<T> {}

impl<T> Dir<T> {
    /// Creates a directory for files that show `shown`. If that fails, there will be no files;
    /// this is not an error, because nothing may depend on debugfs.
    #[doc(alias = "debugfs_create_dir")]
    pub(crate) fn new(name: &CStr, shown: Arc<T>) -> Self {
        // INVARIANT: Only this has what the call returns, and the directory is still empty.
        Self {
            // SAFETY: The name is a C string; a null parent means the root of debugfs.
            entry: unsafe { debugfs_create_dir(name.as_char_ptr(), ptr::null_mut()) },
            shown,
        }
    }

    /// Adds a file that root can read.
    ///
    /// This function is used because all kernels since 6.18 export it, opening the file takes a
    /// reference to the owner, and removing the file waits for readers.
    ///
    /// # Safety
    ///
    /// `operations` are for files whose inode has a `T` as its private data.
    unsafe fn add(&self, name: &CStr, operations: &'static bindings::file_operations) {
        // SAFETY: The name is a C string. The parent may be a directory or an error pointer.
        // The private data lives as long as `self`, which removes the file first.
        // INVARIANT: The private data is `shown`.
        unsafe {
            debugfs_create_file_full(
                name.as_char_ptr(),
                0o400,
                self.entry,
                ptr::from_ref(&*self.shown).cast_mut().cast(),
                ptr::null(),
                operations,
            )
        };
    }
}

impl<T> Drop for Dir<T> {
    fn drop(&mut self) {
        // SAFETY: By the invariant, `entry` is ours to remove, and it may be an error pointer.
        // Removal waits for readers, so `shown` may be dropped after it. A file that is still
        // open then uses only code of this module, to which it holds a reference.
        unsafe { debugfs_remove(self.entry) };
    }
}

impl<T: Lines> Dir<T> {
    const LINES: bindings::file_operations = bindings::file_operations {
        owner: module::this_module(),
        open: Some(Self::open_lines),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::seq_release),
        ..pin_init::zeroed()
    };

    const SEQUENCE: bindings::seq_operations = bindings::seq_operations {
        start: Some(Self::start),
        next: Some(Self::next),
        stop: Some(Self::stop),
        show: Some(Self::show_line),
    };

    /// Adds a file with a line for each entry.
    pub(crate) fn lines(self, name: &CStr) -> Self {
        // SAFETY: These operations use the private data of the inode as a `T`, in `shown()`.
        unsafe { self.add(name, &Self::LINES) };
        self
    }

    /// `open` of a file of lines.
    ///
    /// # Safety
    ///
    /// Called by the core.
    unsafe extern "C" fn open_lines(
        _inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: The file is being opened, and the operations are a constant.
        unsafe { bindings::seq_open(file, &Self::SEQUENCE) }
    }

    /// Returns the contents of a file of lines.
    ///
    /// # Safety
    ///
    /// `m` belongs to such a file, and is used in a call that the removal of the file waits
    /// for.
    unsafe fn shown<'a>(m: *mut bindings::seq_file) -> &'a T {
        // SAFETY: By the caller's promise. The private data of the inode is a `T` that lives
        // until the file has been removed.
        unsafe { &*(*(*(*m).file).f_inode).i_private.cast::<T>() }
    }

    /// Moves `pos` to the first line at or after it, and returns that line; null is the end.
    ///
    /// # Safety
    ///
    /// As for [`Self::shown()`]; `pos` is valid.
    unsafe fn seek(m: *mut bindings::seq_file, pos: *mut bindings::loff_t) -> *mut c_void {
        // SAFETY: By the caller's promise. `start()` has set `private`.
        let (shown, last) = unsafe { (Self::shown(m), (*m).private.addr()) };
        // SAFETY: By the caller's promise. CAST: A position is 0 or the number of an entry.
        let found = shown.first_from(unsafe { *pos } as usize);
        match found.filter(|&number| number <= last) {
            None => ptr::null_mut(),
            Some(number) => {
                // SAFETY: By the caller's promise. CAST: Numbers never get that large.
                unsafe { *pos = number as bindings::loff_t };
                ptr::without_provenance_mut(number + 1)
            }
        }
    }

    /// `start` of a file of lines. The position of a line is the number of its entry, and 0 for
    /// the heading. The pointer that stands for a line is its position plus 1, since null is
    /// the end.
    ///
    /// # Safety
    ///
    /// Called by the core while a file of lines is read or its position is changed; `pos` is
    /// valid.
    unsafe extern "C" fn start(
        m: *mut bindings::seq_file,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the caller's promise.
        if unsafe { *pos } != 0 {
            // SAFETY: By the caller's promise.
            return unsafe { Self::seek(m, pos) };
        }
        // Every walk over the lines begins at the heading.
        // SAFETY: By the caller's promise. `seq_file` leaves this field to its users.
        unsafe { (*m).private = ptr::without_provenance_mut(Self::shown(m).last()) };
        ptr::without_provenance_mut(1)
    }

    /// `next` of a file of lines.
    ///
    /// # Safety
    ///
    /// As for [`Self::start()`].
    unsafe extern "C" fn next(
        m: *mut bindings::seq_file,
        _line: *mut c_void,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the caller's promise. OVERFLOW: Numbers never get that large.
        unsafe { *pos += 1 };
        // SAFETY: By the caller's promise.
        unsafe { Self::seek(m, pos) }
    }

    /// `stop` of a file of lines: there is nothing to release.
    extern "C" fn stop(_m: *mut bindings::seq_file, _line: *mut c_void) {}

    /// `show` of a file of lines.
    ///
    /// # Safety
    ///
    /// As for [`Self::start()`]; `line` was returned by `start` or `next` and is not null.
    unsafe extern "C" fn show_line(m: *mut bindings::seq_file, line: *mut c_void) -> c_int {
        /// `SEQ_SKIP`.
        const SKIP: c_int = 1;

        // Seeking far ahead prints all lines up to there in one system call, so check for a
        // fatal signal.
        if task::was_killed() {
            return EINTR.to_errno();
        }
        // SAFETY: By the caller's promise.
        let shown = unsafe { Self::shown(m) };
        // SAFETY: Only this thread uses `m` during the call.
        let file = unsafe { SeqFile::from_raw(m) };
        match line.addr() - 1 {
            0 => {
                misc::seq_write(file, T::HEADING.to_bytes());
                0
            }
            number if shown.print(number, file) => 0,
            _ => SKIP,
        }
    }
}

impl<T: Text> Dir<T> {
    const TEXT: bindings::file_operations = bindings::file_operations {
        owner: module::this_module(),
        open: Some(Self::open_text),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    };

    /// Adds a file that is printed as a whole.
    pub(crate) fn text(self, name: &CStr) -> Self {
        // SAFETY: These operations use the private data of the inode as a `T`, in
        // `show_text()`.
        unsafe { self.add(name, &Self::TEXT) };
        self
    }

    /// `open` of a file of text.
    ///
    /// # Safety
    ///
    /// Called by the core for a file whose inode has a `T` as its private data.
    unsafe extern "C" fn open_text(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> c_int {
        // SAFETY: The file is being opened. `show_text()` gets the private data of the inode.
        unsafe { bindings::single_open(file, Some(Self::show_text), (*inode).i_private) }
    }

    /// `show` of a file of text.
    ///
    /// # Safety
    ///
    /// Called by the core while a file of text is read; the removal of the file waits for that.
    unsafe extern "C" fn show_text(m: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: `open_text()` set it to a `T`, which lives until the file has been removed.
        let shown = unsafe { &*(*m).private.cast::<T>() };
        // SAFETY: Only this thread uses `m` during the call.
        let file = unsafe { SeqFile::from_raw(m) };
        from_result(|| shown.print(file).map(|()| 0))
    }
}
