use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::index::Index;
use super::{
    Begin, Event, Failure, Kind, Outcome, Pause, Row, Run, RunId, Scope, StepStatus, Timestamp,
    WorkflowStatus,
};

/// More places in the order than all attempts of all calls of a run can take.
const MOST_ORDERS: u64 = 1 << 48;

/// An event that cannot happen to a run in the state it is in: a bug, or rows changed by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run}: {event} is not possible: {why}")]
pub struct IllegalEvent {
    /// The run.
    pub run: RunId,
    /// The event's name.
    pub event: &'static str,
    /// What speaks against it.
    pub why: String,
}

/// Rows that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal of run {run} is corrupt at row {seq}: {why}")]
pub struct CorruptJournal {
    /// The run.
    pub run: RunId,
    /// The row.
    pub seq: u64,
    /// What is wrong.
    pub why: String,
}

/// A run and its calls. Changed by [`Journal::apply`] only.
#[derive(Debug, Clone)]
pub struct Journal {
    run: Run,
    /// Row `seq` is at index `seq - 1`.
    rows: Vec<Row>,
    /// What finds them.
    index: Index,
    /// The last place given in the order of what the guest saw.
    last_order: u64,
    /// Rows changed since [`Journal::take_changes`].
    touched: BTreeSet<u64>,
    /// The last row that the store has or was handed.
    last_stored: u64,
    /// Whether the run itself changed since then.
    run_touched: bool,
    /// Whether the store has the run.
    run_stored: bool,
}

/// Units of fuel that a crash may make the store forget of a run: a second or so of computing.
const MUCH_FUEL: u64 = 1_000_000_000;

/// What changed and is not yet handed to the store.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The run, if it changed.
    pub run: Option<Box<Run>>,
    /// Whether the run was never handed out before: a store may expect that it does not have it.
    pub new_run: bool,
    /// The rows that are new or changed, in order.
    pub rows: Vec<Row>,
    /// How many of them, the last ones, were never handed out before: a store may expect that it has none of them.
    pub new_rows: usize,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.run.is_none() && self.rows.is_empty()
    }
}

