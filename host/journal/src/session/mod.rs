//! One execution of the guest, held against the journal.
//!
//! The guest runs from its beginning each time it is instantiated. As far as the journal goes, its
//! calls are answered from there (replay); beyond, they extend it (live). Three rules make the two
//! indistinguishable to the guest:
//!
//! - A call is identified by its scope and its index there. If the journal has another call in
//!   that place, the workflow is nondeterministic.
//! - What the guest sees end (requests, timers, steps, attempts) has a place in one order, given
//!   when it saw it. Replay delivers in that order.
//! - A step that is skipped ends when it ended then. If nothing was delivered between its
//!   beginning and its end, it is answered at once; otherwise the guest gets a call to wait for.
//!
//! A step is entered again, although it ended, when a nested step has a compensation handler that
//! only running the code can register.

mod calls;
mod compensation;
mod effects;
mod error;
mod limits;
mod rollback;
mod schedule;
mod scopes;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use self::calls::Call;
pub use self::effects::{DueEffect, NewEffect};
use self::error::check_json;
pub use self::error::{GuestError, SessionError};
pub use self::limits::SessionLimits;
use self::limits::bytes;
use self::rollback::Rollback;
use self::schedule::Schedule;
use self::scopes::{OpenScope, ancestors_of_handlers};
use super::{Event, Failure, HashMap, HashSet, Journal, Outcome, Scope, Timestamp, WorkflowStatus};

/// What the guest waits for; unique within one session.
pub type CallId = u64;

/// What to do with a step or compensation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Run its code in this scope.
    Execute(Scope),
    /// Skip it: it completed before.
    Completed {
        /// Its result.
        result: Option<Arc<str>>,
        /// Where it stands.
        receipt: Receipt,
    },
    /// Skip it: it failed before.
    Failed(Failure),
    /// Wait for this call, then ask again.
    Parked(CallId),
}

/// Where a completed step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The step's `seq`.
    pub step: u64,
    /// Its place in the order of what the guest saw.
    pub order: u64,
    /// Whether the guest must unwind from here.
    pub unwind: bool,
}

/// The answer to a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No further attempt.
    Final(Failure),
    /// Wait for this call, then ask for the next attempt.
    Retry(CallId),
}

/// What the guest's request for a completion leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This call is complete.
    Deliver(CallId),
    /// The run is rolled back: drop the workflow's future.
    Unwind,
    /// The journal is exhausted and nothing has happened yet.
    Wait,
}

/// Something that ended and waits for its delivery.
#[derive(Debug, Clone)]
enum Ready {
    /// An effect.
    Effect(u64, Outcome),
    /// The wait before the next attempt.
    Attempt(u64),
}

/// One execution of the guest.
#[derive(Debug)]
pub struct Session {
    journal: Box<Journal>,
    limits: SessionLimits,
    /// What the journal says the guest saw end, in order.
    schedule: Schedule,
    /// The place of the last thing that the guest saw end.
    position: u64,
    /// Scopes entered in this session. Never iterated.
    scopes: HashMap<Scope, OpenScope>,
    /// Calls that the guest holds.
    calls: BTreeMap<CallId, Call>,
    /// Calls not yet delivered, by row.
    waiting: BTreeMap<u64, CallId>,
    next_call: CallId,
    /// Steps that ended but must be entered again, for the handlers inside them.
    reenter: HashSet<u64>,
    /// The numbers of names that were begun more than once in this session. Never iterated.
    names: HashMap<String, u32>,
    /// What ended and is not delivered.
    ready: VecDeque<Ready>,
    /// What a handler has seen before that place, and is told again, by its place.
    seen: BTreeMap<u64, u64>,
    /// Effects that have begun: those handed out by [`Session::effects_due`] since the last rollback.
    launched: HashSet<u64>,
    /// Effects handed out at any time.
    sent: HashSet<u64>,
    /// Effects whose outcome is in `ready`, or was.
    ended: HashSet<u64>,
    rollback: Rollback,
    /// Why the run shall be rolled back as soon as the guest can be told.
    unwind_request: Option<Failure>,
    /// Rows up to here were in the journal when the session began.
    recorded: u64,
    /// Those of them that the guest had not seen end.
    unfinished: Vec<u64>,
    /// Bytes of inputs, results and failures in the journal.
    bytes: u64,
}

impl Session {
    /// Begins an execution of the guest against a journal.
    pub fn new(journal: impl Into<Box<Journal>>, limits: SessionLimits) -> Self {
        let journal = journal.into();
        let rollback = match (journal.run().status, journal.last_compensable()) {
            (WorkflowStatus::Compensating, Some(order)) => Rollback::Until(order),
            (WorkflowStatus::Compensating, None) => Rollback::Begun,
            _ => Rollback::No,
        };
        let body = OpenScope { next_index: 0, compensating: false, ended: false, depth: 0 };
        Self {
            schedule: Schedule::of(&journal),
            reenter: ancestors_of_handlers(&journal),
            recorded: journal.rows().len() as u64,
            unfinished: journal.rows().iter().filter(|row| row.order.is_none()).map(|row| row.seq).collect(),
            bytes: journal.rows().iter().map(bytes).sum(),
            limits,
            position: 0,
            scopes: HashMap::from_iter([(Scope::BODY, body)]),
            calls: BTreeMap::new(),
            waiting: BTreeMap::new(),
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

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal, for [`Journal::take_changes`] and for events of the run itself.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Ends the session and gives the journal back.
    pub fn into_journal(self) -> Box<Journal> {
        self.journal
    }

    /// Whether the guest has seen all that the journal says it saw.
    pub fn is_live(&self) -> bool {
        self.position >= self.schedule.last()
    }

    /// Whether the guest is about to make a call that it has not made before, as far as the journal
    /// tells: then what it logs is new.
    pub fn is_past_records(&self) -> bool {
        let mut unfinished = self.unfinished.iter().filter_map(|seq| self.journal.row(*seq));
        self.is_unwinding() || (self.is_live() && !unfinished.any(|row| self.is_missing(row)))
    }

    /// How many rows that takes to tell.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Records the workflow's output.
    ///
    /// # Errors
    /// [`SessionError`] if the output is no JSON or the journal goes on.
    pub fn finish(&mut self, output: &str, now: Timestamp) -> Result<(), SessionError> {
        if self.rollback != Rollback::No {
            return Ok(());
        }
        check_json(output, || "the workflow's output".to_owned())?;
        self.expect_exhausted("an output")?;
        self.journal.apply(Event::Finished { output: output.into() }, now)?;
        Ok(())
    }
}
