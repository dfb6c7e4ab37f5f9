//! Authentication codes: HMAC-SHA256.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The size of a key and of an authentication code, in bytes.
pub(crate) const SIZE: usize = 32;

/// The size of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// A key, which only the host may know.
#[derive(Clone)]
pub(crate) struct MacKey(pub(crate) [u8; SIZE]);

impl MacKey {
    /// Returns a new key.
    pub(crate) fn new() -> std::io::Result<Self> {
        forge_clock::random().map(Self)
    }

    /// Returns the authentication code of code that was compiled from the component with this digest.
    pub(crate) fn tag(&self, digest: &str, code: &[u8]) -> [u8; SIZE] {
        self.mac(digest, code).finalize().into_bytes().into()
    }

    /// Returns whether this is that authentication code.
    pub(crate) fn verifies(&self, tag: &[u8], digest: &str, code: &[u8]) -> bool {
        self.mac(digest, code).verify_slice(tag).is_ok()
    }

    /// All digests have the same size, so no two pairs of digest and code have the same text.
    fn mac(&self, digest: &str, code: &[u8]) -> Hmac<Sha256> {
        // A key that is shorter than a block is filled up with zeros.
        let mut block = [0; BLOCK];
        block[..SIZE].copy_from_slice(&self.0);
        Hmac::new(&block.into()).chain_update(digest).chain_update(code)
    }
}
