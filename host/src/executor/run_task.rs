//! The task of one run: loads it, gives it an instance, and does what follows from how that ends.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::activation::{Activation, ActivationContext, ActivationParts, Command, Leave, Reply};
use super::{ExecutorError, Inner};
use crate::registry::RegistryError;
use crate::tenants::{Tenant, TenantError};
use forge_clock as clock;
use forge_journal::{
    Changes, Event, Failure, IllegalEvent, Journal, Kind, Pause, PauseReason, Row, RunId, Timestamp,
    WorkflowStatus,
};
use forge_sandbox::{Component, End, Stop};
use forge_scheduling::InstancePermit;
use forge_store::{Acquired, Batch, Change, Loaded, RunWriter, StoreError, Write};

/// What a task does next.
enum NextAction {
    /// Look at the run again.
    Continue,
    /// Leave memory until then.
    Sleep(Timestamp),
    /// Drop the run as it is in memory, wait a little, and load it again.
    Reload,
    /// End.
    Leave,
}

/// The task of one run.
pub(super) struct RunTask {
    inner: Arc<Inner>,
    run: RunId,
    /// The tenant of the run.
    tenant: Arc<str>,
    /// The run as it is in memory, if it is.
    journal: Option<Box<Journal>>,
    writer: RunWriter,
    /// Cancelled when the writer's epoch is over.
    tenure: CancellationToken,
    /// None while an activation has it.
    commands: Option<mpsc::UnboundedReceiver<Command>>,
    /// What to do before anything else.
    command: Option<Command>,
    /// What to do after that: it was asked of an activation that ended without doing it.
    postponed: VecDeque<Command>,
    resend_in_doubt: bool,
}

impl RunTask {
    pub(super) fn new(
        inner: Arc<Inner>,
        run: RunId,
        tenant: Arc<str>,
        begun: Option<(Journal, RunWriter)>,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        // In this order: an epoch that ends meanwhile is noticed.
        let tenure = inner.tenure();
        let (journal, writer) = match begun {
            Some((journal, writer)) => (Some(Box::new(journal)), writer),
            None => (None, inner.writer_for(run, &tenant)),
        };
        Self {
            inner,
            run,
            tenant,
            journal,
            writer,
            tenure,
            commands: Some(commands),
            command: None,
            postponed: VecDeque::new(),
            resend_in_doubt: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            // Each on the heap, and only for as long as it takes, so that a run is small whatever it waits for.
            let done = match Box::pin(self.step()).await {
                Ok(ControlFlow::Continue((journal, permit))) => {
                    Box::pin(self.activate(journal, permit)).await
                }
                Ok(ControlFlow::Break(next)) => Ok(next),
                Err(error) => Err(error),
            };
            let next = done.unwrap_or_else(|error| self.failed(&error));
            match next {
                NextAction::Continue => {}
                NextAction::Sleep(time) => {
                    if self.leave() {
                        self.inner.timers.set(time, self.run, &self.tenant);
                        return;
                    }
                }
                NextAction::Reload => {
                    self.journal = None;
                    self.pause_before_reload().await;
                    self.tenure = self.inner.tenure();
                    self.writer = self.inner.writer_for(self.run, &self.tenant);
                }
                NextAction::Leave => {
                    if self.leave() {
                        return;
                    }
                }
            }
            if self.inner.shutdown.is_cancelled() {
                self.save_what_began().await;
                self.inner.runs().remove(&self.run);
                return;
            }
        }
    }

    /// A start that was taken is carried out, although the host stops before it could begin.
    async fn save_what_began(&mut self) {
        if let Some(journal) = &mut self.journal
            && journal.has_changes()
            && let Err(error) = self.writer.barrier(journal.take_changes()).await
        {
            tracing::debug!(run = %self.run, %error, "the run could not be saved");
        }
    }

    /// The store does not work: nothing is lost, since nothing that it lost was acknowledged.
    fn failed(&mut self, error: &StoreError) -> NextAction {
        self.answer(Err(ExecutorError::Store(error.clone())));
        if matches!(error, StoreError::Corrupt { .. }) {
            tracing::error!(run = %self.run, %error, "the run cannot be loaded");
            return NextAction::Leave;
        }
        tracing::debug!(run = %self.run, %error, "the run waits for the database");
        NextAction::Reload
    }

