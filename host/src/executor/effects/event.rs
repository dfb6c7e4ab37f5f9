use std::sync::Arc;

use forge_clock as clock;
use forge_journal::events::SendEvent;
use forge_journal::{EffectKind, EntryKind, Message, Operation};
use forge_sandbox::Stop;
use forge_sandbox::imports::events;

use super::{Beginning, Begun, Effect};

/// `ctx.event().recv()`: waits for an event. Its outcome comes from the inbox of the run, or from the clock.
pub(super) struct Receive;

impl Effect for Receive {
    fn kind(&self) -> EffectKind {
        events::EVENT
    }

    fn may_leave_memory(&self) -> bool {
        true
    }

    fn begin(&self, _: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        Ok(None)
    }
}

/// `ctx.send_event()`: appends to the inbox of another run of the tenant, in the commit that records the call.
pub(super) struct Send;

impl Effect for Send {
    fn kind(&self) -> EffectKind {
        events::SEND
    }

    fn may_leave_memory(&self) -> bool {
        false
    }

    fn begin(&self, beginning: &Beginning<'_>) -> Result<Option<Begun>, Stop> {
        let Beginning { journal, row, tenant, .. } = beginning;
        let event = SendEvent::from_json(row.input.as_deref().unwrap_or_default())
            .map_err(|error| Stop::corrupt(format_args!("call {} has no event to send: {error}", row.seq)))?;
        let limits = tenant.limits();
        let message = Message {
            to: event.run,
            tenant: Arc::clone(&tenant.name),
            kind: EntryKind::Event,
            name: event.name.into(),
            key: event.key.unwrap_or_else(|| journal.idempotency_key(row)).into(),
            payload: Arc::clone(event.payload.text()),
            at: clock::now(),
            most_events: limits.inbox_events,
            most_bytes: limits.inbox_bytes,
        };
        Ok(Some(Begun::InCommit(Operation::Send(Box::new(message)))))
    }
}
