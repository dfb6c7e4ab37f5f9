//! Runs and steps as the API, the CLI and embedders see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{RunSummary, effects};
use crate::maintenance::TaskReport;
use forge_journal::{
    Document, Kind, Parent, PauseReason, Published, Row, Run, Settled, StepStatus, Tags, WaitsFor,
    WorkflowStatus,
};
use forge_store::{RecentSteps, UntakenEvent, UntakenEvents};

/// A run (spec: *WorkflowRecord*, and what Forge adds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkflowRecord {
    /// Its id.
    pub id: Uuid,
    /// The workflow's name.
    pub workflow_name: String,
    /// The version it runs with.
    pub version: u32,
    /// The input.
    #[schema(value_type = Value)]
    pub input: Document,
    /// The output, once completed.
    #[schema(value_type = Option<Value>)]
    pub output: Option<Document>,
    /// Its status.
    pub status: WorkflowStatus,
    /// The step that runs now, or the last one that ran.
    pub current_step: Option<String>,
    /// The results of its completed steps, by name: of the last 100 steps, and at most 256 KiB.
    #[schema(value_type = Value)]
    pub step_results: BTreeMap<String, Document>,
    /// Whether there are earlier steps, whose results are not in `step_results`.
    #[serde(default)]
    pub has_more_steps: bool,
    /// The number of journaled calls.
    #[serde(default)]
    pub calls: u64,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it became final.
    pub completed_at: Option<DateTime<Utc>>,
    /// What went wrong, for a person.
    pub error: Option<String>,
    /// The trace that its start belongs to.
    pub trace_id: Option<String>,
    /// Effects that may have happened and that nothing undoes. Known when the run is final.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_doubt: Vec<String>,
    /// What a person found of effects that were in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settled>,
    /// What kind of failure it was: `error`, `timeout`, `cancelled`, `panic`, `out-of-fuel`, ...
    pub error_kind: Option<String>,
    /// The names of the completed steps that are not compensated, if it failed while it was rolled back or was terminated.
    #[serde(default)]
    pub not_compensated: Vec<String>,
    /// Why it is paused.
    pub pause_reason: Option<PauseReason>,
    /// When the first of its timers ends, if it waits for nothing else.
    #[serde(default)]
    pub wake_at: Option<DateTime<Utc>>,
    /// What it waits for, if it has left memory meanwhile: the first 10 calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<WaitsFor>,
    /// The events that it has not taken, if there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<PendingEvents>,
    /// The last value of each name that it has published.
    #[serde(default, skip_serializing_if = "Published::is_empty")]
    #[schema(value_type = Value)]
    pub published: Published,
    /// When it times out.
    pub deadline: DateTime<Utc>,
    /// The SHA-256 of the component it runs with.
    pub digest: String,
    /// The idempotency key of its start.
    pub key: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Tags)]
    pub tags: BTreeMap<String, String>,
    /// The failed run whose key this run took over.
    #[serde(default)]
    pub restart_of: Option<Uuid>,
    /// The run that took the key over from this run.
    #[serde(default)]
    pub restarted_as: Option<Uuid>,
    /// The run that started this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentRun>,
    /// Units of fuel that it has computed, as far as it is known while it runs; replays apart.
    #[serde(default)]
    pub fuel: u64,
}

impl WorkflowRecord {
    /// Returns the record without inputs, outputs and results. What the run has published stays: it is there to be shown.
    pub fn without_payloads(self) -> Self {
        Self { output: None, step_results: BTreeMap::new(), ..self.without_input() }
    }

    /// Returns the record without its input, which never changes.
    pub fn without_input(self) -> Self {
        Self { input: Document::stored("null".into()), ..self }
    }
}

/// The run that started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ParentRun {
    /// Its id.
    pub run_id: Uuid,
    /// The position of its call.
    pub call: u64,
    /// The number of runs above the one that was started.
    pub depth: u32,
    /// Whether it learns how the run ends, and cancels the run when it ends itself.
    pub attached: bool,
}

/// Events that a run has not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PendingEvents {
    /// Their number.
    pub count: u64,
    /// The bytes of their payloads.
    pub bytes: u64,
    /// The first 100 of them, in the order in which they were sent.
    pub first: Vec<PendingEvent>,
}