    /// Looks at the run and does what is next; gives the run back, and a place for it, if it needs an instance.
    async fn step(
        &mut self,
    ) -> Result<ControlFlow<NextAction, (Box<Journal>, InstancePermit<Arc<str>>)>, StoreError> {
        if self.is_asked() {
            return self.apply_command().await.map(ControlFlow::Break);
        }
        // What needs no instance need not wait for a place: those who wait for a result are told at once.
        if let Some(journal) = self.journal.take() {
            match self.settle(journal).await? {
                ControlFlow::Break(next) => return Ok(ControlFlow::Break(next)),
                ControlFlow::Continue(journal) => self.journal = Some(journal),
            }
        }
        // A run is loaded only when it gets a place, so that memory stays bounded.
        let Some(permit) = self.permit().await? else { return Ok(ControlFlow::Break(NextAction::Continue)) };
        let Some(journal) = self.load().await? else { return Ok(ControlFlow::Break(NextAction::Leave)) };
        Ok(self.settle(journal).await?.map_continue(|journal| (journal, permit)))
    }

    /// Does what can be done without an instance; gives the run back if it needs one.
    async fn settle(
        &mut self,
        mut journal: Box<Journal>,
    ) -> Result<ControlFlow<NextAction, Box<Journal>>, StoreError> {
        let run = journal.run();
        let event = match run.status {
            status if status.is_at_rest() => {
                return Ok(ControlFlow::Break(self.rest(&journal)));
            }
            WorkflowStatus::Compensating if journal.uncompensated().next().is_none() => Event::RolledBack,
            WorkflowStatus::Compensating => return Ok(ControlFlow::Continue(journal)),
            _ if run.deadline <= clock::now() => Event::Unwinding { failure: run.timed_out() },
            _ => return Ok(ControlFlow::Continue(journal)),
        };
        self.record(&mut journal, event).await?;
        self.journal = Some(journal);
        Ok(ControlFlow::Break(NextAction::Continue))
    }

    /// A place in memory; `None` if there is something to obey first.
    async fn permit(&mut self) -> Result<Option<InstancePermit<Arc<str>>>, StoreError> {
        if let Some(permit) = self.inner.instances.try_acquire(&self.tenant) {
            return Ok(Some(permit));
        }
        // Those that wait for a place wait without their journals.
        if let Some(mut journal) = self.journal.take() {
            self.writer.barrier(journal.take_changes()).await?;
        }
        Ok(tokio::select! {
            biased;
            () = self.inner.shutdown.cancelled() => None,
            permit = self.inner.instances.acquire(&self.tenant) => permit,
            command = recv(&mut self.commands) => {
                self.command = command;
                None
            }
        })
    }

    /// The run; `None` if it is not to be executed here, which whoever asked for something is told.
    async fn load(&mut self) -> Result<Option<Box<Journal>>, StoreError> {
        if let Some(journal) = self.journal.take() {
            return Ok(Some(journal));
        }
        let Loaded { run, rows } = match self.inner.loader.load(self.writer.epoch(), self.run).await? {
            Acquired::Here(loaded) => *loaded,
            Acquired::Elsewhere => {
                self.answer(Err(ExecutorError::Elsewhere(self.run)));
                return Ok(None);
            }
            Acquired::Unknown => {
                self.answer(Err(ExecutorError::UnknownRun(self.run)));
                return Ok(None);
            }
        };
        let corrupt = |why: String| StoreError::Corrupt { table: "forge_steps", why };
        let loaded = match rows {
            Ok(rows) => Journal::load(run.clone(), rows).map_err(|error| corrupt(error.to_string())),
            Err(error) => Err(error),
        };
        if let Err(error @ StoreError::Corrupt { .. }) = &loaded
            && !run.is_at_rest()
        {
            let mut journal = Journal::new(run);
            self.pause(&mut journal, PauseReason::CorruptJournal, error.to_string()).await?;
        }
        loaded.map(|journal| Some(Box::new(journal)))
    }

