//! One execution of the guest, compared with the journal.
//!
//! The guest runs from its beginning each time it is instantiated. While the journal has recorded calls, they answer the
//! guest (replay); after that, the guest's calls are appended (live). Three rules make the two look the same to the
//! guest:
//!
//! - A call is identified by its scope and its index in that scope. If the journal has another call there, the workflow
//!   is nondeterministic.
//! - What the guest sees end (effects, steps, attempts) gets a delivery number when it sees it. A replay delivers in the
//!   order of these numbers.
//! - A skipped step ends where it ended in the recorded execution. If nothing was delivered between its beginning and
//!   its end, it is answered at once; otherwise the guest gets a call to wait for.
//!
//! A completed step is entered again if a nested step has a compensation handler, which only its code can register.

mod calls;
mod compensation;
mod effects;
mod error;
mod inbox;
mod limits;
mod notes;
mod rollback;
mod schedule;
mod scopes;
mod steps;
mod tags;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::calls::Call;
pub use self::effects::{DueEffect, NewEffect};
use self::error::check_json;
pub use self::error::{GuestError, SessionError};
use self::limits::bytes;
pub use self::limits::{SessionLimits, Storage};
pub use self::notes::Note;
use self::rollback::Rollback;
use self::schedule::Schedule;
use self::scopes::{OpenScope, ancestors_of_handlers};
use self::waiting::Waiting;
use super::{Event, Failure, HashMap, HashSet, Journal, Outcome, Scope, Timestamp, WorkflowStatus};

/// The id of a call that the guest waits for. It is unique within one session.
pub type CallId = u64;

/// The answer to the beginning of a step or compensation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Run the code in this scope.
    Execute(Scope),
    /// Skip the code: the step completed before.
    Completed {
        /// The result, a JSON document.
        result: Option<Arc<str>>,
        /// The position of the step in the journal.
        receipt: Receipt,
    },
    /// Skip the code: the step failed before.
    Failed(Failure),
    /// Wait for this call, then call [`Session::resume_step`].
    Parked(CallId),
}

/// The position of a completed step in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The `seq` of the step.
    pub step: u64,
    /// The delivery number of its end.
    pub order: u64,
    /// Whether the guest must roll back from here.
    pub unwind: bool,
}

/// The answer to a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is no further attempt.
    Final(Failure),
    /// Wait for this call, then begin the next attempt.
    Retry(CallId),
}

/// The answer to the guest's request for a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This call is complete.
    Deliver(CallId),
    /// The run is rolled back: drop the workflow's future.
    Unwind,
    /// The journal has no further completion, and no effect has ended.
    Wait,
}

/// Something that ended and is not delivered yet.
#[derive(Debug, Clone)]
enum Ready {
    /// An effect, with its outcome.
    Effect(u64, Outcome),
    /// The wait before the next attempt.
    Attempt(u64),
}

/// One execution of the guest.
#[derive(Debug)]
pub struct Session {
    journal: Box<Journal>,
    limits: SessionLimits,
    /// The recorded ends, in the order of their delivery numbers.
    schedule: Schedule,
    /// The delivery number of the last end that the guest saw.
    position: u64,
    /// The scopes entered in this session. Never iterated.
    scopes: HashMap<Scope, OpenScope>,
    /// The calls that the guest holds.
    calls: BTreeMap<CallId, Call>,
    /// The calls that are not delivered.
    waiting: Waiting,
    next_call: CallId,
    /// Ended steps that are entered again, because they contain a step with a handler.
    reenter: HashSet<u64>,
    /// How often a name was begun in this session, for names begun more than once. Never iterated.
    names: HashMap<String, u32>,
    /// Ends that are not delivered.
    ready: VecDeque<Ready>,
    /// Effects that an interrupted handler saw end and that are delivered to it again, by delivery number.
    seen: BTreeMap<u64, u64>,
    /// Effects returned by [`Session::effects_due`] since the rollback began.
    launched: HashSet<u64>,
    /// Effects returned by [`Session::effects_due`] at any time.
    sent: HashSet<u64>,
    /// Effects whose outcome is or was in `ready`.
    ended: HashSet<u64>,
    rollback: Rollback,
    /// The failure of a requested rollback that the guest does not know of yet.
    unwind_request: Option<Failure>,
    /// The number of rows when the session began.
    recorded: u64,
    /// The rows among them whose end the guest had not seen.
    unfinished: Vec<u64>,
    /// The bytes of inputs, results and failures in the journal.
    bytes: u64,
    /// What the runs of the tenant store.
    storage: Storage,
}

impl Session {
    /// Creates the session of an execution of the guest.
    pub fn new(journal: impl Into<Box<Journal>>, limits: SessionLimits) -> Self {
        let journal = journal.into();
        let rollback = match (journal.run().status, journal.last_compensable()) {
            (WorkflowStatus::Compensating, Some(order)) => Rollback::Until(order),
            (WorkflowStatus::Compensating, None) => Rollback::Begun,
            _ => Rollback::No,
        };
        let body = OpenScope { next_index: 0, notes: 0, compensating: false, ended: false, depth: 0 };
        Self {
            schedule: Schedule::of(&journal),
            reenter: ancestors_of_handlers(&journal),
            recorded: journal.rows().len() as u64,
            unfinished: journal.rows().iter().filter(|row| row.order.is_none()).map(|row| row.seq).collect(),
            bytes: journal.rows().iter().map(bytes).sum(),
            limits,
            storage: Storage::default(),
            position: 0,
            scopes: HashMap::from_iter([(Scope::BODY, body)]),
            calls: BTreeMap::new(),
            waiting: Waiting::default(),
            next_call: 1,
            names: HashMap::default(),
            ready: VecDeque::new(),
            seen: BTreeMap::new(),
            launched: HashSet::default(),
            sent: HashSet::default(),
            ended: HashSet::default(),
            rollback,
            unwind_request: None,
            journal,
        }
    }

    /// Returns the journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the journal, for [`Journal::take_changes`] and events of the run itself.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Ends the session and returns the journal.
    pub fn into_journal(self) -> Box<Journal> {
        self.journal
    }

    /// Returns whether the guest has seen every recorded end.
    pub fn is_live(&self) -> bool {
        self.position >= self.schedule.last()
    }

    /// Returns whether the guest has made every recorded call, so that its log lines are new. The cost is proportional to
    /// [`Session::unfinished`].
    pub fn is_past_records(&self) -> bool {
        let mut unfinished = self.unfinished.iter().filter_map(|seq| self.journal.row(*seq));
        self.is_unwinding() || (self.is_live() && !unfinished.any(|row| self.is_missing(row)))
    }

    /// Returns whether a call had begun before this session.
    pub fn may_have_begun(&self, seq: u64) -> bool {
        seq <= self.recorded
    }

    /// Returns the number of rows that had not ended when the session began.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Records the workflow's output.
    ///
    /// If a rollback was requested, it begins instead: the request was acknowledged.
    ///
    /// # Errors
    /// [`SessionError`] if the output is no JSON or the journal has further calls.
    pub fn finish(&mut self, output: &str, now: Timestamp) -> Result<(), SessionError> {
        if self.rollback != Rollback::No {
            return Ok(());
        }
        check_json(output, || "the workflow's output".to_owned())?;
        self.expect_exhausted("an output")?;
        if let Some(failure) = self.journal.run().requested_rollback().cloned() {
            return self.begin_unwinding(failure, now);
        }
        self.journal.apply(Event::Finished { output: output.into() }, now)?;
        Ok(())
    }
}
