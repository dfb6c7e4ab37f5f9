//! The format of a file: a magic number, an authentication code, and the code that wasmtime has serialized.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::mac::{MacKey, SIZE};

/// The first bytes of a file.
const MAGIC: &[u8; 16] = b"forge compiled 1";

/// The size of the checksum at the beginning of the files that versions before wrote, in bytes.
const CHECKSUM: usize = 32;

/// The first bytes of the code: it is an ELF file.
const ELF: &[u8; 4] = b"\x7fELF";

/// Returns what precedes the code in the file of this digest.
pub(super) fn head(key: &MacKey, digest: &str, code: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &key.tag(digest, code)].concat()
}

/// Returns the code in a file, if this host has written it for this digest.
pub(super) fn authentic<'a>(bytes: &'a [u8], key: &MacKey, digest: &str) -> Option<&'a [u8]> {
    let (tag, code) = bytes.strip_prefix(MAGIC)?.split_at_checked(SIZE)?;
    key.verifies(tag, digest, code).then_some(code)
}

/// Returns whether a file has the format of this version or of one before. A link is not followed.
pub(super) fn is_ours(path: &Path) -> io::Result<bool> {
    if !path.symlink_metadata()?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path)?.take((CHECKSUM + ELF.len()) as u64).read_to_end(&mut start)?;
    Ok(start.starts_with(MAGIC) || start.get(CHECKSUM..) == Some(ELF))
}