    /// Gives the run an instance and waits until that ends.
    async fn activate(
        &mut self,
        mut journal: Box<Journal>,
        permit: InstancePermit<Arc<str>>,
    ) -> Result<NextAction, StoreError> {
        let (component, tenant) = match self.prepare(&mut journal).await {
            Ok((Ok(component), tenant)) => (component, tenant),
            Err(error) => {
                // The run is loaded again, and may have begun in memory: it is written then, or its start is lost.
                self.writer.barrier(journal.take_changes()).await?;
                return Err(error);
            }
            Ok((Err(error), _)) => {
                let message = format!(
                    "the component of version {} cannot be loaded ({error}): deploy it again, then resume the run",
                    journal.run().version
                );
                self.pause(&mut journal, PauseReason::MissingVersion, message).await?;
                self.journal = Some(journal);
                return Ok(NextAction::Continue);
            }
        };
        let compensating = journal.run().status == WorkflowStatus::Compensating;
        let (limits, account) = (Arc::clone(&tenant.instance_limits), Arc::clone(&tenant.account));
        let Some(commands) = self.commands.take() else { return Ok(NextAction::Leave) };
        let context = ActivationContext {
            limits: Arc::clone(&self.inner.limits),
            tenant,
            instances: Arc::clone(&self.inner.instances),
            cpu: Arc::clone(&self.inner.cpu),
            writer: self.writer.clone(),
            commands,
            shutdown: self.tenure.clone(),
            resend_in_doubt: std::mem::take(&mut self.resend_in_doubt),
        };
        let (session, activation) = match Activation::new(journal, context) {
            Ok(prepared) => prepared,
            Err(refused) => {
                let (error, context) = *refused;
                self.commands = Some(context.commands);
                return Err(corrupt(&error));
            }
        };
        let inner = Arc::clone(&self.inner);
        let execution = tokio::select! {
            execution = account.cpu().measure(inner.engine.run(&component, session, limits, activation)) => execution,
            // A guest that computes does not notice: what it has not journaled it does again.
            () = stopped_for_long(&inner) => return Ok(NextAction::Leave),
        };
        drop(permit);
        let Some((end, session, activation)) = execution else { return Ok(NextAction::Reload) };
        let ActivationParts { context, leave, cancelled_by, postponed } = activation.into_parts();
        self.commands = Some(context.commands);
        self.postponed.extend(postponed);
        let next = self.ended(session.into_journal(), end, leave, compensating).await;
        self.acknowledge(cancelled_by, &next);
        next
    }

    /// What an activation needs.
    async fn prepare(
        &self,
        journal: &mut Journal,
    ) -> Result<(Result<Component, RegistryError>, Arc<Tenant>), StoreError> {
        Ok((self.component(journal).await?, self.tenant().await?))
    }

    /// The run's tenant as it is now.
    async fn tenant(&self) -> Result<Arc<Tenant>, StoreError> {
        match self.inner.tenants.get(&self.tenant).await {
            Ok(tenant) => Ok(tenant),
            Err(TenantError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Corrupt { table: "forge_directory", why: error.to_string() }),
        }
    }

    /// The run's component. What began is saved before it is compiled, which takes long.
    async fn component(&self, journal: &mut Journal) -> Result<Result<Component, RegistryError>, StoreError> {
        let digest = Arc::clone(&journal.run().digest);
        if let Some(component) = self.inner.registry.compiled(&digest) {
            return Ok(Ok(component));
        }
        self.writer.save(journal.take_changes()).await?;
        match self.inner.registry.component(&digest).await {
            Err(RegistryError::Store(error)) => Err(error),
            found => Ok(found),
        }
    }

