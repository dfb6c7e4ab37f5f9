//! `forge_runs`: one row per run.

use std::borrow::Cow;
use std::sync::Arc;

use forge_journal::{Notes, Pause, Published, Run, RunId, Tags, Timestamp, WaitsFor, WorkflowStatus};

use super::{
    Access, Column, Decoded, Encoded, Role, borrowed, columns, from_json, number, optional, parsed, required,
    time, to_json,
};

pub(crate) const TABLE: &str = "forge_runs";

columns! {
    run: Run, value;
    // Column       Type    Role     What is written                        => What is read
    workflow_name   Text    Fixed:   borrowed(&run.workflow)                => run.workflow = required(value)?.into();
    digest          Text    Fixed:   borrowed(&run.digest)                  => run.digest = required(value)?.into();
    status          Text    Mutable: borrowed(run.status.as_str())          => run.status = parsed(required(value)?)?;
    input           Text    Fixed:   borrowed(&run.input)                   => run.input = required(value)?.into();
    output          Text    Mutable: optional(&run.output)                  => run.output = value.map(Into::into);
    error           Text    Derived: run.error().map(Into::into)            => ();
    failure         Text    Mutable: to_json(run.failure.as_ref())?         => run.failure = from_json(value)?;
    error_kind      Text    Derived: error_kind(run)                        => ();
    stuck           Text    Mutable: optional(&run.failed_compensations)    => run.failed_compensations = value.map(Into::into);
    uncompensated   Text    Mutable: names(&run.uncompensated)?             => run.uncompensated = with_names(value)?;
    in_doubt        Text    Mutable: optional(&run.in_doubt)                => run.in_doubt = value.map(Into::into);
    settled         Text    Mutable: settled(run)?                          => run.settled = from_json(value)?.unwrap_or_default();
    pause_reason    Text    Mutable: of_pause(run, |it| it.reason.as_str()) => run.pause = with_reason(value)?;
    pause_message   Text    Mutable: of_pause(run, |it| &it.message)        => set_message(run, value);
    pause_from      Text    Mutable: of_pause(run, |it| it.from.as_str())   => set_from(run, value)?;
    idempotency_key Text    Fixed:   optional(&run.key)                     => run.key = value.map(Into::into);
    restart_of      Text    Fixed:   id(run.restart_of)                     => run.restart_of = value.map(parsed).transpose()?;
    restarted_as    Text    Fixed:   id(run.restarted_as)                   => run.restarted_as = value.map(parsed).transpose()?;
    auth            Text    Fixed:   borrowed(&run.auth)                    => run.auth = required(value)?.into();
    trace_id        Text    Fixed:   optional(&run.trace_id)                => run.trace_id = value.map(Into::into);
    tags            Text    Mutable: tags(run)?                             => run.tags = from_json(value)?.unwrap_or_default();
    tenant          Text    Fixed:   borrowed(&run.tenant)                  => run.tenant = required(value)?.into();
    version         Integer Fixed:   Some(run.version.into())               => run.version = number(required(value)?)?;
    started_at      Integer Fixed:   Some(run.started_at.0)                 => run.started_at = time(value)?;
    deadline        Integer Fixed:   Some(run.deadline.0)                   => run.deadline = time(value)?;
    completed_at    Integer Mutable: run.completed_at.map(|time| time.0)    => run.completed_at = value.map(Timestamp);
    wake_at         Integer Mutable: run.wake_at.map(|time| time.0)         => run.wake_at = value.map(Timestamp);
    waits_for       Text    Mutable: optional(&run.waits_for)               => run.waits_for = with_calls(value)?;
    parent          Text    Fixed:   to_json(run.parent.as_ref())?          => run.parent = from_json(value)?;
    inbox_seen      Integer Mutable: Some(run.inbox_seen.cast_signed())     => run.inbox_seen = required(value)?.cast_unsigned();
    due_at          Integer Derived [DUE_AT]: run.due_at().map(|time| time.0)        => ();
    fuel            Integer Mutable: Some(run.fuel.cast_signed())           => run.fuel = required(value)?.cast_unsigned();
    notes           Text    Mutable: notes(run)?                            => run.notes = from_json(value)?.unwrap_or_default();
    published       Text    Mutable: values(run)?                           => run.published = from_json(value)?.unwrap_or_default();
    revision        Integer Mutable: Some(run.revision.cast_signed())       => run.revision = required(value)?.cast_unsigned();
}

