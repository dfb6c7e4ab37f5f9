//! The items that most workflows use: `use forge::prelude::*;`.
//!
//! No item has the name of a crate, so a workflow crate may depend on any version of `futures`, `uuid` and others. The
//! crates that the SDK uses are `forge::futures`, `forge::serde_json`, `forge::tracing` and `forge::uuid`.

pub use anyhow::{Context, anyhow, bail, ensure};
pub use chrono::{DateTime, Utc};
pub use futures::{FutureExt, StreamExt, join, try_join};
pub use serde_json::json;
pub use std::time::Duration;
pub use tracing::{debug, error, info, trace, warn};
pub use uuid::Uuid;

pub use crate::auth::AuthContext;
pub use crate::context::WorkflowContext;
pub use crate::db::Db;
pub use crate::error::{Error, Failure, Result};
pub use crate::http::{Response, StatusCode};
pub use crate::retry::RetryPolicy;
pub use crate::select;
pub use crate::workflow::ForgeWorkflow;
pub use crate::workflow_info::WorkflowInfo;
