use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinError;

use super::{EventRequest, ExecutorError, WorkflowExecutor, WorkflowRecord};
use crate::config::size;
use crate::tenants::{Admitted, Tenant};
use forge_clock as clock;
use forge_journal::{Document, Journal, Message, NewRun, Run, RunId, Sent, Tags, WorkflowStatus, kind};
use forge_store::{RunWriter, StoreError, Written};

/// Bytes of an idempotency key.
const KEY: std::ops::RangeInclusive<usize> = 1..=255;

/// The position of the event of a start in the inbox of the new run.
const FIRST_ENTRY: u64 = 1;

/// What to start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The workflow's name.
    pub workflow: String,
    /// The input.
    pub input: Document,
    /// The version; none for the one that new runs take.
    pub version: Option<u32>,
    /// The idempotency key: a later start of the workflow with the same key returns the run of the first one. Its input must
    /// be [the same](Document::is_same).
    pub key: Option<String>,
    /// An event for the run. If the key has started a run before, the event is sent to that run, whatever its input.
    pub event: Option<EventRequest>,
    /// What happens if the run that the key has started before has failed.
    pub on_failed: OnFailed,
    /// The tags of the run. A run that the key has started before keeps its tags.
    pub tags: Tags,
    /// The caller, which the workflow reads as `ctx.auth`.
    pub auth: Value,
    /// The trace of the start.
    pub trace_id: Option<String>,
}

/// What a start does if its key has started a run before that has failed or was rolled back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailed {
    /// Returns that run.
    #[default]
    Return,
    /// Starts another run, which takes the key over.
    Restart,
}

/// A run that a key has started before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ExistingRun)]
pub struct Existing {
    /// The status when the start was answered.
    pub status: WorkflowStatus,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

impl From<&Run> for Existing {
    fn from(run: &Run) -> Self {
        Self {
            status: run.status,
            error: run.error(),
            started_at: run.started_at.to_datetime(),
            completed_at: run.completed_at.map(|time| time.to_datetime()),
        }
    }
}

/// A run that was started, or that its key has started before.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The run.
    pub run: RunId,
    /// The run as it was found, if this start did not start it.
    pub existing: Option<Existing>,
    /// The event of the start in the inbox of the run.
    pub sent: Option<Sent>,
    /// The run when it was final or paused, or as it was when the wait ended. `None`: nobody waited, or it cannot be read.
    pub record: Option<WorkflowRecord>,
}

impl Default for StartRequest {
    fn default() -> Self {
        Self {
            workflow: String::new(),
            input: Document::default(),
            version: None,
            key: None,
            event: None,
            on_failed: OnFailed::Return,
            tags: Tags::default(),
            auth: json!({}),
            trace_id: None,
        }
    }
}

impl WorkflowExecutor {
    /// Starts a workflow and returns the run's id as soon as the run is durable (spec:
    /// *WorkflowExecutor Methods*).
    ///
    /// # Errors
    /// As [`WorkflowExecutor::start_with`].
    pub async fn start(&self, workflow: &str, input: impl Serialize) -> Result<RunId, ExecutorError> {
        let input = Document::of(&input).map_err(|error| ExecutorError::InvalidInput(error.to_string()))?;
        self.start_with(StartRequest { workflow: workflow.to_owned(), input, ..StartRequest::default() })
            .await
    }

    /// Starts a workflow with all options.
    ///
    /// # Errors
    /// [`ExecutorError`] if there is no such workflow or version, the input is too large, the key
    /// was used for something else, or the run cannot be made durable. Nothing was started then, except perhaps after
    /// [`StoreError::OutcomeUnknown`]: a start with the same key tells.
    pub async fn start_with(&self, request: StartRequest) -> Result<RunId, ExecutorError> {
        Ok(self.start_or_find(request).await?.run)
    }

    /// Starts a workflow with all options, and says whether its key has started the run before. Does not wait for the run.
    ///
    /// # Errors
    /// As [`WorkflowExecutor::start_with`].
    pub async fn start_or_find(&self, request: StartRequest) -> Result<Started, ExecutorError> {
        let (tenant, admitted) = self.admit(&request).await?;
        if request.key.is_some() || request.event.is_some() || self.is_crowded() {
            return self.start_once(request, &tenant, admitted).await;
        }
        let run = self.new_run(&request, &tenant).await?;
        let (run, writer) = self.begin(run, admitted);
        writer.begun().await?;
        Ok(Started { run, existing: None, sent: None, record: None })
    }

