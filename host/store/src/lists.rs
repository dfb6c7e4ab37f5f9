//! The statements of lists of runs, for both stores.
//!
//! A list is a search in an index for each status, and each index ends with the order of the list. So a page costs the same
//! however many runs there are. Conditions that no index combines are tested on the runs that a search finds, on
//! [`EXAMINED`] at most. If fewer of these match than the page has room for, the page is short, and the list goes on after
//! the last run that was examined. A second round examines the most runs if a first one has not filled the page: of several
//! possible searches, it uses the one that finds the fewest runs ([`List::sizes`]).

use uuid::Uuid;

use crate::query::statuses;
use crate::{RunFilter, RunList};

/// The most runs on which a page tests conditions. It takes some milliseconds.
pub(crate) const EXAMINED: u32 = 1_000;

/// Lengths of a page, each with the runs on which it tests conditions first. If a fourth of them match, they are enough.
const EXAMINED_FIRST: [(u32, u32); 2] = [(12, 50), (51, 200)];

/// Lengths of a page for which there are statements: PostgreSQL plans for a length that it knows. Each is one more than the
/// API's default or maximum.
const PAGES: [u32; 2] = [51, 501];

/// What differs between the databases.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The column with the order of the runs, the newest last, in the table of runs and in the table of tags.
    pub(crate) order: [&'static str; 2],
    /// What follows ORDER BY and the column in the order of the indexes that are searched, the newest first and last.
    pub(crate) directions: [&'static str; 2],
    /// The character before the number of a parameter.
    pub(crate) parameter: char,
    /// Keeps a column from being searched by.
    pub(crate) unindexed: &'static str,
    /// Whether the search in an index has both ends of the range. Otherwise it has the end at which the list begins, and the
    /// other end is tested on what it finds.
    pub(crate) searches_range: bool,
    /// Returns the condition that a run is one of the results of a query.
    pub(crate) among: fn(&str) -> String,
    /// The columns of a summary.
    pub(crate) columns: &'static str,
}

/// The value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'v> {
    Text(&'v str),
    Number(i64),
    Id(Uuid),
}

/// A statement with the values of its parameters.
#[derive(Debug)]
pub(crate) struct Statement<'v> {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value<'v>>,
    parameter: char,
}

impl<'v> Statement<'v> {
    pub(crate) fn new(dialect: &Dialect) -> Self {
        Self { sql: String::new(), values: Vec::new(), parameter: dialect.parameter }
    }

    /// Adds a parameter and returns its name.
    pub(crate) fn value(&mut self, value: Value<'v>) -> String {
        self.values.push(value);
        format!("{}{}", self.parameter, self.values.len())
    }
}

/// A condition on the runs of a list, beside their status and their position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition<'f> {
    Tag(&'f str, &'f str),
    ErrorKind(&'f str),
    Workflow(&'f str),
    Version(u32),
}

impl Condition<'_> {
    /// Whether there is an index by it.
    fn is_indexed(self) -> bool {
        !matches!(self, Self::Version(_))
    }
}

/// A list of runs of a tenant.
#[derive(Debug)]
pub(crate) struct List<'f> {
    pub(crate) dialect: &'static Dialect,
    pub(crate) tenant: &'f str,
    pub(crate) filter: &'f RunFilter,
    /// The first and the last value of the column with the order.
    pub(crate) range: [Value<'f>; 2],
}

