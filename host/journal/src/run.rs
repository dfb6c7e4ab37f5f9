use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Failure, Notes, Published, Tags, UnknownWord, WorkflowStatus, kind};

/// The id of a run: a UUIDv7, so that ids sort by time and rows of new runs are appended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// The id after every other.
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

/// A point in time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the point in time `milliseconds` later, at most [`Timestamp::MAX`].
    pub fn plus(self, milliseconds: u64) -> Self {
        let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(milliseconds).min(Self::MAX.0))
    }

    /// Returns the milliseconds from `earlier` to this point in time, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// The due time of work that is due at once.
    pub const NOW: Self = Self(0);

    /// The last millisecond of the year 9999, the last that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Returns the date and time.
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Returns RFC 3339 text with milliseconds. The texts sort like the points in time.
    pub fn to_rfc3339(self) -> String {
        self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Reads RFC 3339 text.
    ///
    /// # Errors
    /// [`chrono::ParseError`] if it is no such text.
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
    /// The database cannot store a change of the run.
    RejectedWrite,
}

impl PauseReason {
    /// Returns the word that the database, the API and the CLI use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the message of a run whose journal contradicts itself or cannot be read.
    pub fn corrupt_journal(what: impl std::fmt::Display) -> String {
        format!(
            "{what}. Restore the database and resume the run, or terminate the run to end it without its code"
        )
    }

    /// Returns the message of a run of which the database cannot store a change.
    pub fn rejected_write(what: impl std::fmt::Display) -> String {
        format!("{what}. Resume the run to try it again, or terminate the run to end it without its code")
    }

    /// Returns the message of a run whose guest trapped before it could be rolled back.
    pub fn trapped_before_rollback(failure: &Failure) -> String {
        format!(
            "the workflow trapped while it was prepared for rolling back: {failure}. Resume the run to try it again, or \
             terminate the run to end it without its code"
        )
    }
}

/// The reason for a pause, and the status to return to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The reason.
    pub reason: PauseReason,
    /// What happened, as the first sentence, and what to do, for a person.
    pub message: String,
    /// The status that resuming restores: `running` or `compensating`.
    pub from: WorkflowStatus,
}

impl Pause {
    /// Creates a pause of a run in its current status.
    pub fn of(run: &Run, reason: PauseReason, message: String) -> Self {
        let from = match run.status {
            WorkflowStatus::Compensating => WorkflowStatus::Compensating,
            _ => WorkflowStatus::Running,
        };
        Self { reason, message, from }
    }

    /// Returns the part of the message that says what happened. What to do no longer helps when the run has ended.
    pub fn what_happened(&self) -> &str {
        self.message.split(". ").next().unwrap_or_default()
    }
}

/// What a person found of an effect in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SettledEffect)]
pub struct Settled {
    /// The position of the effect's call in the run.
    pub seq: u64,
    /// What was in doubt.
    pub effect: String,
    /// The outcome: `completed`, or `failed` and the reason.
    pub outcome: String,
    /// Who found it, as the audit log names them.
    pub by: String,
    /// When that was recorded.
    pub at: DateTime<Utc>,
}

/// The run that started another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// The position of its call.
    pub call: u64,
    /// The number of runs above the one that was started.
    pub depth: u32,
    /// Whether the parent learns of the end, and cancels the run when it ends itself.
    pub attached: bool,
}

