//! The task of one run: loads it, gives it an instance, and acts on how the activation ended.

mod activate;
mod children;
mod command;
mod ended;
mod log;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use forge_clock as clock;
use forge_journal::{
    Event, IllegalEvent, Journal, Pause, PauseReason, RunId, TenantId, Timestamp, WorkflowStatus,
};
use forge_scheduling::InstancePermit;
use forge_store::{Acquired, Loaded, RunWriter, StoreError};

use self::children::awaits_only_children;
use super::command::{Command, Trial};
use super::{ExecutorError, Inner, Receivers, effects, snapshot};

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
    tenant: TenantId,
    /// The run, while it is in memory and not in an activation.
    journal: Option<Box<Journal>>,
    writer: RunWriter,
    /// Cancelled when the writer's epoch is over.
    tenure: CancellationToken,
    /// `None` while an activation has them.
    receivers: Option<Receivers>,
    /// The command to apply before anything else.
    command: Option<Command>,
    /// The commands to apply after that: an activation ended without applying them.
    postponed: VecDeque<Command>,
    /// The cancel or resume that is applied in memory only.
    trial: Option<Trial>,
    /// A person decided that effects in doubt begin again.
    resend_in_doubt: bool,
    /// Why the run must be paused when it is loaded again: the database cannot store a change of it.
    rejected: Option<String>,
    /// The cancel of the run's parent was applied, or refused.
    heeds_parent: bool,
    /// The run was final when it was loaded, or its end was logged.
    is_end_known: bool,
}