/// An event that a run has not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PendingEvent {
    /// Its position in the inbox.
    pub seq: u64,
    /// Its name.
    pub name: String,
    /// Its key; one that the host has made if the sender gave none.
    pub key: String,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// The bytes of its payload.
    pub bytes: u64,
}

/// A page of runs, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// Give this as `cursor` to get the next page, which has older runs; absent on the last. A page before it may be shorter
    /// than asked for, or empty, if several filters leave many runs out.
    pub next_cursor: Option<Uuid>,
    /// Give this as `newer` to get the page before, which has newer runs; absent on the first.
    #[serde(default)]
    pub newer: Option<Uuid>,
}

/// The number of runs with each status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunCounts {
    /// The numbers, by status.
    #[schema(value_type = CountsByStatusSchema)]
    pub counts: BTreeMap<WorkflowStatus, u64>,
    /// The statuses of which there may be more runs: [`RunCounts::capped`] of them were counted, or, with several filters, the
    /// newest 1,000 of each status were looked at.
    #[serde(default)]
    pub at_least: BTreeSet<WorkflowStatus>,
    /// The number up to which the runs of a status are counted.
    pub capped: u32,
}

/// Numbers of runs, by status.
#[derive(utoipa::ToSchema)]
#[schema(as = CountsByStatus)]
#[expect(dead_code, reason = "a name for the document")]
struct CountsByStatusSchema(BTreeMap<String, u64>);

/// A page of the journal of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StepPage)]
pub struct Steps {
    /// The calls of the run, in the order in which they began.
    pub steps: Vec<StepRecord>,
    /// Give this as `cursor` to get the next page; absent on the last.
    #[serde(default)]
    pub next_cursor: Option<u64>,
}

/// One journaled call of a run: a step, or something inside of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StepRecord {
    /// Its position in the run, from 1.
    pub seq: u64,
    /// The step or compensation it belongs to; none for the workflow's body. The parent of a
    /// compensation is the step that it compensates.
    pub parent: Option<u64>,
    /// The attempt of the parent that it belongs to.
    pub parent_attempt: Option<u32>,
    /// What it is: `step`, `compensation`, `time`, or an effect, such as `http` or `sleep`.
    #[schema(value_type = String)]
    pub kind: Kind,
    /// Its name; unique in the run for steps.
    pub step_name: String,
    /// Its status.
    pub status: StepStatus,
    /// The current or last attempt, from 1.
    pub attempt: u32,
    /// A failure of it does not fail the run.
    pub optional: bool,
    /// It has a compensation handler.
    pub compensable: bool,
    /// The input. For a request, the request itself.
    #[schema(value_type = Option<Value>)]
    pub input: Option<Document>,
    /// The result. For a request, the response.
    #[schema(value_type = Option<Value>)]
    pub result: Option<Document>,
    /// Why it failed. For a running step, why its last attempt failed.
    pub error: Option<String>,
    /// What kind of failure it was.
    pub error_kind: Option<String>,
    /// The run that it has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child_run: Option<Uuid>,
    /// When its timer ends, or its next attempt begins.
    pub wake_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// How long it took in milliseconds, once it ended.
    pub duration_ms: Option<u64>,
}

/// The health of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`, or `degraded` while the store does not take writes.
    pub status: HealthStatus,
    /// Details that concern all tenants. With API keys, only keys of the host get them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = HealthDetails)]
    pub details: Option<HealthDetails>,
}

/// Details of the health of a host.
// In the OpenAPI document, they are fields of `Health` that may be absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HealthDetails {
    /// Forge's version.
    #[schema(required = false)]
    pub version: String,
    /// Runs that are neither final nor paused. They are counted up to 10,000.
    #[schema(required = false)]
    pub active_runs: u64,
    /// Runs in memory. The others wait for a timer and take a row in the database.
    #[schema(required = false)]
    pub runs_in_memory: usize,
    /// Why it is degraded.
    pub error: Option<String>,
    /// The recurring jobs.
    #[serde(default)]
    pub maintenance: Vec<TaskReport>,
}

/// Whether the host can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// The store takes writes.
    Ok,
    /// The store does not take writes: runs wait. No acknowledged write is lost.
    Degraded,
}

