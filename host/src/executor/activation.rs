//! One stay of a run in memory: the guest's instance, its session, and what it waits for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::LogBudget;
use crate::clock;
use crate::config::{Limits, TenantLimits, size};
use crate::egress::HttpRequest;
use crate::executor::{ExecutorError, Parked, Slots};
use crate::journal::{
    CallId, Event, Failure, IllegalEvent, Journal, Next, Outcome, PauseReason, Session, SessionError,
    SessionLimits, Timestamp, WorkflowStatus, kind,
};
use crate::store::{RunWriter, StoreError};
use crate::tenants::Tenant;

/// Where the answer to a [`Command`] goes.
pub type Reply = oneshot::Sender<Result<(), ExecutorError>>;

/// What somebody asks of a run.
#[derive(Debug)]
pub enum Command {
    /// Roll it back.
    Cancel(Reply),
    /// Stop it until it is resumed.
    Pause(Reply),
    /// Let it go on.
    Resume(Reply),
}

/// Why the host ends an activation.
#[derive(Debug)]
pub enum Stop {
    /// The run waits for nothing but time, until then.
    Evicted(Timestamp),
    /// Somebody asked for something that needs no instance.
    Command(Command),
    /// The run must wait for a person.
    Pause(PauseReason, String),
    /// The workflow broke the contract or reached a limit.
    Failed(Failure),
    /// The store lost a write: what is in memory is ahead of what is durable.
    Store(StoreError),
    /// The host stops.
    Shutdown,
}

impl From<SessionError> for Stop {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Guest(error) => Self::Failed(Failure::permanent(kind::TRAP, error.to_string())),
            SessionError::Limit(failure) => Self::Failed(failure),
            SessionError::Nondeterminism { .. } => {
                Self::Pause(PauseReason::Nondeterminism, error.to_string())
            }
            SessionError::Illegal(error) => error.into(),
        }
    }
}

impl From<IllegalEvent> for Stop {
    fn from(error: IllegalEvent) -> Self {
        Self::Pause(PauseReason::CorruptJournal, error.to_string())
    }
}

/// What an activation needs of the host.
pub struct ActivationContext {
    /// What bounds all activations.
    pub limits: Arc<Limits>,
    /// Whose the run is: what bounds it, and sends its requests.
    pub tenant: Arc<Tenant>,
    /// Where its journal goes.
    pub writer: RunWriter,
    /// The places for instances, of which it has one.
    pub slots: Arc<Slots>,
    /// What is asked of it.
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Says that the host stops.
    pub shutdown: CancellationToken,
    /// Somebody decided that requests in doubt are sent again, although they are marked at-most-once.
    pub resend_in_doubt: bool,
}

/// How much more fuel a replay may use: skipping a step costs a little that running it did not, and
/// fuel must not decide what a replay sees.
const REPLAY_FUEL_FACTOR: u64 = 2;

type Request = Abortable<BoxFuture<'static, (u64, Outcome)>>;

/// One stay of a run in memory.
pub struct Activation {
    pub(super) session: Session,
    /// What the guest may still log.
    pub(super) log: LogBudget,
    context: ActivationContext,
    /// Requests under way; each gives its row and its outcome. They are part of the run's task: a
    /// task of its own for each would be a way more to a thread and back.
    requests: FuturesUnordered<Request>,
    /// To abort a request by its row. Never iterated.
    abort: HashMap<u64, AbortHandle>,
    /// Who asked for the rollback that has not begun yet.
    cancelled_by: Vec<Reply>,
    /// What was asked while the guest computed.
    postponed: VecDeque<Command>,
    /// The requests that the workflow had under way when rolling back began are no longer.
    rolls_back: bool,
}

/// What outlives an activation.
pub struct Remains {
    /// The run, with what is not saved.
    pub journal: Box<Journal>,
    /// What it had of the host.
    pub context: ActivationContext,
    /// Who asked for a rollback, and has no answer.
    pub cancelled_by: Vec<Reply>,
    /// What else was asked and has no answer.
    pub postponed: VecDeque<Command>,
}