    /// Does what follows from how an activation ended.
    async fn ended(
        &mut self,
        mut journal: Box<Journal>,
        end: End,
        leave: Option<Leave>,
        compensating: bool,
    ) -> Result<NextAction, StoreError> {
        let mut next = NextAction::Continue;
        match end {
            End::Returned if journal.run().status == WorkflowStatus::Compensating => {
                // A guest that returned its failure without running its handlers gets one more instance for them.
                let handled = journal.uncompensated().all(|row| journal.compensation(row.seq).is_some());
                if handled || compensating {
                    apply(&mut journal, Event::RolledBack)?;
                }
            }
            End::Returned => {}
            End::Trapped(failure) => self.trapped(&mut journal, failure)?,
            End::Stopped(Stop::Failed(failure)) => self.trapped(&mut journal, failure)?,
            End::Stopped(Stop::Pause(reason, message)) => {
                // Nothing of what contradicts the journal may reach it, nor stay in memory.
                journal.discard_changes();
                self.pause(&mut journal, reason, message).await?;
                self.journal = None;
                return Ok(NextAction::Continue);
            }
            End::Stopped(Stop::ByHost) => match leave {
                Some(Leave::Command(command)) => self.command = Some(command),
                Some(Leave::Evicted(time)) => next = NextAction::Sleep(time),
                Some(Leave::Store(error)) => return Err(error),
                Some(Leave::Shutdown) if self.inner.shutdown.is_cancelled() => next = NextAction::Leave,
                // It may have another node by now.
                Some(Leave::Shutdown) | None => next = NextAction::Reload,
            },
        }
        self.writer.barrier(journal.take_changes()).await?;
        // A run that leaves memory leaves it whole.
        self.journal = matches!(next, NextAction::Continue).then_some(journal);
        Ok(next)
    }

    /// The guest trapped: roll back, or count it as a failure of the compensation that it was in.
    fn trapped(&self, journal: &mut Journal, failure: Failure) -> Result<(), StoreError> {
        if journal.run().status != WorkflowStatus::Compensating {
            return apply(journal, Event::Unwinding { failure });
        }
        let is_left = |row: &Row| journal.compensation(row.seq).is_none_or(Row::is_open);
        if !journal.uncompensated().any(is_left) {
            // Nothing is left to try, so it does not matter how the guest ended.
            return apply(journal, Event::RolledBack);
        }
        // The one that was under way, if there is one; otherwise the one that it was instantiated for.
        let open = |waits: bool| {
            let is_open = |row: &&Row| row.kind == Kind::Compensation && row.is_open();
            journal.rows().iter().rev().filter(is_open).find(|row| row.awaits_retry() == waits)
        };
        let found = open(false).or_else(|| open(true));
        let Some((seq, mut attempt, waits)) = found.map(|row| (row.seq, row.attempt, row.awaits_retry()))
        else {
            let message = format!("the workflow trapped while it was prepared for rolling back: {failure}");
            return apply(
                journal,
                Event::Paused(Pause::of(journal.run(), PauseReason::Nondeterminism, message)),
            );
        };
        if waits {
            // The guest did not even come to the attempt that it was instantiated for. It counts all the same, or it
            // would be made again for ever.
            apply(journal, Event::AttemptStarted { seq })?;
            attempt += 1;
        }
        match self.inner.limits.compensation_retry.wait_after_in_rounds(attempt) {
            Some(wait) => {
                let retry_at = clock::now().plus(wait);
                apply(journal, Event::AttemptFailed { seq, failure, retry_at })
            }
            None => apply(journal, Event::Failed { seq, failure }),
        }
    }

    /// Does what somebody asked for, on a run that has no instance.
    async fn apply_command(&mut self) -> Result<NextAction, StoreError> {
        let Some(mut journal) = self.load().await? else { return Ok(NextAction::Leave) };
        let Some(command) = &self.command else { return Ok(NextAction::Continue) };
        let answer = match command.event(&journal) {
            Ok(event) => {
                let in_doubt = |pause: &Pause| pause.reason == PauseReason::InDoubt;
                let resumed = matches!(event, Some(Event::Resumed));
                self.resend_in_doubt |= resumed && journal.run().pause.as_ref().is_some_and(in_doubt);
                tracing::info!(run = %self.run, "the run is {}", command.participle());
                if let Some(event) = event {
                    self.record(&mut journal, event).await?;
                }
                Ok(())
            }
            Err(conflict) => Err(conflict),
        };
        self.answer(answer);
        self.journal = Some(journal);
        Ok(NextAction::Continue)
    }

    /// Answers whoever asked for what was to be done.
    fn answer(&mut self, answer: Result<(), ExecutorError>) {
        if let Some(Command::Cancel(reply) | Command::Pause(reply) | Command::Resume(reply)) =
            self.command.take()
        {
            // Whoever asked may be gone.
            let _ = reply.send(answer);
        }
    }

