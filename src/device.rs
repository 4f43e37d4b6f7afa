// SPDX-License-Identifier: GPL-2.0

//! The device: decodes what user space asks of an [`Area`], and copies.

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
    shrinker::Registration,
    task,
    trace,
    tree::{
        Node,
        Owner, //
    },
    uapi, //
};

/// What the device needs for its areas.
pub(crate) struct Context {
    _reclaim: Registration<Reclaim>,
    shared: Arc<Shared>,
}

impl Context {
    /// Makes what the device needs; nothing is open.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn new(reclaim: Registration<Reclaim>) -> Result<Self> {
        let shared = Shared::new(reclaim.state().clone())?;
        Ok(Self {
            _reclaim: reclaim,
            shared,
        })
    }

    /// Returns what all areas share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// An area, and its place in the registry.
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
        shared.regions.add(Area::new(shared.clone(), task::pid()))
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

    /// Reads through the device. The mask is not asked, as in the C driver.
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
            // CAST: Both have the width of a `long`. `vfs_ioctl()` makes an int
            // of it, so that sizes from 2 GiB on look odd and some like errors.
            uapi::GET_SIZE => Ok(area.size() as isize),
            uapi::SET_PROT_MASK => area.narrow_mask(arg, task::read_implies_exec()).map(|()| 0),
            // CAST: At most 7.
            uapi::GET_PROT_MASK => Ok(area.mask().bits() as isize),
            uapi::PIN => pin(area, arg),
            uapi::UNPIN => unpin(area, arg),
            uapi::GET_PIN_STATUS => pin_status(area, arg),
            uapi::PURGE_ALL_CACHES => purge_all(area),
            // CAST: An inode number as an `unsigned long`, as it is everywhere.
            uapi::GET_FILE_ID => put_file_id(area, arg, |number| number as usize),
            _ => Err(ENOTTY),
        }
    }

    /// Translates the numbers that differ for a 32-bit program; its pointers
    /// need no translation where Rust kernels run.
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(area: &Open, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let cmd = match cmd {
            uapi::compat::SET_SIZE => uapi::SET_SIZE,
            uapi::compat::SET_PROT_MASK => uapi::SET_PROT_MASK,
            // CAST: The low bits, which is all that a 32-bit program can take.
            uapi::compat::GET_FILE_ID => {
                return put_file_id(area, arg, |number| number as u32);
            }
            cmd => cmd,
        };
        Self::ioctl(area, file, cmd, arg)
    }

    fn show_fdinfo(area: &Open, m: &SeqFile, _file: &File) {
        // In this order: if there is a backing, what is read after it is final.
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

/// Copies in a C string, of which 255 bytes count. A bad pointer wins over an
/// area that is mapped.
fn set_name(area: &Area, arg: usize) -> Result<isize> {
    // A buffer for every name would take longer to clear than most take to copy. This one
    // has room for a NUL, and for one byte that tells a longer name from a short one.
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

/// Copies in as much of a C string as there is room for; returns it without its NUL.
fn read_name(arg: usize, buf: &mut [u8]) -> Result<&[u8]> {
    Ok(user(arg, buf.len())
        .reader()
        .strcpy_into_buf(buf)?
        .to_bytes())
}

/// Copies out the name and its NUL, and not a byte more.
fn get_name(area: &Area, arg: usize) -> Result<isize> {
    let mut buf = [0; uapi::NAME_LEN];
    let len = area.with_name(|name| name.answer(&mut buf));
    let answer = buf.get(..len).unwrap_or(&buf);
    user(arg, len).writer().write_slice(answer)?;
    Ok(0)
}

/// Copies out the number of the memory, once there is any.
fn put_file_id<T: AsBytes>(area: &Area, arg: usize, id: fn(u64) -> T) -> Result<isize> {
    let backing = area.backing().ok_or(EINVAL)?;
    user(arg, size_of::<T>())
        .writer()
        .write(&id(backing.file().inode_number()))?;
    Ok(0)
}

/// Pins pages; returns whether some may be zeros now.
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

/// Unpins pages.
fn unpin(area: &Area, arg: usize) -> Result<isize> {
    let (backing, pages) = pin_argument(area, arg)?;
    if let Some(pages) = pages {
        backing.unpin(pages)?;
        trace::unpin(move |record| record(backing.file().inode_number(), pages));
    }
    Ok(0)
}

/// Returns whether all of the pages are pinned.
fn pin_status(area: &Area, arg: usize) -> Result<isize> {
    let (backing, pages) = pin_argument(area, arg)?;
    Ok(if pages.is_none_or(|pages| backing.is_pinned(pages)) {
        uapi::IS_PINNED
    } else {
        uapi::IS_UNPINNED
    })
}

/// Copies in which pages are meant; there may be none. A bad pointer wins over an
/// area that was never mapped.
fn pin_argument(area: &Area, arg: usize) -> Result<(&Arc<Backing>, Option<PageRange>)> {
    let [offset, len] = user(arg, size_of::<uapi::Pin>())
        .reader()
        .read::<uapi::Pin>()?;
    let backing = area.backing().ok_or(EINVAL)?;
    Ok((backing, PageRange::new(offset, len, backing.pages())?))
}

/// Purges everything that is unpinned, of all areas; returns how many pages it
/// was.
fn purge_all(area: &Area) -> Result<isize> {
    if !task::may_administer() {
        return Err(EPERM);
    }
    // CAST: `vfs_ioctl()` makes an int of it, which must not look like an error.
    Ok(area.shared().reclaim.purge_all().min(i32::MAX as usize) as isize)
}

/// Gives access to `len` bytes at the address `arg` of the caller.
fn user(arg: usize, len: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(arg), len)
}
