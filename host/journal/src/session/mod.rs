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

mod compensation;
mod effects;
mod schedule;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use self::effects::{DueEffect, NewEffect};
use self::schedule::Schedule;
use super::{
    Event, Failure, HashMap, HashSet, IllegalEvent, Journal, Kind, Outcome, RetryPolicy, Row, Scope,
    Timestamp, WorkflowStatus,
};

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

/// Something that no correct guest does. It traps the instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// A scope that is not one of this run, or is over.
    #[error("the workflow used scope {0}, which is not open")]
    ForeignScope(u64),
    /// A call that is not under way.
    #[error("the workflow used call {0}, which does not exist or has another type")]
    ForeignCall(CallId),
    /// A step that cannot be compensated.
    #[error("the workflow asked to compensate step {0}, which has not completed with a handler")]
    NotCompensable(u64),
    /// A result that is no JSON.
    #[error("{what} is not valid JSON: {why}")]
    InvalidJson {
        /// What is wrong.
        what: String,
        /// Why.
        why: String,
    },
    /// Waiting with nothing under way.
    #[error(
        "the workflow waits for something that never happens: no request, timer or step is under way \
         (a future that no Forge call completes cannot be awaited)"
    )]
    Deadlock,
    /// Rolling back twice.
    #[error("the workflow said that it failed while it was being rolled back")]
    UnwoundTwice,
}

/// Why a session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The guest broke the contract.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest does something other than what the journal says it did.
    #[error(
        "nondeterminism: the journal has {expected} where the workflow now makes {found}. Nothing is lost: look for \
         what the workflow does differently each time (the order of a HashMap, a clock), or for a component that was \
         changed in the database; resume the run once that is mended, or cancel it to roll it back"
    )]
    Nondeterminism {
        /// The call in the journal.
        expected: String,
        /// The call that the guest made.
        found: String,
    },
    /// The guest reached a limit.
    #[error(transparent)]
    Limit(Failure),
    /// The journal does not allow what follows from the guest's call.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
}

/// What bounds a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Rows of one run. Compensations may exceed it, so that a run that reaches it can roll back.
    pub max_calls: u64,
    /// Calls under way at once.
    pub max_outstanding: usize,
    /// Bytes of inputs, results and failures in its journal. Rolling back may take as many again.
    pub max_bytes: u64,
    /// How failed compensations are retried.
    pub compensation_retry: RetryPolicy,
}

/// A scope that the guest has entered in this session.
#[derive(Debug, Clone, Copy)]
struct OpenScope {
    /// The index of its next call.
    next_index: u32,
    /// Whether it belongs to a compensation.
    compensating: bool,
    /// Whether its attempt has ended.
    ended: bool,
    /// How many steps it lies in.
    depth: u32,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The end of an effect.
    Effect,
    /// The recorded end of a step that is skipped.
    End,
    /// The beginning of this attempt of a step.
    Attempt(u32),
}

/// A call that the guest holds.
#[derive(Debug, Clone, Copy)]
struct Call {
    /// The row.
    seq: u64,
    /// What it waits for.
    waits: Waits,
    /// Whether the guest was told.
    delivered: bool,
}

/// How far rolling back is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollback {
    /// The workflow goes forward.
    No,
    /// The journal says that the run is rolled back: replay until the completion at this place.
    Until(u64),
    /// The guest was told.
    Begun,
}

/// Something that ended and waits for its delivery.
#[derive(Debug, Clone)]
enum Ready {
    /// An effect.
    Effect(u64, Outcome),
    /// The wait before the next attempt.
    Attempt(u64),
}