    /// Answers those who cancelled a run whose guest ended before it could be told. If that did not roll the run back,
    /// it still has to be.
    fn acknowledge(&mut self, cancelled_by: Vec<Reply>, next: &Result<NextAction, StoreError>) {
        let status = self.journal.as_ref().map(|journal| journal.run().status);
        for reply in cancelled_by {
            let answer = match (next, status) {
                (Err(error), _) => Err(ExecutorError::Store(error.clone())),
                (Ok(NextAction::Leave), _) => Err(ExecutorError::ShuttingDown),
                (Ok(_), Some(status @ WorkflowStatus::Completed)) => {
                    Err(ExecutorError::Conflict { run: self.run, status, action: "cancelled" })
                }
                (
                    Ok(_),
                    Some(WorkflowStatus::Compensating | WorkflowStatus::Compensated | WorkflowStatus::Failed),
                ) => Ok(()),
                (Ok(_), _) => {
                    self.postponed.push_back(Command::Cancel(reply));
                    continue;
                }
            };
            // Whoever asked may be gone.
            let _ = reply.send(answer);
        }
    }

    /// Applies an event to a run that has no instance, and makes it durable.
    async fn record(&mut self, journal: &mut Journal, event: Event) -> Result<(), StoreError> {
        apply(journal, event)?;
        self.writer.barrier(journal.take_changes()).await
    }

    async fn pause(
        &mut self,
        journal: &mut Journal,
        reason: PauseReason,
        message: String,
    ) -> Result<(), StoreError> {
        tracing::warn!(run = %self.run, %reason, "the run is paused: {message}");
        let event = Event::Paused(Pause::of(journal.run(), reason, message));
        self.record(journal, event).await
    }

    /// The run is final or paused, and that is durable. A caller that waits has heard it from the feed, unless the commit
    /// that wrote it was one of which nobody knew how it ended.
    fn rest(&mut self, journal: &Journal) -> NextAction {
        let run = journal.run();
        tracing::debug!(run = %self.run, status = %run.status, "the run is at rest");
        if self.inner.waiters.has(self.run) {
            let (run, rows) = (Box::new(run.clone()), journal.rows().to_vec());
            let changes = Changes { run: Some(run), new_run: true, rows, new_rows: 0 };
            let change = Change { tenant: Arc::clone(&self.tenant), write: Write::Save(self.run, changes) };
            self.inner.feed.publish(Batch { changes: vec![change], is_local: false });
        }
        NextAction::Leave
    }

    /// Takes the task off the list, unless something was asked of it meanwhile.
    fn leave(&mut self) -> bool {
        let inner = Arc::clone(&self.inner);
        let mut runs = inner.runs();
        let leaves = !self.is_asked();
        if leaves {
            runs.remove(&self.run);
        }
        leaves
    }

    /// Whether something is asked of the run, which is then in `command`.
    fn is_asked(&mut self) -> bool {
        if self.command.is_none() {
            let queued = || self.commands.as_mut()?.try_recv().ok();
            self.command = self.postponed.pop_front().or_else(queued);
        }
        self.command.is_some()
    }

    async fn pause_before_reload(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(self.inner.limits.store_retry) => {}
            () = self.inner.shutdown.cancelled() => {}
            // After those that were asked before.
            command = recv(&mut self.commands) => self.postponed.extend(command),
        }
    }
}

async fn recv(commands: &mut Option<mpsc::UnboundedReceiver<Command>>) -> Option<Command> {
    commands.as_mut()?.recv().await
}

/// Completes when the host has been stopping for so long that it no longer waits for guests.
async fn stopped_for_long(inner: &Inner) {
    inner.shutdown.cancelled().await;
    tokio::time::sleep(inner.limits.leave_patience + LEAVE_MARGIN).await;
}

/// For what remains to be written after the patience with requests ends.
const LEAVE_MARGIN: Duration = Duration::from_millis(1_000);

fn apply(journal: &mut Journal, event: Event) -> Result<(), StoreError> {
    journal.apply(event, clock::now()).map_err(|error| corrupt(&error))
}

fn corrupt(error: &IllegalEvent) -> StoreError {
    StoreError::Corrupt { table: "forge_steps", why: error.to_string() }
}
