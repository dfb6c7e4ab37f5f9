//! Lists of runs. A page costs the same however many runs there are: each filter is a search in an index that ends with the
//! order of the list.

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::decode::{all, first};
use crate::query::{MOST_ERROR, Problems, status_is_wanted, statuses};
use crate::schema::runs::TABLE;
use crate::{RunFilter, RunSummary, StoreError};
use forge_journal::{RunId, Timestamp};

/// The number of the first run that did not begin before the run with this id, even if that run does not exist.
const NUMBER_FROM: &str = "SELECT number FROM forge_runs WHERE id >= ? ORDER BY id LIMIT 1";

/// Returns the statement for a filter. `?1` is the tenant, `?2` the workflow, `?3` the key, `?4` and `?5` the first and the last
/// of the numbers or ids, `?6` the length of the page. `+` keeps a column from being searched by: a key and a prefix select
/// few runs, and a status may select many.
fn sql(filter: &RunFilter) -> String {
    let workflow = if filter.workflow.is_some() { " AND workflow_name = ?2" } else { "" };
    let searches = if filter.key.is_some() {
        let status = status_is_wanted(filter, "+status");
        vec![format!(
            "SELECT number FROM forge_runs WHERE tenant = ?1 AND idempotency_key = ?3{workflow}{status} \
             AND +id BETWEEN ?4 AND ?5"
        )]
    } else if filter.id_prefix.is_some() {
        let workflow = workflow.replace("workflow_name", "+workflow_name");
        let status = status_is_wanted(filter, "+status");
        vec![format!(
            "SELECT * FROM (SELECT number FROM forge_runs WHERE id BETWEEN ?4 AND ?5 AND +tenant = ?1{workflow}{status} \
                 ORDER BY id DESC LIMIT ?6)"
        )]
    } else {
        let search = |status: &str| {
            format!(
                "SELECT * FROM (SELECT number FROM forge_runs WHERE tenant = ?1{workflow} AND status = '{status}' \
                     AND number BETWEEN ?4 AND ?5 ORDER BY number DESC LIMIT ?6)"
            )
        };
        statuses(filter).map(search).collect()
    };
    format!(
        "WITH page AS (SELECT number FROM ({}) ORDER BY number DESC LIMIT ?6) \
         SELECT id, workflow_name, version, status, started_at, completed_at, waits_for, error \
         FROM page JOIN forge_runs USING (number) ORDER BY number DESC",
        searches.join(" UNION ALL ")
    )
}

/// Returns the values for `?4` and `?5`.
fn bounds(connection: &Connection, filter: &RunFilter) -> Result<[Value; 2], StoreError> {
    if filter.key.is_some() || filter.id_prefix.is_some() {
        return Ok([filter.first_id(), filter.last_id()].map(|id| Value::Text(id.to_string())));
    }
    let mut statement = connection.prepare_cached(NUMBER_FROM)?;
    let mut number_from =
        |id: Uuid| first(&mut statement, [id.to_string()], TABLE, |columns| columns.number::<i64>());
    let from = match filter.since {
        // If no run has begun since, none is selected.
        Some(_) => number_from(filter.first_id())?.unwrap_or(i64::MAX),
        None => 0,
    };
    let before = match filter.cursor {
        Some(cursor) => number_from(cursor)?.unwrap_or(i64::MAX),
        None => i64::MAX,
    };
    Ok([Value::Integer(from), Value::Integer(before.saturating_sub(1))])
}

pub(super) fn list(
    connection: &Connection,
    tenant: &str,
    filter: &RunFilter,
) -> Result<Vec<RunSummary>, StoreError> {
    let [from, to] = bounds(connection, filter)?;
    let parameters = params![tenant, filter.workflow, filter.key, from, to, filter.limit];
    all(&mut *connection.prepare_cached(&sql(filter))?, parameters, TABLE, |columns| {
        let mut problems = Problems::default();
        Ok(RunSummary {
            id: columns.parsed::<RunId>()?.0,
            workflow_name: problems.or_empty(columns.string()),
            version: problems.or_empty(columns.number()),
            // The page was selected by it.
            status: columns.parsed()?,
            started_at: problems.or_empty(columns.time()).to_datetime(),
            completed_at: problems.or_empty(columns.optional_time()).map(Timestamp::to_datetime),
            waits_for: problems.waits_for(columns.optional_string()),
            error: {
                // SQLite's `substr` ends at U+0000.
                let error = problems.or_empty(columns.optional_string());
                problems.with(error.map(|error| error.chars().take(MOST_ERROR).collect()))
            },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;
    use crate::query::tests::filters;

    #[test]
    fn every_filter_is_a_search_in_an_index() {
        let connection = migrated();
        assert_eq!(
            plan(&connection, NUMBER_FROM),
            ["SEARCH forge_runs USING COVERING INDEX sqlite_autoindex_forge_runs_1 (id>?)"]
        );
        for filter in filters() {
            let plan = plan(&connection, &sql(&filter));
            let in_one = if filter.workflow.is_some() { " AND workflow_name=?" } else { "" };
            let (index, searches) = if filter.key.is_some() {
                (format!("forge_runs_by_key (tenant=? AND idempotency_key=?{in_one})"), 1)
            } else if filter.id_prefix.is_some() {
                ("sqlite_autoindex_forge_runs_1 (id>? AND id<?)".to_owned(), 1)
            } else {
                let by = if filter.workflow.is_some() { "workflow_status" } else { "status" };
                let index =
                    format!("forge_runs_by_{by} (tenant=?{in_one} AND status=? AND rowid>? AND rowid<?)");
                (index, statuses(&filter).count())
            };
            let found = plan.iter().filter(|step| step.ends_with(&index)).count();
            assert_eq!(found, searches, "{filter:?}: {plan:#?}");
            let by_number = "SEARCH forge_runs USING INTEGER PRIMARY KEY (rowid=?)";
            assert!(plan.iter().any(|step| *step == by_number), "{plan:#?}");
            let tables = plan.iter().filter(|step| step.contains("forge_runs"));
            assert_eq!(tables.count(), searches + 1, "there is no other access: {plan:#?}");
        }
    }
}
