// SPDX-License-Identifier: GPL-2.0

//! The name of an area: up to 255 bytes, of any value but NUL.

use core::fmt;

use kernel::prelude::*;

use crate::uapi::NAME_LEN;

/// The start of every area's name where the kernel shows it, and all of it if no name was set.
const PREFIX: &CStr = c"dev/ashmem";

/// What the kernel shows before a name that was set.
const START: &[u8] = b"dev/ashmem/";

/// The maximum length of a name that is stored without an allocation. The space for it is part
/// of every area.
pub(crate) const SHORT: usize = 30;

/// A name. An empty name means that none was set.
///
/// # Invariants
///
/// The name has at most 255 bytes, none of which is NUL.
pub(crate) struct Name(Text);

enum Text {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(KVec<u8>),
}

impl Name {
    /// Returns the empty name.
    pub(crate) const fn empty() -> Self {
        let bytes = [0; SHORT];
        // INVARIANT: The name has no bytes.
        Self(Text::Short { len: 0, bytes })
    }

    /// Creates a name from the first `len` bytes, none of which may be NUL. Returns [`None`] if
    /// `len` is more than [`SHORT`].
    pub(crate) fn short(bytes: [u8; SHORT], len: usize) -> Option<Self> {
        // CAST: At most `SHORT`. INVARIANT: There is no NUL, by the caller's promise.
        (len <= SHORT).then(|| {
            let len = len as u8;
            Self(Text::Short { len, bytes })
        })
    }

    /// Creates a name from bytes, none of which may be NUL. Like the C driver, truncates it to
    /// 255 bytes.
    ///
    /// Fails with `ENOMEM`, if the name is longer than [`SHORT`]. May sleep then.
    pub(crate) fn new(text: &[u8]) -> Result<Self> {
        let text = text.get(..NAME_LEN - 1).unwrap_or(text);
        let mut bytes = [0; SHORT];
        // INVARIANT: The text was truncated, and has no NUL by the caller's promise.
        Ok(Self(match bytes.get_mut(..text.len()) {
            Some(start) => {
                start.copy_from_slice(text);
                // CAST: At most `SHORT`.
                let len = text.len() as u8;
                Text::Short { len, bytes }
            }
            None => {
                let mut long = KVec::new();
                long.extend_from_slice(text, GFP_KERNEL_ACCOUNT)?;
                Text::Long(long)
            }
        }))
    }

    /// Returns the name, without prefix and without NUL.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Text::Long(bytes) => bytes,
        }
    }

    /// Copies the name to a buffer, or `dev/ashmem` if there is none, as `ASHMEM_GET_NAME`
    /// returns it. Returns its length, including the NUL.
    pub(crate) fn answer(&self, to: &mut [u8; NAME_LEN]) -> usize {
        let answer = match self.as_bytes() {
            [] => PREFIX.to_bytes(),
            text => text,
        };
        if let Some((start, [nul, ..])) = to.split_at_mut_checked(answer.len()) {
            start.copy_from_slice(answer);
            *nul = 0;
        }
        answer.len() + 1
    }

    /// Calls `f` with the name that `/proc/PID/maps` shows, followed by at least one NUL. It
    /// lacks the first slash, which the kernel adds.
    pub(crate) fn with_full<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match (self.as_bytes(), &self.0) {
            ([], _) => f(PREFIX.to_bytes_with_nul()),
            (text, Text::Short { .. }) => f(full(text, &mut [0; START.len() + SHORT + 1])),
            (text, Text::Long(_)) => f(full(text, &mut [0; START.len() + NAME_LEN])),
        }
    }

    /// Returns the name in pieces, with each newline replaced by `\012` as in `/proc/PID/maps`.
    pub(crate) fn escaped(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.as_bytes().split(|&b| b == b'\n').enumerate();
        lines.flat_map(|(i, line)| {
            let newline: &[u8] = if i == 0 { b"" } else { br"\012" };
            [newline, line]
        })
    }
}

/// Displays bytes as printable ASCII. Other bytes, and backslashes, are shown as a backslash
/// and three octal digits.
pub(crate) struct Escaped<'a> {
    bytes: &'a [u8],
    has_spaces: bool,
}

impl<'a> Escaped<'a> {
    /// Displays spaces as they are.
    pub(crate) fn text(bytes: &'a [u8]) -> Self {
        let has_spaces = true;
        Self { bytes, has_spaces }
    }

    /// Escapes spaces, too.
    pub(crate) fn word(bytes: &'a [u8]) -> Self {
        let has_spaces = false;
        Self { bytes, has_spaces }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;

        for &byte in self.bytes {
            if byte != b'\\' && (byte.is_ascii_graphic() || self.has_spaces && byte == b' ') {
                f.write_char(byte.into())?;
            } else {
                write!(f, "\\{byte:03o}")?;
            }
        }
        Ok(())
    }
}

