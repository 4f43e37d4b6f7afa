// SPDX-License-Identifier: GPL-2.0

//! This module, as the kernel knows it.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h).

use kernel::bindings;

/// Returns `THIS_MODULE`, which is null in built-in code.
///
/// The kernel crate has had it under another name in each of 7.2 and 7.3.
#[cfg(MODULE)]
pub(crate) const fn this_module() -> *mut bindings::module {
    extern "C" {
        // Only its address is of use.
        static __this_module: u8;
    }
    (&raw const __this_module).cast_mut().cast()
}

/// Returns null, which is `THIS_MODULE` of built-in code.
#[cfg(not(MODULE))]
pub(crate) const fn this_module() -> *mut bindings::module {
    core::ptr::null_mut()
}

/// Takes one more reference to this module, which it must be running for.
#[cfg(CONFIG_MODULE_UNLOAD)]
#[doc(alias = "__module_get")]
pub(crate) fn get() {
    // SAFETY: Null, or this module; whoever runs it holds a reference.
    unsafe { bindings::__module_get(this_module()) };
}

/// Does nothing where no module can be unloaded.
#[cfg(not(CONFIG_MODULE_UNLOAD))]
pub(crate) fn get() {}

/// Says which version this is, as C's `MODULE_VERSION()` does: `modinfo` shows it,
/// and, once it is loaded, `/sys/module/rust_ashmem/version`.
///
/// `module!` has no key for it, neither in 7.2 nor in 7.3. So this makes the line
/// of `.modinfo` by itself, in the form that `module!` gives to the others.
macro_rules! version {
    ($version:literal) => {
        const _: () = {
            #[cfg(MODULE)]
            const LINE: &str = concat!("version=", $version, "\0");
            // Built-in code shares one section, so each line says whose it is.
            #[cfg(not(MODULE))]
            const LINE: &str = concat!("rust_ashmem.version=", $version, "\0");

            // The compiler evaluates this, so that unwrap() fails then or never.
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static BYTES: [u8; LINE.len()] = *LINE.as_bytes().first_chunk().unwrap();
        };
    };
}
pub(crate) use version;
