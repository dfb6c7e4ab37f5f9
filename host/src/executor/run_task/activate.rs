use std::sync::Arc;
use std::time::Duration;

use forge_journal::{Journal, PauseReason, Session, TenantId, WorkflowStatus};
use forge_sandbox::{Component, End, Stop};
use forge_scheduling::InstancePermit;
use forge_store::{RemoteCommand, StoreError};

use super::{NextAction, RunTask, corrupt};
use crate::executor::activation::{Activation, ActivationContext, ActivationParts};
use crate::executor::command::Trial;
use crate::executor::db::DbReader;
use crate::executor::{Inner, Receivers};
use crate::registry::RegistryError;
use crate::tenants::{Tenant, TenantError};

/// The time for what remains to be written after the patience with effects ends.
const LEAVE_MARGIN: Duration = Duration::from_millis(1_000);

impl RunTask {
    /// Gives the run an instance, and acts on how the activation ended.
    pub(super) async fn activate(
        &mut self,
        mut journal: Box<Journal>,
        permit: InstancePermit<TenantId>,
    ) -> Result<NextAction, StoreError> {
        self.is_end_known = false;
        let (component, tenant) = match self.prepare(&mut journal).await {
            Ok((Ok(component), tenant)) => (component, tenant),
            Err(error) => {
                // The run is loaded again. If it began in memory, its start would be lost.
                if self.trial.is_none() {
                    self.writer.barrier(journal.take_changes()).await?;
                }
                return Err(error);
            }
            Ok((Err(error), _)) => {
                let message = format!(
                    "the component of version {} cannot be loaded ({error}). Deploy it again, then resume the run, or \
                     terminate it",
                    journal.run().version
                );
                if let Some(trial) = self.trial.take() {
                    let requested = journal.run().requested_rollback().is_some();
                    return self.refuse(trial, requested, PauseReason::MissingVersion, message).await;
                }
                self.pause(&mut journal, PauseReason::MissingVersion, message).await?;
                self.journal = Some(journal);
                return Ok(NextAction::Continue);
            }
        };
        if tenant.is_suspended() {
            // Since the permit was given: loading the component may have taken long.
            self.journal = Some(journal);
            return Ok(NextAction::Continue);
        }
        let compensating = journal.run().status == WorkflowStatus::Compensating;
        let (limits, account) = (Arc::clone(&tenant.terms().instance_limits), Arc::clone(&tenant.account));
        let Some(Receivers { commands, inbox }) = self.receivers.take() else { return Ok(NextAction::Leave) };
        let tried_resend = self.trial.as_ref().is_some_and(|trial| trial.resend_in_doubt);
        let context = ActivationContext {
            limits: Arc::clone(&self.inner.limits),
            tenant,
            instances: Arc::clone(&self.inner.instances),
            cpu: Arc::clone(&self.inner.cpu),
            registry: self.inner.registry.for_tenant(&self.tenant),
            db: DbReader::new(&self.inner, &self.tenant),
            writer: self.writer.clone(),
            commands,
            inbox,
            shutdown: self.tenure.clone(),
            resend_in_doubt: std::mem::take(&mut self.resend_in_doubt) || tried_resend,
            trial: self.trial.take(),
        };
        let (session, activation) = match Activation::new(journal, context) {
            Ok(prepared) => prepared,
            Err(refused) => {
                let (error, context) = *refused;
                self.receivers = Some(Receivers { commands: context.commands, inbox: context.inbox });
                self.trial = context.trial;
                return Err(corrupt(&error));
            }
        };
        let inner = Arc::clone(&self.inner);
        let execution = tokio::select! {
            execution = account.cpu().measure(inner.engine.run(&component, session, limits, activation)) => execution,
            // A guest that computes is dropped. What it has not journaled it does again.
            () = stopped_for_long(&inner) => return Ok(NextAction::Leave),
        };
        drop(permit);
        let Some((mut end, mut session, mut activation)) = execution else { return Ok(NextAction::Reload) };
        let fails = match &end {
            End::Returned => session.is_unwinding(),
            End::Trapped(_) | End::Stopped(Stop::Failed(_)) => true,
            End::Stopped(Stop::Pause(..) | Stop::ByHost) => false,
        };
        if fails && let Err(stop) = activation.drain(&mut session).await {
            end = End::Stopped(stop);
        }
        if let Err(error) = activation.note_withheld(&mut session) {
            end = End::Stopped(error.into());
        }
        let ActivationParts { context, leave, cancelled_by, postponed } = activation.into_parts();
        self.receivers = Some(Receivers { commands: context.commands, inbox: context.inbox });
        self.postponed.extend(postponed);
        if let Some(trial) = context.trial {
            if let Some((reason, why)) = paused(&trial, &end, &session) {
                let requested = session.journal().run().requested_rollback().is_some();
                return self.refuse(trial, requested, reason, why).await;
            }
            self.trial = Some(trial);
        }
        let next = self.ended(session.into_journal(), end, leave, compensating).await;
        self.end_trial(&next);
        self.acknowledge(cancelled_by, &next);
        next
    }

    /// Returns the component and the tenant of an activation.
    async fn prepare(
        &self,
        journal: &mut Journal,
    ) -> Result<(Result<Component, RegistryError>, Arc<Tenant>), StoreError> {
        Ok((self.component(journal).await?, self.tenant().await?))
    }

    /// Returns the run's tenant as it is now.
    pub(super) async fn tenant(&self) -> Result<Arc<Tenant>, StoreError> {
        match self.inner.tenants.get(&self.tenant).await {
            Ok(tenant) => Ok(tenant),
            Err(TenantError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Corrupt { table: "forge_directory", why: error.to_string() }),
        }
    }

    /// Returns the run's component. Compiling takes long, so the run's changes are saved before.
    async fn component(&self, journal: &mut Journal) -> Result<Result<Component, RegistryError>, StoreError> {
        let digest = Arc::clone(&journal.run().digest);
        if let Some(component) = self.inner.registry.compiled(&digest) {
            return Ok(Ok(component));
        }
        if self.trial.is_none() {
            self.writer.save(journal.take_changes()).await?;
        }
        match self.inner.registry.for_tenant(&self.tenant).component(&digest).await {
            Err(RegistryError::Store(error)) => Err(error),
            found => Ok(found),
        }
    }
}

/// Returns why what was tried is not possible, if the guest has shown that.
fn paused(trial: &Trial, end: &End, session: &Session) -> Option<(PauseReason, String)> {
    let rolls_back = trial.request == RemoteCommand::Cancel;
    match end {
        End::Stopped(Stop::Pause(reason, message)) => Some((*reason, message.clone())),
        End::Trapped(failure) | End::Stopped(Stop::Failed(failure))
            if rolls_back && !session.is_unwinding() =>
        {
            let message = PauseReason::trapped_before_rollback(failure);
            Some((PauseReason::Nondeterminism, message))
        }
        _ => None,
    }
}

/// Completes when the host has been stopping for so long that it no longer waits for guests.
async fn stopped_for_long(inner: &Inner) {
    inner.shutdown.cancelled().await;
    tokio::time::sleep(inner.limits.leave_patience + LEAVE_MARGIN).await;
}