impl RunTask {
    pub(super) fn new(
        inner: Arc<Inner>,
        run: RunId,
        tenant: TenantId,
        begun: Option<(Journal, RunWriter)>,
        receivers: Receivers,
    ) -> Self {
        // In this order, so that an epoch that ends meanwhile is noticed.
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
            receivers: Some(receivers),
            command: None,
            postponed: VecDeque::new(),
            trial: None,
            resend_in_doubt: false,
            rejected: None,
            heeds_parent: false,
            is_end_known: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            // Each on the heap, and only for as long as it takes: a run that waits takes little memory.
            let done = match Box::pin(self.step()).await {
                Ok(ControlFlow::Continue((journal, permit))) => {
                    Box::pin(self.activate(journal, permit)).await
                }
                Ok(ControlFlow::Break(next)) => Ok(next),
                Err(error) => Err(error),
            };
            let next = done.unwrap_or_else(|error| self.store_failed(&error));
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
                self.save_start().await;
                self.inner.runs().remove(&self.run);
                return;
            }
        }
    }

    /// Makes a start durable that was admitted before the host began to stop.
    async fn save_start(&mut self) {
        if let Some(journal) = &mut self.journal
            && journal.has_changes()
            && let Err(error) = self.writer.barrier(journal.take_changes()).await
        {
            tracing::debug!(run = %self.run, %error, "the run could not be saved");
        }
    }

    /// Acts on an error of the store. Nothing that the store lost was acknowledged.
    fn store_failed(&mut self, error: &StoreError) -> NextAction {
        self.answer(Err(ExecutorError::Store(error.clone())));
        self.answer_trial(&Err(ExecutorError::Store(error.clone())));
        match error {
            StoreError::Rejected(_) if self.rejected.is_none() => {
                // The changes in memory are dropped. The run is loaded as it was before them, and paused.
                self.rejected = Some(error.to_string());
                NextAction::Reload
            }
            StoreError::Corrupt { .. } | StoreError::Rejected(_) => {
                tracing::error!(run = %self.run, %error, "the run cannot be loaded or saved: it is left as it is");
                NextAction::Leave
            }
            StoreError::Outdated => {
                tracing::warn!(run = %self.run, "the database has a newer state of the run: it is loaded again");
                NextAction::Reload
            }
            _ => {
                tracing::debug!(run = %self.run, %error, "the run waits for the database");
                NextAction::Reload
            }
        }
    }

    /// Does what is next for the run. Returns the run and a permit if it needs an instance.
    async fn step(
        &mut self,
    ) -> Result<ControlFlow<NextAction, (Box<Journal>, InstancePermit<TenantId>)>, StoreError> {
        if self.has_command() {
            return self.apply_command().await.map(ControlFlow::Break);
        }
        // A run that needs no instance does not wait for a permit: callers that wait for its result get it at once.
        if let Some(journal) = self.journal.take() {
            match self.settle(journal).await? {
                ControlFlow::Break(next) => return Ok(ControlFlow::Break(next)),
                ControlFlow::Continue(journal) => self.journal = Some(journal),
            }
        }
        // A run is loaded only with a permit, so that memory is bounded.
        let Some(permit) = self.permit().await? else { return Ok(ControlFlow::Break(NextAction::Continue)) };
        let is_loaded_again = self.journal.is_none();
        let Some(mut journal) = self.load().await? else { return Ok(ControlFlow::Break(NextAction::Leave)) };
        if is_loaded_again {
            self.try_again(&mut journal)?;
        }
        Ok(self.settle(journal).await?.map_continue(|journal| (journal, permit)))
    }

    /// Does what needs no instance. Returns the run if it needs one.
    async fn settle(
        &mut self,
        mut journal: Box<Journal>,
    ) -> Result<ControlFlow<NextAction, Box<Journal>>, StoreError> {
        if self.must_heed_parent(&journal) {
            self.journal = Some(journal);
            return Ok(ControlFlow::Break(NextAction::Continue));
        }
        let run = journal.run();
        let event = match run.status {
            status if status.is_at_rest() => {
                if self.trial.is_some() {
                    // It came to rest without its code.
                    self.writer.barrier(journal.take_changes()).await?;
                    self.answer_trial(&Ok(()));
                }
                return Ok(ControlFlow::Break(self.at_rest(&journal)));
            }
            WorkflowStatus::Compensating if journal.uncompensated().next().is_none() => Event::RolledBack,
            WorkflowStatus::Compensating => return Ok(ControlFlow::Continue(journal)),
            _ if run.deadline <= clock::now() && run.failure.is_none() => {
                let failure = run.timed_out();
                if !effects::has_open_steps(&journal) && !journal.awaits_children() {
                    Event::Unwinding { failure }
                } else {
                    // Their steps complete, and its children end, first.
                    Event::RollbackRequested { failure }
                }
            }
            _ if awaits_only_children(&journal) => {
                return self.sleep_until_children_end(journal).await.map(ControlFlow::Break);
            }
            _ => match run.requested_rollback() {
                // Nothing is left to wait for.
                Some(failure) if !effects::has_open_steps(&journal) => {
                    Event::Unwinding { failure: failure.clone() }
                }
                _ => return Ok(ControlFlow::Continue(journal)),
            },
        };
        apply(&mut journal, event)?;
        if self.trial.is_none() {
            self.writer.barrier(journal.take_changes()).await?;
        }
        self.journal = Some(journal);
        Ok(ControlFlow::Break(NextAction::Continue))
    }

    /// Waits for a permit. Returns `None` if there is a command to apply first.
    async fn permit(&mut self) -> Result<Option<InstancePermit<TenantId>>, StoreError> {
        if let Some(permit) = self.inner.instances.try_acquire(&self.tenant) {
            return Ok(Some(permit));
        }
        // A run that waits for a permit does not keep its journal in memory.
        if let Some(mut journal) = self.journal.take()
            && self.trial.is_none()
        {
            self.writer.barrier(journal.take_changes()).await?;
        }
        let tenant = if self.trial.is_none() { None } else { Some(self.tenant().await?) };
        let suspended = async {
            match tenant {
                Some(tenant) => tenant.suspended().await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            biased;
            () = self.inner.shutdown.cancelled() => None,
            // The run gets no instance to find out whether it can go on: the command is applied without.
            () = suspended => {
                self.try_later();
                None
            }
            permit = self.inner.instances.acquire(&self.tenant) => permit,
            command = recv(&mut self.receivers) => {
                self.command = command;
                None
            }
        })
    }

    /// Returns the run. `None`: it is not executed here, and the caller of a pending command was told.
    async fn load(&mut self) -> Result<Option<Box<Journal>>, StoreError> {
        if let Some(journal) = self.journal.take() {
            return Ok(Some(journal));
        }
        // What was appended until now is read.
        if let Some(receivers) = &mut self.receivers {
            while receivers.inbox.try_next().is_some() {}
        }
        let acquired = match self.inner.loader.load(self.writer.epoch(), self.run).await {
            Err(error @ StoreError::Corrupt { .. }) if self.command.is_some() => {
                return self.unreadable(&error).await;
            }
            acquired => acquired?,
        };
        let Loaded { run, rows, inbox } = match acquired {
            Acquired::Here(loaded) => *loaded,
            Acquired::Elsewhere => {
                self.answer(Err(ExecutorError::Elsewhere(self.run)));
                self.answer_trial(&Err(ExecutorError::Elsewhere(self.run)));
                return Ok(None);
            }
            Acquired::Unknown => {
                self.answer(Err(ExecutorError::UnknownRun(self.run)));
                self.answer_trial(&Err(ExecutorError::UnknownRun(self.run)));
                return Ok(None);
            }
        };
        let corrupt = |why: String| StoreError::Corrupt { table: "forge_steps", why };
        let loaded = match rows {
            Ok(rows) => Journal::load(run.clone(), rows).map_err(|error| corrupt(error.to_string())),
            Err(error) => Err(error),
        };
        if let Err(error @ StoreError::Corrupt { .. }) = &loaded {
            let mut journal = Journal::new(run);
            if !journal.run().is_at_rest() {
                self.pause(&mut journal, PauseReason::CorruptJournal, PauseReason::corrupt_journal(error))
                    .await?;
            }
            if self.command.is_some() {
                return Ok(self.without_rows(journal, error));
            }
        }
        let mut journal = Box::new(loaded?);
        journal.set_inbox(inbox);
        if let Some(why) = self.rejected.clone()
            && !journal.run().is_at_rest()
        {
            self.pause(&mut journal, PauseReason::RejectedWrite, PauseReason::rejected_write(why)).await?;
            self.rejected = None;
        }
        self.is_end_known = journal.run().status.is_final();
        Ok(Some(journal))
    }

    /// Applies an event to a run that has no instance, and makes it durable.
    async fn record(&mut self, journal: &mut Journal, event: Event) -> Result<(), StoreError> {
        apply(journal, event)?;
        self.writer.barrier(journal.take_changes()).await
    }

    /// Pauses a run that has no instance.
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

    /// The run is at rest, and that is durable. A waiting caller has heard of it from the feed, unless the outcome of the
    /// commit was unknown.
    fn at_rest(&mut self, journal: &Journal) -> NextAction {
        let run = journal.run();
        tracing::debug!(run = %self.run, status = %run.status, "the run is at rest");
        if run.status.is_final() && !std::mem::replace(&mut self.is_end_known, true) {
            log::ended(journal);
        }
        if self.inner.waiters.has(self.run) {
            self.inner.feed.publish(snapshot(run.clone()));
        }
        NextAction::Leave
    }

    /// Removes the task from the table of tasks, unless a command or an entry of the inbox came meanwhile.
    fn leave(&mut self) -> bool {
        let inner = Arc::clone(&self.inner);
        let mut runs = inner.runs();
        let has_notice = self.receivers.as_ref().is_some_and(|receivers| !receivers.inbox.is_empty());
        if has_notice {
            // It is loaded again, with the entry.
            self.journal = None;
        }
        let leaves = !self.has_command() && !has_notice;
        if leaves {
            runs.remove(&self.run);
        }
        leaves
    }

    /// Takes the next command into `command`. Returns whether there is one.
    fn has_command(&mut self) -> bool {
        if self.command.is_none() {
            let queued = || self.receivers.as_mut()?.commands.try_recv().ok();
            self.command = self.postponed.pop_front().or_else(queued);
        }
        self.command.is_some()
    }

    async fn pause_before_reload(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(self.inner.limits.store_retry) => {}
            () = self.inner.shutdown.cancelled() => {}
            // After the commands that came before.
            command = recv(&mut self.receivers) => self.postponed.extend(command),
        }
    }
}

async fn recv(receivers: &mut Option<Receivers>) -> Option<Command> {
    receivers.as_mut()?.commands.recv().await
}

fn apply(journal: &mut Journal, event: Event) -> Result<(), StoreError> {
    let applied = match event {
        Event::Unwinding { failure } => effects::unwind(journal, failure),
        event => journal.apply(event, clock::now()),
    };
    let applied = applied.and_then(|()| match journal.run().status.is_final() {
        true => effects::name_in_doubt(journal),
        false => Ok(()),
    });
    applied.map_err(|error| corrupt(&error))
}

fn corrupt(error: &IllegalEvent) -> StoreError {
    StoreError::Corrupt { table: "forge_steps", why: error.to_string() }
}
