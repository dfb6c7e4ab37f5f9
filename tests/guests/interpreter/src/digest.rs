//! The digest of the observations of a branch.

use std::fmt;

use forge::serde_json::Value;

/// FNV-1a over the observations of a branch, in order.
#[derive(Clone, Copy)]
pub(crate) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Returns the digest of one observation.
    pub(crate) fn of(observation: &Value) -> Self {
        let mut digest = Self::default();
        digest.add(observation);
        digest
    }

    /// Adds an observation.
    pub(crate) fn add(&mut self, observation: &Value) {
        for byte in observation.to_string().bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Has the form of an observation of `Draw`, because both differ from run to run.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drawn:{:016x}", self.0)
    }
}
