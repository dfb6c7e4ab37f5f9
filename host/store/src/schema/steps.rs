//! `forge_steps`: one row per journaled call.

use std::borrow::Cow;
use std::sync::Arc;

use forge_journal::{Failure, Kind, Reach, Row, Scope, StepStatus, Timestamp};

use super::{
    Access, Column, Decoded, Role, borrowed, columns, from_json, number, optional, parsed, required, time,
    to_json,
};

pub(crate) const TABLE: &str = "forge_steps";

columns! {
    row: Row, value;
    // Column       Type    Role     What is written                             => What is read
    kind            Text    Fixed:   borrowed(row.kind.as_str())                 => row.kind = parsed(required(value)?)?;
    status          Text    Mutable: borrowed(row.status.as_str())               => row.status = parsed(required(value)?)?;
    name            Text    Fixed:   borrowed(&row.name)                         => row.name = required(value)?.into();
    input           Text    Fixed:   optional(&row.input)                        => row.input = value.map(Into::into);
    result          Text    Mutable: optional(&row.result)                       => row.result = value.map(Into::into);
    error           Text    Mutable: of_failure(row, |it| &it.message)           => row.failure = value.map(with_message);
    error_kind      Text    Mutable: of_failure(row, |it| &it.kind)              => set_kind(row, value);
    error_reach     Text    Mutable: reach(row)                                  => set_reach(row, value)?;
    awaits          Text    Fixed:   row.awaits.map(|kind| kind.as_str().into()) => row.awaits = value.map(parsed).transpose()?;
    child_run       Text    Mutable: row.child.map(|run| run.to_string().into())  => row.child = value.map(parsed).transpose()?;
    options         Text    Fixed:   to_json(row.options.as_deref())?            => row.options = from_json(value)?;
    attempt_orders  Text    Mutable: to_json(attempt_orders(row))?               => row.attempt_orders = from_json(value)?.unwrap_or_default();
    fingerprint     Integer Fixed:   Some(row.fingerprint.cast_signed())         => row.fingerprint = required(value)?.cast_unsigned();
    started_at      Integer Fixed:   Some(row.started_at.0)                      => row.started_at = time(value)?;
    scope_step      Integer Fixed:   Some(row.scope.step.cast_signed())          => row.scope.step = required(value)?.cast_unsigned();
    scope_attempt   Integer Fixed:   Some(row.scope.attempt.into())              => row.scope.attempt = number(required(value)?)?;
    attempt         Integer Mutable: Some(row.attempt.into())                    => row.attempt = number(required(value)?)?;
    notes           Integer Mutable: (row.notes > 0).then(|| row.notes.into())   => row.notes = value.map(number).transpose()?.unwrap_or_default();
    call_index      Integer Fixed:   row.index.map(Into::into)                   => row.index = value.map(number).transpose()?;
    call_order      Integer Mutable: row.order.map(u64::cast_signed)             => row.order = value.map(i64::cast_unsigned);
    completed_at    Integer Mutable: row.completed_at.map(|time| time.0)         => row.completed_at = value.map(Timestamp);
    wake_at         Integer Mutable: row.wake_at.map(|time| time.0)              => row.wake_at = value.map(Timestamp);
    error_retryable Flag    Mutable: row.failure.as_ref().map(|it| it.retryable) => set_retryable(row, value);
    step_before     Integer Fixed:   row.step_before.map(Into::into)             => row.step_before = value.map(number).transpose()?;
    revision        Integer Mutable: Some(row.revision.cast_signed())            => row.revision = required(value)?.cast_unsigned();
}

/// The documents of a call, which a page of the journal may leave out.
pub(crate) const PAYLOADS: [&str; 2] = ["input", "result"];

/// Matches a write that would undo what the stored row `old` says. A call that succeeded stays so, and only a new attempt
/// opens a call that ended otherwise.
pub(crate) const BACKWARDS: &str = "new.attempt < old.attempt \
     OR old.status IN ('completed', 'compensated') AND new.status NOT IN ('completed', 'compensated') \
     OR old.status = 'compensated' AND new.status = 'completed' \
     OR old.status IN ('failed', 'skipped') AND new.status IN ('pending', 'running') AND new.attempt = old.attempt";

/// Returns a row at this position whose columns are still to be read.
pub(crate) fn blank(seq: u64) -> Row {
    Row {
        seq,
        scope: Scope::BODY,
        index: None,
        kind: Kind::Step,
        name: Arc::default(),
        fingerprint: 0,
        options: None,
        input: None,
        status: StepStatus::Pending,
        result: None,
        failure: None,
        attempt: 0,
        notes: 0,
        attempt_orders: Vec::new(),
        order: None,
        wake_at: None,
        awaits: None,
        child: None,
        started_at: Timestamp::NOW,
        completed_at: None,
        step_before: None,
        revision: 0,
    }
}

fn attempt_orders(row: &Row) -> Option<&Vec<u64>> {
    (!row.attempt_orders.is_empty()).then_some(&row.attempt_orders)
}

fn of_failure<'r>(row: &'r Row, part: fn(&'r Failure) -> &'r str) -> Option<Cow<'r, str>> {
    row.failure.as_deref().map(part).map(Cow::Borrowed)
}

fn with_message(message: &str) -> Box<Failure> {
    Box::new(Failure::new("", message))
}

fn reach(row: &Row) -> Option<Cow<'_, str>> {
    row.failure.as_ref()?.reach.map(Reach::as_str).map(Cow::Borrowed)
}

fn set_reach(row: &mut Row, reach: Option<&str>) -> Decoded {
    if let Some(failure) = &mut row.failure {
        failure.reach = reach.map(parsed).transpose()?;
    }
    Ok(())
}

fn set_kind(row: &mut Row, kind: Option<&str>) {
    if let (Some(failure), Some(kind)) = (&mut row.failure, kind) {
        kind.clone_into(&mut failure.kind);
    }
}

fn set_retryable(row: &mut Row, retryable: Option<bool>) {
    if let (Some(failure), Some(retryable)) = (&mut row.failure, retryable) {
        failure.retryable = retryable;
    }
}
