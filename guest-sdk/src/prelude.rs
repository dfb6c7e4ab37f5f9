//! What a workflow needs: `use forge::prelude::*;`.

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
pub use crate::workflow::{ForgeWorkflow, WorkflowInfo};

/// The `futures` crate, with one change: `select!` is `select_biased!`.
///
/// `futures::select!` shuffles its branches with a generator of the thread that advances with each
/// use. After a restart completed steps are skipped and their `select!`s with them, so it would
/// choose otherwise than before. In order of appearance is deterministic.
///
/// A crate that also depends on `futures` itself says which one it means:
/// `use forge::prelude::futures;`.
pub mod futures {
    pub use ::futures::select_biased as select;
    pub use ::futures::*;
}

/// What of tokio makes sense in a workflow, under the names that people know.
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
            pub use crate::time::Elapsed;
        }
    }
}