impl Activation {
    /// Prepares an execution of a run.
    ///
    /// # Errors
    /// [`IllegalEvent`] if the run is in no state to be executed.
    pub fn new(
        mut journal: Box<Journal>,
        context: ActivationContext,
    ) -> Result<Box<Self>, Box<(IllegalEvent, ActivationContext)>> {
        if let Err(error) = journal.apply(Event::Running, clock::now()) {
            return Err(Box::new((error, context)));
        }
        let limits = SessionLimits {
            max_calls: context.tenant.limits.calls_per_run.min(TenantLimits::MOST_CALLS_PER_RUN),
            max_outstanding: size(context.tenant.limits.calls_outstanding),
            max_bytes: context.tenant.limits.journal_bytes_per_run,
            compensation_retry: context.limits.compensation_retry,
        };
        // On the heap, because it is handed on several times.
        Ok(Box::new(Self {
            session: Session::new(journal, limits),
            log: LogBudget::new(context.tenant.limits.log_bytes_per_run),
            context,
            requests: FuturesUnordered::new(),
            abort: HashMap::new(),
            cancelled_by: Vec::new(),
            postponed: VecDeque::new(),
            rolls_back: false,
        }))
    }

    /// Gives back what outlives the activation.
    pub fn into_parts(self) -> Remains {
        let Self { session, context, cancelled_by, postponed, .. } = self;
        Remains { journal: session.into_journal(), context, cancelled_by, postponed }
    }

    /// Whose the run is.
    pub(super) fn tenant(&self) -> &Arc<Tenant> {
        &self.context.tenant
    }

    /// The fuel that the guest has until it next waits.
    pub(super) fn fuel(&self) -> u64 {
        let factor = if self.is_past_replay() { 1 } else { REPLAY_FUEL_FACTOR };
        self.context.tenant.limits.fuel_per_activation.saturating_mul(factor)
    }

    /// The guest used so much fuel.
    pub(super) fn computed(&mut self, fuel: u64) {
        self.context.tenant.account.computed(fuel);
        if self.is_past_replay() {
            self.session.journal_mut().computed(fuel);
        }
    }

    /// Whether the run may compute further.
    pub(super) fn check_fuel(&self) -> Result<(), Stop> {
        let (used, most) = (self.session.journal().run().fuel, self.context.tenant.limits.fuel_per_run);
        if used <= most || self.session.is_unwinding() {
            return Ok(());
        }
        let message = format!(
            "out of fuel: the run has computed for {used} units of fuel in all; the most is {most} (fuel_per_run). Move \
             heavy computing out of the workflow, or ask for a higher limit"
        );
        Err(Stop::Failed(Failure::permanent(kind::OUT_OF_FUEL, message)))
    }

    /// What the guest is called with.
    pub(super) fn arguments(&self) -> (String, u32, String) {
        let run = self.session.journal().run();
        (run.workflow.to_string(), run.version, run.input.to_string())
    }

    /// Whether the guest has come to where the journal ends, or is rolling back.
    pub(super) fn is_past_replay(&self) -> bool {
        self.session.is_live() || self.session.is_unwinding()
    }