/// A run, without its journal rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The id.
    pub id: RunId,
    /// The tenant that the run belongs to.
    pub tenant: Arc<str>,
    /// The workflow's name.
    pub workflow: Arc<str>,
    /// The version of the workflow. It never changes.
    pub version: u32,
    /// The SHA-256 of the version's component, in hexadecimal.
    pub digest: Arc<str>,
    /// The input, a JSON document.
    pub input: Arc<str>,
    /// The output, a JSON document, if the run completed.
    pub output: Option<Arc<str>>,
    /// The status.
    pub status: WorkflowStatus,
    /// The time at which the run was accepted.
    pub started_at: Timestamp,
    /// The time at which the run became final.
    pub completed_at: Option<Timestamp>,
    /// The time at which the run times out.
    pub deadline: Timestamp,
    /// The end of the first timer, if the run waits for nothing that needs an instance.
    pub wake_at: Option<Timestamp>,
    /// What the run waits for then, a JSON list of [`WaitsFor`](crate::WaitsFor).
    pub waits_for: Option<Arc<str>>,
    /// The failure, if the run failed, is rolled back, or is to be rolled back.
    pub failure: Option<Failure>,
    /// The steps that could not be compensated, and the reasons, for a person.
    pub failed_compensations: Option<Arc<str>>,
    /// The names of these steps. Empty in runs that an older version ended.
    pub uncompensated: Vec<Arc<str>>,
    /// The effects that may have happened and that nothing undoes, one in each line. Known when the run is final.
    pub in_doubt: Option<Arc<str>>,
    /// What a person found of effects that were in doubt when the run had ended.
    pub settled: Vec<Settled>,
    /// The pause, if the run is paused.
    pub pause: Option<Pause>,
    /// The idempotency key of the start.
    pub key: Option<Arc<str>>,
    /// The tags, by which the run is found.
    pub tags: Tags,
    /// The run whose key this one took over.
    pub restart_of: Option<RunId>,
    /// The run that took the key over from this one. The store sets it.
    pub restarted_as: Option<RunId>,
    /// The run that started this one.
    pub parent: Option<Parent>,
    /// The position of the last entry of the inbox that the node which executes the run knew when it last saved the run.
    pub inbox_seen: u64,
    /// The identity that started the run, a JSON object.
    pub auth: Arc<str>,
    /// The id of the trace that the start belongs to.
    pub trace_id: Option<Arc<str>>,
    /// The units of fuel used, without replays. The store may have a lower number after a crash.
    pub fuel: u64,
    /// The number and size of the lines that the run has logged.
    pub notes: Notes,
    /// The last value of each name that the run has published.
    pub published: Published,
    /// The revision of the run's journal in which the run last changed; see [`Row::revision`](super::Row::revision).
    pub revision: u64,
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
            waits_for: None,
            failure: None,
            failed_compensations: None,
            uncompensated: Vec::new(),
            in_doubt: None,
            settled: Vec::new(),
            pause: None,
            key: None,
            tags: Tags::default(),
            restart_of: None,
            restarted_as: None,
            parent: None,
            inbox_seen: 0,
            auth: "{}".into(),
            trace_id: None,
            fuel: 0,
            notes: Notes::default(),
            published: Published::default(),
            revision: 0,
        }
    }

    /// Returns the time at which the host must execute the run: [`Timestamp::NOW`] if it has work to do, `None` if it is
    /// final or paused.
    pub fn due_at(&self) -> Option<Timestamp> {
        (!self.is_at_rest()).then(|| self.wake_at.unwrap_or(Timestamp::NOW))
    }

    /// Returns whether the run is final or paused.
    pub fn is_at_rest(&self) -> bool {
        self.status.is_at_rest()
    }

    /// Returns the failure of a rollback that was requested and has not begun.
    pub fn requested_rollback(&self) -> Option<&Failure> {
        use WorkflowStatus::{Created, Paused, Running, Waiting};
        let rolls_back = self.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating);
        let goes_on = matches!(self.status, Created | Running | Waiting | Paused) && !rolls_back;
        self.failure.as_ref().filter(|_| goes_on)
    }

    /// Returns whether a start may take the key of this run over: it was rolled back, or failed with nothing to compensate.
    pub fn can_be_restarted(&self) -> bool {
        self.has_failed() && self.failed_compensations.is_none()
    }

    /// Returns whether the run has ended without an output.
    pub fn has_failed(&self) -> bool {
        matches!(self.status, WorkflowStatus::Failed | WorkflowStatus::Compensated)
    }

    /// Returns what went wrong, for a person: the failure, the failed compensations, the effects in doubt, and the reason of
    /// the pause.
    pub fn error(&self) -> Option<String> {
        let failure = self.failure.as_ref().map(|failure| failure.message.as_str());
        let pause = self.pause.as_ref().map(|pause| pause.message.as_str());
        let in_doubt = self.in_doubt.as_deref().filter(|_| self.status != WorkflowStatus::Completed);
        let in_doubt = in_doubt.map(|effects| effects.replace('\n', "; "));
        let parts: Vec<&str> = [failure, self.failed_compensations.as_deref(), in_doubt.as_deref(), pause]
            .into_iter()
            .flatten()
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Returns the failure of a run that took longer than its workflow allows.
    pub fn timed_out(&self) -> Failure {
        let allowed = std::time::Duration::from_millis(self.deadline.since(self.started_at));
        let allowed = humantime::format_duration(allowed);
        Failure::permanent(
            kind::TIMEOUT,
            format!("the run timed out: `{}` may take {allowed}", self.workflow),
        )
    }
}