    /// Starts a workflow and waits for its end, until `patience` completes.
    ///
    /// The start is durable before this returns, and not before the run begins: a short run is written in one commit.
    ///
    /// # Errors
    /// As [`WorkflowExecutor::start_with`].
    pub async fn start_and_wait(
        &self,
        request: StartRequest,
        patience: impl Future<Output = ()>,
    ) -> Result<Started, ExecutorError> {
        let (tenant, admitted) = self.admit(&request).await?;
        if request.key.is_some() || request.event.is_some() || self.is_crowded() {
            let started = self.start_once(request, &tenant, admitted).await?;
            // The run is started: the caller must learn its id, whatever fails from here on.
            return Ok(Started { record: self.wait_until(started.run, patience).await.ok(), ..started });
        }
        let run = self.new_run(&request, &tenant).await?;
        let mut waiter = self.inner.waiters.wait_for(run.id);
        let (run, writer) = self.begin(run, admitted);
        let record = tokio::select! {
            biased;
            record = self.at_rest(run, &mut waiter, patience) => record,
            error = writer.lost_its_start() => return Err(error.into()),
        };
        if record.is_none() {
            writer.begun().await?;
        }
        Ok(self.started(run, record).await)
    }

    async fn started(&self, run: RunId, record: Option<WorkflowRecord>) -> Started {
        match record {
            Some(_) => Started { run, existing: None, sent: None, record },
            None => Started { run, existing: None, sent: None, record: self.status(run).await.ok() },
        }
    }

    /// Admits a start within the limits of the tenant.
    async fn admit(&self, request: &StartRequest) -> Result<(Arc<Tenant>, Admitted), ExecutorError> {
        if self.inner.shutdown.is_cancelled() {
            return Err(ExecutorError::ShuttingDown);
        }
        check_key(request.key.as_deref())?;
        if let Some(trouble) = self.inner.store.trouble() {
            return Err(trouble.into());
        }
        request.input.check().map_err(|error| ExecutorError::InvalidInput(error.to_string()))?;
        let tenant = self.inner.tenants.get(&self.tenant).await?;
        tenant.check_active()?;
        let busy = |limit: &'static str, value| ExecutorError::busy(&tenant, limit, value);
        let rate = tenant.limits().start_rate;
        if !tenant.account.keeps_rate(rate) {
            return Err(busy("start_rate", rate));
        }
        let queue = tenant.limits().start_queue;
        let admitted = tenant.account.admit(size(queue));
        let waiting = self.inner.instances.waiting_of(&self.tenant);
        match admitted.filter(|_| waiting < size(queue)) {
            Some(admitted) => Ok((tenant, admitted)),
            None => Err(busy("start_queue", queue)),
        }
    }

    /// Whether another node may have a permit sooner.
    fn is_crowded(&self) -> bool {
        self.inner.store.nodes().is_some() && self.inner.instances.is_crowded(&self.tenant)
    }

    /// Begins a new run. Its first changes are its start; the returned writer tells when they are durable.
    fn begin(&self, run: Run, start: Admitted) -> (RunId, RunWriter) {
        let id = run.id;
        let writer = self.inner.writer_for(id, &self.tenant);
        writer.admit(start);
        self.spawn(id, &self.tenant, Some((Journal::unsaved(run), writer.clone())), None);
        (id, writer)
    }

    /// Starts a run unless its key has started one before, on this node or on one with a free permit. The run begins when
    /// that is durable.
    async fn start_once(
        &self,
        request: StartRequest,
        tenant: &Tenant,
        start: Admitted,
    ) -> Result<Started, ExecutorError> {
        // The key comes first: its run stays the answer, whatever version is current by now.
        let mut restart_of = None;
        if let Some(key) = &request.key
            && let Some(first) = self.inner.store.run_with_key(&self.tenant, &request.workflow, key).await?
        {
            if request.on_failed == OnFailed::Return || !first.has_failed() {
                return self.found(&first, request).await;
            }
            check_compensated(&first)?;
            restart_of = Some(first.id);
        }
        let run = Run { restart_of, ..self.new_run(&request, tenant).await? };
        let (id, executor) = (run.id, self.clone());
        let event = request.event.clone().map(|event| self.message(id, event, tenant)).transpose()?;
        let event = event.map(Box::new);
        // The caller may go away meanwhile. A run that is durable by then must begin.
        let written = self.inner.tasks.spawn(async move { executor.write_start(run, event, start).await });
        let broke_off = |error: JoinError| {
            tracing::error!(run = %id, %error, "a start broke off");
            Err(StoreError::Closed)
        };
        match written.await.unwrap_or_else(broke_off)? {
            Written::Done | Written::Performed(_) | Written::Sent(_) | Written::Transacted(_) => {
                // The event is the first entry of the run's inbox.
                let sent = request.event.map(|_| Sent { seq: FIRST_ENTRY, duplicate: false });
                Ok(Started { run: id, existing: None, sent, record: None })
            }
            // Another start was faster, or has restarted the run.
            Written::KeyTaken(first) => {
                let first = self.inner.store.run(first).await?.ok_or(ExecutorError::UnknownRun(first))?;
                self.found(&first, request).await
            }
        }
    }

