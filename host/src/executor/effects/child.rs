//! Runs that a run starts, and cancels.

use std::sync::Arc;
use std::time::Duration;

use forge_clock as clock;
use forge_journal::children::{CancelRun, StartRun};
use forge_journal::{
    EffectKind, EntryKind, Failure, Kind, Message, NewRun, Operation, Parent, Row, Run, RunId, kind,
};
use forge_sandbox::Stop;
use forge_sandbox::imports::children::{CANCEL, CHILD, START};
use forge_store::StoreError;
use futures::FutureExt as _;

use super::{Beginning, Begun, Effect, Ended};
use crate::registry::{RegistryError, WorkflowRegistry};
use crate::tenants::Tenant;

/// The pause before a start that is beyond `start_rate` is tried again.
const TURN: Duration = Duration::from_millis(10);

/// `ctx.child()`: starts an attached child in the commit that records the call. Its outcome comes from the inbox of the run.
pub(super) struct Child;

impl Effect for Child {
    fn kind(&self) -> EffectKind {
        CHILD
    }

    fn may_leave_memory(&self) -> bool {
        true
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        // A child that was started before a crash goes on.
        if beginning.row.child.is_some() { Ok(None) } else { start(beginning, true) }
    }
}

/// `ctx.start_workflow()`: starts a run that goes on whatever happens to this one, in the commit that records the call.
pub(super) struct Start;

impl Effect for Start {
    fn kind(&self) -> EffectKind {
        START
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        start(beginning, false)
    }
}

/// `job.cancel()`: asks a run to roll back, through its inbox.
pub(super) struct Cancel;

impl Effect for Cancel {
    fn kind(&self) -> EffectKind {
        CANCEL
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        let Beginning { journal, row, tenant, .. } = beginning;
        let CancelRun { run } = CancelRun::from_json(row.input.as_deref().unwrap_or_default())
            .map_err(|error| Stop::corrupt(format_args!("call {} has no run to cancel: {error}", row.seq)))?;
        let message = Message {
            to: run,
            tenant: Arc::clone(&tenant.name),
            kind: EntryKind::Cancel,
            name: Arc::default(),
            key: journal.run().id.to_string().into(),
            payload: "null".into(),
            at: clock::now(),
            most_events: u64::MAX,
            most_bytes: u64::MAX,
        };
        Ok(Some(Begun::InCommit(Operation::Send(Box::new(message)))))
    }
}

/// Returns the run that a call has started. The result of a detached start is the run's id.
pub(in crate::executor) fn started_by(row: &Row) -> Option<RunId> {
    let detached = || row.result.as_deref().filter(|_| row.kind == Kind::Effect(START));
    row.child.or_else(|| RunId::from_json(detached()?).ok())
}

/// Prepares the start of a run.
fn start(beginning: &Beginning<'_>, attached: bool) -> Result<Option<Begun>, Stop> {
    let Beginning { journal, row, tenant, registry, children, .. } = beginning;
    let input = row.input.as_deref().unwrap_or_default();
    let request = StartRun::from_json(input)
        .map_err(|error| Stop::corrupt(format_args!("call {} has no run to start: {error}", row.seq)))?;
    let parent = journal.run();
    let depth = parent.parent.map_or(1, |above| above.depth.saturating_add(1));
    let limits = tenant.limits();
    let refused = if u64::from(depth) > limits.child_depth {
        Some(format!(
            "`{}` would be {depth} runs below the first; the most is {} (child_depth)",
            request.workflow, limits.child_depth
        ))
    } else if attached && *children as u64 > limits.children_per_run {
        Some(format!(
            "the run has {} children under way; the most is {} (children_per_run). Wait for some of them",
            children - 1,
            limits.children_per_run
        ))
    } else {
        None
    };
    if let Some(message) = refused {
        let refused = async move { Ok(Ended::Outcome(Err(Failure::permanent(kind::LIMIT, message)))) };
        return Ok(Some(Begun::AtOnce(refused.boxed())));
    }
    let new = Starting {
        tenant: Arc::clone(tenant),
        registry: (*registry).clone(),
        id: RunId::child_of(parent.id, row.seq, row.started_at),
        parent: Parent { run: parent.id, call: row.seq, depth, attached },
        auth: Arc::clone(&parent.auth),
        trace_id: parent.trace_id.clone(),
        request,
    };
    Ok(Some(Begun::AtOnce(new.start().boxed())))
}

/// A run that is being started.
struct Starting {
    tenant: Arc<Tenant>,
    registry: WorkflowRegistry,
    id: RunId,
    parent: Parent,
    auth: Arc<str>,
    trace_id: Option<Arc<str>>,
    request: StartRun,
}

impl Starting {
    /// Waits for the turn of the start within the rate of the tenant, and returns the operation that starts the run.
    async fn start(self) -> Result<Ended, StoreError> {
        let Self { tenant, registry, id, parent, auth, trace_id, request } = self;
        let found = async {
            let info = registry.find(&request.workflow, request.version).await?;
            registry.check_input(&info, request.input.text()).await?;
            Ok(info)
        };
        let info = match found.await {
            Ok(info) => info,
            Err(RegistryError::Store(error)) => return Err(error),
            Err(error @ (RegistryError::InputMisfit { .. } | RegistryError::InputUnchecked { .. })) => {
                return Ok(failed(kind::INVALID_INPUT, &error));
            }
            Err(error) => return Ok(failed(kind::ERROR, &error)),
        };
        while !tenant.account.keeps_rate(tenant.limits().start_rate) {
            tokio::time::sleep(TURN).await;
        }
        if let Err(error) = tenant.check_room() {
            return Ok(failed(kind::LIMIT, &error));
        }
        let most = tenant.limits().unfinished_runs;
        if tenant.account.unfinished() >= most {
            let why = format!(
                "tenant `{}` has {most} runs that are not final, which is the most (unfinished_runs). Wait for the end of \
                 some, or ask for a higher limit",
                tenant.name
            );
            return Ok(failed(kind::LIMIT, &why));
        }
        tenant.account.started();
        let run = Run::new(NewRun {
            id,
            tenant: Arc::clone(&tenant.name),
            workflow: info.name.into(),
            version: info.version,
            digest: info.digest.into(),
            input: Arc::clone(request.input.text()),
            started_at: clock::now(),
            timeout_ms: request.timeout_ms.map_or(info.timeout_ms, |timeout| timeout.min(info.timeout_ms)),
        });
        Ok(Ended::InCommit(Operation::Start(Box::new(Run { parent: Some(parent), auth, trace_id, ..run }))))
    }
}

fn failed(kind: &str, error: &dyn std::fmt::Display) -> Ended {
    Ended::Outcome(Err(Failure::permanent(kind, error.to_string())))
}
