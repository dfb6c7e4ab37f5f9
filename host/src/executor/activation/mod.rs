//! One activation of a run: the time for which it has an instance in memory, and what it waits for meanwhile.

mod begin;
mod inbox;
mod rollback;
mod wait;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use forge_clock as clock;
use forge_journal::{
    Event, IllegalEvent, Journal, Operation, Session, SessionLimits, Storage, TenantId, Timestamp,
};
use forge_sandbox::{Detached, Host, Stop};
use forge_scheduling::{CpuPermit, CpuPermits, InstancePermits};
use forge_store::{RemoteCommand, RunWriter, StoreError};
use futures::StreamExt as _;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::rollback::PendingRollback;
use super::command::{Command, Reply, Trial, cancellation};
use super::db::DbReader;
use super::effects::{Departure, Ended};
use super::inboxes::Notices;
use crate::config::{self, Limits, TenantLimits, size};
use crate::registry::WorkflowRegistry;
use crate::tenants::Tenant;

/// Why the executor ends an activation.
#[derive(Debug)]
pub(super) enum Leave {
    /// The run waits for nothing but time, until then.
    Evicted(Timestamp),
    /// A command needs no instance.
    Command(Command),
    /// The store lost a write: what is in memory is ahead of what is durable.
    Store(StoreError),
    /// The host stops, or this node has lost the run.
    Shutdown,
    /// The tenant is suspended: the run goes on when the tenant is resumed.
    Suspended,
}

/// What an activation needs of the host.
pub(super) struct ActivationContext {
    pub(super) limits: Arc<Limits>,
    pub(super) tenant: Arc<Tenant>,
    /// The workflows of the tenant.
    pub(super) registry: WorkflowRegistry,
    pub(super) db: DbReader,
    pub(super) writer: RunWriter,
    /// The permits for instances, of which the run holds one.
    pub(super) instances: Arc<InstancePermits<TenantId>>,
    pub(super) cpu: Arc<CpuPermits<TenantId>>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    /// What is appended to the inbox of the run.
    pub(super) inbox: Notices,
    /// Cancelled when the host stops, or this node has lost the run.
    pub(super) shutdown: CancellationToken,
    /// A person decided that effects in doubt begin again.
    pub(super) resend_in_doubt: bool,
    /// The cancel or resume that made the run need an instance. Nothing is saved before the guest is past its replay and its
    /// effects may begin, so that one that is not possible changes nothing. `None` from then on.
    pub(super) trial: Option<Trial>,
}

/// The interval at which lines and values of a guest that computes are saved by themselves: people watch them, and each is a
/// commit.
const NOTES_INTERVAL: Duration = Duration::from_secs(1);

type RunningEffect = Abortable<BoxFuture<'static, (u64, Result<Ended, StoreError>)>>;

/// One activation of a run.
pub(super) struct Activation {
    context: ActivationContext,
    /// Effects under way; each gives its row and its outcome. They are part of the run's task: a task for each would be
    /// a way to another thread and back.
    running: FuturesUnordered<RunningEffect>,
    /// The operations with which effects have ended, for the next commit, each with its row.
    operations: Vec<(u64, Operation)>,
    /// The effects under way, by row.
    under_way: HashMap<u64, UnderWay>,
    /// The effects that were open when the activation began: they may have begun before.
    open_before: Vec<u64>,
    /// The guest has waited in this activation, so every effect that it waits for has begun.
    has_waited: bool,
    /// The callers that cancelled the run, until the rollback is durable.
    cancelled_by: Vec<Reply>,
    /// Commands that came while the guest computed.
    postponed: VecDeque<Command>,
    /// The rollback that waits for the effects under way.
    rollback: Option<PendingRollback>,
    /// The effects that the workflow had under way when rolling back began are abandoned.
    rolls_back: bool,
    /// When what a computing guest has logged and published was last saved by itself.
    notes_saved: Instant,
    /// Why the executor ends the activation.
    leave: Option<Leave>,
    /// The permit with which the guest computes, if it needs one.
    permit: Arc<Mutex<Option<CpuPermit<TenantId>>>>,
    started: Instant,
}

/// An effect under way.
struct UnderWay {
    handle: AbortHandle,
    departure: Arc<Departure>,
}

/// An activation that cannot begin: the run is in no state to be executed.
pub(super) type Refused = Box<(IllegalEvent, ActivationContext)>;

/// The parts of an activation that outlive it.
pub(super) struct ActivationParts {
    pub(super) context: ActivationContext,
    /// Why the executor ended it.
    pub(super) leave: Option<Leave>,
    /// Callers that cancelled the run and have no answer.
    pub(super) cancelled_by: Vec<Reply>,
    /// Other commands that have no answer.
    pub(super) postponed: VecDeque<Command>,
}

