//! Runs that a run starts: the interface `children`.

use super::interfaces::children::{Host, Request, Started};
use super::interfaces::types::{CallId, Failure, Json, Scope as Handle};
use super::{Refused, check_document, invalid, shown, submit, text_length};
use crate::Stop;
use crate::execution::Execution;
use crate::state::InstanceState;
use forge_journal as journal;
use forge_journal::children::{CancelRun, UncheckedStart};
use forge_journal::{EffectKind, EntryKind, Journal, Kind, NewEffect, RunId};

/// The kind of effect that starts an attached child and waits for its end.
pub const CHILD: EffectKind = EffectKind::new("child");

/// The kind of effect that starts a detached child.
pub const START: EffectKind = EffectKind::new("start");

/// The kind of effect that cancels a run.
pub const CANCEL: EffectKind = EffectKind::new("cancel_run");

/// The maximum size of a workflow's name, in bytes.
const WORKFLOW: usize = 255;

/// The bytes that reading one row of the journal counts as when the guest is charged for it.
const ROW: usize = 16;

impl Host for InstanceState {
    fn start(&mut self, scope: Handle, request: Request) -> wasmtime::Result<Started> {
        let execution = self.execution_for(size(&request))?;
        let started = start(execution, scope, CHILD, &request).map(|call| {
            let run_id = child_of(execution, call).to_string();
            Started { call, run_id }
        });
        self.or_stop(started)
    }

    fn outcome(&mut self, call: CallId) -> wasmtime::Result<Result<Json, Failure>> {
        let outcome = self.outcome_of(call, CHILD)?;
        let output = outcome.map(|output| output.map_or_else(|| "null".to_owned(), |text| text.to_string()));
        Ok(output.map_err(Failure::from))
    }

    fn detach(&mut self, scope: Handle, request: Request) -> wasmtime::Result<CallId> {
        let call = start(self.execution_for(size(&request))?, scope, START, &request);
        self.or_stop(call)
    }

    fn detached(&mut self, call: CallId) -> wasmtime::Result<Result<String, Failure>> {
        let run = match self.outcome_of(call, START)? {
            Ok(document) => read_run(call, document.as_deref().unwrap_or_default()),
            Err(failure) => return Ok(Err(failure.into())),
        };
        self.or_stop(run).map(Ok)
    }

    fn cancel(&mut self, scope: Handle, run_id: String) -> wasmtime::Result<CallId> {
        let execution = self.execution_for(run_id.len())?;
        let searched = execution.session.journal().rows().len().saturating_mul(ROW);
        let run = shown(&run_id);
        let kept = CancelRun::unchecked(&run);
        let effect = NewEffect {
            kind: CANCEL,
            name: run.clone(),
            input: CancelRun::unchecked(&run_id),
            wake_at: None,
            awaits: None,
        };
        let call = submit(execution, scope, effect, |execution| {
            let is_own = run_id.parse().is_ok_and(|id| has_started(execution.session.journal(), id));
            let failure = || invalid(format!("this run has not started run `{run}`, so it cannot cancel it"));
            (!is_own).then(|| Refused { kept, failure: failure() })
        });
        self.passed(searched);
        self.or_stop(call)
    }

    fn cancelled(&mut self, call: CallId) -> wasmtime::Result<Result<(), Failure>> {
        Ok(self.outcome_of(call, CANCEL)?.map(|_| ()).map_err(Failure::from))
    }
}

/// Returns the number of bytes that the guest passes with a request.
fn size(request: &Request) -> usize {
    text_length([&request.workflow, &request.input])
}

fn start(
    execution: &mut Execution,
    scope: Handle,
    kind: EffectKind,
    request: &Request,
) -> Result<CallId, Stop> {
    let Request { workflow, input, version, timeout } = request;
    let unchecked = UncheckedStart { workflow, version: *version, timeout_ms: *timeout, input };
    let name = shown(workflow);
    let kept = UncheckedStart { workflow: &name, input: "null", ..unchecked };
    let kept = kept.to_json();
    let awaits = (kind == CHILD).then_some(EntryKind::ChildEnded);
    let effect = NewEffect { kind, name: name.clone(), input: unchecked.to_json(), wake_at: None, awaits };
    submit(execution, scope, effect, |execution| {
        let failure = check(execution, workflow, input, &name)?;
        Some(Refused { kept, failure })
    })
}

/// Returns why a run is not started. `name` is the workflow's name as a message shows it.
fn check(execution: &Execution, workflow: &str, input: &str, name: &str) -> Option<journal::Failure> {
    if workflow.is_empty() || workflow.len() > WORKFLOW || workflow.chars().any(char::is_control) {
        return Some(invalid(format!(
            "there is no workflow `{name}`: a name has 1 to {WORKFLOW} bytes and no control characters. Nothing was \
             started"
        )));
    }
    check_document(execution, input, || format!("the input for a run of `{name}`"))
}

/// Returns the id of the run that a call starts. A call without a row, in code that a rollback drops, starts no run, and gets
/// an id that no run has.
fn child_of(execution: &Execution, call: CallId) -> RunId {
    let run = execution.session.journal().run();
    let (seq, at) =
        execution.session.row_of(call).map_or((0, run.started_at), |row| (row.seq, row.started_at));
    RunId::child_of(run.id, seq, at)
}

/// Returns whether a run has started this one.
fn has_started(journal: &Journal, id: RunId) -> bool {
    let run = journal.run().id;
    let starts = journal.rows().iter().filter(|row| matches!(row.kind, Kind::Effect(CHILD | START)));
    // Ids of other times need no hash.
    let mut starts = starts.filter(|row| id.started_at() == row.started_at);
    starts.any(|row| RunId::child_of(run, row.seq, row.started_at) == id)
}

/// Reads the outcome of the start of a detached run: its id, as a JSON string.
fn read_run(call: CallId, document: &str) -> Result<String, Stop> {
    let run = RunId::from_json(document).map_err(|why| {
        Stop::corrupt(format_args!("call {call} has not the id of a run as its result: {why}"))
    })?;
    Ok(run.to_string())
}
