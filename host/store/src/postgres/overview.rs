//! What callers see of a journal: its last steps, and pages of it; and of an inbox: the first events in it.

use std::sync::LazyLock;

use sqlx::postgres::PgRow;

use super::connection::Connections;
use super::decode::{Columns, Groups};
use super::journals::{groups, select_list, select_list_without, widths};
use super::runs;
use crate::overview::{
    MOST_EVENTS, MOST_RESULT_BYTES, MOST_STEPS, Overview, RecentStep, RecentSteps, UntakenEvent,
    UntakenEvents,
};
use crate::schema::steps::{COLUMNS, PAYLOADS, TABLE, blank};
use crate::{StepFilter, StepPage, StoreError};
use forge_journal::{Row, RunId};

/// Follows the steps of a run from the last one: each row names the last step before it; in rows of earlier versions, it is
/// looked for. `LATERAL` with `LIMIT` looks up each row by its key. `bytes` is the size of the results up to there.
static RECENT: LazyLock<String> = LazyLock::new(|| {
    let step = |seq: &str| {
        format!(
            "CROSS JOIN LATERAL (SELECT seq, step_before, coalesce(octet_length(result), 0) AS size FROM forge_steps \
                 WHERE run_id = $1 AND seq = {seq} LIMIT 1) AS step"
        )
    };
    let before = |row: &str| {
        format!(
            "coalesce({row}.step_before, (SELECT seq FROM forge_steps \
                 WHERE run_id = $1 AND seq < {row}.seq AND kind = 'step' ORDER BY run_id DESC, seq DESC LIMIT 1))"
        )
    };
    format!(
        "WITH RECURSIVE last AS MATERIALIZED ( \
             SELECT seq, kind, step_before FROM forge_steps WHERE run_id = $1 ORDER BY run_id DESC, seq DESC LIMIT 1 \
         ), steps AS ( \
             SELECT step.seq, step.step_before, step.size::BIGINT AS bytes, 1 AS place FROM last {} \
             UNION ALL \
             SELECT step.seq, step.step_before, steps.bytes + step.size, steps.place + 1 FROM steps {} \
             WHERE steps.place <= {MOST_STEPS} AND steps.bytes <= {MOST_RESULT_BYTES} \
         ) SELECT last.seq, steps.bytes, step.name, step.status, step.result FROM last LEFT JOIN steps ON TRUE \
         LEFT JOIN LATERAL (SELECT name, status, CASE WHEN bytes <= {MOST_RESULT_BYTES} THEN result END AS result \
             FROM forge_steps WHERE run_id = $1 AND seq = steps.seq LIMIT 1) AS step ON TRUE ORDER BY steps.place",
        step(&format!("CASE last.kind WHEN 'step' THEN last.seq ELSE {} END", before("last"))),
        step(&before("steps")),
    )
});

/// A page of a journal. Sizes are known without reading the documents. `$4` is the limit of their bytes.
fn page_sql(payloads: bool) -> String {
    let columns = match payloads {
        true => select_list(COLUMNS, widths(COLUMNS)),
        false => select_list_without(COLUMNS, widths(COLUMNS), &PAYLOADS),
    };
    let size =
        if payloads { "coalesce(octet_length(input), 0) + coalesce(octet_length(result), 0)" } else { "0" };
    format!(
        "SELECT seq, (SELECT max(seq) FROM forge_steps WHERE run_id = $1), {columns} FROM ( \
             SELECT *, sum(size) OVER (ORDER BY seq) AS bytes FROM ( \
                 SELECT *, {size} AS size FROM forge_steps WHERE run_id = $1 AND seq > $2 \
                 ORDER BY run_id, seq LIMIT $3) AS page) AS sized \
         WHERE bytes <= $4 OR bytes = size ORDER BY seq"
    )
}

static PAGES: LazyLock<[String; 2]> = LazyLock::new(|| [false, true].map(page_sql));

static GROUPS: LazyLock<Groups> = LazyLock::new(|| groups(2, widths(COLUMNS)));

const TENANT: &str = "SELECT tenant FROM forge_runs WHERE id = $1";

/// The number and the bytes of the events that a run has not taken, and the first of them.
const EVENTS: &str = "SELECT run.inbox_events, run.inbox_bytes, entry.seq, entry.name, entry.dedupe, entry.at, \
         octet_length(entry.payload)::BIGINT \
     FROM forge_runs run LEFT JOIN LATERAL ( \
         SELECT * FROM forge_inbox WHERE run_id = run.id AND taken IS NULL AND kind = 'event' AND run.inbox_events > 0 \
         ORDER BY seq LIMIT $2 \
     ) AS entry ON TRUE WHERE run.id = $1 ORDER BY entry.seq";