impl<'f> List<'f> {
    /// Returns the conditions, and those by which the runs can be searched first.
    pub(crate) fn conditions(&self) -> Vec<Condition<'f>> {
        let RunFilter { tags, error_kind, workflow, version, .. } = self.filter;
        let tags = tags.iter().map(|(name, value)| Condition::Tag(name, value));
        let kind = error_kind.as_deref().map(Condition::ErrorKind);
        let workflow = workflow.as_deref().map(Condition::Workflow);
        tags.chain(kind).chain(workflow).chain(version.map(Condition::Version)).collect()
    }

    /// Returns the conditions by one of which the runs are searched. None: by their status alone.
    pub(crate) fn searches(&self) -> Vec<Condition<'f>> {
        let mut searches = self.conditions();
        searches.retain(|condition| condition.is_indexed());
        searches
    }

    /// Returns the statement that counts what each search finds, up to [`EXAMINED`] and one.
    pub(crate) fn sizes(&self, searches: &[Condition<'f>]) -> Statement<'f> {
        let mut statement = Statement::new(self.dialect);
        let fixed = self.fixed(&mut statement);
        let size = |search: &Condition<'f>| {
            let found = self.found(&mut statement, &fixed, Some(*search), EXAMINED + 1);
            format!("(SELECT count(*) FROM (SELECT 1 FROM {found} LIMIT {}) AS counted)", EXAMINED + 1)
        };
        let sizes: Vec<String> = searches.iter().map(size).collect();
        statement.sql = format!("SELECT {}", sizes.join(", "));
        statement
    }

    /// Returns how many runs are examined for a page first.
    pub(crate) fn first_round(&self) -> u32 {
        let round = EXAMINED_FIRST.into_iter().find(|(page, _)| self.filter.limit <= *page);
        round.map_or(EXAMINED, |(_, examined)| examined)
    }

    /// Returns whether another round may find more runs than a list has.
    pub(crate) fn is_short(&self, list: &RunList) -> bool {
        list.examined_to.is_some() && list.runs.len() < self.filter.limit as usize
    }

    /// Returns the statement for a page that is searched by a condition, of this many runs that are examined. Its rows are in the order of the search; the last
    /// two columns say whether the run matches, and whether the search ended with it.
    pub(crate) fn page(&self, search: Option<Condition<'f>>, examined: u32) -> Statement<'f> {
        let mut conditions = self.conditions();
        conditions.retain(|condition| Some(*condition) != search);
        let mut statement = Statement::new(self.dialect);
        let fixed = self.fixed(&mut statement);
        let Dialect { order: [order, _], among, columns, .. } = self.dialect;
        let (direction, sorted) = (self.direction(), self.sorted());
        let limit = self.filter.limit;
        if conditions.is_empty() {
            let known = PAGES.into_iter().find(|page| limit <= *page).unwrap_or(limit);
            let found = self.found(&mut statement, &fixed, search, known);
            let limit = statement.value(Value::Number(limit.into()));
            let page = format!("SELECT {order} FROM {found} ORDER BY {order}{direction} LIMIT {limit}");
            statement.sql = format!(
                "SELECT {columns}, TRUE, FALSE FROM forge_runs WHERE {} ORDER BY {order}{sorted}",
                among(&page)
            );
            return statement;
        }
        let found = self.found(&mut statement, &fixed, search, examined);
        let matches = self.tests(&mut statement, &conditions, "forge_runs");
        let limit = statement.value(Value::Number(limit.into()));
        statement.sql = format!(
            "WITH examined AS MATERIALIZED ( \
                 SELECT {order} FROM {found} ORDER BY {order}{direction} LIMIT {examined} \
             ), ending AS MATERIALIZED ( \
                 SELECT {order} FROM examined ORDER BY {order}{direction} LIMIT 1 OFFSET {} \
             ) SELECT {columns}, ({matches}) IS TRUE, ({order} = (SELECT {order} FROM ending)) IS TRUE FROM forge_runs \
             WHERE {} AND (({matches}) OR {order} = (SELECT {order} FROM ending)) ORDER BY {order}{sorted} LIMIT {limit}",
            examined - 1,
            among(&format!("SELECT {order} FROM examined")),
        );
        statement
    }

    /// Returns the statement that counts the runs of each status that a search finds, up to `most`. Other conditions are tested
    /// on the newest [`EXAMINED`] runs of each status. A row has a status, the number of its runs, and whether there may be
    /// more.
    pub(crate) fn counts(&self, search: Option<Condition<'f>>, most: u32) -> Statement<'f> {
        let mut conditions = self.conditions();
        conditions.retain(|condition| Some(*condition) != search);
        let mut statement = Statement::new(self.dialect);
        let fixed = self.fixed(&mut statement);
        let keys = self.keys(&mut statement, search);
        let matches = self.tests(&mut statement, &conditions, "forge_runs");
        let Dialect { order: [order, _], among, .. } = self.dialect;
        let found = |status, most| self.range(&fixed, &self.arm(&fixed, &keys, search, status, most));
        let count = |status| {
            if conditions.is_empty() {
                return format!(
                    "SELECT '{status}', count(*), count(*) >= {most} FROM {}",
                    found(status, most)
                );
            }
            let examined = among(&format!("SELECT {order} FROM {}", found(status, EXAMINED)));
            format!(
                "SELECT '{status}', count(*) FILTER (WHERE {matches}), count(*) >= {EXAMINED} FROM forge_runs WHERE {examined}"
            )
        };
        statement.sql = statuses(self.filter).map(count).collect::<Vec<_>>().join(" UNION ALL ");
        statement
    }

    /// Returns a condition on a run that all of these make.
    pub(crate) fn tests(
        &self,
        statement: &mut Statement<'f>,
        conditions: &[Condition<'f>],
        run: &str,
    ) -> String {
        let Dialect { order: [order, of_tag], unindexed, .. } = self.dialect;
        let test = |condition: &Condition<'f>| match *condition {
            // A subquery that cannot become a join looks one tag up.
            Condition::Tag(name, value) => {
                let (name, value) = (statement.value(Value::Text(name)), statement.value(Value::Text(value)));
                format!(
                    "(SELECT tag.value FROM forge_run_tags AS tag WHERE tag.{of_tag} = {run}.{order} AND tag.name = {name}) = {value}"
                )
            }
            Condition::ErrorKind(kind) => {
                format!("{unindexed}{run}.error_kind = {}", statement.value(Value::Text(kind)))
            }
            Condition::Workflow(name) => {
                format!("{unindexed}{run}.workflow_name = {}", statement.value(Value::Text(name)))
            }
            Condition::Version(version) => {
                format!("{unindexed}{run}.version = {}", statement.value(Value::Number(version.into())))
            }
        };
        let tests: Vec<String> = conditions.iter().map(test).collect();
        tests.join(" AND ")
    }

    /// Returns the names of the parameters of each search: the tenant, and the first and the last of the range.
    pub(crate) fn fixed(&self, statement: &mut Statement<'f>) -> [String; 3] {
        let [first, last] = self.range;
        [Value::Text(self.tenant), first, last].map(|value| statement.value(value))
    }

    /// Returns what follows ORDER BY and the column in the order of the list.
    pub(crate) fn sorted(&self) -> &'static str {
        if self.filter.newer.is_some() { "" } else { " DESC" }
    }

    /// Returns the same in the order of the indexes that are searched.
    fn direction(&self) -> &'static str {
        let [forwards, backwards] = self.dialect.directions;
        if self.filter.newer.is_some() { backwards } else { forwards }
    }

    /// Returns a subquery with the first runs of each status that a search finds.
    fn found(
        &self,
        statement: &mut Statement<'f>,
        fixed: &[String; 3],
        search: Option<Condition<'f>>,
        length: u32,
    ) -> String {
        let keys = self.keys(statement, search);
        let arm = |status| format!("SELECT * FROM {} AS arm", self.arm(fixed, &keys, search, status, length));
        let arms: Vec<String> = statuses(self.filter).map(arm).collect();
        self.range(fixed, &format!("({})", arms.join(" UNION ALL ")))
    }

    /// Returns the columns by which an index is searched.
    fn keys(&self, statement: &mut Statement<'f>, search: Option<Condition<'f>>) -> String {
        let mut equals = |column: &str, value| format!(" AND {column} = {}", statement.value(value));
        match search {
            Some(Condition::Tag(name, value)) => {
                equals("name", Value::Text(name)) + &equals("value", Value::Text(value))
            }
            Some(Condition::ErrorKind(kind)) => equals("error_kind", Value::Text(kind)),
            Some(Condition::Workflow(name)) => equals("workflow_name", Value::Text(name)),
            Some(Condition::Version(_)) | None => String::new(),
        }
    }

    /// Returns a subquery with the first runs of a status.
    fn arm(
        &self,
        [tenant, first, last]: &[String; 3],
        keys: &str,
        search: Option<Condition<'f>>,
        status: &str,
        length: u32,
    ) -> String {
        let [of_run, of_tag] = self.dialect.order;
        let (table, order) = match search {
            Some(Condition::Tag(..)) => ("forge_run_tags", of_tag),
            _ => ("forge_runs", of_run),
        };
        let range = match (self.dialect.searches_range, self.filter.newer) {
            (true, _) => format!("{order} BETWEEN {first} AND {last}"),
            (false, None) => format!("{order} <= {last}"),
            (false, Some(_)) => format!("{order} >= {first}"),
        };
        let direction = self.direction();
        format!(
            "(SELECT {order} AS {of_run} FROM {table} WHERE tenant = {tenant}{keys} AND status = '{status}' AND {range} \
             ORDER BY {order}{direction} LIMIT {length})"
        )
    }

    /// Returns what the FROM clause has for a subquery: the end of the range that was not searched is tested.
    fn range(&self, [_, first, last]: &[String; 3], subquery: &str) -> String {
        let order = self.dialect.order[0];
        match (self.dialect.searches_range, self.filter.newer) {
            (true, _) => format!("{subquery} AS found"),
            (false, None) => format!("{subquery} AS found WHERE {order} >= {first}"),
            (false, Some(_)) => format!("{subquery} AS found WHERE {order} <= {last}"),
        }
    }
}

/// Returns the search that finds the fewest runs; the first of several.
pub(crate) fn smallest<'f>(searches: &[Condition<'f>], sizes: &[u64]) -> Option<Condition<'f>> {
    searches.iter().zip(sizes).min_by_key(|(_, size)| **size).map(|(search, _)| *search)
}
