// SPDX-License-Identifier: GPL-2.0

//! Registers a [`MiscDevice`] with a mode and with the file operations that the trait lacks.
//!
//! C headers: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h).

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    seq_file::SeqFile,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

use crate::module;

/// A misc device, with the file operations that [`MiscDevice`] lacks.
pub(crate) trait Device: MiscDevice {
    /// State that all files of the device share.
    type Context: Send + Sync;

    /// The name of the node in `/dev`.
    const NAME: &'static CStr;

    /// The permissions of the node.
    const MODE: u16;

    /// Returns the new position of a seek that starts from the position `pos`.
    fn llseek(
        device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        pos: i64,
        offset: i64,
        whence: c_int,
    ) -> Result<i64>;

    /// Returns an address for a new mapping.
    fn get_unmapped_area(request: &AddressRequest) -> Result<usize>;
}

/// `MAP_SHARED`, a macro that `bindings` lacks.
const MAP_SHARED: usize = 1;

/// The arguments of `get_unmapped_area`: lengths and addresses in bytes.
pub(crate) struct AddressRequest {
    pub(crate) hint: usize,
    pub(crate) len: usize,
    pub(crate) page_offset: usize,
    /// `MAP_*`.
    pub(crate) flags: usize,
}

impl AddressRequest {
    /// Returns whether the mapping will be shared.
    pub(crate) fn is_shared(&self) -> bool {
        // Also set in `MAP_SHARED_VALIDATE`.
        self.flags & MAP_SHARED != 0
    }

    /// Returns the default address for an anonymous mapping.
    ///
    /// Fails with `ENOMEM` if the address space has no gap that is large enough.
    #[doc(alias = "mm_get_unmapped_area")]
    pub(crate) fn anywhere(&self) -> Result<usize> {
        // SAFETY: The file may be null; the address space is that of the current task.
        address_or_error(unsafe {
            bindings::mm_get_unmapped_area(
                ptr::null_mut(),
                self.hint,
                self.len,
                self.page_offset,
                self.flags,
            )
        })
    }
}

/// Converts an address that C returned, of which the last 4095 values are errors, to a
/// [`Result`].
pub(crate) fn address_or_error(address: usize) -> Result<usize> {
    match address.wrapping_neg() {
        // CAST: An errno is below 4096.
        errno @ 1..4096 => Err(Error::from_errno(-(errno as c_int))),
        _ => Ok(address),
    }
}

/// The registration of a [`Device`].
///
/// # Invariants
///
/// `inner` is registered by `misc_register()` from the end of the initialiser
/// until the drop.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Device> {
    // Must be the first field: `context_of()` casts a pointer to it to `Self`.
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    context: T::Context,
    _device: PhantomData<T>,
}

// SAFETY: `misc_deregister()` may be called from any thread.
unsafe impl<T: Device> Send for Registration<T> {}
// SAFETY: A shared reference gives access only to the context, which is `Sync`.
unsafe impl<T: Device> Sync for Registration<T> {}

impl<T: Device> Registration<T> {
    const OPTIONS: MiscDeviceOptions = MiscDeviceOptions { name: T::NAME };

