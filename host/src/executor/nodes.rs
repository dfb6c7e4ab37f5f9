//! Several nodes: what they tell and ask each other.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ExecutorError, Inner, WorkflowExecutor, WorkflowRecord};
use crate::journal::{RunId, WorkflowStatus};
use crate::store::{Answer, Ask, Node, Notice, Question, StoreError};
use crate::tenants::DEFAULT_TENANT;

/// How often another node is asked before whoever asked is told that it does not answer. Each time it has
/// some seconds.
const ATTEMPTS: u32 = 3;

/// How often a run on another node is looked at while somebody waits for it here, in case that its
/// notice is lost: at first, and at last.
const LOOK: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// How long another node is told when a run rests. Whoever waits for longer asks again.
const WATCH: Duration = Duration::from_secs(60);

impl WorkflowExecutor {
    /// The nodes that share this executor's store, by name; none if it cannot be shared.
    ///
    /// # Errors
    /// [`ExecutorError::Store`].
    pub async fn nodes(&self) -> Result<Vec<Node>, ExecutorError> {
        match self.inner.store.nodes() {
            Some(nodes) => Ok(nodes.list().await?),
            None => Ok(Vec::new()),
        }
    }

    /// Completes when another process has taken this node's name: this one can do nothing any more.
    pub async fn replaced(&self) {
        self.inner.replaced.cancelled().await;
    }

    /// Asks the node that executes a run. `None`: none does, or it does not answer now.
    pub(super) async fn ask_elsewhere(&self, run: RunId, ask: Ask) -> Result<Option<Answer>, StoreError> {
        match self.inner.store.nodes() {
            Some(nodes) => nodes.ask(run, ask).await,
            None => Ok(None),
        }
    }

    /// The run when it has come to rest, on whatever node. Never completes if there is only one.
    pub(super) async fn rested_elsewhere(&self, run: RunId) -> WorkflowRecord {
        let Some(nodes) = self.inner.store.nodes() else { return std::future::pending().await };
        let [mut pause, longest] = LOOK;
        loop {
            // While it is here, it is here that whoever waits is told.
            while self.inner.runs().contains_key(&run) {
                tokio::time::sleep(pause).await;
            }
            if let Err(error) = nodes.tell(Notice::Awaited(run)).await {
                tracing::debug!(%run, %error, "the run's node cannot be told that it is awaited");
            }
            // It may have come to rest before it was told.
            if let Some(record) = self.record_at_rest(run).await {
                return record;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn record_at_rest(&self, run: RunId) -> Option<WorkflowRecord> {
        let (found, rows) = self.read_any(run).await.ok()?;
        let record = super::query::record(&found, &rows);
        (record.status.is_final() || record.status == WorkflowStatus::Paused).then_some(record)
    }

    /// Does what follows from something that happened.
    async fn heed(&self, notice: Notice) {
        let inner = &self.inner;
        match notice {
            Notice::Free => inner.alarms.claim(),
            Notice::Asked => self.answer_questions().await,
            Notice::Awaited(run) => self.watch(run),
            Notice::Rested(run) => {
                if inner.waiters.has(run)
                    && let Some(record) = self.record_at_rest(run).await
                {
                    inner.waiters.tell(run, || record);
                }
            }
            Notice::Versions => self.forget(),
            Notice::Reconnected => {
                self.forget();
                inner.alarms.start_over();
                self.answer_questions().await;
            }
            Notice::Fenced => self.begin_tenure(),
            Notice::Replaced => {
                tracing::error!("another process has taken this node's name: this one ends");
                inner.replaced.cancel();
            }
        }
    }

    /// What is known of workflows and tenants is read again.
    fn forget(&self) {
        self.inner.registry.forget();
        self.inner.tenants.forget();
    }

    /// This node has another epoch: what it has in memory is others' now, unless it gets it again.
    fn begin_tenure(&self) {
        let inner = &self.inner;
        tracing::warn!(
            epoch = %inner.store.epoch(),
            runs = inner.runs().len(),
            "this node was taken for dead: it drops its runs and goes on with those that it gets"
        );
        let new = inner.shutdown.child_token();
        let old = std::mem::replace(&mut *inner.tenure.lock().unwrap_or_else(PoisonError::into_inner), new);
        old.cancel();
        inner.alarms.start_over();
    }

    /// Somebody waits on another node for a run, which may be here.
    fn watch(&self, run: RunId) {
        if !self.inner.runs().contains_key(&run) {
            return;
        }
        let executor = self.clone();
        let watching = async move {
            let mut waiter = executor.inner.waiters.wait_for(run);
            let patience = tokio::time::sleep(WATCH);
            // It may have come to rest before it was watched.
            let rests = executor.record_at_rest(run).await.is_some()
                || executor.rested_here(&mut waiter, patience).await.is_some();
            if rests
                && let Some(nodes) = executor.inner.store.nodes()
                && let Err(error) = nodes.tell(Notice::Rested(run)).await
            {
                tracing::debug!(%run, %error, "who waits for the run is not told that it rests");
            }
        };
        self.inner.tasks.spawn(watching);
    }

    async fn answer_questions(&self) {
        let Some(nodes) = self.inner.store.nodes() else { return };
        let questions = match nodes.questions().await {
            Ok(questions) => questions,
            Err(error) => return tracing::debug!(%error, "what others ask cannot be read"),
        };
        for question in questions {
            let executor = self.clone();
            self.inner.tasks.spawn(async move { executor.answer(question).await });
        }
    }

    async fn answer(&self, Question { id, run, ask }: Question) {
        let asked = match self.tenant_of(run).await {
            Ok(tenant) => self.ask_here(run, &tenant, ask).await,
            Err(error) => Err(error),
        };
        let answer = match asked {
            Ok(()) => Answer::Done,
            Err(ExecutorError::Conflict { status, .. }) => Answer::Conflict(status),
            Err(ExecutorError::UnknownRun(_)) => Answer::Unknown,
            Err(error) => Answer::Failed(error.to_string()),
        };
        if let Some(nodes) = self.inner.store.nodes()
            && let Err(error) = nodes.answer(id, &answer).await
        {
            tracing::debug!(%run, %error, "what another node asked is not answered");
        }
    }

    /// Asks whoever executes the run, here or elsewhere.
    pub(super) async fn ask(&self, run: RunId, tenant: &Arc<str>, ask: Ask) -> Result<(), ExecutorError> {
        for _ in 0..ATTEMPTS {
            match self.ask_here(run, tenant, ask).await {
                Err(ExecutorError::Elsewhere(_)) => {}
                answered => return answered,
            }
            match self.ask_elsewhere(run, ask).await? {
                Some(Answer::Done) => return Ok(()),
                Some(Answer::Conflict(status)) => {
                    return Err(ExecutorError::Conflict { run, status, action: ask.participle() });
                }
                Some(Answer::Unknown) => return Err(ExecutorError::UnknownRun(run)),
                // Its node may be gone by now, and the run be nobody's.
                Some(Answer::Failed(_)) | None => {}
            }
        }
        Err(ExecutorError::Elsewhere(run))
    }
}

/// Heeds what other nodes, and the store, have to say.
pub(super) async fn attend(
    inner: Weak<Inner>,
    mut notices: mpsc::UnboundedReceiver<Notice>,
    shutdown: CancellationToken,
) {
    loop {
        let notice = tokio::select! {
            notice = notices.recv() => notice,
            () = shutdown.cancelled() => return,
        };
        let (Some(notice), Some(inner)) = (notice, inner.upgrade()) else { return };
        WorkflowExecutor { inner, tenant: DEFAULT_TENANT.into() }.heed(notice).await;
    }
}
