//! Runs with their journals, read in one statement and so in one snapshot.
//!
//! A row of the answer is a run or a journal row. Because each column costs time, even if it is NULL, the columns of both
//! tables share those of the answer: `id, seq, mine, live`, then a group of columns for each type.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::connection::Connections;
use super::decode::{Columns, Groups};
use crate::schema::{Column, SQL_TYPES, runs, steps};
use crate::{Epoch, Loaded, StoreError};
use forge_journal::{Inbox, Row, RunId};

/// Why runs are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show them. The statement takes no locks.
    Show,
    /// To execute them. The statement locks the row of the epoch, so that it fails on a server that is not the primary, and
    /// the epoch does not end while the journals are read.
    Execute,
}

static SHOW: LazyLock<String> = LazyLock::new(|| load_statement(""));

static EXECUTE: LazyLock<String> = LazyLock::new(|| load_statement(" FOR KEY SHARE"));

/// Returns the statement that loads runs. `$2` is the epoch of the reader.
fn load_statement(lock: &str) -> String {
    let (runs, steps) = (select_list(runs::COLUMNS, *WIDTHS), select_list(steps::COLUMNS, *WIDTHS));
    format!(
        "WITH fence AS MATERIALIZED (SELECT epoch FROM forge_nodes WHERE epoch = $2 AND ended_at IS NULL{lock}) \
         SELECT id, NULL::BIGINT, owner = $2, EXISTS (SELECT FROM fence), {runs} \
         FROM forge_runs WHERE id = ANY ($1) \
         UNION ALL SELECT run_id, seq, NULL, NULL, {steps} FROM forge_steps WHERE run_id = ANY ($1)"
    )
}

/// How many columns of each type the answer has.
static WIDTHS: LazyLock<Groups> = LazyLock::new(|| {
    let (runs, steps) = (widths(runs::COLUMNS), widths(steps::COLUMNS));
    std::array::from_fn(|sql_type| runs[sql_type].max(steps[sql_type]))
});

static GROUPS: LazyLock<Groups> = LazyLock::new(|| groups(4, *WIDTHS));

/// Returns how many columns of each type are read.
pub(super) fn widths<T>(columns: &[Column<T>]) -> Groups {
    let mut widths = [0; SQL_TYPES.len()];
    for column in columns.iter().filter(|column| column.is_read()) {
        widths[column.access.sql_type()] += 1;
    }
    widths
}

/// Returns where the groups begin in an answer that has `first` other columns before them.
pub(super) fn groups(first: usize, widths: Groups) -> Groups {
    std::array::from_fn(|sql_type| first + widths[..sql_type].iter().sum::<usize>())
}

/// Returns the select list with the columns in groups, each filled up to its width with NULL.
pub(super) fn select_list<T>(columns: &[Column<T>], widths: Groups) -> String {
    let mut list = Vec::new();
    for (sql_type, width) in widths.into_iter().enumerate() {
        let columns =
            columns.iter().filter(|column| column.access.sql_type() == sql_type && column.is_read());
        let names = columns.map(|column| column.name.to_owned());
        let null = format!("NULL::{}", SQL_TYPES[sql_type]);
        list.extend(names.chain(std::iter::repeat(null)).take(width));
    }
    list.join(", ")
}

/// Returns the select list with NULL instead of these columns of text.
pub(super) fn select_list_without<T>(columns: &[Column<T>], widths: Groups, left_out: &[&str]) -> String {
    let list = select_list(columns, widths);
    let name = |name| if left_out.contains(&name) { "NULL::TEXT" } else { name };
    list.split(", ").map(name).collect::<Vec<_>>().join(", ")
}

/// A run as it was found.
pub(super) struct Found {
    pub(super) loaded: Result<Loaded, StoreError>,
    /// The run belongs to the epoch of the reader.
    pub(super) mine: bool,
    /// The epoch of the reader has not ended.
    pub(super) live: bool,
}

/// Returns the runs that exist.
pub(super) async fn load(
    readers: &Connections,
    epoch: Epoch,
    ids: &[RunId],
    purpose: Purpose,
) -> Result<HashMap<RunId, Found>, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let statement: &'static str = match purpose {
        Purpose::Show => &SHOW,
        Purpose::Execute => &EXECUTE,
    };
    let answer =
        readers.map(|| sqlx::query(statement).bind(&wanted).bind(epoch.0), |row| decode(&row)).await?;
    let mut found = HashMap::with_capacity(ids.len());
    let mut journals: HashMap<RunId, Vec<(u64, _)>> = HashMap::with_capacity(ids.len());
    for part in answer {
        match part? {
            Part::Run(id, run) => drop(found.insert(id, *run)),
            Part::Row(id, seq, row) => journals.entry(id).or_default().push((seq, row)),
        }
    }
    for (id, mut journal) in journals {
        if let Some(Found { loaded: Ok(loaded), .. }) = found.get_mut(&id) {
            journal.sort_unstable_by_key(|(seq, _)| *seq);
            loaded.rows = journal.into_iter().map(|(_, row)| row).collect();
        }
    }
    Ok(found)
}

/// A row of the answer.
#[expect(clippy::large_enum_variant, reason = "most parts are rows")]
enum Part {
    Run(RunId, Box<Found>),
    Row(RunId, u64, Result<Row, StoreError>),
}

fn decode(row: &PgRow) -> Result<Part, StoreError> {
    let mut columns = Columns::new(runs::TABLE, row);
    let id = columns.run_id()?;
    if let Some(seq) = columns.optional_bits()? {
        let mut row_read = steps::blank(seq);
        let done = Columns::new(steps::TABLE, row).fill(steps::COLUMNS, *GROUPS, &mut row_read);
        return Ok(Part::Row(id, seq, done.map(|()| row_read)));
    }
    let (mine, live) = (columns.flag()?, columns.flag()?);
    let mut run = runs::blank(id);
    let done = columns.fill(runs::COLUMNS, *GROUPS, &mut run);
    let loaded = done.map(|()| Loaded { run, rows: Ok(Vec::new()), inbox: Inbox::default() });
    Ok(Part::Run(id, Box::new(Found { loaded, mine, live })))
}