impl PendingEvents {
    /// Returns the events of a run; `None` if there are none.
    pub(super) fn of(events: UntakenEvents) -> Option<Self> {
        let UntakenEvents { count, bytes, first } = events;
        let event = |UntakenEvent { seq, name, key, at, bytes }| PendingEvent {
            seq,
            name: String::from(&*name),
            key: String::from(&*key),
            at: at.to_datetime(),
            bytes,
        };
        (count > 0).then(|| Self { count, bytes, first: first.into_iter().map(event).collect() })
    }
}

impl From<Parent> for ParentRun {
    fn from(Parent { run, call, depth, attached }: Parent) -> Self {
        Self { run_id: run.0, call, depth, attached }
    }
}

/// Returns a run as callers see it, without the events that it has not taken.
pub(super) fn record(run: &Run, recent: &RecentSteps) -> WorkflowRecord {
    let RecentSteps { calls, steps, has_more } = recent;
    let running = steps.iter().find(|step| step.status == StepStatus::Running);
    let current = running.or_else(|| steps.first().filter(|_| run.status != WorkflowStatus::Completed));
    let step_results = steps
        .iter()
        .rev()
        .filter(|row| matches!(row.status, StepStatus::Completed | StepStatus::Compensated))
        .map(|row| (row.name.to_string(), stored(&row.result).unwrap_or_else(null)))
        .collect();
    WorkflowRecord {
        id: run.id.0,
        workflow_name: run.workflow.to_string(),
        version: run.version,
        input: Document::stored(Arc::clone(&run.input)),
        output: stored(&run.output),
        status: run.status,
        current_step: current.map(|row| row.name.to_string()),
        step_results,
        has_more_steps: *has_more,
        calls: *calls,
        started_at: run.started_at.to_datetime(),
        completed_at: run.completed_at.map(|time| time.to_datetime()),
        error: run.error(),
        in_doubt: run.in_doubt.iter().flat_map(|effects| effects.lines()).map(str::to_owned).collect(),
        settled: run.settled.clone(),
        trace_id: run.trace_id.as_deref().map(str::to_owned),
        error_kind: run.failure.as_ref().map(|failure| failure.kind.clone()),
        not_compensated: run.uncompensated.iter().map(ToString::to_string).collect(),
        pause_reason: run.pause.as_ref().map(|pause| pause.reason),
        wake_at: run.wake_at.filter(|_| !run.is_at_rest()).map(|time| time.to_datetime()),
        // The store has checked it.
        waits_for: WaitsFor::list(run.waits_for.as_deref()).unwrap_or_default(),
        events: None,
        published: run.published.clone(),
        deadline: run.deadline.to_datetime(),
        digest: run.digest.to_string(),
        key: run.key.as_deref().map(str::to_owned),
        tags: run.tags.clone().into(),
        restart_of: run.restart_of.map(|run| run.0),
        restarted_as: run.restarted_as.map(|run| run.0),
        parent: run.parent.map(Into::into),
        fuel: run.fuel,
    }
}

/// Returns a row as callers see it.
pub(super) fn step_record(row: &Row) -> StepRecord {
    let parent = (row.scope.step > 0).then_some(row.scope.step);
    let options = row.options.as_deref().copied().unwrap_or_default();
    StepRecord {
        seq: row.seq,
        parent,
        parent_attempt: parent.and(Some(row.scope.attempt)).filter(|attempt| *attempt > 0),
        kind: row.kind,
        step_name: row.name.to_string(),
        status: row.status,
        attempt: row.attempt,
        optional: options.optional,
        compensable: options.compensable,
        input: stored(&row.input),
        result: stored(&row.result),
        error: row.failure.as_ref().map(|failure| failure.message.clone()),
        error_kind: row.failure.as_ref().map(|failure| failure.kind.clone()),
        child_run: effects::started_by(row).map(|run| run.0),
        wake_at: row.wake_at.map(|time| time.to_datetime()),
        started_at: row.started_at.to_datetime(),
        completed_at: row.completed_at.map(|time| time.to_datetime()),
        duration_ms: row.completed_at.map(|time| time.since(row.started_at)),
    }
}

fn stored(text: &Option<Arc<str>>) -> Option<Document> {
    text.clone().map(Document::stored)
}

/// Returns the result of a step that has none.
fn null() -> Document {
    Value::Null.into()
}
