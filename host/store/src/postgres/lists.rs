//! Lists of runs, in the order of their ids: see [`crate::lists`].

use std::borrow::Cow;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::connection::{Connections, PgQuery};
use super::decode::Columns;
use super::text;
use crate::lists::{Condition, Dialect, EXAMINED, List, Statement, Value, smallest};
use crate::query::{Problems, status_is_wanted};
use crate::schema::runs::TABLE;
use crate::{RunFilter, RunList, RunNumbers, RunSummary, StoreError};
use forge_journal::Timestamp;

static DIALECT: Dialect = Dialect {
    order: ["id", "run_id"],
    directions: [" DESC NULLS LAST", " NULLS FIRST"],
    parameter: '$',
    unindexed: "",
    // A range of ids would tempt the planner to search by id alone.
    searches_range: false,
    among: |query| format!("id = ANY (ARRAY({query}))"),
    // `MOST_ERROR` characters.
    columns: "id, workflow_name, version, status, started_at, completed_at, waits_for, error_kind, tags, left(error, 1000)",
};

fn list_of<'f>(tenant: &'f str, filter: &'f RunFilter) -> List<'f> {
    let range = [filter.first_id(), filter.last_id()].map(Value::Id);
    List { dialect: &DIALECT, tenant, filter, range }
}

/// Returns the begin of a statement for the runs with a key, which are few: a table `found` of them, and the condition by which
/// they are selected from it. The other conditions are tested on all of them.
fn with_key<'f>(list: &List<'f>, key: &'f str, statement: &mut Statement<'f>) -> [String; 2] {
    let [tenant, first, last] = list.fixed(statement);
    let key = statement.value(Value::Text(key));
    let mut tests = list.tests(statement, &list.conditions(), "found");
    if !tests.is_empty() {
        tests.insert_str(0, " AND ");
    }
    let status = status_is_wanted(list.filter, "status");
    let found = format!(
        "WITH found AS MATERIALIZED ( \
             SELECT id, workflow_name, version, status, error_kind FROM forge_runs \
             WHERE tenant = {tenant} AND idempotency_key = {key} \
         )"
    );
    [found, format!("id >= {first} AND id <= {last}{tests}{status}")]
}

/// Returns the statement for a page of a list with a key.
fn page_with_key<'f>(list: &List<'f>, key: &'f str) -> Statement<'f> {
    let (columns, sorted) = (DIALECT.columns, list.sorted());
    let mut statement = Statement::new(&DIALECT);
    let [found, matches] = with_key(list, key, &mut statement);
    let limit = statement.value(Value::Number(list.filter.limit.into()));
    statement.sql = format!(
        "{found}, page AS (SELECT id FROM found WHERE {matches} ORDER BY id{sorted} LIMIT {limit}) \
         SELECT {columns}, TRUE, FALSE FROM forge_runs WHERE id = ANY (ARRAY(SELECT id FROM page)) ORDER BY id{sorted}"
    );
    statement
}

/// Returns the statement that counts the runs of a list with a key. Its rows are those of [`List::counts`].
fn counts_with_key<'f>(list: &List<'f>, key: &'f str) -> Statement<'f> {
    let mut statement = Statement::new(&DIALECT);
    let [found, matches] = with_key(list, key, &mut statement);
    statement.sql =
        format!("{found} SELECT status, count(*), FALSE FROM found WHERE {matches} GROUP BY status");
    statement
}

/// The value of a parameter as PostgreSQL can store it.
enum Bound<'v> {
    Text(Cow<'v, str>),
    Number(i64),
    Id(Uuid),
}

/// Returns the rows of the answer to a statement.
async fn rows(readers: &Connections, statement: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
    let Statement { sql, values, .. } = statement;
    let bound = values.into_iter().map(|value| match value {
        Value::Text(text) => Bound::Text(text::encode(text)),
        Value::Number(number) => Bound::Number(number),
        Value::Id(id) => Bound::Id(id),
    });
    let bound: Vec<_> = bound.collect();
    let query = || {
        bound.iter().fold(sqlx::query(AssertSqlSafe(sql.clone())), |query: PgQuery<'_>, value| match value {
            Bound::Text(text) => query.bind(&**text),
            Bound::Number(number) => query.bind(*number),
            Bound::Id(id) => query.bind(*id),
        })
    };
    readers.all(query).await
}

