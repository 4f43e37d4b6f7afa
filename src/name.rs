// SPDX-License-Identifier: GPL-2.0

//! The name of an area: up to 255 bytes of any kind but NUL.

use kernel::prelude::*;

use crate::uapi::NAME_LEN;

/// What every area's name begins with where the kernel shows it.
const PREFIX: &[u8] = b"dev/ashmem";

/// A slash, and the prefix, a name and a NUL around it.
const FULL_LEN: usize = PREFIX.len() + 1 + NAME_LEN;

/// A name; the empty one means that none was set.
///
/// # Invariants
///
/// The first `len` bytes of `buf` are not NUL, the rest are, and there is at
/// least one of the latter.
#[derive(Clone)]
pub(crate) struct Name {
    buf: [u8; NAME_LEN],
    len: usize,
}

impl Name {
    /// Returns the name of an area that was given none.
    pub(crate) const fn empty() -> Self {
        // INVARIANT: All bytes are NUL.
        Self {
            buf: [0; NAME_LEN],
            len: 0,
        }
    }

    /// Makes a name of the bytes before the first NUL, cut at 255 as the C
    /// driver does.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut name = Self::empty();
        let text = bytes.iter().take(NAME_LEN - 1).take_while(|&&b| b != 0);
        for (to, from) in name.buf.iter_mut().zip(text) {
            *to = *from;
            // INVARIANT: One more byte that is not NUL, and at most 255 of them.
            name.len += 1;
        }
        name
    }

    /// Returns the name without prefix and NUL.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }

    /// Returns what `ASHMEM_GET_NAME` answers, with its NUL: the name, or
    /// `dev/ashmem` if there is none.
    pub(crate) fn answer(&self) -> &[u8] {
        if self.len == 0 {
            return c"dev/ashmem".to_bytes_with_nul();
        }
        self.buf.get(..=self.len).unwrap_or(&[])
    }

    /// Calls `f` with the name under which the memory appears in
    /// `/proc/PID/maps`; the kernel puts the first slash.
    pub(crate) fn with_full<R>(&self, f: impl FnOnce(&CStr) -> R) -> R {
        let mut full = [0; FULL_LEN];
        let text = self.as_bytes();
        let slash: &[u8] = if text.is_empty() { b"" } else { b"/" };
        let parts = [PREFIX, slash, text];
        for (to, from) in full.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        // The parts leave room for a NUL, so the default is never taken.
        f(CStr::from_bytes_until_nul(&full).unwrap_or(c"dev/ashmem"))
    }

    /// Yields the name in pieces in which a newline is replaced by `\012`, the
    /// form of `/proc/PID/maps`.
    pub(crate) fn escaped(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.as_bytes().split(|&b| b == b'\n').enumerate();
        lines.flat_map(|(i, line)| {
            let newline: &[u8] = if i == 0 { b"" } else { br"\012" };
            [newline, line]
        })
    }
}

#[kunit_tests(rust_ashmem_name)]
mod tests {
    use super::*;

    /// A text of `len` bytes that are all different from their neighbours.
    fn text(len: usize) -> [u8; 300] {
        let mut text = [0; 300];
        for (i, b) in text.iter_mut().enumerate().take(len) {
            // CAST: The remainder is below 255.
            *b = (i % 255) as u8 + 1;
        }
        text
    }

    fn full_is(name: &Name, want: &[u8]) -> bool {
        name.with_full(|full| full.to_bytes() == want)
    }

    #[test]
    fn every_length_is_kept_up_to_255() {
        for len in 0..300 {
            let text = text(len);
            let name = Name::new(&text[..len]);
            let kept = len.min(255);
            assert_eq!(name.as_bytes(), &text[..kept]);
            assert!(name.buf[name.len..].iter().all(|&b| b == 0));
        }
    }

    #[test]
    fn ends_at_the_first_nul() {
        assert_eq!(Name::new(b"ab\0cd").as_bytes(), b"ab");
        assert_eq!(Name::new(b"\0cd").as_bytes(), b"");
    }

    #[test]
    fn answer_is_the_name_or_the_prefix() {
        assert_eq!(Name::empty().answer(), b"dev/ashmem\0");
        assert_eq!(Name::new(b"").answer(), b"dev/ashmem\0");
        assert_eq!(Name::new(b"x/y").answer(), b"x/y\0");
        let long = Name::new(&text(255));
        assert_eq!(long.answer().len(), 256);
        assert_eq!(long.answer().last(), Some(&0));
    }

    #[test]
    fn full_name_has_the_prefix() {
        assert!(full_is(&Name::empty(), b"dev/ashmem"));
        assert!(full_is(&Name::new(b"a\xff"), b"dev/ashmem/a\xff"));
        let long = Name::new(&text(255));
        let len = long.with_full(|full| full.to_bytes_with_nul().len());
        assert_eq!(len, FULL_LEN);
    }

    #[test]
    fn newlines_are_escaped() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"", b""),
            (b"plain", b"plain"),
            (b"a\nb", br"a\012b"),
            (b"\n", br"\012"),
            (b"\n\na\n", br"\012\012a\012"),
        ];
        for (raw, want) in cases {
            let name = Name::new(raw);
            assert!(name.escaped().flatten().eq(want.iter()));
        }
    }
}
