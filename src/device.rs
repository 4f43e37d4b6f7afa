// SPDX-License-Identifier: GPL-2.0

//! The file operations of `/dev/ashmem`: decodes ioctls and copies from and to user memory.

use kernel::{
    ffi::c_int,
    fs::{
        File,
        Kiocb, //
    },
    iov::IovIterDest,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::Arc,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

use crate::{
    area::{
        Area,
        Shared,
        State, //
    },
    misc::{
        self,
        AddressRequest, //
    },
    name::{
        self,
        Name, //
    },
    oom,
    pages::{
        self,
        PageRange, //
    },
    reclaim::{
        Backing,
        Reclaim, //
    },
    shmem::{
        self,
        Whence, //
    },
    shrinker,
    task,
    trace,
    tree::{
        Node,
        Owner, //
    },
    uapi, //
};

/// State that all files of the device share.
pub(crate) struct Context {
    _shrinker: shrinker::Registration<Reclaim>,
    _oom: oom::Registration<Reclaim>,
    shared: Arc<Shared>,
}

impl Context {
    /// Creates the state of the device, without any area.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(shrinker: shrinker::Registration<Reclaim>) -> Result<Self> {
        let reclaim = shrinker.state().clone();
        Ok(Self {
            _shrinker: shrinker,
            _oom: oom::Registration::new(reclaim.clone(), Reclaim::may_retry)?,
            shared: Shared::new(reclaim)?,
        })
    }

    /// Returns the state that all areas share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// An area with its links in the registry: the private data of a file.
type Open = Node<Area>;

impl misc::Device for Area {
    type Context = Context;

    const NAME: &'static CStr = c"ashmem";
    const MODE: u16 = 0o666;

    fn llseek(area: &Open, pos: i64, offset: i64, whence: c_int) -> Result<i64> {
        match area.state() {
            State::Empty => Err(EINVAL),
            State::Sized => Err(EBADF),
            State::Mapped(backing) => backing.file().seek(pos, offset, Whence(whence)),
        }
    }

    fn get_unmapped_area(request: &AddressRequest) -> Result<usize> {
        if request.is_shared() {
            shmem::unmapped_area(request)
        } else {
            request.anywhere()
        }
    }
}

#[vtable]
impl MiscDevice for Area {
    type Ptr = Owner<Area>;

    fn open(file: &File, device: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        let shared = &misc::Registration::context_of(device, file)?.shared;
        shared.regions.add(Area::new(shared.clone(), task::tgid()))
    }

    fn mmap(area: &Open, _file: &File, vma: &VmaNew) -> Result {
        area.map(vma)?;
        trace::map(|record| {
            let inode = area.backing().map_or(0, |b| b.file().inode_number());
            area.with_name(|name| record(inode, area.size(), name.as_bytes()));
        });
        Ok(())
    }

    fn release(area: Self::Ptr, _file: &File) {
        trace::close(|record| {
            if let Some(backing) = area.backing() {
                record(backing.file().inode_number(), area.size());
            }
        });
        let loan = area.shared().regions.remove(&area);
        area.close();
        area.take_back(loan);
    }

    /// Reads from the device. The protection mask does not apply, as in the C driver. Fails
    /// with `EBADF` if the area has a size but has not been mapped.
    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, to: &mut IovIterDest<'_>) -> Result<usize> {
        match kiocb.file().state() {
            State::Empty => Ok(0),
            State::Sized => Err(EBADF),
            State::Mapped(backing) => backing.file().read(to, kiocb.ki_pos_mut()),
        }
    }

    fn ioctl(area: &Open, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            uapi::SET_NAME => set_name(area, arg),
            uapi::GET_NAME => get_name(area, arg),
            uapi::SET_SIZE => area.set_size(arg).map(|()| 0),
            // CAST: Both have the width of a `long`. The system call returns an `int`, so sizes
            // of 2 GiB and more are truncated, and some of them look like errors.
            uapi::GET_SIZE => Ok(area.size() as isize),
            uapi::SET_PROT_MASK => area.narrow_mask(arg, task::read_implies_exec()).map(|()| 0),
            // CAST: At most 7.
            uapi::GET_PROT_MASK => Ok(area.mask().bits() as isize),
            uapi::PIN => pin(area, arg),
            uapi::UNPIN => unpin(area, arg),
            uapi::GET_PIN_STATUS => pin_status(area, arg),
            uapi::PURGE_ALL_CACHES => purge_all(area),
            // CAST: The ABI has an `unsigned long`, which is 64 bits wide.
            uapi::GET_FILE_ID => put_file_id(area, arg, |number| number as usize),
            _ => Err(ENOTTY),
        }
    }

    /// Translates the ioctl numbers that differ in a 32-bit process. Pointers need no
    /// translation on the architectures that support Rust.
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(area: &Open, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let cmd = match cmd {
            uapi::compat::SET_SIZE => uapi::SET_SIZE,
            uapi::compat::SET_PROT_MASK => uapi::SET_PROT_MASK,
            // CAST: A 32-bit process gets the low 32 bits.
            uapi::compat::GET_FILE_ID => {
                return put_file_id(area, arg, |number| number as u32);
            }
            cmd => cmd,
        };
        Self::ioctl(area, file, cmd, arg)
    }

    fn show_fdinfo(area: &Open, m: &SeqFile, _file: &File) {
        // Get the backing first: if there is one, name and size are final.
        let backing = area.backing();
        if let Some(backing) = backing {
            seq_print!(m, "inode:\t{}\n", backing.file().inode_number());
        }
        area.with_name(|name| show_name(m, name));
        seq_print!(m, "size:\t{}\n", area.size());
        if let Some(backing) = backing {
            let tally = backing.tally();
            seq_print!(m, "unpinned:\t{} kB\n", pages::kib(tally.pages));
            seq_print!(m, "purged:\t{} kB\n", pages::kib(tally.purged));
        }
    }
}

