//! A run as a tree of its steps: what `forge runs show` and `runs watch` print.
//!
//! [`render`] is pure: the same record, steps and style give the same text. What guests and services
//! wrote (names, errors, outputs) cannot control the terminal.

mod layout;
mod node;
mod style;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;

use crate::executor::{StepRecord, WorkflowRecord};
use forge_journal::{Kind, StepStatus, WorkflowStatus};

pub use style::Style;

use super::text::{between, count, duration, printable, time};
use style::Tone;

/// An output up to this many characters is shown on one line.
const SHORT_OUTPUT: usize = 90;

/// The run with its steps, without a line break at the end.
pub fn render(record: &WorkflowRecord, steps: &[StepRecord], style: &Style) -> String {
    let mut text = head(record, style);
    let nodes = node::nodes(steps, style);
    if !nodes.is_empty() {
        text.push_str("\n\n");
        text.push_str(&layout::lines(&nodes, style).join("\n"));
    }
    if let Some(end) = end(record, steps, style) {
        text.push_str("\n\n");
        text.push_str(&end);
    }
    text
}

/// What it is and how it stands.
fn head(record: &WorkflowRecord, style: &Style) -> String {
    let (mark, tone) = mark(record.status);
    let took = duration(between(record.started_at, record.completed_at.unwrap_or(style.now)));
    let status = match record.status {
        WorkflowStatus::Completed => format!("completed in {took}"),
        WorkflowStatus::Compensated => format!("rolled back after {took}"),
        WorkflowStatus::Failed => format!("failed after {took}"),
        status => format!("{status}, started {took} ago"),
    };
    let name = style.paint(Tone::Strong, &printable(&record.workflow_name));
    let line =
        format!("{} {name} v{}  {}", style.paint(tone, mark), record.version, style.paint(tone, &status));
    let origin = format!("  run {}, started {}", record.id, time(record.started_at));
    format!("{line}\n{}", style.paint(Tone::Faint, &origin))
}

/// What came of it, or how far it is.
fn end(record: &WorkflowRecord, steps: &[StepRecord], style: &Style) -> Option<String> {
    let error = record.error.as_deref().map(printable);
    let kind = record.error_kind.as_deref().map(|kind| format!(" ({})", printable(kind))).unwrap_or_default();
    let (tone, text) = match record.status {
        WorkflowStatus::Completed => {
            return record.output.as_ref().map(|output| format!("output: {}", json(output)));
        }
        WorkflowStatus::Failed => (Tone::Bad, format!("failed{kind}: {}", error?)),
        WorkflowStatus::Compensated => (Tone::Warn, format!("rolled back{kind}: {}", error?)),
        WorkflowStatus::Paused => {
            let reason = record.pause_reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            (Tone::Warn, format!("paused{reason}{error}"))
        }
        WorkflowStatus::Compensating => {
            let done = steps.iter().filter(|step| step.status == StepStatus::Compensated).count();
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            (Tone::Warn, format!("rolling back, {} done{error}", count(done, "step")))
        }
        WorkflowStatus::Created | WorkflowStatus::Running | WorkflowStatus::Waiting => {
            let is_done =
                |step: &&StepRecord| step.kind == Kind::Step && step.status == StepStatus::Completed;
            let done = count(steps.iter().filter(is_done).count(), "step");
            let current = record.current_step.as_deref().map(|step| format!(", now at {}", printable(step)));
            (Tone::Active, format!("{done} done{}", current.unwrap_or_default()))
        }
    };
    Some(style.paint(tone, &text))
}

fn json(value: &serde_json::Value) -> String {
    let short = value.to_string();
    let text = if short.chars().count() <= SHORT_OUTPUT {
        short
    } else {
        serde_json::to_string_pretty(value).unwrap_or(short)
    };
    printable(&text)
}

fn mark(status: WorkflowStatus) -> (&'static str, Tone) {
    match status {
        WorkflowStatus::Created => ("·", Tone::Faint),
        WorkflowStatus::Running | WorkflowStatus::Waiting => ("●", Tone::Active),
        WorkflowStatus::Completed => ("✔", Tone::Good),
        WorkflowStatus::Compensating | WorkflowStatus::Compensated => ("↩", Tone::Warn),
        WorkflowStatus::Failed => ("✘", Tone::Bad),
        WorkflowStatus::Paused => ("‖", Tone::Warn),
    }
}
