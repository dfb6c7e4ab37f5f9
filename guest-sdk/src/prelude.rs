//! The items that most workflows use: `use forge::prelude::*;`.
//!
//! The names of crates mean these crates: a workflow crate that depends on `futures` 0.3, `schemars` 1, `serde_json` 1, `tracing` 0.1 or
//! `uuid` 1 itself has the same crate under that name.

pub use anyhow::{Context, anyhow, bail, ensure};
pub use chrono::{DateTime, Utc};
pub use futures::{self, FutureExt, StreamExt, join, try_join};
#[cfg(feature = "schema")]
pub use schemars::{self, JsonSchema};
pub use serde_json::{self, json};
pub use std::time::Duration;
pub use tracing::{self, debug, error, info, trace, warn};
pub use uuid::{self, Uuid};

pub use crate::auth::AuthContext;
pub use crate::child::{Child, ChildFailure};
pub use crate::context::WorkflowContext;
pub use crate::db::Db;
pub use crate::error::{Error, Failure, Result};
pub use crate::http::{Response, StatusCode};
pub use crate::retry::RetryPolicy;
pub use crate::select;
pub use crate::workflow::ForgeWorkflow;
pub use crate::workflow_info::WorkflowInfo;
