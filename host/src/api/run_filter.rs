//! The query of a list of runs.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use strum::VariantArray as _;
use url::form_urlencoded;
use uuid::Uuid;

use super::ApiError;
use super::parameters::{page, query_parameters};
use crate::executor::RunFilter;
use forge_journal::{RunIdPrefix, Tags, Timestamp, WorkflowStatus};

/// What the name of a parameter for a tag begins with.
const TAG: &str = "tag.";

/// The query of a list of runs, without the tags.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsQuery {
    /// Return only runs of this workflow.
    workflow: Option<String>,
    /// Return only runs that are pinned to this version.
    version: Option<u32>,
    /// Return only runs with one of these statuses, separated by commas.
    #[param(value_type = Option<Vec<WorkflowStatus>>, style = Form, explode = false)]
    status: Option<String>,
    /// Return only runs with a failure of this kind, such as `timeout`.
    error_kind: Option<String>,
    /// Return only runs that have this idempotency key.
    key: Option<String>,
    /// Return only runs that were started at this time or later.
    started_after: Option<DateTime<Utc>>,
    /// The older name of `started_after`.
    since: Option<DateTime<Utc>>,
    /// Return only runs that were started before this time.
    started_before: Option<DateTime<Utc>>,
    /// Return only runs whose id begins with these digits: 8 to 32, with or without the hyphens of the id.
    id_prefix: Option<String>,
    /// The maximum number of runs.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of a page: return the page after it.
    cursor: Option<Uuid>,
    /// The `newer` of a page: return the page before it.
    newer: Option<Uuid>,
}

/// The query of the counts of runs, without the tag.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountsQuery {
    /// Count only runs of this workflow.
    workflow: Option<String>,
    /// Count only runs that are pinned to this version.
    version: Option<u32>,
    /// Count only runs with one of these statuses, separated by commas.
    #[param(value_type = Option<Vec<WorkflowStatus>>, style = Form, explode = false)]
    status: Option<String>,
    /// Count only runs with a failure of this kind.
    error_kind: Option<String>,
    /// Count only runs that have this idempotency key.
    key: Option<String>,
    /// Count only runs that were started at this time or later.
    started_after: Option<DateTime<Utc>>,
    /// Count only runs that were started before this time.
    started_before: Option<DateTime<Utc>>,
    /// Count only runs whose id begins with these digits: 8 to 32, with or without the hyphens of the id.
    id_prefix: Option<String>,
}

/// Reads the query of a list of runs, as `GET /_api/runs` does.
pub(crate) fn run_filter(query: &str) -> Result<RunFilter, ApiError> {
    let (parameters, tags) = with_tags::<RunsQuery>(query)?;
    let RunsQuery { workflow, version, error_kind, key, cursor, newer, .. } = parameters;
    let only_one = |one: &str, other: &str| {
        Err(ApiError::invalid_parameter(format!("`{one}` and `{other}` cannot be given together")))
    };
    if cursor.is_some() && newer.is_some() {
        return only_one("cursor", "newer");
    }
    if parameters.started_after.is_some() && parameters.since.is_some() {
        return only_one("started_after", "since");
    }
    Ok(RunFilter {
        workflow,
        version,
        statuses: statuses(parameters.status.as_deref())?,
        tags,
        error_kind,
        key,
        since: parameters.started_after.or(parameters.since).map(timestamp),
        before: parameters.started_before.map(timestamp),
        id_prefix: id_prefix(parameters.id_prefix.as_deref())?,
        limit: page(parameters.limit)?,
        cursor,
        newer,
    })
}

/// Reads the query of the counts of runs.
pub(super) fn counts_filter(query: &str) -> Result<RunFilter, ApiError> {
    let (parameters, tags) = with_tags::<CountsQuery>(query)?;
    let CountsQuery { workflow, version, status, error_kind, key, .. } = parameters;
    Ok(RunFilter {
        workflow,
        version,
        statuses: statuses(status.as_deref())?,
        tags,
        error_kind,
        key,
        since: parameters.started_after.map(timestamp),
        before: parameters.started_before.map(timestamp),
        id_prefix: id_prefix(parameters.id_prefix.as_deref())?,
        ..RunFilter::default()
    })
}

fn id_prefix(prefix: Option<&str>) -> Result<Option<RunIdPrefix>, ApiError> {
    let prefix = prefix.map(str::parse::<RunIdPrefix>).transpose();
    prefix.map_err(|error| ApiError::invalid_parameter(error.to_string()))
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp(time.timestamp_millis())
}

/// Reads a query with the parameters of tags, `tag.NAME=VALUE`.
fn with_tags<T: DeserializeOwned>(query: &str) -> Result<(T, Tags), ApiError> {
    let mut tags = Tags::default();
    let mut others = form_urlencoded::Serializer::new(String::new());
    for (parameter, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(name) = parameter.strip_prefix(TAG) else {
            others.append_pair(&parameter, &value);
            continue;
        };
        if tags.get(name).is_some() {
            return Err(ApiError::invalid_parameter(format!(
                "`{TAG}{name}` is given twice: a run has one value of a tag"
            )));
        }
        tags.set(name, &value).map_err(|error| ApiError::invalid_parameter(error.to_string()))?;
    }
    let parameters = query_parameters(&others.finish()).map_err(ApiError::invalid_parameter)?;
    Ok((parameters, tags))
}

/// Reads statuses that are separated by commas.
fn statuses(list: Option<&str>) -> Result<Vec<WorkflowStatus>, ApiError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let status = |word: &str| {
        word.parse().map_err(|_| {
            let known: Vec<&str> = WorkflowStatus::VARIANTS.iter().map(|status| status.as_str()).collect();
            ApiError::invalid_parameter(format!("`status` can have {}, not `{word}`", known.join(", ")))
        })
    };
    list.split(',').map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_tags_beside_its_parameters() {
        let filter = run_filter("tag.order=1041&status=failed,paused&tag.a.b=c%3Dd+e&version=3").unwrap();
        let tags: Vec<_> = filter.tags.iter().collect();
        assert_eq!(tags, [("a.b", "c=d e"), ("order", "1041")]);
        assert_eq!(filter.statuses, [WorkflowStatus::Failed, WorkflowStatus::Paused]);
        assert_eq!(filter.version, Some(3));
        let times = |query| run_filter(query).unwrap().since;
        assert_eq!(times("since=1970-01-01T00:00:01Z"), times("started_after=1970-01-01T00:00:01Z"));
    }

    #[test]
    fn what_is_wrong_with_a_query_is_said() {
        let id = Uuid::nil();
        for (query, shown) in [
            ("tag.=1", "`` cannot be the name of a tag"),
            ("tag.a%20b=1", "`a b` cannot be the name of a tag"),
            ("tag.a=%00", "the value of the tag `a` has a control character"),
            ("tag.a=1&tag.a=2", "`tag.a` is given twice"),
            ("tags.a=1", "unknown parameter `tags.a`, expected one of `workflow`"),
            (
                "since=1970-01-01T00:00:01Z&started_after=1970-01-01T00:00:01Z",
                "`started_after` and `since` cannot",
            ),
            (&format!("cursor={id}&newer={id}"), "`cursor` and `newer` cannot be given together"),
            ("status=done", "`status` can have created, "),
        ] {
            let error = run_filter(query).unwrap_err();
            assert!(error.message().starts_with(shown), "{query}: {}", error.message());
        }
        let error = counts_filter("limit=1").unwrap_err();
        assert!(error.message().starts_with("unknown parameter `limit`"), "{}", error.message());
    }
}
