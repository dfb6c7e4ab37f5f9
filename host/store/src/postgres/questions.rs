//! What nodes ask each other is a row, and a notice that there is one. The asker deletes it.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::decode::Columns;
use super::notices::Message;
use crate::{RemoteCommand, RemoteRequest, RemoteResponse, StoreError};
use forge_journal::RunId;

const TABLE: &str = "forge_questions";

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look for it, in case its notice is lost.
const LOOK: Duration = Duration::from_secs(1);

/// No row is the answer if no other node has the run. `$3` is who asks, `$4` the channel.
const ASK: &str = "WITH asked AS ( \
    INSERT INTO forge_questions (run_id, owner, ask) \
    SELECT run.id, run.owner, $2 FROM forge_runs run JOIN forge_nodes node ON node.epoch = run.owner \
     WHERE run.id = $1 AND node.ended_at IS NULL AND node.epoch <> $3 RETURNING id, owner \
) SELECT id, pg_notify($4, $3 || ' asked ' || owner) FROM asked";

/// The answer, and whether there may still be one.
const LOOK_UP: &str = "SELECT question.answer, node.epoch IS NOT NULL FROM forge_questions question \
     LEFT JOIN forge_nodes node ON node.epoch = question.owner AND node.ended_at IS NULL WHERE question.id = $1";

const FORGET: &str = "DELETE FROM forge_questions WHERE id = $1 RETURNING answer";

/// Those whose askers have lost patience are left out.
const ASKED: &str = "SELECT id, run_id, ask FROM forge_questions WHERE owner = $1 AND answer IS NULL \
     AND asked_at > clock_timestamp() - make_interval(secs => $2) ORDER BY id";

const ANSWER: &str = "WITH answered AS (UPDATE forge_questions SET answer = $2 WHERE id = $1 RETURNING id) \
     SELECT pg_notify($3, $4) FROM answered";

/// Asks the node that has this run, and waits for its answer.
pub(super) async fn ask(
    shared: &Shared,
    run: RunId,
    ask: RemoteCommand,
) -> Result<Option<RemoteResponse>, StoreError> {
    let mut answered = shared.answered.subscribe();
    let voice = &shared.voice;
    let mut lent = shared.readers.take().await?;
    let query = sqlx::query(ASK).bind(run.0).bind(json(&ask)).bind(voice.epoch().0).bind(voice.channel());
    let asked = lent.all(query).await?;
    drop(lent);
    let Some(row) = asked.first() else { return Ok(None) };
    let id: i64 = Columns::new(TABLE, row).number()?;
    let deadline = Instant::now() + PATIENCE;
    while may_be_answered(shared, id).await? {
        match timeout_at(deadline, timeout(LOOK, answered.changed())).await {
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let forgotten = shared.readers.first(|| sqlx::query(FORGET).bind(id)).await?;
    forgotten.map_or(Ok(None), |row| Columns::new(TABLE, &row).json())
}

/// Whether it is worth waiting: it is not answered, and there is somebody who could.
async fn may_be_answered(shared: &Shared, id: i64) -> Result<bool, StoreError> {
    let row = shared.readers.first(|| sqlx::query(LOOK_UP).bind(id)).await?;
    let Some(row) = row else { return Ok(false) };
    let mut columns = Columns::new(TABLE, &row);
    Ok(columns.optional_text()?.is_none() && columns.flag()?)
}

/// What this node was asked and has not been given before.
pub(super) async fn questions(shared: &Shared) -> Result<Vec<RemoteRequest>, StoreError> {
    let epoch = shared.voice.epoch().0;
    let rows = shared.readers.all(|| sqlx::query(ASKED).bind(epoch).bind(PATIENCE.as_secs_f64())).await?;
    let mut asked = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::new(TABLE, row);
        let (id, run, command) = (columns.number()?, columns.run_id()?, columns.json()?);
        // A newer version may ask what this one does not know.
        asked.extend(command.map(|command| RemoteRequest { id, run, command }));
    }
    let ids = asked.iter().map(|question| question.id).collect();
    let given = shared.given(ids);
    asked.retain(|question| !given.contains(&question.id));
    Ok(asked)
}

/// Answers one.
pub(super) async fn answer(
    shared: &Shared,
    question: i64,
    answer: &RemoteResponse,
) -> Result<(), StoreError> {
    let voice = &shared.voice;
    let said = voice.say(Message::Answered(question));
    let query = || sqlx::query(ANSWER).bind(question).bind(json(answer)).bind(voice.channel()).bind(&said);
    shared.readers.all(query).await.map(|_| ())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
