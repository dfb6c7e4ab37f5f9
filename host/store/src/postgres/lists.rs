//! Lists of runs. A page costs the same however many runs there are: each filter is a search in an index that ends with the
//! order of the list.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::connection::Connections;
use super::decode::Columns;
use super::text;
use crate::query::{MOST_ERROR, Problems, statuses};
use crate::schema::runs::TABLE;
use crate::{RunFilter, RunSummary, StoreError};
use forge_journal::Timestamp;

/// Lengths of a page for which there are statements: PostgreSQL plans for a length that it knows. Each is one more than the
/// API's default or maximum.
const PAGES: [u32; 2] = [51, 501];

/// Returns the statement for a filter. `$1` is the tenant, `$2` the id before which the page begins, `$3` the length of the
/// page, `$4` the workflow, if the filter has one. The ids come from the indexes alone; only the rows of the page are read.
fn sql(filter: &RunFilter) -> String {
    let workflow = if filter.workflow.is_some() { " AND workflow_name = $4" } else { "" };
    let most = PAGES.into_iter().find(|page| filter.limit <= *page).unwrap_or(filter.limit);
    let search = |status: &str| {
        format!(
            "(SELECT id FROM forge_runs WHERE tenant = $1{workflow} AND status = '{status}' AND id < $2 \
             ORDER BY id DESC NULLS LAST LIMIT {most})"
        )
    };
    let searches: Vec<String> = statuses(filter).map(search).collect();
    format!(
        "SELECT id, workflow_name, version, status, started_at, completed_at, left(error, {MOST_ERROR}) \
         FROM forge_runs WHERE id = ANY (ARRAY(SELECT id FROM ({}) AS found ORDER BY id DESC LIMIT $3)) \
         ORDER BY id DESC",
        searches.join(" UNION ALL ")
    )
}

pub(super) async fn list(
    readers: &Connections,
    tenant: &str,
    filter: &RunFilter,
) -> Result<Vec<RunSummary>, StoreError> {
    let sql = sql(filter);
    let (tenant, workflow) = (text::encode(tenant), filter.workflow.as_deref().map(text::encode));
    // No run has the highest id.
    let before = filter.cursor.unwrap_or(Uuid::max());
    let query = || {
        let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(&*tenant).bind(before);
        let query = query.bind(i64::from(filter.limit));
        match &workflow {
            Some(workflow) => query.bind(&**workflow),
            None => query,
        }
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
                let arguments = if filter.workflow.is_some() {
                    "'acme', '{max}', 51, 'payment'"
                } else {
                    "'acme', '{max}', 51"
                };
                let plan =
                    plans.plan(&sql(&filter), &arguments.replace("{max}", &Uuid::max().to_string())).await;
                let (index, condition) = match filter.workflow {
                    Some(_) => ("forge_runs_by_workflow_status", "(workflow_name = $4) AND "),
                    None => ("forge_runs_by_status", ""),
                };
                for status in statuses(&filter) {
                    let cond = format!(
                        "Index Cond: ((tenant = $1) AND {condition}(status = '{status}'::text) AND (id < $2))"
                    );
                    assert!(plan.contains(&cond), "{cond} of {filter:?}: {plan:#?}");
                }
                let searches =
                    plan.iter().filter(|line| line.contains(&format!("using {index} on forge_runs")));
                assert_eq!(searches.count(), statuses(&filter).count(), "{plan:#?}");
                let others = plan.iter().filter(|line| line.contains("Seq Scan") || line.contains("Filter:"));
                assert_eq!(others.count(), 0, "{plan:#?}");
                let by_id = plan.iter().filter(|line| line.starts_with("Index Cond: (id = ANY ("));
                assert_eq!(by_id.count(), 1, "{plan:#?}");
            }
        }
    }
}
