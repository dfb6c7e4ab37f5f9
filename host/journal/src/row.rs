use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::inbox::Address;
use super::{EntryKind, Failure, Kind, Outcome, RunId, StepStatus, Timestamp};

/// The place of a call: the workflow's body, or one attempt of one step or compensation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The `seq` of the step's row; 0 for the body.
    pub step: u64,
    /// The attempt, from 1; 0 for the body, and for a compensation under its step.
    pub attempt: u32,
}

impl Scope {
    /// The workflow's body.
    pub const BODY: Self = Self { step: 0, attempt: 0 };

    /// The bits of a handle that hold the attempt.
    const ATTEMPT_BITS: u32 = 16;

    /// The highest attempt that a handle can name.
    pub const MAX_ATTEMPT: u32 = (1 << Self::ATTEMPT_BITS) - 1;

    /// Returns the number that the guest uses for this scope. It is the same in every replay.
    pub const fn handle(self) -> u64 {
        self.step << Self::ATTEMPT_BITS | self.attempt as u64
    }

    /// Returns the scope with this number.
    pub const fn from_handle(handle: u64) -> Self {
        Self { step: handle >> Self::ATTEMPT_BITS, attempt: (handle & Self::MAX_ATTEMPT as u64) as u32 }
    }
}

/// The retry policy of a step or compensation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The number of attempts, the first included.
    pub max_attempts: u32,
    /// The milliseconds before the second attempt. They double with each further attempt.
    pub backoff_ms: u64,
    /// The longest wait between two attempts, in milliseconds.
    pub max_backoff_ms: u64,
}

impl RetryPolicy {
    /// Returns the wait in milliseconds after attempt `attempt` (from 1) failed, or `None` if it was the last.
    pub fn wait_after(&self, attempt: u32) -> Option<u64> {
        if attempt >= self.max_attempts.min(Scope::MAX_ATTEMPT) {
            return None;
        }
        let factor = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        Some(self.backoff_ms.saturating_mul(factor).min(self.max_backoff_ms))
    }

    /// Returns the same for a compensation, which a person may retry: each retry begins a new round of attempts.
    pub fn wait_after_in_rounds(&self, attempt: u32) -> Option<u64> {
        self.wait_after(attempt.saturating_sub(1) % self.max_attempts.max(1) + 1)
    }
}

/// The options of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepOptions {
    /// The step has a compensation handler.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compensable: bool,
    /// The failure of the step does not fail the workflow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The timeout in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The retry policy; without one the step has one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
}

impl StepOptions {
    /// Returns the options as a row stores them: `None` for the defaults.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// The beginning of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The scope of the call.
    pub scope: Scope,
    /// The index in that scope; see [`Row::index`].
    pub index: Option<u32>,
    /// The kind of call.
    pub kind: Kind,
    /// The name. Names of steps and compensations are unique in the run.
    pub name: Arc<str>,
    /// The hash that replay compares.
    pub fingerprint: u64,
    /// The options of a step.
    pub options: StepOptions,
    /// The input, a JSON document.
    pub input: Option<Arc<str>>,
    /// When the call is a timer: its end.
    pub wake_at: Option<Timestamp>,
    /// When the outcome of the call comes from the inbox of the run: the kind of entry.
    pub awaits: Option<EntryKind>,
}

impl Begin {
    /// Creates the beginning of a call with the name that the guest gave it, and without options or a timer.
    pub fn new(
        scope: Scope,
        index: Option<u32>,
        kind: Kind,
        name: impl Into<Arc<str>>,
        input: Option<&str>,
    ) -> Self {
        let name = name.into();
        Self {
            scope,
            index,
            kind,
            fingerprint: fingerprint(kind, &name, input),
            name,
            options: StepOptions::default(),
            input: input.map(Arc::from),
            wake_at: None,
            awaits: None,
        }
    }
}