    /// Returns the run that the key has started before, and sends it the event of the start.
    async fn found(&self, first: &Run, mut request: StartRequest) -> Result<Started, ExecutorError> {
        let Some(event) = request.event.take() else { return found(first, &request) };
        let sent = Some(self.send_event(first.id, event).await?);
        Ok(Started { run: first.id, existing: Some(first.into()), sent, record: None })
    }

    /// Makes a new run durable, and begins it here unless another node may have a permit sooner.
    async fn write_start(
        &self,
        run: Run,
        event: Option<Box<Message>>,
        start: Admitted,
    ) -> Result<Written, StoreError> {
        let writer = self.inner.writer_for(run.id, &self.tenant);
        writer.admit(start);
        let crowded = self.is_crowded();
        let first_event = event.as_deref().cloned();
        let written = writer.start(run.clone(), event, crowded).await?;
        if matches!(written, Written::Done) && !crowded {
            let mut journal = Journal::new(run);
            if let Some(event) = first_event {
                journal.receive(event.into_entry(FIRST_ENTRY));
            }
            self.spawn(journal.run().id, &self.tenant, Some((journal, writer)), None);
        }
        Ok(written)
    }

    async fn new_run(&self, request: &StartRequest, tenant: &Tenant) -> Result<Run, ExecutorError> {
        let input = request.input.text();
        let limit = size(tenant.limits().payload_bytes);
        if input.len() > limit {
            return Err(ExecutorError::InputTooLarge { size: input.len(), limit });
        }
        let info = self.registry().find(&request.workflow, request.version).await?;
        self.registry().check_input(&info, input).await?;
        tenant.check_room()?;
        let most = tenant.limits().unfinished_runs;
        if tenant.account.unfinished() >= most {
            return Err(ExecutorError::busy(tenant, "unfinished_runs", most));
        }
        tenant.account.started();
        let run = Run::new(NewRun {
            id: clock::new_run_id(),
            tenant: Arc::clone(&self.tenant),
            workflow: info.name.into(),
            version: info.version,
            digest: info.digest.into(),
            input: Arc::clone(input),
            started_at: clock::now(),
            timeout_ms: info.timeout_ms,
        });
        Ok(Run {
            key: request.key.as_deref().map(Into::into),
            tags: request.tags.clone(),
            auth: request.auth.to_string().into(),
            trace_id: request.trace_id.as_deref().map(Into::into),
            ..run
        })
    }
}

fn check_key(key: Option<&str>) -> Result<(), ExecutorError> {
    match key {
        Some(key) if !KEY.contains(&key.len()) => Err(ExecutorError::InvalidKey(key.len())),
        _ => Ok(()),
    }
}

/// Checks that a failed run has left nothing that another run would do again.
fn check_compensated(first: &Run) -> Result<(), ExecutorError> {
    if first.can_be_restarted() {
        return Ok(());
    }
    let (run, steps) = (first.id, first.uncompensated.join(", "));
    // Its compensations are not tried again.
    let is_terminated = first.failure.as_ref().is_some_and(|failure| failure.kind == kind::TERMINATED);
    Err(match is_terminated {
        true => ExecutorError::Terminated { run, steps },
        false => ExecutorError::NotCompensated { run, steps },
    })
}

/// Returns the run that the key has started before, if the request is the same.
fn found(first: &Run, request: &StartRequest) -> Result<Started, ExecutorError> {
    let same_version = request.version.is_none_or(|version| version == first.version);
    if same_version && request.input.is_same(&Document::stored(Arc::clone(&first.input))) {
        return Ok(Started { run: first.id, existing: Some(first.into()), sent: None, record: None });
    }
    let key = request.key.clone().unwrap_or_default();
    Err(ExecutorError::KeyReused { key, run: first.id, status: first.status })
}
