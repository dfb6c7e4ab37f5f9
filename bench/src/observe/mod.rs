//! What a process does, seen from outside.

mod syncs;
mod usage;

pub(crate) use syncs::SyncCounter;
pub(crate) use usage::Usage;
