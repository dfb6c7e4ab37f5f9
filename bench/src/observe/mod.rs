//! What a process does, seen from outside.

mod memory;
mod syncs;
mod usage;

pub(crate) use memory::memory;
pub(crate) use syncs::SyncCounter;
pub(crate) use usage::{Usage, cpu_of_all};
