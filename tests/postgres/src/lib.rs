//! A PostgreSQL server of one's own, which is gone when whoever started it is: for tests and the benchmark.

mod binaries;
mod guard;
mod server;

pub use binaries::{Binaries, HOW_TO_INSTALL};
pub use server::{Server, Shutdown};
