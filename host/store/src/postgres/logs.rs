//! The lines that runs have logged: `forge_logs`.

use std::sync::LazyLock;

use sqlx::postgres::PgRow;

use super::connection::Connections;
use super::decode::{Columns, Groups};
use super::journals::{groups, select_list, widths};
use super::text;
use crate::schema::logs::{COLUMNS, TABLE, blank, severity};
use crate::{LogFilter, LogPage, StoreError};
use forge_journal::{LogLine, RunId};

/// A line is read if those before the previous one have no more bytes than `$7`: the page, and one line that tells that there
/// are more. Sizes are those of the texts that are decoded; see [`text`].
static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT seq, {} FROM ( \
             SELECT *, sum(size) OVER lines - size - lag(size, 1, 0) OVER lines AS before FROM ( \
                 SELECT *, octet_length(replace(message, chr(26), '')) AS size FROM forge_logs \
                 WHERE run_id = $1 AND seq > $2 AND level >= $3 AND revision > $4 AND {OF_STEP} \
                 ORDER BY run_id, seq LIMIT $6) AS page WINDOW lines AS (ORDER BY seq)) AS sized \
         WHERE before <= $7 ORDER BY seq",
        select_list(COLUMNS, widths(COLUMNS))
    )
});

/// Later passes of a step in a loop have `name#2`, `name#3` and so on.
const OF_STEP: &str = "($5::TEXT IS NULL OR step = $5 OR rtrim(step, '0123456789') = $5 || '#')";

static GROUPS: LazyLock<Groups> = LazyLock::new(|| groups(1, widths(COLUMNS)));

const TENANT: &str = "SELECT tenant FROM forge_runs WHERE id = $1";

/// Returns a page of the lines of a run.
pub(super) async fn page(
    readers: &Connections,
    id: RunId,
    filter: &LogFilter,
) -> Result<Option<LogPage>, StoreError> {
    let Some(tenant) = readers.first(|| sqlx::query(TENANT).bind(id.0)).await? else { return Ok(None) };
    let mut page = LogPage::new(Columns::new(TABLE, &tenant).text()?);
    let [after, since, most] =
        [filter.after, filter.since, filter.bytes].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let step = filter.step.as_deref().map(|step| text::encode(step).into_owned());
    let query = || {
        let query = sqlx::query(&**PAGE).bind(id.0).bind(after).bind(severity(filter.level)).bind(since);
        // One more than asked for tells whether there are later ones.
        query.bind(step.clone()).bind(i64::from(filter.limit) + 1).bind(most)
    };
    let mut bytes = 0;
    for line in readers.map(query, |row| decode(&row)).await? {
        if !page.add(line?, filter, &mut bytes) {
            break;
        }
    }
    Ok(Some(page))
}

fn decode(row: &PgRow) -> Result<LogLine, StoreError> {
    let mut columns = Columns::new(TABLE, row);
    let mut line = blank(columns.bits()?);
    columns.fill(COLUMNS, *GROUPS, &mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plans;
    use super::*;

    #[tokio::test]
    async fn a_page_of_lines_is_found_by_its_keys() {
        let mut plans = Plans::of_many_runs().await;
        plans.fill_logs().await;
        for analyzed in [false, true] {
            if analyzed {
                plans.analyze().await;
            }
            let arguments = format!("'{}', 0, 2, 0, NULL, 500, 1000000", uuid::Uuid::from_u128(7));
            let plan = plans.plan(&PAGE, &arguments).await;
            let by_key = "Index Scan using forge_logs_pkey on forge_logs";
            assert!(plan.iter().any(|line| line == by_key), "{plan:#?}");
            let condition = "Index Cond: ((run_id = $1) AND (seq > $2))";
            assert!(plan.iter().any(|line| line == condition), "{plan:#?}");
            assert!(!plan.iter().any(|line| line == "Sort"), "{plan:#?}");
        }
    }
}