/// One journaled call: a row of `forge_steps`. Rarely used fields are boxed, because a replay reads all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The position in the run, from 1, in the order in which calls began.
    pub seq: u64,
    /// The scope of the call. A compensation's scope is its step with attempt 0.
    pub scope: Scope,
    /// The index in that scope. `None` for a low-level step, which is found by its name, a compensation, which is found by
    /// its step, and the one effect of a scope that is found by the scope alone.
    pub index: Option<u32>,
    /// The kind of call.
    pub kind: Kind,
    /// The name. Names of steps and compensations are unique in the run.
    pub name: Arc<str>,
    /// The hash that replay compares: of the kind, the name as the guest gave it, and the input.
    pub fingerprint: u64,
    /// The options of a step; `None` for the defaults.
    pub options: Option<Box<StepOptions>>,
    /// The input, a JSON document.
    pub input: Option<Arc<str>>,
    /// The status.
    pub status: StepStatus,
    /// The result, a JSON document.
    pub result: Option<Arc<str>>,
    /// The failure; of a running step, the failure of its last attempt.
    pub failure: Option<Box<Failure>>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// The number of the last note of the current attempt that was kept; see [`Notes`](super::Notes).
    pub notes: u32,
    /// The delivery numbers of the beginnings of the second and later attempts.
    pub attempt_orders: Vec<u64>,
    /// The delivery number of the end: its position in the order in which the guest saw calls end. `None` if the guest has
    /// not seen the end.
    pub order: Option<u64>,
    /// The end of the timer, or the time at which the next attempt begins.
    pub wake_at: Option<Timestamp>,
    /// The kind of entry of the inbox that is the outcome of the call.
    pub awaits: Option<EntryKind>,
    /// The run that the call has started. That is durable.
    pub child: Option<RunId>,
    /// The time at which the call began.
    pub started_at: Timestamp,
    /// The time at which the call ended.
    pub completed_at: Option<Timestamp>,
    /// The `seq` of the last step that began before this call; 0 if there is none. With it, the last steps of a run are found
    /// without reading the journal. `None`: an earlier version of Forge wrote the row.
    pub step_before: Option<u32>,
    /// The revision of the run's journal in which the call last changed: each set of changes that goes to the store has the
    /// next number. The store refuses a row whose revision is older than that of the row it has. 0: an earlier version of
    /// Forge wrote the row.
    pub revision: u64,
}

impl Row {
    /// Creates the row of a call that begins at `started_at`.
    pub fn new(seq: u64, begin: Begin, started_at: Timestamp) -> Self {
        let Begin { scope, index, kind, name, fingerprint, options, input, wake_at, awaits } = begin;
        Self {
            seq,
            scope,
            index,
            kind,
            name,
            fingerprint,
            options: options.boxed(),
            input,
            status: StepStatus::Running,
            result: None,
            failure: None,
            attempt: 1,
            notes: 0,
            attempt_orders: Vec::new(),
            order: None,
            wake_at,
            awaits,
            child: None,
            started_at,
            completed_at: None,
            step_before: None,
            revision: 0,
        }
    }

    /// Returns whether the call is running: its outcome is not known.
    pub fn is_open(&self) -> bool {
        self.status == StepStatus::Running
    }

    /// Returns whether this is a completed step with a compensation handler.
    pub fn is_compensable(&self) -> bool {
        self.kind == Kind::Step
            && self.options.as_deref().is_some_and(|options| options.compensable)
            && matches!(self.status, StepStatus::Completed | StepStatus::Compensated)
    }

    /// Returns whether the last attempt failed and the next one has not begun.
    pub fn awaits_retry(&self) -> bool {
        self.kind.has_scope() && self.is_open() && self.wake_at.is_some()
    }

    /// Returns whether the guest makes this call with this kind, name and input. The values are compared first, because
    /// that is cheaper than the hash. The hash decides if the recorded name may differ from the guest's: the second step
    /// `charge` is recorded as `charge#2`.
    pub fn is_call(&self, kind: Kind, name: &str, input: Option<&str>) -> bool {
        let same = *self.name == *name && !name.contains('#') && self.input.as_deref() == input;
        self.kind == kind && (same || self.fingerprint == fingerprint(kind, name, input))
    }

    /// Sets the outcome of an effect.
    pub(super) fn set_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Ok(result) => {
                self.status = StepStatus::Completed;
                self.result = result;
            }
            Err(failure) => {
                self.status = StepStatus::Failed;
                self.failure = Some(Box::new(failure));
            }
        }
    }

    /// Returns the scope of the current attempt.
    pub fn current_scope(&self) -> Scope {
        Scope { step: self.seq, attempt: self.attempt }
    }

    /// Returns what the call waits for in the inbox, if its outcome comes from there.
    pub(super) fn address(&self) -> Option<Address> {
        self.awaits.map(|kind| match kind {
            EntryKind::ChildEnded => (kind, self.seq.to_string().into()),
            EntryKind::Event | EntryKind::Cancel => (kind, Arc::clone(&self.name)),
        })
    }

    /// Returns the bytes of the input and the result.
    pub fn payload_bytes(&self) -> u64 {
        [&self.input, &self.result].into_iter().flatten().map(|document| document.len() as u64).sum()
    }

    /// Returns the call as error messages show it.
    pub fn describe(&self) -> String {
        match self.kind {
            Kind::Time => "workflow_time()".to_owned(),
            kind => format!("{kind} `{}`", self.name),
        }
    }
}

/// Returns the hash that replay compares: the first eight bytes of SHA-256 over kind, name and input.
pub fn fingerprint(kind: Kind, name: &str, input: Option<&str>) -> u64 {
    let mut hash = Sha256::new();
    for part in [kind.as_str(), name, input.unwrap_or("")] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}