impl Activation {
    /// Prepares an activation of a run, with the session of its execution.
    ///
    /// # Errors
    /// [`IllegalEvent`] if the run is in no state to be executed.
    pub(super) fn new(
        mut journal: Box<Journal>,
        context: ActivationContext,
    ) -> Result<(Session, Box<Self>), Refused> {
        if let Err(error) = journal.apply(Event::Running, clock::now()) {
            return Err(Box::new((error, context)));
        }
        let limits = context.tenant.limits();
        let limits = SessionLimits {
            max_calls: limits.calls_per_run.min(TenantLimits::MOST_CALLS_PER_RUN),
            max_outstanding: size(limits.calls_outstanding),
            max_bytes: limits.journal_bytes_per_run,
            kept_log_level: context.limits.kept_log_level,
            log_bytes: limits.log_bytes_per_run,
            published_names: limits.published_names,
            published_bytes: limits.published_bytes,
            compensation_retry: context.limits.compensation_retry,
            max_retry_after_ms: config::milliseconds(context.limits.max_retry_after),
        };
        let open = journal.rows().iter().filter(|row| row.is_open() && row.kind.effect().is_some());
        let open_before = open.map(|row| row.seq).collect();
        let started = Instant::now();
        let mut activation = Self {
            cancelled_by: Vec::new(),
            context,
            running: FuturesUnordered::new(),
            operations: Vec::new(),
            under_way: HashMap::new(),
            open_before,
            has_waited: false,
            postponed: VecDeque::new(),
            rollback: None,
            rolls_back: false,
            notes_saved: started,
            leave: None,
            permit: Arc::default(),
            started,
        };
        if journal.run().requested_rollback().is_some() {
            // Requests that were under way before a crash are sent again, with the same keys.
            activation.await_effects(&journal, |_| true);
        }
        let mut session = Session::new(journal, limits);
        activation.measure_storage(&mut session);
        Ok((session, Box::new(activation)))
    }

    /// Tells the session what the runs of the tenant store.
    fn measure_storage(&self, session: &mut Session) {
        let tenant = &self.context.tenant;
        session.set_storage(Storage { used: tenant.account.stored(), limit: tenant.limits().storage_bytes });
    }

    /// Ends the activation.
    pub(super) fn into_parts(self) -> ActivationParts {
        let Self { context, leave, cancelled_by, postponed, started, .. } = self;
        context.tenant.account.stayed(started.elapsed());
        ActivationParts { context, leave, cancelled_by, postponed }
    }

    /// Hands the changes of the session to the writer.
    async fn save_changes(&mut self, session: &mut Session) -> Result<(), Stop> {
        let saved = self.context.writer.save(session.journal_mut().take_changes()).await;
        saved.map_err(|error| self.leave_with(Leave::Store(error)))
    }

    fn leave_with(&mut self, leave: Leave) -> Stop {
        self.leave = Some(leave);
        Stop::ByHost
    }

    /// Prepares for leaving memory: waits a little for effects under way, and keeps their outcomes.
    async fn leave(&mut self, session: &mut Session, leave: Leave) -> Stop {
        let patience = tokio::time::sleep(self.context.limits.leave_patience);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                ended = self.running.next() => match ended.map(|ended| self.ended(session, ended)) {
                    Some(Ok(())) => {}
                    Some(Err(stop)) => return self.leave_instead(leave, stop),
                    None => break,
                },
                () = &mut patience => break,
            }
        }
        match session.keep_arrived(clock::now()) {
            Ok(()) => self.leave_with(leave),
            Err(error) => self.leave_instead(leave, error.into()),
        }
    }

    /// Ends the activation because the tenant is suspended. Aborts the effects under way; they begin again when the tenant is
    /// resumed, as after a crash. Outcomes that have come are kept.
    fn suspend(&mut self, session: &mut Session) -> Stop {
        let aborted = std::mem::take(&mut self.running);
        self.under_way.clear();
        drop(aborted);
        match session.keep_arrived(clock::now()) {
            Ok(()) => self.leave_with(Leave::Suspended),
            Err(error) => error.into(),
        }
    }

    /// Ends the activation for another reason than the one for which it was to end.
    fn leave_instead(&mut self, leave: Leave, stop: Stop) -> Stop {
        // The command is answered later.
        if let Leave::Command(command) = leave {
            self.postponed.push_front(command);
        }
        stop
    }

    fn request_cancel(&mut self, session: &mut Session, reply: Reply) -> Result<(), Stop> {
        match &mut self.context.trial {
            Some(trial) => {
                trial.request = RemoteCommand::Cancel;
                trial.callers.push(reply);
            }
            None => self.cancelled_by.push(reply),
        }
        self.request_rollback(session, cancellation(session.journal()))
    }

    /// Answers the callers that cancelled the run, once that is durable.
    async fn acknowledge_cancel(&mut self, session: &mut Session) -> Result<(), Stop> {
        if self.cancelled_by.is_empty() {
            return Ok(());
        }
        let changes = session.journal_mut().take_changes();
        let durable = self.context.writer.barrier(changes).await;
        durable.map_err(|error| self.leave_with(Leave::Store(error)))?;
        self.cancelled_by.drain(..).for_each(acknowledge);
        Ok(())
    }

    /// Answers a resume of a run that is executing. If that is being tried, the answer is the same.
    fn resume(&mut self, reply: Reply) {
        match &mut self.context.trial {
            Some(trial) => trial.callers.push(reply),
            None => acknowledge(reply),
        }
    }

    /// Answers the callers of what was tried, once that is durable: the guest has waited, and its effects may begin.
    async fn succeed(&mut self, session: &mut Session) -> Result<(), Stop> {
        if self.context.trial.is_none() {
            return Ok(());
        }
        let changes = session.journal_mut().take_changes();
        let durable = self.context.writer.barrier(changes).await;
        durable.map_err(|error| self.leave_with(Leave::Store(error)))?;
        if let Some(trial) = self.context.trial.take() {
            trial.answer(&Ok(()));
        }
        Ok(())
    }
}

