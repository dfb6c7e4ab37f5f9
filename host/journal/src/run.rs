use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Failure, UnknownWord, WorkflowStatus, kind};

/// The id of a run: a UUIDv7, so that ids sort by time and rows of new runs are appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// After every other.
    pub const MAX: Self = Self(Uuid::max());
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A point in time in milliseconds since 1970-01-01T00:00:00Z, which is what the journal keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This point in time `milliseconds` later; the end of time if there is no such point.
    pub fn plus(self, milliseconds: u64) -> Self {
        let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(milliseconds).min(Self::MAX.0))
    }

    /// Milliseconds from `earlier` to this; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// As the time at which something is due: at once.
    pub const NOW: Self = Self(0);

    /// The last millisecond of the year 9999: what RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// As a date and time.
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// As RFC 3339 with milliseconds, which sorts as text.
    pub fn to_rfc3339(self) -> String {
        self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// From RFC 3339.
    pub fn from_rfc3339(text: &str) -> Result<Self, chrono::ParseError> {
        DateTime::parse_from_rfc3339(text).map(|time| Self(time.timestamp_millis()))
    }
}

/// The reason why a run is paused.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[strum(parse_err_ty = UnknownWord, parse_err_fn = UnknownWord::pause_reason)]
pub enum PauseReason {
    /// A person paused the run.
    Operator,
    /// The workflow's calls differ from those in the journal.
    Nondeterminism,
    /// A request marked at-most-once may or may not have arrived.
    InDoubt,
    /// The component of the run's version cannot be loaded.
    MissingVersion,
    /// The journal's rows contradict each other.
    CorruptJournal,
}

impl PauseReason {
    /// Returns the word that the database, the API and the CLI use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why and from where a run was paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// For a person: what happened and what to do.
    pub message: String,
    /// The status to go back to: `running` or `compensating`.
    pub from: WorkflowStatus,
}

impl Pause {
    /// A pause of a run as it is now.
    pub fn of(run: &Run, reason: PauseReason, message: String) -> Self {
        let from = match run.status {
            WorkflowStatus::Compensating => WorkflowStatus::Compensating,
            _ => WorkflowStatus::Running,
        };
        Self { reason, message, from }
    }
}

/// A run, without its journal rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The workflow's name.
    pub workflow: Arc<str>,
    /// The version that it was started with, and stays with.
    pub version: u32,
    /// The SHA-256 of the component that it was started with, in hexadecimal.
    pub digest: Arc<str>,
    /// The input, a JSON document.
    pub input: Arc<str>,
    /// The output, a JSON document, once completed.
    pub output: Option<Arc<str>>,
    /// Its status.
    pub status: WorkflowStatus,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it became final.
    pub completed_at: Option<Timestamp>,
    /// When it times out.
    pub deadline: Timestamp,
    /// Until when it waits for nothing but time, if it does.
    pub wake_at: Option<Timestamp>,
    /// Why it failed or is rolled back.
    pub failure: Option<Failure>,
    /// What could not be compensated, and why.
    pub failed_compensations: Option<Arc<str>>,
    /// Why it is paused.
    pub pause: Option<Pause>,
    /// The idempotency key of its start.
    pub key: Option<Arc<str>>,
    /// Who started it, a JSON object.
    pub auth: Arc<str>,
    /// The trace that its start belongs to.
    pub trace_id: Option<Arc<str>>,
    /// Units of fuel that it has computed, as far as it is known; replays apart.
    pub fuel: u64,
}

/// The fields with which a run is accepted. The others have the same value for every new run.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The id.
    pub id: RunId,
    /// The tenant that the run belongs to.
    pub tenant: Arc<str>,
    /// The workflow's name.
    pub workflow: Arc<str>,
    /// The workflow's version.
    pub version: u32,
    /// The SHA-256 of the version's component, in hexadecimal.
    pub digest: Arc<str>,
    /// The input, a JSON document.
    pub input: Arc<str>,
    /// The time at which the run is accepted.
    pub started_at: Timestamp,
    /// The milliseconds after which the run times out.
    pub timeout_ms: u64,
}

impl Run {
    /// Creates a run that is accepted and has not begun: with an empty `auth`, and without a key or a trace.
    pub fn new(new: NewRun) -> Self {
        let NewRun { id, tenant, workflow, version, digest, input, started_at, timeout_ms } = new;
        Self {
            id,
            tenant,
            workflow,
            version,
            digest,
            input,
            output: None,
            status: WorkflowStatus::Created,
            started_at,
            completed_at: None,
            deadline: started_at.plus(timeout_ms),
            wake_at: None,
            failure: None,
            failed_compensations: None,
            pause: None,
            key: None,
            auth: "{}".into(),
            trace_id: None,
            fuel: 0,
        }
    }

    /// When the host must look at it: in the past if it has something to do. `None`: never, because
    /// it is final or paused.
    pub fn due_at(&self) -> Option<Timestamp> {
        (!self.is_at_rest()).then(|| self.wake_at.unwrap_or(Timestamp::NOW))
    }

    /// Whether nothing happens unless a person asks for it: it is final or paused.
    pub fn is_at_rest(&self) -> bool {
        self.status.is_at_rest()
    }

    /// What went wrong, for a person: why it failed, what is not compensated, why it is paused.
    pub fn error(&self) -> Option<String> {
        let failure = self.failure.as_ref().map(|failure| failure.message.as_str());
        let pause = self.pause.as_ref().map(|pause| pause.message.as_str());
        let parts: Vec<&str> =
            [failure, self.failed_compensations.as_deref(), pause].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The failure of a run that took longer than its workflow allows.
    pub fn timed_out(&self) -> Failure {
        let allowed = std::time::Duration::from_millis(self.deadline.since(self.started_at));
        let allowed = humantime::format_duration(allowed);
        Failure::permanent(
            kind::TIMEOUT,
            format!("the run timed out: `{}` may take {allowed}", self.workflow),
        )
    }
}
