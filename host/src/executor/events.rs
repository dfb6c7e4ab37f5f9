//! Events that clients send to runs.

use std::sync::Arc;

use forge_clock as clock;
use forge_journal::events::check_name;
use forge_journal::{Document, EntryKind, Message, RunId, Sent};

use super::{ExecutorError, WorkflowExecutor};
use crate::config::size;
use crate::tenants::Tenant;

/// An event for a run.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRequest {
    /// The name, which the run waits for.
    pub name: String,
    /// The payload.
    pub payload: Document,
    /// The idempotency key: a later event of the same name with the same key is the same event.
    pub key: Option<String>,
}

impl WorkflowExecutor {
    /// Sends an event to a run. The run keeps it until it takes it. Returns when that is durable.
    ///
    /// # Errors
    /// [`ExecutorError::Unsent`] if there is no such run, it is final, or its inbox is full;
    /// [`ExecutorError::Tenant`] if the tenant is suspended or has no room in the database; [`ExecutorError::InvalidEvent`] or [`ExecutorError::PayloadTooLarge`] if the name, the key or the payload cannot be
    /// used.
    pub async fn send_event(&self, run: RunId, event: EventRequest) -> Result<Sent, ExecutorError> {
        if self.inner.shutdown.is_cancelled() {
            return Err(ExecutorError::ShuttingDown);
        }
        if let Some(trouble) = self.inner.store.trouble() {
            return Err(trouble.into());
        }
        let tenant = self.inner.tenants.get(&self.tenant).await?;
        tenant.check_active()?;
        tenant.check_room()?;
        let message = self.message(run, event, &tenant)?;
        let writer = self.inner.writer_for(run, &self.tenant);
        Ok(writer.send_message(message).await??)
    }

    /// Sends an event to the run that was started with this workflow and key.
    ///
    /// # Errors
    /// As [`WorkflowExecutor::send_event`]; [`ExecutorError::UnknownKey`].
    pub async fn send_event_by_key(
        &self,
        workflow: &str,
        key: &str,
        event: EventRequest,
    ) -> Result<(RunId, Sent), ExecutorError> {
        let unknown = || ExecutorError::UnknownKey { workflow: workflow.to_owned(), key: key.to_owned() };
        let run = self.inner.store.run_with_key(&self.tenant, workflow, key).await?.ok_or_else(unknown)?;
        Ok((run.id, self.send_event(run.id, event).await?))
    }

    /// Returns the message of an event, after it was checked.
    pub(super) fn message(
        &self,
        run: RunId,
        event: EventRequest,
        tenant: &Tenant,
    ) -> Result<Message, ExecutorError> {
        let EventRequest { name, payload, key } = event;
        let invalid = |what: &str, why: &dyn std::fmt::Display| {
            ExecutorError::InvalidEvent(format!("the {what} cannot be used: {why}"))
        };
        check_name(&name).map_err(|why| invalid("name of the event", &why))?;
        if let Some(key) = &key {
            check_name(key).map_err(|why| invalid("key of the event", &why))?;
        }
        payload.check().map_err(|why| invalid("payload", &why))?;
        let (bytes, limit) = (payload.text().len(), size(tenant.limits().payload_bytes));
        if bytes > limit {
            return Err(ExecutorError::PayloadTooLarge { size: bytes, limit });
        }
        // Without a key, the event has one of its own, so that it is appended once.
        let key = key.unwrap_or_else(|| clock::new_run_id().to_string());
        Ok(Message {
            to: run,
            tenant: Arc::clone(&self.tenant),
            kind: EntryKind::Event,
            name: name.into(),
            key: key.into(),
            payload: Arc::clone(payload.text()),
            at: clock::now(),
            most_events: tenant.limits().inbox_events,
            most_bytes: tenant.limits().inbox_bytes,
        })
    }
}