#[async_trait]
impl Host for Activation {
    async fn wait(&mut self, session: &mut Session) -> Result<(), Stop> {
        let waited = self.wait_for_change(session).await;
        self.measure_storage(session);
        waited
    }

    fn check(&mut self, session: &mut Session) -> Result<(), Stop> {
        if self.context.tenant.is_suspended() { Err(self.suspend(session)) } else { Ok(()) }
    }

    fn poll(&mut self, session: &mut Session) -> Result<(), Stop> {
        self.measure_storage(session);
        self.check(session)?;
        // A request that is no longer allowed is aborted here, too.
        self.take_ended(session)?;
        self.take_notices(session)?;
        while let Ok(command) = self.context.commands.try_recv() {
            match command.request {
                RemoteCommand::Cancel => self.request_cancel(session, command.reply)?,
                RemoteCommand::Resume => self.resume(command.reply),
                RemoteCommand::Terminate => return Err(self.leave_with(Leave::Command(command))),
                // They take effect when the guest waits.
                _ => self.postponed.push_back(command),
            }
        }
        self.check_deadline(session)?;
        // The requests of an earlier activation are finished first.
        if self.has_waited || self.open_before.is_empty() {
            self.tell_guest(session);
        }
        Ok(())
    }

    fn abandon(&mut self, session: &mut Session, seq: u64) -> Result<(), Stop> {
        self.abandon_effect(session, seq)
    }

    fn roll_back(&mut self, session: &mut Session) -> Result<(), Stop> {
        self.abandon_effects(session)
    }

    fn save(&mut self, session: &mut Session) -> Option<Detached> {
        let journal = session.journal_mut();
        if journal.has_unsaved_notes() && self.notes_saved.elapsed() >= NOTES_INTERVAL {
            self.notes_saved = Instant::now();
            journal.save_notes();
        }
        if self.context.trial.is_some() || !journal.has_changes() {
            return None;
        }
        let (writer, changes) = (self.context.writer.clone(), journal.take_changes());
        Some(Box::pin(async move {
            if let Err(error) = writer.save(changes).await {
                // The next barrier of the run fails, too.
                tracing::debug!(%error, "a write was lost");
            }
        }))
    }

    fn may_log(&mut self, bytes: u64) -> bool {
        let tenant = &self.context.tenant;
        tenant.account.may_log(bytes, tenant.limits().log_rate)
    }

    fn used_fuel(&mut self, fuel: u64) {
        self.context.tenant.account.computed(fuel);
    }

    fn acquire_cpu(&mut self) -> Detached {
        let (tenant, cpu) = (Arc::clone(&self.context.tenant), Arc::clone(&self.context.cpu));
        let place = Arc::clone(&self.permit);
        Box::pin(async move {
            if let Some(permit) = cpu.acquire(&tenant.name, tenant.account.cpu()).await {
                *place.lock() = Some(permit);
            }
        })
    }

    fn release_cpu(&mut self) {
        // Dropped unlocked: it may wake another guest.
        let permit = self.permit.lock().take();
        drop(permit);
    }
}

fn acknowledge(reply: Reply) {
    // The caller may be gone.
    let _ = reply.send(Ok(()));
}
