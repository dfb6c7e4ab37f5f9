//! Lists of runs, in the order of their numbers: see [`crate::lists`].

use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, params_from_iter};
use uuid::Uuid;

use super::decode::{Columns, each, first};
use crate::lists::{Condition, Dialect, EXAMINED, List, Statement, Value, smallest};
use crate::query::{MOST_ERROR, Problems, first_id_at, status_is_wanted};
use crate::schema::runs::TABLE;
use crate::{RunFilter, RunList, RunNumbers, RunSummary, StoreError};
use forge_journal::{RunId, Timestamp};

static DIALECT: Dialect = Dialect {
    order: ["number", "number"],
    directions: [" DESC", ""],
    parameter: '?',
    unindexed: "+",
    searches_range: true,
    among: |query| format!("number IN ({query})"),
    columns: "id, workflow_name, version, status, started_at, completed_at, waits_for, error_kind, tags, error",
};

/// The number of the first run that did not begin before the run with this id, even if that run does not exist.
const NUMBER_FROM: &str = "SELECT number FROM forge_runs WHERE id >= ?1 ORDER BY id LIMIT 1";

/// The number after that of the run with this id; if it does not exist, the same as [`NUMBER_FROM`].
const NUMBER_AFTER: &str = "SELECT number + (id = ?1) FROM forge_runs WHERE id >= ?1 ORDER BY id LIMIT 1";

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Number(number) => number.to_sql(),
            Self::Id(id) => Ok(id.to_string().into()),
        }
    }
}

/// Returns the first and the last number that the filter selects.
fn numbers(connection: &Connection, filter: &RunFilter) -> Result<[Value<'static>; 2], StoreError> {
    // If no run has begun since, none is selected.
    let number = |sql, id: Option<Uuid>| -> Result<Option<i64>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        let mut statement = connection.prepare_cached(sql)?;
        let number = first(&mut statement, [id.to_string()], TABLE, |columns| columns.number())?;
        Ok(Some(number.unwrap_or(i64::MAX)))
    };
    let since = number(NUMBER_FROM, filter.since.map(first_id_at))?;
    let newer = number(NUMBER_AFTER, filter.newer)?;
    let before = number(NUMBER_FROM, filter.before.map(first_id_at))?;
    let cursor = number(NUMBER_FROM, filter.cursor)?;
    let from = since.max(newer).unwrap_or(0);
    let until = [before, cursor].into_iter().flatten().min().unwrap_or(i64::MAX);
    Ok([from, until.saturating_sub(1)].map(Value::Number))
}

/// Returns the list of a filter without a key and a prefix.
fn list_of<'f>(
    connection: &Connection,
    tenant: &'f str,
    filter: &'f RunFilter,
) -> Result<List<'f>, StoreError> {
    Ok(List { dialect: &DIALECT, tenant, filter, range: numbers(connection, filter)? })
}

/// Returns the list of a filter with a key or a prefix, which is in the order of the ids.
fn by_id<'f>(tenant: &'f str, filter: &'f RunFilter) -> List<'f> {
    List { dialect: &DIALECT, tenant, filter, range: [filter.first_id(), filter.last_id()].map(Value::Id) }
}

/// Returns what the FROM clause has for the last runs of a list with a key, which few runs have, or with a prefix, and the
/// condition on these that the others make.
fn found_by_id<'f>(list: &List<'f>, statement: &mut Statement<'f>, most: u32) -> [String; 2] {
    let [tenant, first, last] = list.fixed(statement);
    let (search, id) = match &list.filter.key {
        Some(key) => (format!("idempotency_key = {}", statement.value(Value::Text(key))), "+id"),
        None => ("TRUE".to_owned(), "id"),
    };
    let sorted = list.sorted();
    let found = format!(
        "(SELECT number FROM forge_runs WHERE tenant = {tenant} AND {search} AND {id} BETWEEN {first} AND {last} \
         ORDER BY {id}{sorted} LIMIT {most})"
    );
    let tests = list.tests(statement, &list.conditions(), TABLE);
    let status = status_is_wanted(list.filter, "+status");
    [found, format!("{}{status}", if tests.is_empty() { "TRUE" } else { &tests })]
}