/// Returns a run with its last steps and events. They are read after the run: those of a run that is final are all there.
pub(super) async fn overview(readers: &Connections, id: RunId) -> Result<Option<Overview>, StoreError> {
    let Some(run) = runs::get(readers, id).await? else { return Ok(None) };
    let events = events(readers, id).await?;
    Ok(Some(Overview { run, events, recent: recent(readers, id).await? }))
}

async fn events(readers: &Connections, id: RunId) -> Result<UntakenEvents, StoreError> {
    let mut events = UntakenEvents::default();
    for row in readers.all(|| sqlx::query(EVENTS).bind(id.0).bind(i64::from(MOST_EVENTS))).await? {
        let mut columns = Columns::new("forge_inbox", &row);
        (events.count, events.bytes) = (columns.bits()?, columns.bits()?);
        let Some(seq) = columns.optional_bits()? else { break };
        let (name, key, at) = (columns.text()?, columns.text()?, columns.time()?);
        events.first.push(UntakenEvent { seq, name, key, at, bytes: columns.bits()? });
    }
    Ok(events)
}

async fn recent(readers: &Connections, id: RunId) -> Result<RecentSteps, StoreError> {
    let rows = readers.all(|| sqlx::query(&**RECENT).bind(id.0)).await?;
    let mut recent = RecentSteps::default();
    for row in &rows {
        let mut columns = Columns::new(TABLE, row);
        recent.calls = columns.bits()?;
        // A journal may have no step.
        let Some(bytes) = columns.optional_bits()? else { break };
        if !recent.has_room(bytes) {
            break;
        }
        let (name, status) = (columns.text()?, columns.parsed()?);
        recent.steps.push(RecentStep { name, status, result: columns.optional_text()? });
    }
    Ok(recent)
}

pub(super) async fn page(
    readers: &Connections,
    id: RunId,
    filter: StepFilter,
) -> Result<Option<StepPage>, StoreError> {
    let Some(tenant) = readers.first(|| sqlx::query(TENANT).bind(id.0)).await? else { return Ok(None) };
    let tenant = Columns::new(TABLE, &tenant).text()?;
    let [after, bytes] = [filter.after, filter.bytes].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let query = || {
        let query = sqlx::query(&*PAGES[usize::from(filter.payloads)]).bind(id.0).bind(after);
        query.bind(i64::from(filter.limit)).bind(bytes)
    };
    let answer = readers.map(query, |row| decode(&row)).await?;
    let (mut rows, mut last) = (Vec::with_capacity(answer.len()), 0);
    for found in answer {
        let (row, last_of_run) = found?;
        last = last_of_run;
        rows.push(row);
    }
    let has_more = rows.last().is_some_and(|row: &Row| row.seq < last);
    Ok(Some(StepPage { tenant, rows, has_more }))
}

/// Returns a row, and the `seq` of the last one of the run.
fn decode(row: &PgRow) -> Result<(Row, u64), StoreError> {
    let mut columns = Columns::new(TABLE, row);
    let (seq, last) = (columns.bits()?, columns.bits()?);
    let mut read = blank(seq);
    columns.fill(COLUMNS, *GROUPS, &mut read)?;
    Ok((read, last))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Plans;
    use super::*;

    #[tokio::test]
    async fn the_last_steps_and_a_page_of_a_journal_are_found_by_their_keys() {
        let mut plans = Plans::of_many_runs().await;
        let run = uuid::Uuid::from_u128(7);
        for analyzed in [false, true] {
            if analyzed {
                plans.analyze().await;
            }
            let recent = plans.plan(&RECENT, &format!("'{run}'")).await;
            let pages = [
                plans.plan(&PAGES[0], &format!("'{run}', 0, 500, 1000000")).await,
                plans.plan(&PAGES[1], &format!("'{run}', 0, 500, 1000000")).await,
            ];
            for plan in [recent].iter().chain(&pages) {
                let scans = plan.iter().filter(|line| line.contains(" on forge_steps"));
                assert!(scans.clone().count() > 1, "{plan:#?}");
                for scan in scans {
                    assert!(
                        scan.starts_with("Index ") && scan.contains("forge_steps_pkey"),
                        "{scan}: {plan:#?}"
                    );
                }
                for condition in plan.iter().filter(|line| line.starts_with("Index Cond: ")) {
                    assert!(condition.contains("run_id = $1"), "{condition}: {plan:#?}");
                }
                let joins = plan.iter().filter(|line| line.contains("Join"));
                assert!(joins.clone().all(|join| join.starts_with("Nested Loop")), "{plan:#?}");
            }
            let events = plans.plan(EVENTS, &format!("'{run}', 100")).await;
            assert!(
                !events.iter().any(|line| line.contains("Seq Scan") || line.contains("Sort")),
                "{events:#?}"
            );
            let by_key = "Index Cond: ((run_id = $1) AND (seq = ";
            let looked_up = plans.plan(&RECENT, &format!("'{run}'")).await;
            assert!(looked_up.iter().filter(|line| line.starts_with(by_key)).count() >= 3, "{looked_up:#?}");
        }
    }
}