/// Returns the search that finds the fewest runs.
async fn fewest<'f>(
    readers: &Connections,
    list: &List<'f>,
    searches: &[Condition<'f>],
) -> Result<Option<Condition<'f>>, StoreError> {
    if searches.len() < 2 {
        return Ok(searches.first().copied());
    }
    let sizes = rows(readers, list.sizes(searches)).await?;
    let mut columns = sizes.first().map(|row| Columns::new(TABLE, row));
    let sizes = columns.iter_mut().flat_map(|columns| searches.iter().map(|_| columns.bits()));
    Ok(smallest(searches, &sizes.collect::<Result<Vec<_>, _>>()?))
}

pub(super) async fn list(
    readers: &Connections,
    tenant: &str,
    filter: &RunFilter,
) -> Result<RunList, StoreError> {
    if filter.cursor.is_some_and(|cursor| cursor.is_nil()) {
        // No id is lower.
        return Ok(RunList::default());
    }
    let list = list_of(tenant, filter);
    if let Some(key) = &filter.key {
        return read(readers, page_with_key(&list, key)).await;
    }
    let searches = list.searches();
    let found = read(readers, list.page(searches.first().copied(), list.first_round())).await?;
    if !list.is_short(&found) {
        return Ok(found);
    }
    read(readers, list.page(fewest(readers, &list, &searches).await?, EXAMINED)).await
}

async fn read(readers: &Connections, statement: Statement<'_>) -> Result<RunList, StoreError> {
    let mut list = RunList::default();
    for row in &rows(readers, statement).await? {
        let mut columns = Columns::new(TABLE, row);
        let run = summary(&mut columns)?;
        list.push(run, columns.flag()?, columns.flag()?);
    }
    Ok(list)
}

fn summary(columns: &mut Columns<'_>) -> Result<RunSummary, StoreError> {
    let mut problems = Problems::default();
    Ok(RunSummary {
        id: columns.run_id()?.0,
        workflow_name: problems.or_empty(columns.string()),
        version: problems.or_empty(columns.number()),
        // The page was selected by it.
        status: columns.parsed()?,
        started_at: problems.or_empty(columns.time()).to_datetime(),
        completed_at: problems.or_empty(columns.optional_time()).map(Timestamp::to_datetime),
        waits_for: problems.waits_for(columns.optional_string()),
        error_kind: problems.or_empty(columns.optional_string()),
        tags: problems.tags(columns.optional_string()),
        error: {
            let error = problems.or_empty(columns.optional_string());
            problems.with(error)
        },
    })
}

