//! What changed in a journal since a revision. No index has the revisions, because each write would maintain it: the calls
//! of the run are looked at from the one where the caller begins.

use std::sync::LazyLock;

use super::connection::Connections;
use super::decode::{Columns, Groups};
use super::journals::{groups, select_list, select_list_without, widths};
use crate::position::lower_bound;
use crate::schema::steps::{COLUMNS, PAYLOADS, TABLE, blank};
use crate::{ChangedFilter, ChangedPage, Position, StoreError};
use forge_journal::{Row, RunId};

/// The highest revisions of a run and of its calls after `$3`, the last of these whose revision is above `$2`, and the numbers
/// of calls and of these.
const POSITION: &str = "SELECT run.tenant, greatest(run.revision, coalesce(call.revision, 0)), coalesce(call.seq, 0), calls, changed \
     FROM forge_runs run CROSS JOIN LATERAL ( \
         SELECT max(revision) AS revision, max(seq) FILTER (WHERE revision > $2) AS seq, count(*) AS calls, \
             count(*) FILTER (WHERE revision > $2) AS changed FROM forge_steps \
         WHERE run_id = $1 AND seq > $3 \
     ) AS call WHERE run.id = $1";

/// Returns the statement for a page of changed calls, at most `$5` with `$6` bytes of documents. Sizes are known without
/// reading the documents.
fn page_sql(payloads: bool) -> String {
    let columns = match payloads {
        true => select_list(COLUMNS, widths(COLUMNS)),
        false => select_list_without(COLUMNS, widths(COLUMNS), &PAYLOADS),
    };
    let size =
        if payloads { "coalesce(octet_length(input), 0) + coalesce(octet_length(result), 0)" } else { "0" };
    format!(
        "SELECT seq, {columns} FROM ( \
             SELECT *, sum(size) OVER (ORDER BY seq) AS bytes FROM ( \
                 SELECT *, {size} AS size FROM forge_steps \
                 WHERE run_id = $1 AND revision > $2 AND seq > $3 AND seq <= $4 ORDER BY run_id, seq LIMIT $5) AS page) AS sized \
         WHERE bytes <= $6 OR bytes = size ORDER BY seq"
    )
}

static PAGES: LazyLock<[String; 2]> = LazyLock::new(|| [false, true].map(page_sql));

static GROUPS: LazyLock<Groups> = LazyLock::new(|| groups(1, widths(COLUMNS)));

/// Returns a number for a comparison in SQL.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the position of a journal.
pub(super) async fn position(
    readers: &Connections,
    id: RunId,
    since: Option<u64>,
    after: u64,
) -> Result<Option<Position>, StoreError> {
    let query = || sqlx::query(POSITION).bind(id.0).bind(lower_bound(since)).bind(signed(after));
    let Some(found) = readers.first(query).await? else { return Ok(None) };
    let mut columns = Columns::new(TABLE, &found);
    Ok(Some(Position {
        tenant: columns.text()?,
        revision: columns.bits()?,
        last_changed: columns.bits()?,
        calls: columns.bits()?,
        changed: columns.bits()?,
    }))
}

/// Returns a page of the calls that have changed.
pub(super) async fn changed_steps(
    readers: &Connections,
    id: RunId,
    filter: ChangedFilter,
) -> Result<ChangedPage, StoreError> {
    let ChangedFilter { since, after, until, limit, bytes, payloads } = filter;
    let query = || {
        let query = sqlx::query(&*PAGES[usize::from(payloads)]).bind(id.0).bind(lower_bound(since));
        query.bind(signed(after)).bind(signed(until)).bind(i64::from(limit)).bind(signed(bytes))
    };
    let answer = readers
        .map(query, |row| {
            let mut columns = Columns::new(TABLE, &row);
            let mut read = blank(columns.bits()?);
            columns.fill(COLUMNS, *GROUPS, &mut read)?;
            Ok::<Row, StoreError>(read)
        })
        .await?;
    let rows: Vec<Row> = answer.into_iter().collect::<Result<_, _>>()?;
    // The last call that has changed stays one: revisions only grow.
    let has_more = rows.last().is_some_and(|row| row.seq < until);
    Ok(ChangedPage { rows, has_more })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plans;
    use super::*;

    #[tokio::test]
    async fn what_changed_is_found_in_the_range_of_the_runs_calls() {
        let mut plans = Plans::of_many_runs().await;
        let run = uuid::Uuid::from_u128(7);
        for analyzed in [false, true] {
            if analyzed {
                plans.analyze().await;
            }
            let position = plans.plan(POSITION, &format!("'{run}', 5, 0")).await;
            let pages = [
                plans.plan(&PAGES[0], &format!("'{run}', 5, 0, 1000, 500, 1000000")).await,
                plans.plan(&PAGES[1], &format!("'{run}', 5, 0, 1000, 500, 1000000")).await,
            ];
            for plan in [position].iter().chain(&pages) {
                let scans: Vec<_> = plan.iter().filter(|line| line.contains(" on forge_steps")).collect();
                assert_eq!(scans.len(), 1, "{plan:#?}");
                let conditions = plan.iter().filter(|line| line.starts_with("Index Cond: ((run_id = $1)"));
                assert_eq!(conditions.count(), 1, "{plan:#?}");
            }
        }
    }
}
