//! Renders a run as a tree of its steps, for `forge runs show` and `forge runs watch`.
//!
//! [`render`] is pure: the same record, steps and style give the same text. Names, errors and outputs
//! come from guests and services; they are escaped and cannot control the terminal.

mod children;
mod fold;
mod layout;
mod node;
mod now;
mod style;
mod tone;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;

use crate::executor::{ParentRun, PendingEvent, PendingEvents, StepRecord, WorkflowRecord};
use bytesize::ByteSize;
use forge_journal::{Document, Kind, Published, Settled, StepStatus, WorkflowStatus};

pub use children::{Child, Children};
pub use style::Style;

use super::follow::in_doubt;
use super::printable::Printable;
use super::table::cut;
use super::text::{between, count, duration, time};

/// The maximum number of characters of an output that is shown on one line.
const SHORT_OUTPUT: usize = 90;

/// The most events that are listed. `--json` has more.
const MOST_EVENTS: usize = 10;

/// Returns the run with its steps as text, without a line break at the end. The runs that it has started are below their
/// calls.
pub fn render(record: &WorkflowRecord, steps: &[StepRecord], children: &Children, style: &Style) -> String {
    let mut text = head(record, style);
    let mut nodes = node::nodes(steps, children, style);
    if !style.every_call {
        nodes = fold::fold(nodes);
    }
    if !nodes.is_empty() {
        text.push_str("\n\n");
        text.push_str(&layout::lines(&nodes, style).join("\n"));
    } else if style.only_failed {
        text.push_str("\n\nno call has failed");
    }
    if let Some(end) = end(record, steps, style) {
        text.push_str("\n\n");
        text.push_str(&end);
    }
    if !record.published.is_empty() {
        text.push_str("\n\n");
        text.push_str(&published(&record.published));
    }
    if let Some(events) = &record.events {
        text.push_str("\n\n");
        text.push_str(&untaken(events, style));
    }
    for settled in &record.settled {
        let Settled { effect, outcome, by, at, .. } = settled;
        let line = format!("settled by {} at {}: {outcome}: {effect}", by, time(*at));
        text.push('\n');
        text.push_str(&style.paint(tone::FAINT, &Printable::line(&line).to_string()));
    }
    text
}

/// Returns the lines above the tree: the workflow, the status and the id of the run.
fn head(record: &WorkflowRecord, style: &Style) -> String {
    let (mark, tone) = mark(record.status);
    let took = duration(between(record.started_at, record.completed_at.unwrap_or(style.now)));
    let status = match record.status {
        WorkflowStatus::Completed => format!("completed in {took}"),
        WorkflowStatus::Compensated => format!("rolled back after {took}"),
        WorkflowStatus::Failed => format!("failed after {took}"),
        status => format!("{status}, started {took} ago"),
    };
    let name = style.paint(tone::STRONG, &Printable::line(&record.workflow_name).to_string());
    let line =
        format!("{} {name} v{}  {}", style.paint(tone, mark), record.version, style.paint(tone, &status));
    let lineage = match (record.restart_of, record.restarted_as) {
        (_, Some(run)) => format!(", restarted as {run}"),
        (Some(run), None) => format!(", a restart of {run}"),
        (None, None) => String::new(),
    };
    let origin = format!("  run {}, started {}{lineage}", record.id, time(record.started_at));
    let parent = record.parent.map(|ParentRun { run_id, call, attached, .. }| {
        let relation = if attached { "child of" } else { "started by" };
        format!("\n  {relation} run {run_id}, call {call}")
    });
    let tags: Vec<_> = record.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let tags =
        if tags.is_empty() { String::new() } else { format!("\n  {}", Printable::line(&tags.join("  "))) };
    let origin = origin + &parent.unwrap_or_default() + &tags;
    format!("{line}\n{}", style.paint(tone::FAINT, &origin))
}

/// Returns the list of the values that the run has published. `--json` has them whole.
fn published(values: &Published) -> String {
    let line = |(name, value): (&String, &Document)| {
        let value = Printable::json(&value.to_string()).to_string();
        format!("\n  {}: {}", Printable::line(name), cut(&value, SHORT_OUTPUT))
    };
    values.iter().map(line).fold("published:".to_owned(), |text, line| text + &line)
}