/// Steps inside one another. The way to a call is part of what identifies it outside, and is walked when a run is
/// rolled back.
const MOST_NESTED: u32 = 64;

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

    /// Asks for a rollback. The guest is told at its next completion or wait, once it is live.
    pub fn request_unwind(&mut self, failure: Failure) {
        if self.rollback == Rollback::No && self.unwind_request.is_none() {
            self.unwind_request = Some(failure);
        }
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

    /// Records that the workflow failed, and that rolling back begins: called by the guest before
    /// its handlers run, and by the host when an instance ended in another way.
    ///
    /// # Errors
    /// [`SessionError`] if it is being rolled back already or the journal goes on.
    pub fn unwind(&mut self, failure: Failure, now: Timestamp) -> Result<(), SessionError> {
        match self.rollback {
            Rollback::Begun => return Err(GuestError::UnwoundTwice.into()),
            Rollback::Until(_) => return Err(self.unexpected_end("a failure")),
            Rollback::No => self.expect_exhausted("a failure")?,
        }
        self.begin_unwinding(failure, now)
    }

    /// Whether the guest was told to roll back, or said so itself.
    pub fn is_unwinding(&self) -> bool {
        self.rollback == Rollback::Begun
    }

    fn begin_unwinding(&mut self, failure: Failure, now: Timestamp) -> Result<(), SessionError> {
        self.journal.apply(Event::Unwinding { failure }, now)?;
        self.unwind_request = None;
        self.go_back(self.journal.last_compensable().unwrap_or(0));
        Ok(())
    }

    /// Handlers run from here on, as if the guest had just come to this place: the last end of a step that is undone.
    /// That is where a restart finds it. What it has seen since is seen again by handlers that the workflow had begun
    /// itself, in the same order; their requests under way are sent again when they are waited for again.
    fn go_back(&mut self, place: u64) {
        self.rollback = Rollback::Begun;
        self.position = place;
        self.schedule = Schedule::after(&self.journal, place);
        self.waiting.clear();
        self.seen.clear();
        self.ready.clear();
        self.launched.clear();
        self.ended.clear();
        self.names.clear();
    }

    /// The rest of the journal must be unreachable when the guest ends.
    fn expect_exhausted(&self, found: &str) -> Result<(), SessionError> {
        let mut rest = self.schedule.rest();
        match rest.find_map(|item| self.journal.row(item.seq).filter(|row| self.is_missing(row))) {
            None => Ok(()),
            Some(row) => Err(nondeterminism(row.describe(), found)),
        }
    }

    fn unexpected_end(&self, found: &str) -> SessionError {
        let row = self.schedule.rest().find_map(|item| self.journal.row(item.seq));
        nondeterminism(row.map_or("more calls".to_owned(), Row::describe), found)
    }

    /// Whether the guest should have made this call by now: its scope is open, but the guest has
    /// not come that far in it.
    fn is_missing(&self, row: &Row) -> bool {
        let Some(index) = row.index else { return false };
        match self.scopes.get(&row.scope) {
            Some(open) => self.takes_part(*open) && !open.ended && open.next_index <= index,
            None => false,
        }
    }

    /// Whether calls in this scope count: once rolling back has begun, only those of compensations.
    fn takes_part(&self, open: OpenScope) -> bool {
        open.compensating || self.rollback != Rollback::Begun
    }

    /// The scope in which the guest makes a call; `None` if it no longer takes part.
    fn scope(&mut self, scope: Scope) -> Result<Option<&mut OpenScope>, SessionError> {
        let begun = self.rollback == Rollback::Begun;
        let foreign = GuestError::ForeignScope(scope.handle());
        match self.scopes.get_mut(&scope) {
            Some(open) if begun && !open.compensating => Ok(None),
            Some(open) if !open.ended => Ok(Some(open)),
            _ => Err(foreign.into()),
        }
    }

    /// The index of the next call in a scope; `None` if the scope no longer takes part.
    fn take_index(&mut self, scope: Scope) -> Result<Option<u32>, SessionError> {
        let Some(open) = self.scope(scope)? else { return Ok(None) };
        let index = open.next_index;
        open.next_index += 1;
        Ok(Some(index))
    }

    fn open_scope(&mut self, row_seq: u64, attempt: u32, compensating: bool) -> Scope {
        let scope = Scope { step: row_seq, attempt };
        let depth = self.journal.row(row_seq).map_or(0, |row| self.depth(row.scope)) + 1;
        self.scopes.insert(scope, OpenScope { next_index: 0, compensating, ended: false, depth });
        scope
    }

    /// How many steps what belongs to this scope lies in. A compensation lies in none.
    fn depth(&self, scope: Scope) -> u32 {
        self.scopes.get(&scope).map_or(0, |open| open.depth)
    }

    /// Makes a call that the guest can wait for.
    fn call_for(&mut self, seq: u64, waits: Waits) -> Result<CallId, SessionError> {
        if self.waiting.len() >= self.limits.max_outstanding {
            return Err(SessionError::Limit(Failure::permanent(
                super::kind::LIMIT,
                format!(
                    "the workflow has {} calls under way, the most allowed at once (calls_outstanding)",
                    self.waiting.len()
                ),
            )));
        }
        let id = self.next_call;
        self.next_call += 1;
        self.calls.insert(id, Call { seq, waits, delivered: false });
        // The one before is never delivered: a guest may ask for the same as often as it likes.
        if let Some(replaced) = self.waiting.insert(seq, id) {
            self.calls.remove(&replaced);
        }
        Ok(id)
    }

    /// As if so many more bytes had been recorded.
    #[cfg(test)]
    pub(super) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Calls that the session has to remember.
    #[cfg(test)]
    pub(super) fn calls_kept(&self) -> usize {
        self.calls.len()
    }

    /// The guest is told of a call, which it waits for no longer. It is kept if there is something to take.
    fn told(&mut self, id: CallId, seq: u64) {
        let row = self.journal.row(seq);
        let has_outcome = |row: &Row| row.result.is_some() || row.failure.is_some();
        if row.is_some_and(|row| row.kind.has_scope() || has_outcome(row)) {
            self.calls.entry(id).and_modify(|call| call.delivered = true);
        } else {
            self.calls.remove(&id);
        }
    }

    /// A call that never completes: for code that is about to be dropped.
    fn call_for_nothing(&mut self) -> CallId {
        let id = self.next_call;
        self.next_call += 1;
        id
    }

    /// Appends a call to the journal.
    fn record(&mut self, begin: super::Begin, now: Timestamp) -> Result<u64, SessionError> {
        self.check_room(begin.kind == Kind::Compensation)?;
        if begin.kind.has_scope() && self.depth(begin.scope) >= MOST_NESTED {
            return Err(SessionError::Limit(Failure::permanent(
                super::kind::LIMIT,
                format!("steps are nested {MOST_NESTED} deep, the most that a run may have"),
            )));
        }
        if begin.kind != Kind::Compensation {
            self.check_bytes()?;
        }
        self.bytes += begin.input.as_deref().map_or(0, str::len) as u64;
        self.journal.apply(Event::Begun(begin), now)?;
        Ok(self.journal.rows().len() as u64)
    }

    /// Checks that the journal is not too large. Rolling back may take as much again.
    ///
    /// # Errors
    /// [`SessionError::Limit`].
    pub fn check_bytes(&self) -> Result<(), SessionError> {
        let rolls_back = self.rollback == Rollback::Begun;
        let (bytes, most) =
            (self.bytes, self.limits.max_bytes.saturating_mul(if rolls_back { 2 } else { 1 }));
        if bytes <= most {
            return Ok(());
        }
        Err(SessionError::Limit(Failure::permanent(
            super::kind::LIMIT,
            format!(
                "the run's journal has {bytes} bytes; the most is {most} (journal_bytes_per_run). Keep large data elsewhere \
                 and pass references"
            ),
        )))
    }

    /// Checks that the run may make one more call, or one more attempt of a step. Rolling back may take as many again,
    /// so that a run that has made all its calls can do it, and one that never ends does not.
    fn check_room(&self, compensation: bool) -> Result<(), SessionError> {
        let compensating = compensation || self.rollback == Rollback::Begun;
        // Each attempt beyond the first has a place in the order, too.
        let made = self.journal.last_order().max(self.journal.rows().len() as u64);
        let most = self.limits.max_calls.saturating_mul(if compensating { 2 } else { 1 });
        if made < most {
            return Ok(());
        }
        let what = if compensating { ", those of its compensations included" } else { "" };
        Err(SessionError::Limit(Failure::permanent(
            super::kind::LIMIT,
            format!("the run has made {made} calls{what}, the most that one run may make (calls_per_run)"),
        )))
    }
}

