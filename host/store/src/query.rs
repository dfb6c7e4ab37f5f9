use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use forge_journal::{Row, RunIdPrefix, Tags, Timestamp, WaitsFor, WorkflowStatus};
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;
use uuid::Uuid;

use crate::StoreError;

/// Returns the lowest id of a run that is started at this time. A run that ended before it has a lower id.
pub(crate) fn first_id_at(time: Timestamp) -> Uuid {
    // The first 48 bits of a UUIDv7 are its time in milliseconds.
    Uuid::from_u128(u128::from(u64::try_from(time.0).unwrap_or(0)) << 80)
}

/// Characters of a run's error in a list. The run itself has all of them.
pub(crate) const MOST_ERROR: usize = 1_000;

/// Returns the statuses that a filter selects.
pub(crate) fn statuses(filter: &RunFilter) -> impl Iterator<Item = &'static str> + '_ {
    wanted(filter).map(|status| status.as_str())
}

fn wanted(filter: &RunFilter) -> impl Iterator<Item = WorkflowStatus> + '_ {
    let is_wanted = |status: &WorkflowStatus| filter.statuses.is_empty() || filter.statuses.contains(status);
    WorkflowStatus::VARIANTS.iter().copied().filter(is_wanted)
}

/// Returns the condition on the status of a run that is found without its status.
pub(crate) fn status_is_wanted(filter: &RunFilter, column: &str) -> String {
    if filter.statuses.is_empty() {
        return String::new();
    }
    let statuses: Vec<String> = statuses(filter).map(|status| format!("'{status}'")).collect();
    format!(" AND {column} IN ({})", statuses.join(", "))
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunSummary {
    /// The run's id.
    pub id: Uuid,
    /// The workflow's name.
    pub workflow_name: String,
    /// The version that the run is pinned to.
    pub version: u32,
    /// The status.
    pub status: WorkflowStatus,
    /// When the run was started.
    pub started_at: DateTime<Utc>,
    /// When the run became final.
    pub completed_at: Option<DateTime<Utc>>,
    /// What went wrong, as text; the first 1,000 characters.
    pub error: Option<String>,
    /// The kind of the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// The tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Tags)]
    pub tags: BTreeMap<String, String>,
    /// What the run waits for, if it has left memory meanwhile: the first calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<WaitsFor>,
}

/// What of a run in a list cannot be read. One such run must not make the list unreadable.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Returns a part of a run; an empty one if it cannot be read, which is noted.
    pub(crate) fn or_empty<T: Default>(&mut self, part: Result<T, StoreError>) -> T {
        part.unwrap_or_else(|error| {
            self.0.push(error.of_column());
            T::default()
        })
    }

    /// Returns what a run waits for.
    pub(crate) fn waits_for(&mut self, list: Result<Option<String>, StoreError>) -> Vec<WaitsFor> {
        let list = self.or_empty(list);
        WaitsFor::list(list.as_deref()).unwrap_or_else(|error| {
            self.0.push(format!("column waits_for: {error}"));
            Vec::new()
        })
    }

    /// Returns the tags of a run.
    pub(crate) fn tags(&mut self, tags: Result<Option<String>, StoreError>) -> BTreeMap<String, String> {
        let tags = self.or_empty(tags);
        tags.map_or(Ok(BTreeMap::new()), |tags| serde_json::from_str(&tags)).unwrap_or_else(|error| {
            self.0.push(format!("column tags: {error}"));
            BTreeMap::new()
        })
    }

    /// Returns the error of the run with what cannot be read of it.
    pub(crate) fn with(self, error: Option<String>) -> Option<String> {
        let problems = self.0.into_iter().map(|problem| format!("it cannot be read completely: {problem}"));
        let all: Vec<String> = error.into_iter().chain(problems).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A page of a run's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFilter {
    /// Selects calls that began after the one with this `seq`.
    pub after: u64,
    /// The maximum number of calls.
    pub limit: u32,
    /// The maximum bytes of inputs and results. A page has at least one call.
    pub bytes: u64,
    /// Whether the calls have their inputs and results.
    pub payloads: bool,
}

/// Calls of a run, in the order in which they began.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPage {
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// The calls.
    pub rows: Vec<Row>,
    /// Whether the run has later calls.
    pub has_more: bool,
}

