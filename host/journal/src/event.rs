use std::sync::Arc;

use super::{Failure, Kind, Pause, Scope, StepOptions, Timestamp, fingerprint};

/// How a request or a timer ended.
pub type Outcome = Result<Option<Arc<str>>, Failure>;

/// The beginning of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Where it belongs.
    pub scope: Scope,
    /// Its index there; see [`super::Row::index`].
    pub index: Option<u32>,
    /// What it is.
    pub kind: Kind,
    /// Its name; for steps and compensations unique in the run.
    pub name: Arc<str>,
    /// The hash that replay compares.
    pub fingerprint: u64,
    /// The options of a step.
    pub options: StepOptions,
    /// The input, a JSON document.
    pub input: Option<Arc<str>>,
    /// When its timer ends.
    pub wake_at: Option<Timestamp>,
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
        }
    }
}

/// Something that happened to a run. Those that name a call do so by its row's `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Execution began or went on.
    Running,
    /// There is nothing to do until then.
    Waiting {
        /// When the first timer ends.
        until: Timestamp,
    },
    /// A call began.
    Begun(Begin),
    /// A request or timer ended and the guest is told; a reading of the time was answered.
    Delivered {
        /// The call.
        seq: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A request ended and the guest is not told, because its instance is leaving memory.
    Arrived {
        /// The call.
        seq: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A step or compensation succeeded.
    Completed {
        /// The call.
        seq: u64,
        /// Its result.
        result: Option<Arc<str>>,
    },
    /// A step or compensation failed for good.
    Failed {
        /// The call.
        seq: u64,
        /// Why.
        failure: Failure,
    },
    /// An attempt of a step or compensation failed, and another follows.
    AttemptFailed {
        /// The call.
        seq: u64,
        /// Why.
        failure: Failure,
        /// When the next attempt begins.
        retry_at: Timestamp,
    },
    /// The next attempt began.
    AttemptStarted {
        /// The call.
        seq: u64,
    },
    /// The guest dropped a call before it ended.
    Dropped {
        /// The call.
        seq: u64,
    },
    /// The run is rolled back from here on.
    Unwinding {
        /// Why.
        failure: Failure,
    },
    /// The run stops until somebody resumes or cancels it.
    Paused(Pause),
    /// Somebody resumed it.
    Resumed,
    /// Somebody asked to try failed compensations again.
    Reopened,
    /// The workflow returned an output.
    Finished {
        /// The output, a JSON document.
        output: Arc<str>,
    },
    /// Compensation is over; what was compensated decides the status.
    RolledBack,
}
