//! The part of tokio's interface that workflows can use.
//!
//! `tokio::time::sleep` is a durable timer here: it survives restarts. `#[forge::workflow]` brings the name `tokio`
//! into the scope of the workflow's body; elsewhere, write `use forge::tokio;`. A crate that depends on tokio itself,
//! for its channels and locks, has tokio under that name everywhere else.

pub use crate::select;
pub use ::futures::{join, try_join};

/// Timers.
pub mod time {
    pub use std::time::Duration;

    pub use crate::time::{sleep, timeout};

    /// Errors of timers.
    pub mod error {
        pub use crate::error::Elapsed;
    }
}