/// A selection of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Selects runs of this workflow.
    pub workflow: Option<String>,
    /// Selects runs that are pinned to this version.
    pub version: Option<u32>,
    /// Selects runs with one of these statuses. Empty: with any status.
    pub statuses: Vec<WorkflowStatus>,
    /// Selects runs that have all of these tags.
    pub tags: Tags,
    /// Selects runs with a failure of this kind.
    pub error_kind: Option<String>,
    /// Selects runs that have this idempotency key. At most one of each workflow has it.
    pub key: Option<String>,
    /// Selects runs that were started at this time or later.
    pub since: Option<Timestamp>,
    /// Selects runs that were started before this time.
    pub before: Option<Timestamp>,
    /// Selects runs whose id begins like this.
    pub id_prefix: Option<RunIdPrefix>,
    /// The maximum number of runs. For the API, 0 means 50, and the maximum is 500.
    pub limit: u32,
    /// Selects runs that were started before this one.
    pub cursor: Option<Uuid>,
    /// Selects runs that were started after this one, and of these the first ones.
    pub newer: Option<Uuid>,
}

impl RunFilter {
    /// Returns the lowest id that the filter selects.
    pub(crate) fn first_id(&self) -> Uuid {
        let since = self.since.map(first_id_at);
        let after = self.newer.map(|newer| Uuid::from_u128(newer.as_u128().saturating_add(1)));
        let prefix = self.id_prefix.map(|prefix| prefix.first());
        [since, after, prefix].into_iter().flatten().max().unwrap_or_default()
    }

    /// Returns the highest id that the filter selects.
    pub(crate) fn last_id(&self) -> Uuid {
        // No run has the highest id, and a page that ends with the lowest is the last.
        let below = |id: Uuid| Uuid::from_u128(id.as_u128().saturating_sub(1));
        let before = self.before.map(first_id_at).map(below);
        let prefix = self.id_prefix.map(|prefix| prefix.last());
        [before, self.cursor.map(below), prefix].into_iter().flatten().min().unwrap_or(Uuid::max())
    }
}

/// Runs of a list, in the order in which they are searched: the newest first, or from a run on to newer ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// The run after which the list goes on, if the most runs were examined before the list had its length.
    pub examined_to: Option<Uuid>,
}

impl RunList {
    /// Adds a run that was examined. `is_last`: the search ended with it.
    pub(crate) fn push(&mut self, run: RunSummary, matches: bool, is_last: bool) {
        self.examined_to = is_last.then_some(run.id);
        if matches {
            self.runs.push(run);
        }
    }
}

/// Numbers of runs, by status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunNumbers {
    /// The number of runs with each status that the filter selects.
    pub counts: BTreeMap<WorkflowStatus, u64>,
    /// The statuses of which there may be more runs: not all of them were looked at.
    pub at_least: BTreeSet<WorkflowStatus>,
}

impl RunNumbers {
    /// Numbers of a filter that selects no run.
    pub(crate) fn of_none(filter: &RunFilter) -> Self {
        Self { counts: wanted(filter).map(|status| (status, 0)).collect(), at_least: BTreeSet::new() }
    }

    /// Adds the number of runs with a status.
    pub(crate) fn add(&mut self, status: WorkflowStatus, count: u64, may_be_more: bool) {
        self.counts.insert(status, count);
        if may_be_more {
            self.at_least.insert(status);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the filter with each combination of the other conditions.
    fn with_conditions(filter: &RunFilter) -> Vec<RunFilter> {
        let (mut one, mut two) = (Tags::default(), Tags::default());
        one.set("order", "1041").unwrap();
        two.set("customer", "acme").unwrap();
        two.set("order", "1041").unwrap();
        let mut filters = Vec::new();
        for tags in [Tags::default(), one, two] {
            for error_kind in [None, Some("timeout".to_owned())] {
                for version in [None, Some(3)] {
                    let (tags, error_kind) = (tags.clone(), error_kind.clone());
                    filters.push(RunFilter { tags, error_kind, version, ..filter.clone() });
                }
            }
        }
        filters
    }

    /// Returns a filter for each combination of conditions.
    pub(crate) fn filters() -> Vec<RunFilter> {
        let statuses = WorkflowStatus::VARIANTS.iter().map(|status| vec![*status]);
        let statuses = statuses.chain([vec![WorkflowStatus::Failed, WorkflowStatus::Compensated], vec![]]);
        let mut filters = Vec::new();
        for statuses in statuses {
            for workflow in [None, Some("payment".to_owned())] {
                let all =
                    RunFilter { workflow, statuses: statuses.clone(), limit: 50, ..RunFilter::default() };
                let before = RunFilter { cursor: Some(Uuid::max()), ..all.clone() };
                let since = RunFilter { since: Some(Timestamp(1_000)), ..all.clone() };
                let key = RunFilter { key: Some("order-1041".to_owned()), ..all.clone() };
                let prefix = RunFilter { id_prefix: "0199d1c4".parse().ok(), ..all.clone() };
                let newer = RunFilter { newer: Some(Uuid::nil()), ..all.clone() };
                let until = RunFilter { before: Some(Timestamp(2_000)), ..since.clone() };
                for filter in [all, before, since, key, prefix, newer, until] {
                    filters.extend(with_conditions(&filter));
                }
            }
        }
        filters
    }
}
