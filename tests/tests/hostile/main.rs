//! Workflows and components that attack their host. Each must end in the error that names what it ran into, soon and
//! without much memory, while others work as if nothing were.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod calls;
mod computing;
mod hand_written;
mod memory_isolation;
mod messages;
mod notes;
mod rollback;
mod uploads;