/// Returns the statement for a page of a list with a key or a prefix. Its rows are those of [`List::page`].
fn page_by_id<'f>(list: &List<'f>) -> Statement<'f> {
    let mut statement = Statement::new(&DIALECT);
    let is_tested = !list.conditions().is_empty() || !list.filter.statuses.is_empty();
    let most = if is_tested { EXAMINED } else { list.filter.limit };
    let [found, matches] = found_by_id(list, &mut statement, most);
    let limit = statement.value(Value::Number(list.filter.limit.into()));
    let (columns, sorted) = (DIALECT.columns, list.sorted());
    statement.sql = format!(
        "WITH ending AS MATERIALIZED (SELECT number FROM {found} LIMIT 1 OFFSET {}) \
         SELECT {columns}, ({matches}) IS TRUE, (number = (SELECT number FROM ending)) IS TRUE FROM forge_runs \
         WHERE number IN {found} AND (({matches}) OR number = (SELECT number FROM ending)) \
         ORDER BY +id{sorted} LIMIT {limit}",
        EXAMINED - 1,
    );
    statement
}

/// Returns the statement that counts the runs of a list with a key or a prefix. Its rows are those of [`List::counts`].
fn counts_by_id<'f>(list: &List<'f>) -> Statement<'f> {
    let mut statement = Statement::new(&DIALECT);
    let [found, matches] = found_by_id(list, &mut statement, EXAMINED);
    statement.sql = format!(
        "SELECT status, count(*) FILTER (WHERE {matches}), sum(count(*)) OVER () >= {EXAMINED} FROM forge_runs \
         WHERE number IN {found} GROUP BY status"
    );
    statement
}

/// Returns the search that finds the fewest runs.
fn fewest<'f>(
    connection: &Connection,
    list: &List<'f>,
    searches: &[Condition<'f>],
) -> Result<Option<Condition<'f>>, StoreError> {
    if searches.len() < 2 {
        return Ok(searches.first().copied());
    }
    let Statement { sql, values, .. } = list.sizes(searches);
    let sizes = first(&mut *connection.prepare_cached(&sql)?, params_from_iter(values), TABLE, |columns| {
        searches.iter().map(|_| columns.bits()).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(smallest(searches, &sizes.unwrap_or_default()))
}

pub(super) fn list(connection: &Connection, tenant: &str, filter: &RunFilter) -> Result<RunList, StoreError> {
    if filter.key.is_some() || filter.id_prefix.is_some() {
        return read(connection, page_by_id(&by_id(tenant, filter)));
    }
    let list = list_of(connection, tenant, filter)?;
    let searches = list.searches();
    let found = read(connection, list.page(searches.first().copied(), list.first_round()))?;
    if !list.is_short(&found) {
        return Ok(found);
    }
    read(connection, list.page(fewest(connection, &list, &searches)?, EXAMINED))
}

fn read(connection: &Connection, statement: Statement<'_>) -> Result<RunList, StoreError> {
    let Statement { sql, values, .. } = statement;
    let mut list = RunList::default();
    each(&mut *connection.prepare_cached(&sql)?, params_from_iter(values), TABLE, |columns| {
        let run = summary(columns)?;
        list.push(run, columns.flag()?, columns.flag()?);
        Ok(true)
    })?;
    Ok(list)
}

fn summary(columns: &mut Columns<'_>) -> Result<RunSummary, StoreError> {
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
        error_kind: problems.or_empty(columns.optional_string()),
        tags: problems.tags(columns.optional_string()),
        error: {
            // SQLite's `substr` ends at U+0000.
            let error = problems.or_empty(columns.optional_string());
            problems.with(error.map(|error| error.chars().take(MOST_ERROR).collect()))
        },
    })
}

