//! What a run notes beside its calls: the lines that it logs, and the values that it publishes.
//!
//! A note is no call: the guest gets no answer, and a replay is not compared with it. Each scope counts the notes that were
//! made in it. The count is saved in the commit that saves the notes, so that a replay does not make a note again, and code
//! that is executed again after a crash makes those that were lost.

use serde::{Deserialize, Serialize};

/// What is known of the notes of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The number of the last note of the workflow's body that was kept.
    pub body: u32,
    /// The number of lines that were kept.
    pub lines: u64,
    /// The bytes of these lines.
    pub bytes: u64,
    /// A line was dropped, and so are all later ones.
    pub is_full: bool,
}
