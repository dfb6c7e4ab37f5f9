//! The items that most workflows use: `use forge::prelude::*;`.

pub use anyhow::{Context, anyhow, bail, ensure};
pub use chrono::{DateTime, Utc};
pub use serde_json::{self, json};
pub use std::time::Duration;
pub use tracing;
pub use uuid::{self, Uuid};

pub use crate::auth::AuthContext;
pub use crate::context::WorkflowContext;
pub use crate::db::Db;
pub use crate::error::{Error, Failure, Result};
pub use crate::http::{Response, StatusCode};
pub use crate::retry::RetryPolicy;
pub use crate::workflow::ForgeWorkflow;
pub use crate::workflow_info::WorkflowInfo;

/// The `futures` crate, with one change: `select!` is `select_biased!`.
///
/// `futures::select!` polls its branches in an order that a random generator of the thread gives. A replay
/// skips completed steps and the `select!`s in them, so the generator would give another order.
/// `select_biased!` polls in order of appearance.
///
/// A crate that also depends on `futures` selects this one with `use forge::prelude::futures;`.
pub mod futures {
    pub use ::futures::select_biased as select;
    pub use ::futures::*;
}

/// The part of tokio's interface that workflows can use.
///
/// `tokio::time::sleep` is a durable timer here: it survives restarts.
pub mod tokio {
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
}