    /// Records what the guest returned.
    pub(super) fn returned(&mut self, returned: Result<String, Failure>) -> Result<(), Stop> {
        let now = clock::now();
        match returned {
            Ok(output) => {
                self.check_size(output.len(), |_| "its output".to_owned())?;
                self.session.finish(&output, now)?;
            }
            Err(failure) if !self.session.is_unwinding() => self.session.unwind(failure, now)?,
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether so many bytes may be kept of `what`.
    pub(super) fn check_size(&self, bytes: usize, what: impl FnOnce(&Journal) -> String) -> Result<(), Stop> {
        let limit = size(self.context.tenant.limits.payload_bytes);
        if bytes <= limit {
            return Ok(());
        }
        let what = what(self.session.journal());
        Err(Stop::Failed(Failure::permanent(
            kind::LIMIT,
            format!(
                "{what} has {bytes} bytes; the most is {limit} (payload_bytes). Keep large data elsewhere and pass a reference"
            ),
        )))
    }

    /// The guest asks for a completion. `None`: it must unwind.
    pub(super) async fn next(&mut self) -> Result<Option<CallId>, Stop> {
        loop {
            match self.session.next(clock::now())? {
                Next::Deliver(call) => {
                    if self.session.journal().run().wake_at.is_some() {
                        self.session.journal_mut().apply(Event::Running, clock::now())?;
                    }
                    return Ok(Some(call));
                }
                Next::Unwind => {
                    self.stop_requests();
                    return Ok(None);
                }
                Next::Wait => self.wait().await?,
            }
        }
    }

    /// Stops waiting for a call.
    pub(super) fn cancel(&mut self, call: CallId) -> Result<(), Stop> {
        if let Some(request) = self.session.cancel(call, clock::now())?
            && let Some(request) = self.abort.remove(&request)
        {
            request.abort();
        }
        Ok(())
    }

    /// Takes what was asked of the run while its guest computes.
    pub(super) fn take_commands(&mut self) {
        while let Ok(command) = self.context.commands.try_recv() {
            match command {
                Command::Cancel(reply) => self.request_cancel(reply),
                Command::Resume(reply) => acknowledge(reply),
                // It takes effect when the guest waits.
                pause @ Command::Pause(_) => self.postponed.push_back(pause),
            }
        }
        self.check_deadline();
    }

    /// Waits until something happened that the session may deliver.
    async fn wait(&mut self) -> Result<(), Stop> {
        if self.session.is_unwinding() {
            // Rolling back may have begun at a step's end, too.
            self.stop_requests();
            self.acknowledge_cancel().await?;
        }
        if let Some(command) = self.postponed.pop_front() {
            return Err(self.leave(Stop::Command(command)).await);
        }
        let wake_at = [self.session.next_timer(), self.deadline()].into_iter().flatten().min();
        self.send_requests(wake_at).await?;
        // Only a run that waits for nothing but time can leave memory: answers need its instance.
        let sleeps = self.requests.is_empty() && self.session.waits_for_timers_only();
        let sleeps_until = wake_at.filter(|_| sleeps);
        if let Some(wake_at) = sleeps_until
            && u128::from(wake_at.since(clock::now())) > self.context.limits.evict_after.as_millis()
        {
            return Err(Stop::Evicted(wake_at));
        }
        let mut parked =
            sleeps_until.map(|wake_at| (self.context.slots.park(&self.context.tenant.name), wake_at));
        let alarm = async {
            match wake_at {
                Some(wake_at) => tokio::time::sleep_until(Instant::now() + clock::until(wake_at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What happened first does not matter: the order of deliveries is journaled.
            Some(ended) = self.requests.next(), if !self.requests.is_empty() => {
                self.arrived(ended);
                self.session.check_bytes()?;
            }
            () = alarm => {
                self.session.fire(clock::now());
                self.check_deadline();
            }
            Some(command) = self.context.commands.recv() => match command {
                Command::Cancel(reply) => self.request_cancel(reply),
                Command::Resume(reply) => acknowledge(reply),
                pause @ Command::Pause(_) => return Err(self.leave(Stop::Command(pause)).await),
            },
            Some(wake_at) = asked_to_leave(&mut parked) => return Err(Stop::Evicted(wake_at)),
            () = self.context.shutdown.cancelled() => return Err(self.leave(Stop::Shutdown).await),
        }
        Ok(())
    }

    /// Sends the requests that the guest waits for, once the journal up to them is durable.
    async fn send_requests(&mut self, wake_at: Option<Timestamp>) -> Result<(), Stop> {
        let due = self.session.requests_due()?;
        let mut requests = Vec::with_capacity(due.len());
        for (seq, recorded) in due {
            let journal = self.session.journal();
            let Some(row) = journal.row(seq) else { continue };
            let request = HttpRequest::from_json(row.input.as_deref().unwrap_or_default())
                .map_err(|why| Stop::Pause(PauseReason::CorruptJournal, format!("call {seq}: {why}")))?;
            if recorded && request.at_most_once && !self.context.resend_in_doubt {
                return Err(Stop::Pause(PauseReason::InDoubt, in_doubt(&row.name)));
            }
            requests.push((seq, request, journal.idempotency_key(row)));
        }
        if let Some(until) = wake_at
            && self.requests.is_empty()
            && requests.is_empty()
            && self.session.waits_for_timers_only()
        {
            self.session.journal_mut().apply(Event::Waiting { until }, clock::now())?;
        }
        let changes = self.session.journal_mut().take_changes();
        if requests.is_empty() {
            return self.context.writer.save(changes).await.map_err(Stop::Store);
        }
        self.context.writer.barrier(changes).await.map_err(Stop::Store)?;
        for (seq, request, key) in requests {
            let egress = Arc::clone(&self.context.tenant.egress);
            self.context.tenant.account.requested();
            let request = async move { (seq, egress.send(request, &key).await) }.boxed();
            let (request, abort) = futures::future::abortable(request);
            self.requests.push(request);
            self.abort.insert(seq, abort);
        }
        Ok(())
    }

    fn arrived(&mut self, ended: Result<(u64, Outcome), Aborted>) {
        if let Ok((seq, outcome)) = ended {
            self.abort.remove(&seq);
            self.session.arrive(seq, outcome);
        }
    }

    /// Prepares for leaving memory: waits a little for requests under way, and keeps their answers.
    async fn leave(&mut self, stop: Stop) -> Stop {
        let patience = tokio::time::sleep(self.context.limits.leave_patience);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                ended = self.requests.next() => match ended {
                    Some(ended) => self.arrived(ended),
                    None => break,
                },
                () = &mut patience => break,
            }
        }
        match self.session.keep_arrived(clock::now()) {
            Ok(()) => stop,
            Err(error) => error.into(),
        }
    }

    /// Rolling back has begun: what the workflow had under way is not sent any more, and nobody waits for it. Requests of
    /// compensations come later.
    fn stop_requests(&mut self) {
        if !std::mem::replace(&mut self.rolls_back, true) {
            self.requests.clear();
            self.abort.clear();
        }
    }

    fn request_cancel(&mut self, reply: Reply) {
        self.session.request_unwind(Failure::permanent(kind::CANCELLED, "the run was cancelled"));
        self.cancelled_by.push(reply);
    }

    /// Requests a rollback if the run has timed out.
    fn check_deadline(&mut self) {
        let Some(deadline) = self.deadline() else { return };
        if deadline <= clock::now() {
            self.session.request_unwind(self.session.journal().run().timed_out());
        }
    }

    /// When the run times out, unless it is being rolled back.
    fn deadline(&self) -> Option<Timestamp> {
        let run = self.session.journal().run();
        (run.status != WorkflowStatus::Compensating).then_some(run.deadline)
    }

    /// What the guest did since the last time that it waited, to be written meanwhile: a guest that
    /// computes for long loses little of it in a crash, and keeps little of it in memory.
    pub(super) fn take_unsaved(&mut self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let journal = self.session.journal_mut();
        journal.has_changes().then(|| {
            let (writer, changes) = (self.context.writer.clone(), journal.take_changes());
            async move {
                if let Err(error) = writer.save(changes).await {
                    // The next barrier of the run fails, too.
                    tracing::debug!(%error, "a write was lost");
                }
            }
        })
    }

    /// Answers those who cancelled the run, once its rollback is durable.
    async fn acknowledge_cancel(&mut self) -> Result<(), Stop> {
        if self.cancelled_by.is_empty() {
            return Ok(());
        }
        let changes = self.session.journal_mut().take_changes();
        self.context.writer.barrier(changes).await.map_err(Stop::Store)?;
        self.cancelled_by.drain(..).for_each(acknowledge);
        Ok(())
    }
}

/// Completes with the time until which a run can leave memory, when its place is needed.
async fn asked_to_leave(parked: &mut Option<(Parked, Timestamp)>) -> Option<Timestamp> {
    let (parked, wake_at) = parked.as_mut()?;
    parked.asked_to_leave().await;
    Some(*wake_at)
}

fn acknowledge(reply: Reply) {
    // Whoever asked may be gone.
    let _ = reply.send(Ok(()));
}

fn in_doubt(name: &str) -> String {
    format!(
        "`{name}` may or may not have arrived before the host stopped, and it is marked at-most-once: find out, then \
         `forge runs resume` sends it again, and `forge runs cancel` rolls the run back"
    )
}