impl Journal {
    /// The journal of a run that begins and that the store has.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            rows: Vec::new(),
            index: Index::default(),
            last_order: 0,
            touched: BTreeSet::new(),
            last_stored: 0,
            run_touched: false,
            run_stored: true,
        }
    }

    /// The journal of a run that begins and that the store does not have.
    pub fn unsaved(run: Run) -> Self {
        Self { run_touched: true, run_stored: false, ..Self::new(run) }
    }

    /// Whether [`Journal::take_changes`] has anything to hand out.
    pub fn has_changes(&self) -> bool {
        self.run_touched || !self.touched.is_empty()
    }

    /// The journal of a run as the store has it.
    ///
    /// # Errors
    /// [`CorruptJournal`] if rows are missing, out of order or contradict each other.
    pub fn load(run: Run, rows: Vec<Row>) -> Result<Self, CorruptJournal> {
        let mut index = Index::with_capacity(rows.len());
        let mut orders: Vec<(u64, u64)> = Vec::with_capacity(rows.len());
        for (row, expected) in rows.iter().zip(1..) {
            let corrupt = |why: &str| CorruptJournal { run: run.id, seq: row.seq, why: why.to_owned() };
            if row.seq != expected {
                return Err(corrupt("a row before it is missing"));
            }
            if row.scope.step >= row.seq {
                return Err(corrupt("it belongs to a step that begins later"));
            }
            if row.attempt == 0 || row.attempt > Scope::MAX_ATTEMPT {
                return Err(corrupt("its attempt is out of range"));
            }
            if row.attempt_orders.len() as u64 + 1 != u64::from(row.attempt) {
                return Err(corrupt("its attempts and their order do not match"));
            }
            orders.extend(row.attempt_orders.iter().chain(&row.order).map(|order| (*order, row.seq)));
            if let Some(parent) = row.scope.step.checked_sub(1).and_then(|i| rows.get(i as usize)) {
                let compensates = row.kind == Kind::Compensation && parent.kind == Kind::Step;
                if !parent.kind.has_scope() || (!compensates && row.scope.attempt == 0) {
                    return Err(corrupt("it belongs to a call that has no calls of its own"));
                }
            } else if row.kind == Kind::Compensation {
                return Err(corrupt("it compensates nothing"));
            }
            if !index.insert(row) {
                return Err(corrupt("another row is the same call"));
            }
        }
        orders.sort_unstable();
        if let Some((_, seq)) = orders.last().filter(|(order, _)| *order > MOST_ORDERS) {
            let why = "its place in the order is out of range".to_owned();
            return Err(CorruptJournal { run: run.id, seq: *seq, why });
        }
        if let Some(twice) = orders.array_windows().find(|[(order, _), (next, _)]| order == next) {
            let why = "another row has the same place in the order".to_owned();
            return Err(CorruptJournal { run: run.id, seq: twice[1].1, why });
        }
        let last_order = orders.last().map_or(0, |(order, _)| *order);
        Ok(Self { last_stored: rows.len() as u64, rows, index, last_order, ..Self::new(run) })
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// All rows, in order of their beginning.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// A row.
    pub fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// The call with this index in this scope.
    pub fn call(&self, scope: Scope, index: u32) -> Option<&Row> {
        self.row(self.index.call(scope, index)?)
    }

    /// The step with this name.
    pub fn step(&self, name: &str) -> Option<&Row> {
        self.row(self.index.step(name)?)
    }

    /// The compensation of a step.
    pub fn compensation(&self, step: u64) -> Option<&Row> {
        self.row(self.index.compensation(step)?)
    }

    /// The effect of this scope that has no index, such as the timer of an attempt's timeout.
    pub fn effect_of_scope(&self, scope: Scope) -> Option<&Row> {
        self.row(self.index.of_scope(scope)?)
    }

    /// The place of the last completed step that has a compensation handler: the point to which a
    /// rollback must replay, since every handler is registered by then. `None`: nothing to compensate.
    pub fn last_compensable(&self) -> Option<u64> {
        self.rows.iter().filter(|row| row.is_compensable()).filter_map(|row| row.order).max()
    }

    /// Completed steps with a handler whose compensation has not succeeded.
    pub fn uncompensated(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_compensable() && row.status != StepStatus::Compensated)
    }

    /// The last place given in the order of what the guest saw end; 0 if none was.
    pub fn last_order(&self) -> u64 {
        self.last_order
    }

    /// The idempotency key of a request: the run, and the indices that lead to it; low-level steps,
    /// which have none, stand as `@name`. Attempts are
    /// not part of it: the retry of a step whose request timed out must not act twice.
    pub fn idempotency_key(&self, row: &Row) -> String {
        let mut path = Vec::new();
        let mut scope = row.scope;
        while let Some(parent) = self.row(scope.step) {
            path.push(match (parent.kind, parent.index) {
                (Kind::Compensation, _) => "compensate".to_owned(),
                (_, Some(index)) => index.to_string(),
                (_, None) => format!("@{}", escaped(&parent.name)),
            });
            scope = parent.scope;
        }
        path.reverse();
        let index = row.index.unwrap_or(0);
        format!("{}:{}:{index}", self.run.id, path.join("/"))
    }

    /// Hands out what changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        let run = std::mem::take(&mut self.run_touched).then(|| Box::new(self.run.clone()));
        let touched = std::mem::take(&mut self.touched);
        let rows: Vec<Row> = touched.into_iter().filter_map(|seq| self.row(seq).cloned()).collect();
        let new_rows = rows.iter().filter(|row| row.seq > self.last_stored).count();
        self.last_stored = self.rows.len() as u64;
        let new_run = run.is_some() && !std::mem::replace(&mut self.run_stored, true);
        Changes { run, new_run, rows, new_rows }
    }

    /// Forgets what changed since the last time. What the store has never had is a run that has only begun: its start was
    /// taken, and stays.
    pub fn discard_changes(&mut self) {
        self.touched.clear();
        self.run_touched = !self.run_stored;
    }

    /// The guest used so much fuel, which the store learns with the run's next change, or when it is a lot.
    pub fn computed(&mut self, fuel: u64) {
        let before = self.run.fuel;
        self.run.fuel = before.saturating_add(fuel);
        self.run_touched |= self.run_stored && before / MUCH_FUEL != self.run.fuel / MUCH_FUEL;
    }

    /// The state machine: what `event`, happening at `at`, makes of the run.
    ///
    /// # Errors
    /// [`IllegalEvent`] if it cannot happen in this state; the journal is then unchanged.
    pub fn apply(&mut self, event: Event, at: Timestamp) -> Result<(), IllegalEvent> {
        match event {
            Event::Running => self.running(),
            Event::Waiting { until } => self.waiting(until),
            Event::Begun(begin) => self.begin(begin, at),
            Event::Delivered { seq, outcome } => {
                self.open_effect("delivered", seq, true)?;
                let order = self.next_order();
                self.end(seq, at, |row| {
                    row.order = Some(order);
                    set_outcome(row, outcome);
                });
                Ok(())
            }
            Event::Arrived { seq, outcome } => {
                self.open_effect("arrived", seq, false)?;
                self.end(seq, at, |row| set_outcome(row, outcome));
                Ok(())
            }
            Event::Completed { seq, result } => self.complete(seq, result, at),
            Event::Failed { seq, failure } => {
                self.open_step("failed", seq)?;
                let order = self.next_order();
                self.end(seq, at, |row| {
                    row.status = StepStatus::Failed;
                    row.order = Some(order);
                    row.failure = Some(Box::new(failure));
                });
                Ok(())
            }
            Event::AttemptFailed { seq, failure, retry_at } => {
                self.open_step("attempt_failed", seq)?;
                self.change(seq, |row| {
                    row.failure = Some(Box::new(failure));
                    row.wake_at = Some(retry_at);
                });
                Ok(())
            }
            Event::AttemptStarted { seq } => self.start_attempt(seq),
            Event::Dropped { seq } => {
                if !self.row(seq).is_some_and(Row::is_open) {
                    return Err(self.illegal("dropped", format!("call {seq} has ended")));
                }
                self.end(seq, at, |row| row.status = StepStatus::Skipped);
                Ok(())
            }
            Event::Unwinding { failure } => self.unwind(failure, at),
            Event::Paused(pause) => self.pause(pause),
            Event::Resumed => self.resume(),
            Event::Reopened => self.reopen(),
            Event::Finished { output } => {
                self.check_status("finished", |status| status == WorkflowStatus::Running)?;
                self.run.output = Some(output);
                self.finish(WorkflowStatus::Completed, at);
                Ok(())
            }
            Event::RolledBack => self.rolled_back(at),
        }
    }

    fn begin(&mut self, begin: Begin, at: Timestamp) -> Result<(), IllegalEvent> {
        self.check_status("begun", |s| matches!(s, WorkflowStatus::Running | WorkflowStatus::Compensating))?;
        let row = Row::new(self.rows.len() as u64 + 1, begin, at);
        if !self.index.insert(&row) {
            return Err(self.illegal("begun", format!("{} has begun already", row.describe())));
        }
        self.touched.insert(row.seq);
        self.rows.push(row);
        Ok(())
    }

    fn complete(&mut self, seq: u64, result: Option<Arc<str>>, at: Timestamp) -> Result<(), IllegalEvent> {
        self.open_step("completed", seq)?;
        let order = self.next_order();
        self.end(seq, at, |row| {
            row.status = StepStatus::Completed;
            row.order = Some(order);
            row.result = result;
            row.failure = None;
        });
        if let Some(row) = self.row(seq)
            && row.kind == Kind::Compensation
        {
            let step = row.scope.step;
            self.change(step, |step| step.status = StepStatus::Compensated);
        }
        Ok(())
    }

    fn start_attempt(&mut self, seq: u64) -> Result<(), IllegalEvent> {
        self.open_step("attempt_started", seq)?;
        let order = self.next_order();
        self.change(seq, |row| {
            row.attempt += 1;
            row.attempt_orders.push(order);
            row.wake_at = None;
        });
        Ok(())
    }

    fn unwind(&mut self, failure: Failure, at: Timestamp) -> Result<(), IllegalEvent> {
        self.check_status("unwinding", |status| {
            use WorkflowStatus::{Created, Paused, Running, Waiting};
            matches!(status, Created | Running | Waiting | Paused)
        })?;
        if self.run.pause.as_ref().is_some_and(|pause| pause.from == WorkflowStatus::Compensating) {
            return Err(self.illegal("unwinding", "it is compensating already".to_owned()));
        }
        // Compensations that the workflow itself began go on, as part of the rollback.
        let interrupted = self.rows.iter().filter(|row| row.is_open() && !self.is_compensating(row));
        for seq in interrupted.map(|row| row.seq).collect::<Vec<_>>() {
            self.end(seq, at, |row| {
                row.status = if row.kind.has_scope() { StepStatus::Failed } else { StepStatus::Skipped };
                row.failure = Some(Box::new(failure.clone()));
            });
        }
        self.run.pause = None;
        self.run.failure = Some(failure);
        self.change_status(WorkflowStatus::Compensating, None);
        Ok(())
    }

    /// Whether a call is a compensation, or belongs to one.
    fn is_compensating(&self, row: &Row) -> bool {
        let mut row = Some(row);
        while let Some(call) = row {
            if call.kind == Kind::Compensation {
                return true;
            }
            row = self.row(call.scope.step);
        }
        false
    }

    fn pause(&mut self, pause: Pause) -> Result<(), IllegalEvent> {
        self.check_status("paused", |status| !status.is_at_rest())?;
        self.run.pause = Some(pause);
        self.change_status(WorkflowStatus::Paused, None);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), IllegalEvent> {
        let Some(pause) = self.run.pause.take() else {
            return Err(self.illegal("resumed", "it is not paused".to_owned()));
        };
        self.change_status(pause.from, None);
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), IllegalEvent> {
        let steps: Vec<u64> = self.uncompensated().map(|row| row.seq).collect();
        if self.run.status != WorkflowStatus::Failed || steps.is_empty() {
            return Err(self.illegal("reopened", "no compensation of it has failed".to_owned()));
        }
        for step in steps {
            let Some(compensation) = self.compensation(step).map(|row| row.seq) else { continue };
            let order = self.next_order();
            self.change(compensation, |row| {
                row.status = StepStatus::Running;
                row.order = None;
                row.completed_at = None;
                row.wake_at = None;
                row.attempt += 1;
                row.attempt_orders.push(order);
            });
        }
        self.run.completed_at = None;
        self.run.failed_compensations = None;
        self.change_status(WorkflowStatus::Compensating, None);
        Ok(())
    }

    fn rolled_back(&mut self, at: Timestamp) -> Result<(), IllegalEvent> {
        self.check_status("rolled_back", |status| status == WorkflowStatus::Compensating)?;
        let compensated = self.rows.iter().any(|row| row.is_compensable());
        let cancelled =
            self.run.failure.as_ref().is_some_and(|failure| failure.kind == super::kind::CANCELLED);
        let failed_compensations: Vec<String> =
            self.uncompensated().map(|row| self.describe_stuck(row)).collect();
        let status = if failed_compensations.is_empty() && (compensated || cancelled) {
            WorkflowStatus::Compensated
        } else {
            WorkflowStatus::Failed
        };
        self.run.failed_compensations =
            (!failed_compensations.is_empty()).then(|| failed_compensations.join("; ").into());
        self.finish(status, at);
        Ok(())
    }

    fn describe_stuck(&self, step: &Row) -> String {
        let failure = self.compensation(step.seq).and_then(|row| row.failure.as_deref());
        let why = failure.map_or("the workflow ran no handler for it", |failure| &failure.message);
        format!("`{}` is not compensated: {why}", step.name)
    }

    fn finish(&mut self, status: WorkflowStatus, at: Timestamp) {
        // A workflow may return while calls are open, for example those of a branch it no longer awaits.
        let open: Vec<u64> = self.rows.iter().filter(|row| row.is_open()).map(|row| row.seq).collect();
        for seq in open {
            self.end(seq, at, |row| row.status = StepStatus::Skipped);
        }
        self.run.completed_at = Some(at);
        self.change_status(status, None);
    }

    fn running(&mut self) -> Result<(), IllegalEvent> {
        use WorkflowStatus::{Compensating, Created, Running, Waiting};
        self.check_status("running", |status| matches!(status, Created | Running | Waiting | Compensating))?;
        // A run that is being rolled back stays that, whether it waits or not.
        let status = if self.run.status == Compensating { Compensating } else { Running };
        self.change_status(status, None);
        Ok(())
    }

    fn waiting(&mut self, until: Timestamp) -> Result<(), IllegalEvent> {
        use WorkflowStatus::{Compensating, Running, Waiting};
        self.check_status("waiting", |status| matches!(status, Running | Waiting | Compensating))?;
        let status = if self.run.status == Compensating { Compensating } else { Waiting };
        self.change_status(status, Some(until));
        Ok(())
    }

    /// The one place where a run's status changes.
    fn change_status(&mut self, status: WorkflowStatus, wake_at: Option<Timestamp>) {
        if (self.run.status, self.run.wake_at) != (status, wake_at) {
            self.run.status = status;
            self.run.wake_at = wake_at;
            self.run_touched = true;
        }
    }

    fn check_status(
        &self,
        event: &'static str,
        possible: impl Fn(WorkflowStatus) -> bool,
    ) -> Result<(), IllegalEvent> {
        if possible(self.run.status) {
            return Ok(());
        }
        Err(self.illegal(event, format!("the run is {}", self.run.status)))
    }

    /// Checks that `seq` is a request, timer or reading of the time that the guest has not seen end.
    fn open_effect(&self, event: &'static str, seq: u64, arrived: bool) -> Result<(), IllegalEvent> {
        match self.row(seq) {
            Some(row) if row.kind.has_scope() => {
                Err(self.illegal(event, format!("call {seq} is a {}", row.kind)))
            }
            Some(row) if row.is_open() => Ok(()),
            Some(row) if arrived && row.order.is_none() && row.status != StepStatus::Skipped => Ok(()),
            _ => Err(self.illegal(event, format!("call {seq} has ended"))),
        }
    }

    /// Checks that `seq` is a step or compensation that has not ended.
    fn open_step(&self, event: &'static str, seq: u64) -> Result<(), IllegalEvent> {
        match self.row(seq) {
            Some(row) if row.kind.has_scope() && row.is_open() => Ok(()),
            Some(row) => Err(self.illegal(event, format!("{} is {}", row.describe(), row.status))),
            None => Err(self.illegal(event, format!("there is no call {seq}"))),
        }
    }

    fn illegal(&self, event: &'static str, why: String) -> IllegalEvent {
        IllegalEvent { run: self.run.id, event, why }
    }

    fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    fn end(&mut self, seq: u64, at: Timestamp, change: impl FnOnce(&mut Row)) {
        self.change(seq, |row| {
            row.completed_at = Some(row.completed_at.unwrap_or(at));
            if row.kind.has_scope() {
                row.wake_at = None;
            }
            change(row);
        });
    }

    fn change(&mut self, seq: u64, change: impl FnOnce(&mut Row)) {
        let index = usize::try_from(seq).ok().and_then(|seq| seq.checked_sub(1));
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index)) {
            change(row);
            self.touched.insert(seq);
        }
    }
}

/// A name that holds nothing with a meaning in a key or a header: other bytes become `%XX`.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.#".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn set_outcome(row: &mut Row, outcome: Outcome) {
    match outcome {
        Ok(result) => {
            row.status = StepStatus::Completed;
            row.result = result;
        }
        Err(failure) => {
            row.status = StepStatus::Failed;
            row.failure = Some(Box::new(failure));
        }
    }
}
