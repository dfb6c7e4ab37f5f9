use std::sync::Arc;
use std::time::Duration;

use crate::registry::RegistryError;
use crate::tenants::{Tenant, TenantError};
use forge_egress::EgressError;
use forge_journal::{Failure, RunId, Unsent, WorkflowStatus};
use forge_sandbox::EngineError;
use forge_store::{Refusal, StoreError};

/// Why the executor refused a request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecutorError {
    /// The registry does not have the workflow or version.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// There is no such run.
    #[error("there is no run {0}; `forge runs` lists the runs that exist")]
    UnknownRun(RunId),
    /// The input is larger than inputs may be.
    #[error(
        "the input has {size} bytes; the most is {limit} (payload_bytes). Pass large data by reference, for example as a URL"
    )]
    InputTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The input has no JSON form, or one that a guest cannot read.
    #[error("the input cannot be used: {0}")]
    InvalidInput(String),
    /// An idempotency key of an unusable form.
    #[error("the key has {0} bytes; it must have 1 to 255")]
    InvalidKey(usize),
    /// No run was started with this key.
    #[error(
        "no run of `{workflow}` has the key `{key}`: none was started with it, or that run was deleted, or another run took \
         the key over"
    )]
    UnknownKey {
        /// The workflow.
        workflow: String,
        /// The key.
        key: String,
    },
    /// The name, the key or the payload of an event cannot be used.
    #[error("{0}")]
    InvalidEvent(String),
    /// The tenant's store has no such keys.
    #[error("{0}")]
    DbKey(Failure),
    /// A transaction of the tenant's store failed. Nothing was changed.
    #[error(transparent)]
    Db(#[from] Failure),
    /// The payload of an event is larger than payloads may be.
    #[error(
        "the payload of the event has {size} bytes; the most is {limit} (payload_bytes). Pass large data by reference, for \
         example as a URL"
    )]
    PayloadTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The event was not sent.
    #[error(transparent)]
    Unsent(#[from] Unsent),
    /// The key was used to start something else.
    #[error(
        "key `{key}` has started run {run} of this workflow, with another input or version; that run is {status}. To start \
         another run, use another key"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The run that it started.
        run: RunId,
        /// The status of that run.
        status: WorkflowStatus,
    },
    /// A failed run cannot be restarted: effects of it are still there.
    #[error(
        "run {run} has failed and left steps that are not compensated ({steps}): its key cannot start another run, which \
         would do them again. Retry the compensations with `forge runs resume {run}`, or undo each step by hand and record it \
         with `forge runs resolve {run} STEP --completed`"
    )]
    NotCompensated {
        /// The run.
        run: RunId,
        /// The names of the steps.
        steps: String,
    },
    /// A run that a person has terminated cannot be restarted: effects of it are still there.
    #[error(
        "run {run} was terminated and left steps that are not compensated ({steps}): its key cannot start another run, which \
         would do them again. Undo each step by hand and record it with `forge runs resolve {run} STEP --completed`, or use a \
         new key"
    )]
    Terminated {
        /// The run.
        run: RunId,
        /// The names of the steps.
        steps: String,
    },
    /// The run's status does not allow it.
    #[error("run {run} is {status} and cannot be {action}")]
    Conflict {
        /// The run.
        run: RunId,
        /// Its status.
        status: WorkflowStatus,
        /// What was asked, as a participle: `cancelled`, `paused`, `resumed`.
        action: &'static str,
    },
    /// The run cannot do it, for a reason other than its status.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another node executes the run, and has not answered.
    #[error(
        "another node executes run {0} and has not answered in time: the request may take effect later; send it again"
    )]
    Elsewhere(RunId),
    /// A read for a caller took too long.
    #[error(
        "the read took longer than {} and was stopped: the database is busy; send the request again, or raise --read-time",
        humantime::format_duration(*.0)
    )]
    ReadTimedOut(Duration),
    /// The store failed. Nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More starts wait or come each second, or more runs are unfinished, than the tenant's limits allow.
    #[error(
        "tenant `{tenant}` has reached the limit `{limit}` = {value}; nothing was started: send the request again in a \
         second, or raise the limit"
    )]
    Busy {
        /// The tenant.
        tenant: String,
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        value: u64,
    },
    /// There are as many subscriptions, or connections for them, as there may be.
    #[error("there are too many {what}, at most {most} ({setting}): close some, or subscribe again later")]
    TooManyLive {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        most: usize,
        /// The flag of the limit.
        setting: &'static str,
    },
    /// A frame has no JSON form.
    #[error("a frame cannot be written: {0}")]
    Frame(Arc<serde_json::Error>),
    /// The tenant does not exist, is suspended or has reached a limit.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The host stops.
    #[error("the host is shutting down: send the request again when it is back")]
    ShuttingDown,
}

impl From<serde_json::Error> for ExecutorError {
    fn from(error: serde_json::Error) -> Self {
        Self::Frame(Arc::new(error))
    }
}

impl ExecutorError {
    /// Returns the error of a start beyond a limit.
    pub(super) fn busy(tenant: &Tenant, limit: &'static str, value: u64) -> Self {
        Self::Busy { tenant: tenant.name.to_string(), limit, value }
    }
}

/// Why the executor cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The WebAssembly engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The HTTP client.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The directory of tenants.
    #[error(transparent)]
    Tenants(#[from] TenantError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}
