//! Events that a run receives and sends: the interface `events`.

use super::interfaces::events::Host;
use super::interfaces::types::{CallId, Failure, Json, Scope as Handle};
use super::{Refused, check_document, invalid, shown, submit, text_length};
use crate::Stop;
use crate::execution::Execution;
use crate::state::InstanceState;
use forge_clock as clock;
use forge_journal as journal;
use forge_journal::events::{Receive, UncheckedEvent, check_name};
use forge_journal::{EffectKind, EntryKind, NewEffect, RunId};

/// The kind of effect that waits for an event.
pub const EVENT: EffectKind = EffectKind::new("event");

/// The kind of effect that sends an event.
pub const SEND: EffectKind = EffectKind::new("send_event");

impl Host for InstanceState {
    fn receive(&mut self, scope: Handle, name: String, timeout: Option<u64>) -> wasmtime::Result<CallId> {
        let call = receive(self.execution_for(name.len())?, scope, &name, timeout);
        self.or_stop(call)
    }

    fn take(&mut self, call: CallId) -> wasmtime::Result<Result<Json, Failure>> {
        let outcome = self.outcome_of(call, EVENT)?;
        let payload =
            outcome.map(|payload| payload.map_or_else(|| "null".to_owned(), |text| text.to_string()));
        Ok(payload.map_err(Failure::from))
    }

    fn send(
        &mut self,
        scope: Handle,
        run_id: String,
        name: String,
        payload: Json,
        key: Option<String>,
    ) -> wasmtime::Result<CallId> {
        let event = UncheckedEvent { run: &run_id, name: &name, key: key.as_deref(), payload: &payload };
        let bytes = text_length([event.run, event.name, event.key.unwrap_or_default(), event.payload]);
        let call = send(self.execution_for(bytes)?, scope, event);
        self.or_stop(call)
    }

    fn sent(&mut self, call: CallId) -> wasmtime::Result<Result<(), Failure>> {
        Ok(self.outcome_of(call, SEND)?.map(|_| ()).map_err(Failure::from))
    }
}

fn receive(
    execution: &mut Execution,
    scope: Handle,
    name: &str,
    timeout_ms: Option<u64>,
) -> Result<CallId, Stop> {
    let input = Receive { timeout_ms }.to_json();
    let effect = NewEffect {
        kind: EVENT,
        name: shown(name),
        input: input.clone(),
        wake_at: timeout_ms.map(|timeout| clock::now().plus(timeout)),
        awaits: Some(EntryKind::Event),
    };
    submit(execution, scope, effect, |_| {
        let failure =
            check_name(name).err().map(|why| invalid(format!("the name of an event is refused: {why}")));
        failure.map(|failure| Refused { kept: input, failure })
    })
}

fn send(execution: &mut Execution, scope: Handle, event: UncheckedEvent<'_>) -> Result<CallId, Stop> {
    let input = event.to_json();
    let (run, name) = (shown(event.run), shown(event.name));
    let key = event.key.map(shown);
    let kept = UncheckedEvent { run: &run, name: &name, key: key.as_deref(), payload: "null" };
    let kept = kept.to_json();
    let effect = NewEffect { kind: SEND, name: name.clone(), input, wake_at: None, awaits: None };
    submit(execution, scope, effect, |execution| {
        let failure = check(execution, event, &run, &name)?;
        Some(Refused { kept, failure })
    })
}

/// Returns why an event is not sent. `run` and `name` are as a message shows them.
fn check(
    execution: &Execution,
    event: UncheckedEvent<'_>,
    run: &str,
    name: &str,
) -> Option<journal::Failure> {
    if let Err(why) = check_name(event.name) {
        return Some(invalid(format!("the name of an event is refused: {why}. Nothing was sent")));
    }
    if let Some(Err(why)) = event.key.map(check_name) {
        return Some(invalid(format!("the key of the event `{name}` is refused: {why}. Nothing was sent")));
    }
    if event.run.parse::<RunId>().is_err() {
        return Some(invalid(format!(
            "the event `{name}` is sent to `{run}`, which is not the id of a run. Nothing was sent"
        )));
    }
    check_document(execution, event.payload, || format!("the payload of the event `{name}`"))
}