/// Bytes of what a call was made with, and of what came of it.
fn bytes(row: &Row) -> u64 {
    let text = |text: &Option<Arc<str>>| text.as_deref().map_or(0, str::len) as u64;
    // What a rollback interrupted has the rollback's failure, which is none of its own.
    let interrupted = !row.is_open() && row.order.is_none();
    let failure = row.failure.as_deref().filter(|_| !interrupted);
    text(&row.input) + text(&row.result) + failure.map_or(0, failure_bytes)
}

fn failure_bytes(failure: &Failure) -> u64 {
    (failure.kind.len() + failure.message.len()) as u64
}

/// Steps inside which a handler was registered: entering them again is the only way to it.
fn ancestors_of_handlers(journal: &Journal) -> HashSet<u64> {
    let mut ancestors = HashSet::default();
    for row in journal.rows().iter().filter(|row| row.is_compensable()) {
        let mut scope = row.scope;
        while let Some(parent) = journal.row(scope.step) {
            if !ancestors.insert(parent.seq) {
                break;
            }
            scope = parent.scope;
        }
    }
    ancestors
}

fn nondeterminism(expected: impl Into<String>, found: impl Into<String>) -> SessionError {
    SessionError::Nondeterminism { expected: expected.into(), found: found.into() }
}

/// Checks that a recorded call is the one that the guest makes now.
fn check_same(row: &Row, kind: Kind, name: &str, input: Option<&str>) -> Result<(), SessionError> {
    if row.is_call(kind, name, input) {
        return Ok(());
    }
    let found = match kind {
        Kind::Time => "workflow_time()".to_owned(),
        kind => format!("{kind} `{name}`"),
    };
    let same_name = row.kind == kind && *row.name == *name;
    let expected = row.describe() + if same_name { " (with other input)" } else { "" };
    let place = row.index.map(|index| format!(" as call {} of its scope", index + 1)).unwrap_or_default();
    Err(nondeterminism(expected + &place, found))
}

fn check_json(text: &str, what: impl FnOnce() -> String) -> Result<(), GuestError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(GuestError::InvalidJson { what: what(), why: error.to_string() }),
    }
}
