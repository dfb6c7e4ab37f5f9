//! Lists of runs. A page costs the same however many runs there are: each filter is a search in an index that ends with the
//! order of the list.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::connection::Connections;
use super::decode::Columns;
use super::text;
use crate::query::{MOST_ERROR, Problems, status_is_wanted, statuses};
use crate::schema::runs::TABLE;
use crate::{RunFilter, RunSummary, StoreError};
use forge_journal::Timestamp;

/// Lengths of a page for which there are statements: PostgreSQL plans for a length that it knows. Each is one more than the
/// API's default or maximum.
const PAGES: [u32; 2] = [51, 501];

/// Returns the statement for a filter. `$1` is the tenant, `$2` and `$3` the first and the last of the ids, `$4` the length of
/// the page; then come the workflow and the key, if the filter has them. The ids come from the indexes alone, unless they are
/// found by a key; only the rows of the page are read.
fn sql(filter: &RunFilter) -> String {
    let workflow = if filter.workflow.is_some() { " AND workflow_name = $5" } else { "" };
    let ids = if filter.key.is_some() {
        let key = if filter.workflow.is_some() { "$6" } else { "$5" };
        let status = status_is_wanted(filter, "status");
        format!(
            "WITH found AS MATERIALIZED (SELECT id FROM forge_runs \
                 WHERE tenant = $1 AND idempotency_key = {key}{workflow}{status}) \
             SELECT id FROM found WHERE id >= $2 AND id <= $3 ORDER BY id DESC LIMIT $4"
        )
    } else {
        let most = PAGES.into_iter().find(|page| filter.limit <= *page).unwrap_or(filter.limit);
        let search = |status: &str| {
            format!(
                "(SELECT id FROM forge_runs WHERE tenant = $1{workflow} AND status = '{status}' \
                 AND id <= $3 ORDER BY id DESC NULLS LAST LIMIT {most})"
            )
        };
        let searches: Vec<String> = statuses(filter).map(search).collect();
        // The lowest id is compared after the search: a range of ids would tempt the planner to search by id alone.
        let found = searches.join(" UNION ALL ");
        format!("SELECT id FROM ({found}) AS found WHERE id >= $2 ORDER BY id DESC LIMIT $4")
    };
    format!(
        "SELECT id, workflow_name, version, status, started_at, completed_at, waits_for, left(error, {MOST_ERROR}) \
         FROM forge_runs WHERE id = ANY (ARRAY({ids})) ORDER BY id DESC"
    )
}

pub(super) async fn list(
    readers: &Connections,
    tenant: &str,
    filter: &RunFilter,
) -> Result<Vec<RunSummary>, StoreError> {
    if filter.cursor.is_some_and(|cursor| cursor.is_nil()) {
        // No id is lower.
        return Ok(Vec::new());
    }
    let sql = sql(filter);
    let tenant = text::encode(tenant);
    let given = [&filter.workflow, &filter.key].into_iter().flatten();
    let given: Vec<_> = given.map(|value| text::encode(value)).collect();
    let query = || {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(&*tenant);
        let query = query.bind(filter.first_id()).bind(filter.last_id()).bind(i64::from(filter.limit));
        given.iter().fold(query, |query, value| query.bind(&**value))
    };
    readers.all(query).await?.iter().map(decode_summary).collect()
}

fn decode_summary(row: &PgRow) -> Result<RunSummary, StoreError> {
    let (mut columns, mut problems) = (Columns::new(TABLE, row), Problems::default());
    Ok(RunSummary {
        id: columns.run_id()?.0,
        workflow_name: problems.or_empty(columns.string()),
        version: problems.or_empty(columns.number()),
        // The page was selected by it.
        status: columns.parsed()?,
        started_at: problems.or_empty(columns.time()).to_datetime(),
        completed_at: problems.or_empty(columns.optional_time()).map(Timestamp::to_datetime),
        waits_for: problems.waits_for(columns.optional_string()),
        error: {
            let error = problems.or_empty(columns.optional_string());
            problems.with(error)
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plans;
    use super::*;
    use crate::query::tests::filters;

    #[tokio::test]
    async fn every_filter_is_a_search_in_an_index() {
        let mut plans = Plans::of_many_runs().await;
        for analyzed in [false, true] {
            if analyzed {
                plans.analyze().await;
            }
            for filter in filters() {
                let given = [&filter.workflow, &filter.key].into_iter().flatten();
                let given: String = given.map(|value| format!(", '{value}'")).collect();
                let arguments = format!("'acme', '{}', '{}', 51{given}", filter.first_id(), filter.last_id());
                let plan = plans.plan(&sql(&filter), &arguments).await;
                if filter.key.is_some() {
                    let by_key = plan.iter().filter(|line| line.contains("using forge_runs_by_key on"));
                    assert_eq!(by_key.count(), 1, "{filter:?}: {plan:#?}");
                    let condition = "Index Cond: ((tenant = $1) AND (idempotency_key = ";
                    assert!(plan.iter().any(|line| line.starts_with(condition)), "{plan:#?}");
                    assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{plan:#?}");
                    continue;
                }
                let (index, condition) = match filter.workflow {
                    Some(_) => ("forge_runs_by_workflow_status", "(workflow_name = $5) AND "),
                    None => ("forge_runs_by_status", ""),
                };
                for status in statuses(&filter) {
                    let cond = format!(
                        "Index Cond: ((tenant = $1) AND {condition}(status = '{status}'::text) AND (id <= $3))"
                    );
                    assert!(plan.contains(&cond), "{cond} of {filter:?}: {plan:#?}");
                }
                let searches =
                    plan.iter().filter(|line| line.contains(&format!("using {index} on forge_runs")));
                assert_eq!(searches.count(), statuses(&filter).count(), "{plan:#?}");
                let is_filter = |line: &str| line.contains("Filter:") && !line.contains("id >= $2)");
                let others = plan.iter().filter(|line| line.contains("Seq Scan") || is_filter(line));
                assert_eq!(others.count(), 0, "{plan:#?}");
                let by_id = plan.iter().filter(|line| line.starts_with("Index Cond: (id = ANY ("));
                assert_eq!(by_id.count(), 1, "{plan:#?}");
            }
        }
    }
}