pub(super) async fn counts(
    readers: &Connections,
    tenant: &str,
    filter: &RunFilter,
    most: u32,
) -> Result<RunNumbers, StoreError> {
    let list = list_of(tenant, filter);
    let statement = match &filter.key {
        Some(key) => counts_with_key(&list, key),
        None => list.counts(fewest(readers, &list, &list.searches()).await?, most),
    };
    let mut numbers = RunNumbers::of_none(filter);
    for row in &rows(readers, statement).await? {
        let mut columns = Columns::new(TABLE, row);
        numbers.add(columns.parsed()?, columns.bits()?, columns.flag()?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plans;
    use super::*;
    use crate::query::tests::filters;
    use crate::query::{MOST_ERROR, statuses};

    /// Returns the literals of a statement's values.
    fn arguments(values: &[Value<'_>]) -> String {
        let literal = |value: &Value<'_>| match value {
            Value::Text(text) => format!("'{text}'"),
            Value::Number(number) => number.to_string(),
            Value::Id(id) => format!("'{id}'"),
        };
        values.iter().map(literal).collect::<Vec<_>>().join(", ")
    }

    /// Returns the plan of a statement.
    async fn plan(plans: &mut Plans, statement: &Statement<'_>) -> Vec<String> {
        plans.plan(&statement.sql, &arguments(&statement.values)).await
    }

    fn count(plan: &[String], is: impl Fn(&str) -> bool) -> usize {
        plan.iter().filter(|line| is(line)).count()
    }

    /// Checks that a statement searches each status once, and else only looks up runs and tags.
    fn check(plan: &[String], searches: &[Condition<'_>], filter: &RunFilter, tags: usize, rows: usize) {
        let all = statuses(filter).count();
        let indexes = searches.iter().map(|search| match search {
            Condition::Tag(..) => "forge_run_tags_by_value",
            Condition::ErrorKind(_) => "forge_runs_by_error_kind",
            Condition::Workflow(_) | Condition::Version(_) => "forge_runs_by_workflow_status",
        });
        let indexes: Vec<_> =
            if searches.is_empty() { vec!["forge_runs_by_status"] } else { indexes.collect() };
        for index in [
            "forge_run_tags_by_value",
            "forge_runs_by_error_kind",
            "forge_runs_by_workflow_status",
            "forge_runs_by_status",
        ] {
            let expected = all * indexes.iter().filter(|used| **used == index).count();
            let found = count(plan, |line| line.contains(&format!("using {index} on ")));
            assert_eq!(found, expected, "{index} of {filter:?}: {plan:#?}");
        }
        let is_range = |line: &str| line.contains("id <= $3") || line.contains("id >= $2");
        let conditions = count(plan, |line| line.starts_with("Index Cond: ((tenant = $1)") && is_range(line));
        assert_eq!(conditions, all * indexes.len(), "{filter:?}: {plan:#?}");
        assert_eq!(count(plan, |line| line.contains("using forge_run_tags_pkey on ")), tags, "{plan:#?}");
        let by_id = count(plan, |line| line.starts_with("Index Cond: (id = ANY ("));
        assert_eq!(by_id, rows, "{plan:#?}");
        let is_bad = |line: &str| line.contains("Seq Scan") || line.contains("Bitmap");
        assert_eq!(count(plan, is_bad), 0, "{plan:#?}");
    }

    #[tokio::test]
    async fn every_filter_is_a_search_in_an_index() {
        assert!(DIALECT.columns.contains(&format!("left(error, {MOST_ERROR})")));
        let mut plans = Plans::of_many_runs().await;
        for analyzed in [false, true] {
            if analyzed {
                plans.analyze().await;
            }
            for filter in filters() {
                let list = list_of("acme", &filter);
                if let Some(key) = &filter.key {
                    for statement in [page_with_key(&list, key), counts_with_key(&list, key)] {
                        let plan = plan(&mut plans, &statement).await;
                        let by_key = count(&plan, |line| line.contains("using forge_runs_by_key on"));
                        assert_eq!(by_key, 1, "{filter:?}: {plan:#?}");
                        let condition = "Index Cond: ((tenant = $1) AND (idempotency_key = ";
                        assert!(plan.iter().any(|line| line.starts_with(condition)), "{plan:#?}");
                        assert_eq!(count(&plan, |line| line.contains("Seq Scan")), 0, "{plan:#?}");
                    }
                    continue;
                }
                let searches = list.searches();
                for search in searches.iter().copied().map(Some).chain(searches.is_empty().then_some(None)) {
                    let page = plan(&mut plans, &list.page(search, EXAMINED)).await;
                    let is_tag = |condition: &&Condition<'_>| matches!(condition, Condition::Tag(..));
                    let tested: Vec<_> = list
                        .conditions()
                        .into_iter()
                        .filter(|condition| Some(*condition) != search)
                        .collect();
                    let tags = 2 * tested.iter().filter(is_tag).count();
                    check(&page, search.as_slice(), &filter, tags, 1);
                    let counts = plan(&mut plans, &list.counts(search, 10)).await;
                    let examined = if tested.is_empty() { 0 } else { statuses(&filter).count() };
                    check(&counts, search.as_slice(), &filter, tags / 2 * examined, examined);
                }
                if searches.len() > 1 {
                    check(&plan(&mut plans, &list.sizes(&searches)).await, &searches, &filter, 0, 0);
                }
            }
        }
    }
}
