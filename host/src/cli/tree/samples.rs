//! Sample records for tests.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::executor::{StepRecord, WorkflowRecord};
use forge_journal::{Document, Kind, StepStatus, WorkflowStatus};

/// Returns the time at which all samples start.
pub(in crate::cli) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_763_865_850_000).unwrap()
}

/// Returns a run of `payment` version 1. It took 1.24 s if it is final.
pub(in crate::cli) fn record(status: WorkflowStatus) -> WorkflowRecord {
    WorkflowRecord {
        id: Uuid::from_u128(0x0199_d1c4_7a3e_7d1f_9c55_0d8f_6b1f_2a10),
        workflow_name: "payment".to_owned(),
        version: 1,
        input: Document::default(),
        output: None,
        status,
        current_step: None,
        step_results: BTreeMap::new(),
        has_more_steps: false,
        calls: 0,
        started_at: start(),
        completed_at: status.is_final().then(|| start() + TimeDelta::milliseconds(1_240)),
        error: None,
        in_doubt: Vec::new(),
        settled: Vec::new(),
        trace_id: None,
        error_kind: None,
        not_compensated: Vec::new(),
        restart_of: None,
        restarted_as: None,
        pause_reason: None,
        wake_at: None,
        waits_for: Vec::new(),
        events: None,
        published: BTreeMap::new(),
        deadline: start() + TimeDelta::hours(24),
        digest: "d".repeat(64),
        key: None,
        tags: std::collections::BTreeMap::new(),
        parent: None,
        fuel: 0,
    }
}

/// Returns a call of the workflow's body that started with the run. It took 100 ms if it has ended.
pub(in crate::cli) fn step(seq: u64, kind: Kind, name: &str, status: StepStatus) -> StepRecord {
    let is_open = matches!(status, StepStatus::Pending | StepStatus::Running);
    StepRecord {
        seq,
        parent: None,
        parent_attempt: None,
        kind,
        step_name: name.to_owned(),
        status,
        attempt: 1,
        optional: false,
        compensable: false,
        input: None,
        result: None,
        error: None,
        error_kind: None,
        child_run: None,
        wake_at: None,
        started_at: start(),
        completed_at: (!is_open).then(|| start() + TimeDelta::milliseconds(100)),
        duration_ms: (!is_open).then_some(100),
    }
}

/// Returns the call as one that an attempt of a step made.
pub(in crate::cli) fn inside(parent: u64, attempt: u32, step: StepRecord) -> StepRecord {
    StepRecord { parent: Some(parent), parent_attempt: Some(attempt), ..step }
}

/// Returns a request that got a response with this status.
pub(in crate::cli) fn request(seq: u64, name: &str, status: u16) -> StepRecord {
    let result = json!({ "status": status, "headers": [], "body": "" });
    StepRecord { result: Some(result.into()), ..step(seq, effect("http"), name, StepStatus::Completed) }
}

/// Returns the compensation of a step.
pub(in crate::cli) fn compensation(seq: u64, of: u64, status: StepStatus) -> StepRecord {
    StepRecord { parent: Some(of), ..step(seq, Kind::Compensation, "", status) }
}

/// The kind of an effect.
pub(in crate::cli) fn effect(word: &str) -> Kind {
    word.parse().expect("a kind")
}