    /// The file operations of [`MiscDevice`], with those that it lacks.
    ///
    /// Sets the owner, which Linux before 7.3 leaves null: the module could be unloaded while
    /// files are open.
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: module::this_module(),
        llseek: Some(Self::llseek),
        get_unmapped_area: Some(Self::get_unmapped_area),
        // SAFETY: `into_raw()` points to a constant.
        ..unsafe { *Self::OPTIONS.into_raw::<T>().fops }
    };

    /// Registers the device. It can be opened before this returns.
    ///
    /// Fails with `EEXIST` if the name is taken, with `EBUSY` if there is no free minor number
    /// or no memory to reserve one, or with `ENOMEM`.
    #[doc(alias = "misc_register")]
    pub(crate) fn new(context: T::Context) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // Initialised first: `open` uses it as soon as the device is registered.
            context,
            inner <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    fops: &Self::OPERATIONS,
                    mode: T::MODE,
                    ..Self::OPTIONS.into_raw::<T>()
                };
                // SAFETY: The initialiser may write to its slot.
                unsafe { slot.write(device) };
                // SAFETY: The slot is a complete device and stays where it is until `drop`
                // deregisters it. The pointer comes from one to all of `Self`, so
                // `context_of()` may reach the other fields through it. INVARIANT: `Self` is
                // only initialised if this succeeds.
                to_result(unsafe { bindings::misc_register(slot) }).inspect_err(|err| {
                    if *err == EEXIST {
                        let name = T::NAME.to_str().unwrap_or_default();
                        pr_err!("cannot register /dev/{name}: another driver has that name\n")
                    }
                })
            }),
            _device: PhantomData,
        })
    }

    /// Returns the state that all files of the device share.
    pub(crate) fn context(&self) -> &T::Context {
        &self.context
    }

    /// Returns the context of `device`. Only for [`MiscDevice::open`], which gets both
    /// arguments.
    ///
    /// Fails with `EINVAL` if `file` is not being opened on `device`.
    pub(crate) fn context_of<'a>(
        device: &'a MiscDeviceRegistration<T>,
        file: &File,
    ) -> Result<&'a T::Context> {
        // SAFETY: The file exists, and only `open` and `release` change this field.
        let private = unsafe { (*file.as_ptr()).private_data };
        let is_opened = ptr::addr_eq(private, device);
        // Use the pointer in the file: `device` may only be used to access the C part of a
        // registration.
        // SAFETY: The pointer equals `device`, which is the registration of a `T`, and all of
        // those are made by `Self::new()`. It stays registered for as long as `device` is
        // borrowed.
        let context = is_opened.then(|| unsafe { &(*private.cast::<Self>()).context });
        context.ok_or(EINVAL)
    }

    /// `get_unmapped_area` of the device's files.
    ///
    /// # Safety
    ///
    /// Called by the core for a task that maps a file of this device.
    unsafe extern "C" fn get_unmapped_area(
        _file: *mut bindings::file,
        hint: usize,
        len: usize,
        page_offset: usize,
        flags: usize,
    ) -> usize {
        let request = AddressRequest {
            hint,
            len,
            page_offset,
            flags,
        };
        match T::get_unmapped_area(&request) {
            Ok(address) => address,
            // CAST: C returns an error as one of the last 4095 addresses.
            Err(err) => err.to_errno() as usize,
        }
    }

    /// `llseek` of the device's files.
    ///
    /// # Safety
    ///
    /// `file` is a file of this device, in a call of its `llseek`.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: The file is valid by the caller's promise.
        let private = unsafe { (*file).private_data };
        // SAFETY: `open` set it by `into_foreign()`, and it is taken back only
        // by `release`, which comes after every other call.
        let device = unsafe { <T::Ptr as ForeignOwnable>::borrow(private) };
        // SAFETY: As above. No lock protects the position of a character device. A volatile
        // access is a single one, like `READ_ONCE()`.
        let pos = unsafe { ptr::read_volatile(&raw const (*file).f_pos) };

        match T::llseek(device, pos, offset, whence) {
            Ok(pos) => {
                // SAFETY: As for the read.
                unsafe { ptr::write_volatile(&raw mut (*file).f_pos, pos) };
                pos
            }
            Err(err) => err.to_errno().into(),
        }
    }
}

#[pinned_drop]
impl<T: Device> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The device is registered by the invariant.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}

/// Writes bytes that need not be UTF-8, unlike those that `seq_print!` writes.
pub(crate) fn seq_write(m: &SeqFile, bytes: &[u8]) {
    // CAST: `SeqFile` is a transparent wrapper around the C type.
    let m = ptr::from_ref(m).cast_mut().cast::<bindings::seq_file>();
    // SAFETY: `m` is valid and used by this thread only, as every `SeqFile` is. If the bytes do
    // not fit, the call marks `m` as overflowed and the core retries with a larger buffer.
    unsafe { bindings::seq_write(m, bytes.as_ptr().cast(), bytes.len()) };
}