/// The time at which a run is due when it is saved: now, if its inbox has entries that the host does not know.
const DUE_AT: &str = "CASE WHEN excluded.due_at > 0 AND forge_runs.inbox_seq > excluded.inbox_seen THEN 0 ELSE excluded.due_at END";

/// Matches a write that would undo what the stored run `old` says. A final run keeps its status, except that a person can
/// have the failed compensations of a failed run tried again.
pub(crate) const BACKWARDS: &str = "old.status IN ('completed', 'compensated') AND new.status <> old.status \
     OR old.status = 'failed' AND new.status IN ('created', 'running', 'waiting', 'completed')";

/// Returns a run with this id whose columns are still to be read.
pub(crate) fn blank(id: RunId) -> Run {
    let empty = Arc::<str>::default();
    Run {
        id,
        tenant: Arc::clone(&empty),
        workflow: Arc::clone(&empty),
        version: 0,
        digest: Arc::clone(&empty),
        input: Arc::clone(&empty),
        output: None,
        status: WorkflowStatus::Created,
        started_at: Timestamp::NOW,
        completed_at: None,
        deadline: Timestamp::NOW,
        wake_at: None,
        waits_for: None,
        failure: None,
        failed_compensations: None,
        uncompensated: Vec::new(),
        in_doubt: None,
        settled: Vec::new(),
        pause: None,
        key: None,
        tags: Tags::default(),
        restart_of: None,
        restarted_as: None,
        parent: None,
        inbox_seen: 0,
        auth: empty,
        trace_id: None,
        fuel: 0,
        notes: Notes::default(),
        published: Published::default(),
        revision: 0,
    }
}

/// The names of steps as a JSON list; NULL for none.
fn names(names: &[Arc<str>]) -> Encoded<Cow<'static, str>> {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    to_json((!names.is_empty()).then_some(&names))
}

fn with_names(names: Option<&str>) -> Decoded<Vec<Arc<str>>> {
    let names: Vec<String> = from_json(names)?.unwrap_or_default();
    Ok(names.into_iter().map(Into::into).collect())
}

/// What a waiting run waits for.
fn with_calls(list: Option<&str>) -> Decoded<Option<Arc<str>>> {
    WaitsFor::list(list).map_err(|error| error.to_string())?;
    Ok(list.map(Into::into))
}

/// The number and size of the lines; NULL for none.
fn notes(run: &Run) -> Encoded<Cow<'static, str>> {
    to_json((run.notes != Notes::default()).then_some(&run.notes))
}

/// What the run has published, as a JSON object; NULL for nothing.
fn values(run: &Run) -> Encoded<Cow<'static, str>> {
    to_json((!run.published.is_empty()).then_some(&run.published))
}

/// What a person found of effects in doubt; NULL for none.
fn settled(run: &Run) -> Encoded<Cow<'static, str>> {
    to_json((!run.settled.is_empty()).then_some(&run.settled))
}

/// The tags as a JSON object; NULL for none.
fn tags(run: &Run) -> Encoded<Cow<'static, str>> {
    to_json((!run.tags.is_empty()).then_some(&run.tags))
}

fn error_kind(run: &Run) -> Option<Cow<'_, str>> {
    run.failure.as_ref().map(|failure| Cow::Borrowed(failure.kind.as_str()))
}

fn id(run: Option<RunId>) -> Option<Cow<'static, str>> {
    run.map(|run| run.to_string().into())
}

fn of_pause<'r>(run: &'r Run, part: fn(&'r Pause) -> &'r str) -> Option<Cow<'r, str>> {
    run.pause.as_ref().map(part).map(Cow::Borrowed)
}

fn with_reason(reason: Option<&str>) -> Result<Option<Pause>, String> {
    let pause = |reason| Pause { reason, message: String::new(), from: WorkflowStatus::Running };
    Ok(reason.map(parsed).transpose()?.map(pause))
}

fn set_message(run: &mut Run, message: Option<&str>) {
    if let (Some(pause), Some(message)) = (&mut run.pause, message) {
        message.clone_into(&mut pause.message);
    }
}

fn set_from(run: &mut Run, from: Option<&str>) -> Result<(), String> {
    let from = from.map(parsed).transpose()?;
    run.pause = run.pause.take().zip(from).map(|(pause, from)| Pause { from, ..pause });
    Ok(())
}
