//! What a run does now: the calls that are under way and wait for something.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::cli::printable::Printable;
use crate::cli::text::time;
use crate::cli::waits::{list, target};
use crate::executor::StepRecord;
use forge_journal::{Kind, StepStatus};

/// Returns what the run does: `sleeps until …`, `waits for POST …`. `None`: it waits for nothing.
pub(super) fn doing(steps: &[StepRecord], now: DateTime<Utc>) -> Option<String> {
    let is_open = |step: &&StepRecord| matches!(step.status, StepStatus::Pending | StepStatus::Running);
    let open: Vec<&StepRecord> = steps.iter().filter(is_open).collect();
    let parents: BTreeSet<u64> = open.iter().filter_map(|step| step.parent).collect();
    let is_quiet = |step: &StepRecord| matches!(step.kind.as_str(), "time" | "timeout");
    let waits = open.iter().filter(|step| !parents.contains(&step.seq) && !is_quiet(step));
    let named = list(waits.map(|step| describe(step, now)));
    (!named.is_empty()).then_some(named)
}

fn describe(step: &StepRecord, now: DateTime<Utc>) -> String {
    let name = Printable::line(&step.step_name);
    let later = step.wake_at.filter(|wake_at| *wake_at > now).map(time);
    match (step.kind, later) {
        (Kind::Step, Some(at)) => format!("retries `{name}` at {at}"),
        (Kind::Compensation, Some(at)) => format!("retries the compensation at {at}"),
        (Kind::Step | Kind::Time, None) => format!("is in step `{name}`"),
        (Kind::Compensation, None) => "runs a compensation".to_owned(),
        (Kind::Effect(kind), Some(at)) if kind.as_str() == "sleep" => format!("sleeps until {at}"),
        (Kind::Effect(kind), _) if kind.as_str() == "http" => format!("waits for `{name}`"),
        (Kind::Effect(kind), _) if matches!(kind.as_str(), "event" | "child") => {
            format!("waits for {}", target(kind.as_str(), &step.step_name, step.wake_at, step.child_run))
        }
        (kind, _) => format!("waits for {kind} `{name}`"),
    }
}