pub(super) fn counts(
    connection: &Connection,
    tenant: &str,
    filter: &RunFilter,
    most: u32,
) -> Result<RunNumbers, StoreError> {
    let list;
    let is_by_id = filter.key.is_some() || filter.id_prefix.is_some();
    let Statement { sql, values, .. } = if is_by_id {
        list = by_id(tenant, filter);
        counts_by_id(&list)
    } else {
        list = list_of(connection, tenant, filter)?;
        list.counts(fewest(connection, &list, &list.searches())?, most)
    };
    let mut numbers = RunNumbers::of_none(filter);
    each(&mut *connection.prepare_cached(&sql)?, params_from_iter(values), TABLE, |columns| {
        numbers.add(columns.parsed()?, columns.bits()?, columns.flag()?);
        Ok(true)
    })?;
    if is_by_id && !numbers.at_least.is_empty() {
        // The limit is one for the runs of all statuses together.
        numbers.at_least = numbers.counts.keys().copied().collect();
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;
    use crate::query::statuses;
    use crate::query::tests::filters;

    /// Returns the search in an index of one status.
    fn by(search: Option<Condition<'_>>) -> &'static str {
        match search {
            None => {
                "forge_runs USING COVERING INDEX forge_runs_by_status (tenant=? AND status=? AND rowid>? AND rowid<?)"
            }
            Some(Condition::Workflow(_)) => {
                "forge_runs USING COVERING INDEX forge_runs_by_workflow_status \
                 (tenant=? AND workflow_name=? AND status=? AND rowid>? AND rowid<?)"
            }
            Some(Condition::ErrorKind(_)) => {
                "forge_runs USING COVERING INDEX forge_runs_by_error_kind \
                 (tenant=? AND error_kind=? AND status=? AND rowid>? AND rowid<?)"
            }
            Some(_) => {
                "forge_run_tags USING COVERING INDEX forge_run_tags_by_value \
                 (tenant=? AND name=? AND value=? AND status=? AND number>? AND number<?)"
            }
        }
    }

    /// Checks that a statement searches each status once, and else only looks up runs and tags.
    fn check(plan: &[String], searches: &[Condition<'_>], filter: &RunFilter, tags: usize, rows: usize) {
        let searches = if searches.is_empty() {
            vec![None]
        } else {
            searches.iter().copied().map(Some).collect::<Vec<_>>()
        };
        let mut expected: Vec<String> = Vec::new();
        for search in searches {
            for _ in statuses(filter) {
                expected.push(format!("SEARCH {}", by(search)));
            }
        }
        for _ in 0..tags {
            expected.push("SEARCH tag USING PRIMARY KEY (number=? AND name=?)".to_owned());
        }
        for _ in 0..rows {
            expected.push("SEARCH forge_runs USING INTEGER PRIMARY KEY (rowid=?)".to_owned());
        }
        let mut found: Vec<String> = plan
            .iter()
            .filter(|step| step.contains("forge_run") || step.contains(" tag "))
            .cloned()
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{filter:?}: {plan:#?}");
    }

    #[test]
    fn every_filter_is_a_search_in_an_index() {
        let connection = migrated();
        for sql in [NUMBER_FROM, NUMBER_AFTER] {
            let [step] = plan(&connection, sql).try_into().unwrap();
            assert_eq!(step, "SEARCH forge_runs USING COVERING INDEX sqlite_autoindex_forge_runs_1 (id>?)");
        }
        for filter in filters() {
            if filter.key.is_some() || filter.id_prefix.is_some() {
                let index = match filter.key {
                    Some(_) => "INDEX forge_runs_by_key (tenant=? AND idempotency_key=?)",
                    None => "COVERING INDEX forge_runs_by_id (tenant=? AND id>? AND id<?)",
                };
                let list = by_id("acme", &filter);
                for statement in [page_by_id(&list), counts_by_id(&list)] {
                    let plan = plan(&connection, &statement.sql);
                    let of_runs = plan.iter().filter(|step| step.contains("forge_runs"));
                    let is_by_number =
                        |step: &str| step == "SEARCH forge_runs USING INTEGER PRIMARY KEY (rowid=?)";
                    let (by_number, others): (Vec<_>, Vec<_>) = of_runs.partition(|step| is_by_number(step));
                    assert_eq!(by_number.len(), 1, "{filter:?}: {plan:#?}");
                    let search = format!("SEARCH forge_runs USING {index}");
                    assert!(others.iter().all(|step| **step == search), "{filter:?}: {plan:#?}");
                }
                continue;
            }
            let list = list_of(&connection, "acme", &filter).unwrap();
            let searches = list.searches();
            for search in searches.iter().copied().map(Some).chain(searches.is_empty().then_some(None)) {
                let page = plan(&connection, &list.page(search, EXAMINED).sql);
                // What is tested is read of the run that was found, or looked up in both places of the statement.
                let is_tag = |condition: &&Condition<'_>| matches!(condition, Condition::Tag(..));
                let tested: Vec<_> =
                    list.conditions().into_iter().filter(|condition| Some(*condition) != search).collect();
                let tags = 2 * tested.iter().filter(is_tag).count();
                check(&page, search.as_slice(), &filter, tags, 1);
                let counts = plan(&connection, &list.counts(search, 10).sql);
                let examined = if tested.is_empty() { 0 } else { statuses(&filter).count() };
                check(&counts, search.as_slice(), &filter, tags / 2 * examined, examined);
            }
            if searches.len() > 1 {
                check(&plan(&connection, &list.sizes(&searches).sql), &searches, &filter, 0, 0);
            }
        }
    }
}