fn show_name(m: &SeqFile, name: &Name) {
    if name.as_bytes().is_empty() {
        return;
    }
    misc::seq_write(m, b"name:\t");
    for piece in name.escaped() {
        misc::seq_write(m, piece);
    }
    misc::seq_write(m, b"\n");
}

/// `ASHMEM_SET_NAME`: copies a C string from user memory and truncates it to 255 bytes.
///
/// Fails with `EFAULT`, with `EINVAL` if the area has been mapped, or with `ENOMEM`, checked in
/// this order.
fn set_name(area: &Area, arg: usize) -> Result<isize> {
    // Most names are short, and clearing a buffer for the longest one would take longer than
    // copying them. This buffer has two more bytes: one for the NUL, and one to detect a longer
    // name.
    let mut buf = [0; name::SHORT + 2];
    let len = read_name(arg, &mut buf)?.len();
    let start = buf.first_chunk().copied();
    match start.and_then(|start| Name::short(start, len)) {
        Some(name) => area.set_name(|| Ok(name))?,
        None => set_long_name(area, arg)?,
    }
    Ok(0)
}

#[cold]
fn set_long_name(area: &Area, arg: usize) -> Result {
    let mut buf = [0; uapi::NAME_LEN];
    let name = read_name(arg, &mut buf)?;
    area.set_name(|| Name::new(name))
}

/// Copies a C string from user memory, as much of it as fits `buf`, and returns it without its
/// NUL.
///
/// Fails with `EFAULT`.
fn read_name(arg: usize, buf: &mut [u8]) -> Result<&[u8]> {
    Ok(user(arg, buf.len())
        .reader()
        .strcpy_into_buf(buf)?
        .to_bytes())
}

/// `ASHMEM_GET_NAME`: copies the name and its NUL to user memory, and writes nothing after the
/// NUL.
///
/// Fails with `EFAULT`.
fn get_name(area: &Area, arg: usize) -> Result<isize> {
    let mut buf = [0; uapi::NAME_LEN];
    let len = area.with_name(|name| name.answer(&mut buf));
    let answer = buf.get(..len).unwrap_or(&buf);
    user(arg, len).writer().write_slice(answer)?;
    Ok(0)
}

/// `ASHMEM_GET_FILE_ID`: copies the inode number of the backing file to user memory.
///
/// Fails with `EINVAL` if the area has not been mapped, or with `EFAULT`, checked in this
/// order.
fn put_file_id<T: AsBytes>(area: &Area, arg: usize, id: fn(u64) -> T) -> Result<isize> {
    let backing = area.backing().ok_or(EINVAL)?;
    user(arg, size_of::<T>())
        .writer()
        .write(&id(backing.file().inode_number()))?;
    Ok(0)
}

/// `ASHMEM_PIN`: pins pages and returns whether any of them may have been purged.
///
/// Fails as [`pin_argument()`] and [`Backing::pin()`] do.
fn pin(area: &Area, arg: usize) -> Result<isize> {
    let (backing, pages) = pin_argument(area, arg)?;
    let Some(pages) = pages else {
        return Ok(uapi::NOT_PURGED);
    };
    let was_purged = backing.pin(pages)?;
    trace::pin(move |record| record(backing.file().inode_number(), pages, was_purged));
    Ok(if was_purged {
        uapi::WAS_PURGED
    } else {
        uapi::NOT_PURGED
    })
}

/// `ASHMEM_UNPIN`: unpins pages.
///
/// Fails as [`pin_argument()`] and [`Backing::unpin()`] do.
fn unpin(area: &Area, arg: usize) -> Result<isize> {
    let (backing, pages) = pin_argument(area, arg)?;
    if let Some(pages) = pages {
        backing.unpin(pages)?;
        trace::unpin(move |record| record(backing.file().inode_number(), pages));
    }
    Ok(0)
}

/// `ASHMEM_GET_PIN_STATUS`: returns whether all of the pages are pinned.
///
/// Fails as [`pin_argument()`] does.
fn pin_status(area: &Area, arg: usize) -> Result<isize> {
    let (backing, pages) = pin_argument(area, arg)?;
    Ok(if pages.is_none_or(|pages| backing.is_pinned(pages)) {
        uapi::IS_PINNED
    } else {
        uapi::IS_UNPINNED
    })
}

/// Copies a `struct ashmem_pin` from user memory and returns the pages that it names, or
/// [`None`] if it names no page.
///
/// Fails with `EFAULT`, or with `EINVAL` if the area has not been mapped or the pages are not
/// valid (see [`PageRange::new()`]). A bad pointer is reported first.
fn pin_argument(area: &Area, arg: usize) -> Result<(&Arc<Backing>, Option<PageRange>)> {
    let [offset, len] = user(arg, size_of::<uapi::Pin>())
        .reader()
        .read::<uapi::Pin>()?;
    let backing = area.backing().ok_or(EINVAL)?;
    Ok((backing, PageRange::new(offset, len, backing.pages())?))
}

/// `ASHMEM_PURGE_ALL_CACHES`: purges the unpinned pages of all areas, and returns how many it
/// purged: not those that had been purged before.
///
/// Fails with `EPERM` without `CAP_SYS_ADMIN` in the initial user namespace.
fn purge_all(area: &Area) -> Result<isize> {
    if !task::may_administer() {
        return Err(EPERM);
    }
    // CAST: The system call returns an `int`, which must not look like an error.
    Ok(area.shared().reclaim.purge_all().min(i32::MAX as usize) as isize)
}

/// Returns access to `len` bytes of the caller's memory, at the address `arg`.
fn user(arg: usize, len: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(arg), len)
}
