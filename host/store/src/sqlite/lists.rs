//! Lists of runs. A page costs the same however many runs there are: each filter is a search in an index that ends with the
//! order of the list.

use rusqlite::{Connection, params};

use super::decode::{all, first};
use crate::query::{MOST_ERROR, Problems, statuses};
use crate::schema::runs::TABLE;
use crate::{RunFilter, RunSummary, StoreError};
use forge_journal::{RunId, Timestamp};

/// The number of the first run that did not begin before the run with this id, even if that run does not exist.
const NUMBER_FROM: &str = "SELECT number FROM forge_runs WHERE id >= ? ORDER BY id LIMIT 1";

/// Returns the statement for a filter. `?1` is the tenant, `?2` the workflow, `?3` the number before which the page begins,
/// `?4` the length of the page.
fn sql(filter: &RunFilter) -> String {
    let workflow = if filter.workflow.is_some() { " AND workflow_name = ?2" } else { "" };
    let search = |status: &str| {
        format!(
            "SELECT * FROM (SELECT number FROM forge_runs WHERE tenant = ?1{workflow} AND status = '{status}' \
                 AND number < ?3 ORDER BY number DESC LIMIT ?4)"
        )
    };
    let searches: Vec<String> = statuses(filter).map(search).collect();
    format!(
        "WITH page AS (SELECT number FROM ({}) ORDER BY number DESC LIMIT ?4) \
         SELECT id, workflow_name, version, status, started_at, completed_at, error \
         FROM page JOIN forge_runs USING (number) ORDER BY number DESC",
        searches.join(" UNION ALL ")
    )
}

pub(super) fn list(
    connection: &Connection,
    tenant: &str,
    filter: &RunFilter,
) -> Result<Vec<RunSummary>, StoreError> {
    let before = match filter.cursor {
        Some(cursor) => {
            let mut statement = connection.prepare_cached(NUMBER_FROM)?;
            first(&mut statement, [cursor.to_string()], TABLE, |columns| columns.number())?
        }
        None => None,
    };
    let before = before.unwrap_or(i64::MAX);
    let parameters = params![tenant, filter.workflow, before, filter.limit];
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
            let index = match filter.workflow {
                Some(_) => {
                    "forge_runs_by_workflow_status (tenant=? AND workflow_name=? AND status=? AND rowid<?)"
                }
                None => "forge_runs_by_status (tenant=? AND status=? AND rowid<?)",
            };
            let searches = statuses(&filter).count();
            let found = plan.iter().filter(|step| step.ends_with(index)).count();
            assert_eq!(found, searches, "{filter:?}: {plan:#?}");
            let by_number = "SEARCH forge_runs USING INTEGER PRIMARY KEY (rowid=?)";
            assert!(plan.iter().any(|step| *step == by_number), "{plan:#?}");
            let tables = plan.iter().filter(|step| step.contains("forge_runs"));
            assert_eq!(tables.count(), searches + 1, "there is no other access: {plan:#?}");
        }
    }
}
