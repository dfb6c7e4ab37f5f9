use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Begin, Document, Failure, LogLevel, Outcome, Pause, RunId, Scope, Settled, Timestamp};

/// An event of a run. A call is named by the `seq` of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Execution began or continued.
    Running,
    /// The run has nothing to do before a timer ends.
    Waiting {
        /// The end of the first timer.
        until: Timestamp,
        /// What it waits for, a JSON list for people.
        waits_for: Option<Arc<str>>,
    },
    /// The guest set a tag of the run.
    Tagged {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// A call began.
    Begun(Begin),
    /// An effect ended and the guest sees it, or a reading of the time was answered.
    Delivered {
        /// The call.
        seq: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// An effect ended and the guest does not see it yet, because its instance leaves memory.
    Arrived {
        /// The call.
        seq: u64,
        /// The outcome.
        outcome: Outcome,
    },
    /// A call took an entry of the inbox, and the guest sees it.
    Taken {
        /// The call.
        seq: u64,
        /// The position of the entry.
        entry: u64,
    },
    /// A call has started a run, and that is durable.
    Started {
        /// The call.
        seq: u64,
        /// The run.
        run: RunId,
    },
    /// A step or compensation succeeded.
    Completed {
        /// The call.
        seq: u64,
        /// The result, a JSON document.
        result: Option<Arc<str>>,
    },
    /// A step or compensation failed and is not retried.
    Failed {
        /// The call.
        seq: u64,
        /// The failure.
        failure: Failure,
    },
    /// An attempt of a step or compensation failed, and another one follows.
    AttemptFailed {
        /// The call.
        seq: u64,
        /// The failure.
        failure: Failure,
        /// The time at which the next attempt begins.
        retry_at: Timestamp,
    },
    /// The next attempt of a step or compensation began.
    AttemptStarted {
        /// The call.
        seq: u64,
    },
    /// The guest logged a line that is kept.
    Logged {
        /// The scope in which it logged the line.
        scope: Scope,
        /// The number of the note in its scope, from 1.
        note: u32,
        /// The severity.
        level: LogLevel,
        /// The message.
        message: Arc<str>,
        /// No line is kept after it.
        is_last: bool,
    },
    /// The guest published a value.
    Published {
        /// The scope in which it published the value.
        scope: Scope,
        /// The number of the note in its scope, from 1.
        note: u32,
        /// The name.
        name: Arc<str>,
        /// The value.
        value: Document,
    },
    /// The guest dropped a call before it ended.
    Dropped {
        /// The call.
        seq: u64,
    },
    /// An effect that the guest no longer waits for was under way, or ended too late.
    Abandoned {
        /// The call. It was dropped, or interrupted by the rollback.
        seq: u64,
        /// What may have happened, if it matters.
        doubt: Option<Failure>,
        /// The result that came too late.
        result: Option<Arc<str>>,
    },
    /// The run leaves its instance, and these open effects have not left the host. The journal knows it until the run has an
    /// instance again; the store does not have it.
    Withheld {
        /// The calls.
        effects: BTreeSet<u64>,
    },
    /// The run is final, and these effects may stand although nothing undoes them.
    InDoubt {
        /// The effects, for a person.
        effects: Vec<String>,
    },
    /// A person found out what had become of effects in doubt. The run is final.
    Settled {
        /// What they found.
        effects: Vec<Settled>,
    },
    /// A rollback was requested. It begins when the effects under way have ended.
    RollbackRequested {
        /// The failure.
        failure: Failure,
    },
    /// The rollback began.
    Unwinding {
        /// The failure.
        failure: Failure,
    },
    /// The run was paused.
    Paused(Pause),
    /// The run was resumed.
    Resumed,
    /// A person asked to retry the failed compensations.
    Reopened,
    /// The workflow returned an output.
    Finished {
        /// The output, a JSON document.
        output: Arc<str>,
    },
    /// The rollback ended. The compensations decide the status of the run.
    RolledBack,
    /// A person ended the run without its code. What is not compensated stays.
    Terminated {
        /// The failure.
        failure: Failure,
        /// The open effects that may have happened, each with what may have happened.
        in_doubt: Vec<(u64, Failure)>,
    },
    /// A person said how a call in doubt or a compensation ended. See [`Journal::resolvable`](crate::Journal::resolvable).
    Resolved {
        /// The call in doubt, or the step whose compensation it is.
        seq: u64,
        /// The outcome.
        outcome: Outcome,
    },
}