/// Writes the prefix and a name to a zeroed buffer, which must have room for both and a NUL,
/// and returns the buffer.
fn full<'a>(text: &[u8], buf: &'a mut [u8]) -> &'a [u8] {
    if let Some((start, rest)) = buf.split_at_mut_checked(START.len()) {
        start.copy_from_slice(START);
        if let Some(to) = rest.get_mut(..text.len()) {
            to.copy_from_slice(text);
        }
    }
    buf
}

#[kunit_tests(rust_ashmem_name)]
mod tests {
    use super::*;

    use kernel::str::CString;

    /// Calls `f` with a name of `len` bytes, or as many of them as are kept, and with a buffer
    /// that begins with these bytes. Adjacent bytes differ.
    fn with_name<R>(len: usize, f: impl FnOnce(&Name, &[u8]) -> R) -> R {
        let mut text = [0; 300];
        for (i, b) in text.iter_mut().enumerate().take(len) {
            // CAST: The remainder is below 255.
            *b = (i % 255) as u8 + 1;
        }
        f(&name(&text), &text)
    }

    fn name(text: &[u8]) -> Name {
        let text = text.split(|&b| b == 0).next();
        let name = Name::new(text.unwrap_or_default());
        assert!(name.is_ok());
        name.unwrap_or(Name::empty())
    }

    fn full_is(name: &Name, want: &[u8]) -> bool {
        name.with_full(|full| {
            full.strip_prefix(want)
                .is_some_and(|nuls| !nuls.is_empty() && nuls.iter().all(|&b| b == 0))
        })
    }

    fn answer_is(name: &Name, want: &[u8]) -> bool {
        let mut buf = [b'?'; NAME_LEN];
        let len = name.answer(&mut buf);
        buf.split_at(len).0 == want && buf.iter().skip(len).all(|&b| b == b'?')
    }

    #[test]
    fn every_length_is_kept_up_to_255() {
        for len in 0..300 {
            assert!(with_name(len, |name, text| {
                name.as_bytes() == &text[..len.min(255)]
            }));
            assert!(with_name(len, |_, text| {
                let start = text.first_chunk().copied();
                match start.and_then(|start| Name::short(start, len)) {
                    Some(name) => len <= SHORT && name.as_bytes() == &text[..len],
                    None => len > SHORT,
                }
            }));
        }
    }

    #[test]
    fn answer_is_the_name_or_the_prefix() {
        assert!(answer_is(&Name::empty(), b"dev/ashmem\0"));
        assert!(answer_is(&name(b"\0"), b"dev/ashmem\0"));
        assert!(answer_is(&name(b"x/y\0"), b"x/y\0"));
        for len in [254, 255, 256] {
            assert!(with_name(len, |name, text| {
                let mut want = [0; NAME_LEN];
                let kept = len.min(255);
                want[..kept].copy_from_slice(&text[..kept]);
                answer_is(name, &want[..=kept])
            }));
        }
    }

    #[test]
    fn full_name_has_the_prefix() {
        assert!(full_is(&Name::empty(), b"dev/ashmem"));
        assert!(full_is(&name(b"a\xff\0"), b"dev/ashmem/a\xff"));
        for len in [1, SHORT - 1, SHORT, SHORT + 1, 255] {
            assert!(with_name(len, |name, text| {
                let mut want = [0; START.len() + 255];
                let (start, end) = want.split_at_mut(START.len());
                start.copy_from_slice(START);
                end[..len].copy_from_slice(&text[..len]);
                full_is(name, &want[..START.len() + len])
            }));
        }
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() -> Result {
        let cases: [(&[u8], &str, &str); 3] = [
            (b"plain~!", "plain~!", "plain~!"),
            (b"a b", "a b", r"a\040b"),
            (
                b"\x01\n\\\x7f\xff",
                r"\001\012\134\177\377",
                r"\001\012\134\177\377",
            ),
        ];
        for (raw, text, word) in cases {
            let shown = CString::try_from_fmt(format_args!("{}", Escaped::text(raw)))?;
            assert_eq!(shown.to_bytes(), text.as_bytes());
            let shown = CString::try_from_fmt(format_args!("{}", Escaped::word(raw)))?;
            assert_eq!(shown.to_bytes(), word.as_bytes());
        }
        Ok(())
    }

    #[test]
    fn newlines_are_escaped() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"\0", b""),
            (b"plain\0", b"plain"),
            (b"a\nb\0", br"a\012b"),
            (b"\n\0", br"\012"),
            (b"\n\na\n\0", br"\012\012a\012"),
        ];
        for (raw, want) in cases {
            assert!(name(raw).escaped().flatten().eq(want.iter()));
        }
    }
}
