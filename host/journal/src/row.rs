use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Begin, Failure, Kind, StepStatus, Timestamp};

/// Where a call belongs: the workflow's body, or one attempt of one step or compensation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The position of the step's row; 0 for the body.
    pub step: u64,
    /// The attempt, from 1; 0 for the body, and for a compensation's place under its step.
    pub attempt: u32,
}

impl Scope {
    /// The workflow's body.
    pub const BODY: Self = Self { step: 0, attempt: 0 };

    /// Bits of a handle that hold the attempt.
    const ATTEMPT_BITS: u32 = 16;

    /// The highest attempt that a handle can name.
    pub const MAX_ATTEMPT: u32 = (1 << Self::ATTEMPT_BITS) - 1;

    /// The number by which the guest knows this scope. The same on every replay.
    pub const fn handle(self) -> u64 {
        self.step << Self::ATTEMPT_BITS | self.attempt as u64
    }

    /// The scope that a guest names.
    pub const fn from_handle(handle: u64) -> Self {
        Self { step: handle >> Self::ATTEMPT_BITS, attempt: (handle & Self::MAX_ATTEMPT as u64) as u32 }
    }
}

/// When and how often a failed attempt is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Milliseconds before the second attempt; doubles with each further one.
    pub backoff_ms: u64,
    /// The longest wait, in milliseconds.
    pub max_backoff_ms: u64,
}

impl RetryPolicy {
    /// The wait in milliseconds after attempt `attempt` (from 1) failed, or `None` if it was the last.
    pub fn wait_after(&self, attempt: u32) -> Option<u64> {
        if attempt >= self.max_attempts.min(Scope::MAX_ATTEMPT) {
            return None;
        }
        let factor = 1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
        Some(self.backoff_ms.saturating_mul(factor).min(self.max_backoff_ms))
    }

    /// The same for what somebody may ask to try again: each time a new round begins.
    pub fn wait_after_in_rounds(&self, attempt: u32) -> Option<u64> {
        self.wait_after(attempt.saturating_sub(1) % self.max_attempts.max(1) + 1)
    }
}

/// What the author said of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepOptions {
    /// The step has a compensation handler.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compensable: bool,
    /// Its failure does not fail the workflow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Its timeout in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How failed attempts are retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
}

impl StepOptions {
    /// As a row has them.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// One journaled call: a row of `forge_workflow_steps`. What few rows have is boxed: a replay goes through all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its position in the run, from 1, in the order in which calls began.
    pub seq: u64,
    /// Where it belongs. A compensation's scope is its step with attempt 0.
    pub scope: Scope,
    /// Its index in that scope. `None` for a call that is found otherwise: a low-level step by its name, a compensation by
    /// its step, an effect by its scope, of which it is the only one.
    pub index: Option<u32>,
    /// What it is.
    pub kind: Kind,
    /// Its name; for steps and compensations unique in the run.
    pub name: Arc<str>,
    /// A hash of kind, name as the guest gave it, and input, which replay compares.
    pub fingerprint: u64,
    /// The options of a step. `None`: it has none but the defaults.
    pub options: Option<Box<StepOptions>>,
    /// The input, a JSON document.
    pub input: Option<Arc<str>>,
    /// Its status.
    pub status: StepStatus,
    /// The result, a JSON document.
    pub result: Option<Arc<str>>,
    /// Why it failed; for a running step, why its last attempt did.
    pub failure: Option<Box<Failure>>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// The places, in the order of what the guest saw, of the second and later attempts' beginnings.
    pub attempt_orders: Vec<u64>,
    /// The place of its end in the order of what the guest saw. `None`: the guest has not seen it end.
    pub order: Option<u64>,
    /// When its timer ends, or its next attempt begins.
    pub wake_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Row {
    /// Creates the row of a call that begins at `started_at`.
    pub fn new(seq: u64, begin: Begin, started_at: Timestamp) -> Self {
        let Begin { scope, index, kind, name, fingerprint, options, input, wake_at } = begin;
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
            attempt_orders: Vec::new(),
            order: None,
            wake_at,
            started_at,
            completed_at: None,
        }
    }

    /// Whether the call may still end: it is running and its outcome is not known.
    pub fn is_open(&self) -> bool {
        self.status == StepStatus::Running
    }

    /// Whether a compensation handler stands behind this row: a step with one that completed.
    pub fn is_compensable(&self) -> bool {
        self.kind == Kind::Step
            && self.options.as_deref().is_some_and(|options| options.compensable)
            && matches!(self.status, StepStatus::Completed | StepStatus::Compensated)
    }

    /// Whether it is a failed attempt that waits for its retry.
    pub fn awaits_retry(&self) -> bool {
        self.kind.has_scope() && self.is_open() && self.wake_at.is_some()
    }

    /// Whether this is the call that a guest makes with this kind, name and input: compares what the
    /// fingerprint is a hash of. The hash itself decides when the row's name may not be the guest's: the
    /// second step `charge` is recorded as `charge#2`.
    pub fn is_call(&self, kind: Kind, name: &str, input: Option<&str>) -> bool {
        let same = *self.name == *name && !name.contains('#') && self.input.as_deref() == input;
        self.kind == kind && (same || self.fingerprint == fingerprint(kind, name, input))
    }

    /// The scope of its current attempt.
    pub fn current_scope(&self) -> Scope {
        Scope { step: self.seq, attempt: self.attempt }
    }

    /// The call as error messages name it.
    pub fn describe(&self) -> String {
        match self.kind {
            Kind::Time => "workflow_time()".to_owned(),
            kind => format!("{kind} `{}`", self.name),
        }
    }
}

/// The hash that replay compares: the first eight bytes of SHA-256 over kind, name and input.
pub fn fingerprint(kind: Kind, name: &str, input: Option<&str>) -> u64 {
    let mut hash = Sha256::new();
    for part in [kind.as_str(), name, input.unwrap_or("")] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}
