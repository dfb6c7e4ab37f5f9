//! Several nodes with one store: notifications, and commands for runs that another node executes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use forge_journal::{DEFAULT_TENANT, RunId, TenantId};
use forge_store::{Node, Notification, RemoteCommand, RemoteRequest, RemoteResponse, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::inboxes::Notice;
use super::{ExecutorError, Inner, WorkflowExecutor, snapshot};

/// How often another node is sent a command before the caller is told that it does not answer. Each time it has some
/// seconds.
const ATTEMPTS: u32 = 3;

/// The interval at which a run on another node is read while a caller waits for it here, in case that its notification
/// is lost: the first one, and the longest.
const POLL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// How long another node is told when a run comes to rest. A caller that waits for longer asks again.
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

    /// Completes when another process has taken this node's name: this one must end.
    pub async fn replaced(&self) {
        self.inner.replaced.cancelled().await;
    }

    /// Sends a command to the node that executes a run. `None`: none does, or it does not answer now.
    async fn command_elsewhere(
        &self,
        run: RunId,
        command: &RemoteCommand,
    ) -> Result<Option<RemoteResponse>, StoreError> {
        match self.inner.store.nodes() {
            Some(nodes) => nodes.send_command(run, command).await,
            None => Ok(None),
        }
    }

    /// Publishes on the feed what another node changes of a run. Never completes.
    pub(super) async fn follow_elsewhere<T>(&self, run: RunId) -> T {
        let Some(nodes) = self.inner.store.nodes() else { return std::future::pending().await };
        let [mut pause, longest] = POLL;
        loop {
            // While the run is here, the writer tells the feed.
            while self.inner.runs().contains_key(&run) {
                tokio::time::sleep(pause).await;
            }
            if let Err(error) = nodes.notify(Notification::Awaited(run)).await {
                tracing::debug!(%run, %error, "the run's node cannot be told that it is awaited");
            }
            // It may have come to rest before its node was told.
            self.publish(run).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Reads a run and publishes it on the feed, because another node may have changed it.
    async fn publish(&self, run: RunId) {
        match self.inner.store.run(run).await {
            Ok(Some(run)) => self.inner.feed.publish(snapshot(run)),
            Ok(None) => {}
            Err(error) => tracing::debug!(%run, %error, "the run cannot be read"),
        }
    }

    async fn on_notification(&self, notification: Notification) {
        let inner = &self.inner;
        match notification {
            Notification::Unowned => inner.timers.claim(),
            Notification::Requested => self.answer_requests().await,
            Notification::Awaited(run) => self.watch(run),
            Notification::AtRest(run) => {
                if inner.waiters.has(run) {
                    self.publish(run).await;
                }
            }
            Notification::Watched(runs) => self.followed_elsewhere(runs),
            Notification::Changed(runs) => self.changed_elsewhere(runs),
            Notification::Inbox(run) => self.look_into_inbox(run).await,
            Notification::DirectoryChanged => self.forget(),
            Notification::Reconnected => {
                self.forget();
                inner.timers.reset();
                let executor = self.clone();
                inner.tasks.spawn(async move { executor.read_followed().await });
                self.answer_requests().await;
            }
            Notification::Fenced => self.begin_tenure(),
            Notification::Replaced => {
                tracing::error!("another process has taken this node's name: this one ends");
                inner.replaced.cancel();
            }
        }
    }

    /// Another node has appended to the inbox of a run of this node.
    async fn look_into_inbox(&self, run: RunId) {
        match self.tenant_of(run).await {
            Ok(tenant) => self.inner.notice(run, &tenant, Notice(None)),
            Err(error) => tracing::debug!(%run, %error, "the run with a new event cannot be read"),
        }
    }

    /// Drops the cache of workflows, and reads what has changed in the directory, for everything that is under way.
    fn forget(&self) {
        self.inner.registry.forget();
        self.inner.tenants.forget();
        let tenants = Arc::clone(&self.inner.tenants);
        self.inner.tasks.spawn(async move {
            // It is tried again in a few seconds.
            if let Err(error) = tenants.refresh().await {
                tracing::debug!(%error, "the changes of the directory cannot be read");
            }
        });
    }

    /// Drops the runs in memory, because this node has a new epoch and other nodes may own them now.
    fn begin_tenure(&self) {
        let inner = &self.inner;
        tracing::warn!(
            epoch = %inner.store.epoch(),
            runs = inner.runs().len(),
            "this node has lost its lease: it drops its runs and goes on with new ones"
        );
        let new = inner.shutdown.child_token();
        let old = std::mem::replace(&mut *inner.tenure.lock(), new);
        old.cancel();
        inner.timers.reset();
    }

    /// Tells other nodes when a run of this node comes to rest.
    fn watch(&self, run: RunId) {
        if !self.inner.runs().contains_key(&run) {
            return;
        }
        let executor = self.clone();
        let watching = async move {
            let mut waiter = executor.inner.waiters.wait_for(run);
            let patience = tokio::time::sleep(WATCH);
            // The run may have come to rest before it was watched.
            let is_at_rest = executor.is_at_rest(run).await
                || tokio::select! {
                    _ = waiter.at_rest() => true,
                    () = patience => false,
                    () = executor.inner.shutdown.cancelled() => false,
                };
            if is_at_rest
                && let Some(nodes) = executor.inner.store.nodes()
                && let Err(error) = nodes.notify(Notification::AtRest(run)).await
            {
                tracing::debug!(%run, %error, "the nodes that wait for the run are not told that it is at rest");
            }
        };
        self.inner.tasks.spawn(watching);
    }

    async fn is_at_rest(&self, run: RunId) -> bool {
        let run = self.inner.store.run(run).await;
        run.is_ok_and(|run| run.is_some_and(|run| run.is_at_rest()))
    }

    async fn answer_requests(&self) {
        let Some(nodes) = self.inner.store.nodes() else { return };
        let requests = match nodes.requests().await {
            Ok(requests) => requests,
            Err(error) => return tracing::debug!(%error, "the requests of other nodes cannot be read"),
        };
        for request in requests {
            let executor = self.clone();
            self.inner.tasks.spawn(async move { executor.answer(request).await });
        }
    }

    async fn answer(&self, RemoteRequest { id, run, command }: RemoteRequest) {
        let done = match self.tenant_of(run).await {
            Ok(tenant) => self.command_here(run, &tenant, command).await,
            Err(error) => Err(error),
        };
        let response = match done {
            Ok(()) => RemoteResponse::Done,
            Err(ExecutorError::Conflict { status, .. }) => RemoteResponse::Conflict(status),
            Err(ExecutorError::UnknownRun(_)) => RemoteResponse::Unknown,
            Err(ExecutorError::Refused(refusal)) => RemoteResponse::Refused(refusal),
            Err(error) => RemoteResponse::Failed(error.to_string()),
        };
        if let Some(nodes) = self.inner.store.nodes()
            && let Err(error) = nodes.respond(id, &response).await
        {
            tracing::debug!(%run, %error, "the request of another node is not answered");
        }
    }

    /// Sends a command to the node that executes the run, this one or another.
    pub(super) async fn send_command(
        &self,
        run: RunId,
        tenant: &TenantId,
        command: RemoteCommand,
    ) -> Result<(), ExecutorError> {
        for _ in 0..ATTEMPTS {
            match self.command_here(run, tenant, command.clone()).await {
                Err(ExecutorError::Elsewhere(_)) => {}
                answered => return answered,
            }
            match self.command_elsewhere(run, &command).await? {
                Some(RemoteResponse::Done) => return Ok(()),
                Some(RemoteResponse::Conflict(status)) => {
                    return Err(ExecutorError::Conflict { run, status, action: command.participle() });
                }
                Some(RemoteResponse::Refused(refusal)) => return Err(refusal.into()),
                Some(RemoteResponse::Unknown) => return Err(ExecutorError::UnknownRun(run)),
                // Its node may be gone by now, and the run be unowned.
                Some(RemoteResponse::Failed(_)) | None => {}
            }
        }
        Err(ExecutorError::Elsewhere(run))
    }
}

/// Follows the notifications of other nodes and of the store, for as long as the executor is there.
pub(super) async fn follow(
    inner: Weak<Inner>,
    mut notifications: mpsc::UnboundedReceiver<Notification>,
    shutdown: CancellationToken,
) {
    loop {
        let notification = tokio::select! {
            notification = notifications.recv() => notification,
            () = shutdown.cancelled() => return,
        };
        let (Some(notification), Some(inner)) = (notification, inner.upgrade()) else { return };
        WorkflowExecutor { inner, tenant: DEFAULT_TENANT.into() }.on_notification(notification).await;
    }
}