/// Returns the list of the events that the run has not taken.
fn untaken(events: &PendingEvents, style: &Style) -> String {
    let PendingEvents { count: number, bytes, first } = events;
    let left = if *number == 1 { "1 event is" } else { &format!("{number} events are") };
    let mut lines = vec![format!("{left} not taken, {}:", ByteSize(*bytes))];
    lines.extend(first.iter().take(MOST_EVENTS).map(|PendingEvent { seq, name, at, bytes, .. }| {
        format!("  {seq}. {}, {}, sent {}", Printable::line(name), ByteSize(*bytes), time(*at))
    }));
    let others = number.saturating_sub(first.len().min(MOST_EVENTS) as u64);
    if others > 0 {
        lines.push(format!("  and {others} more"));
    }
    style.paint(tone::FAINT, &lines.join("\n"))
}

/// Returns the text below the tree: the output, the error or the progress of the run.
fn end(record: &WorkflowRecord, steps: &[StepRecord], style: &Style) -> Option<String> {
    let error = record.error.as_deref().map(Printable::lines);
    let kind =
        record.error_kind.as_deref().map(|kind| format!(" ({})", Printable::line(kind))).unwrap_or_default();
    let (tone, text) = match record.status {
        WorkflowStatus::Completed => {
            let output = record.output.as_ref().map(|output| format!("output: {}", json(output)));
            let in_doubt = record.in_doubt.iter().map(|effect| style.paint(tone::WARN, &in_doubt(effect)));
            let lines: Vec<String> = output.into_iter().chain(in_doubt).collect();
            return (!lines.is_empty()).then(|| lines.join("\n"));
        }
        WorkflowStatus::Failed => (tone::BAD, format!("failed{kind}: {}{}", error?, stays(record))),
        WorkflowStatus::Compensated => (tone::WARN, format!("rolled back{kind}: {}", error?)),
        WorkflowStatus::Paused => {
            let reason = record.pause_reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            (tone::WARN, format!("paused{reason}{error}"))
        }
        WorkflowStatus::Compensating => {
            let done = steps.iter().filter(|step| step.status == StepStatus::Compensated).count();
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            (tone::WARN, format!("rolling back, {} done{error}", count(done, "step")))
        }
        _ if error.is_some() => {
            (tone::WARN, format!("is rolled back when its requests are answered{kind}: {}", error?))
        }
        WorkflowStatus::Created | WorkflowStatus::Running | WorkflowStatus::Waiting => {
            let is_done =
                |step: &&StepRecord| step.kind == Kind::Step && step.status == StepStatus::Completed;
            let done = count(steps.iter().filter(is_done).count(), "step");
            let doing = now::doing(steps, style.now).map(|doing| format!("; the run {doing}"));
            (tone::ACTIVE, format!("{done} done{}", doing.unwrap_or_default()))
        }
    };
    Some(style.paint(tone, &text))
}

/// Returns the list of the steps that are not compensated.
fn stays(record: &WorkflowRecord) -> String {
    let names: Vec<String> =
        record.not_compensated.iter().map(|step| format!("\n  {}", Printable::line(step))).collect();
    if names.is_empty() { String::new() } else { format!("\nnot compensated:{}", names.concat()) }
}

fn json(document: &Document) -> String {
    let short = document.to_string();
    let shown = if short.chars().count() <= SHORT_OUTPUT { short } else { format!("{document:#}") };
    Printable::json(&shown).to_string()
}

fn mark(status: WorkflowStatus) -> (&'static str, anstyle::Style) {
    match status {
        WorkflowStatus::Created => ("·", tone::FAINT),
        WorkflowStatus::Running | WorkflowStatus::Waiting => ("●", tone::ACTIVE),
        WorkflowStatus::Completed => ("✔", tone::GOOD),
        WorkflowStatus::Compensating | WorkflowStatus::Compensated => ("↩", tone::WARN),
        WorkflowStatus::Failed => ("✘", tone::BAD),
        WorkflowStatus::Paused => ("‖", tone::WARN),
    }
}
