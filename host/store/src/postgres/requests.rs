//! Requests between nodes. A request is a row, announced by a message. The receiver writes its response into the row; the
//! sender deletes it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::decode::Columns;
use super::error::QueryError;
use super::notifications::Message;
use crate::{RemoteCommand, RemoteRequest, RemoteResponse, StoreError};
use forge_journal::RunId;

const TABLE: &str = "forge_questions";

/// How long the sender waits for a response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often the sender looks for a response, in case its message was lost.
const POLL: Duration = Duration::from_secs(1);

/// Returns no row if no other node has the run. `$3` is the epoch of the sender, `$4` the channel.
const SEND: &str = "WITH asked AS ( \
    INSERT INTO forge_questions (run_id, owner, ask) \
    SELECT run.id, run.owner, $2 FROM forge_runs run JOIN forge_nodes node ON node.epoch = run.owner \
     WHERE run.id = $1 AND node.ended_at IS NULL AND node.epoch <> $3 RETURNING id, owner \
) SELECT id, pg_notify($4, $3 || ' asked ' || owner) FROM asked";

/// Returns the response, and whether the receiver is live.
const LOOK_UP: &str = "SELECT question.answer, node.epoch IS NOT NULL FROM forge_questions question \
     LEFT JOIN forge_nodes node ON node.epoch = question.owner AND node.ended_at IS NULL WHERE question.id = $1";

const DELETE: &str = "DELETE FROM forge_questions WHERE id = $1 RETURNING answer";

/// Returns the requests without a response whose senders still wait.
const PENDING: &str = "SELECT id, run_id, ask FROM forge_questions WHERE owner = $1 AND answer IS NULL \
     AND asked_at > clock_timestamp() - make_interval(secs => $2) ORDER BY id";

const RESPOND: &str = "WITH answered AS (UPDATE forge_questions SET answer = $2 WHERE id = $1 RETURNING id) \
     SELECT pg_notify($3, $4) FROM answered";

/// Sends a command to the node that executes this run, and waits for the response.
pub(super) async fn send_command(
    shared: &Shared,
    run: RunId,
    command: &RemoteCommand,
) -> Result<Option<RemoteResponse>, StoreError> {
    let mut responded = shared.responded.subscribe();
    let (notifier, command) = (&shared.notifier, json(command)?);
    let mut lent = shared.readers.take().await?;
    let query = sqlx::query(SEND).bind(run.0).bind(command).bind(notifier.epoch().0).bind(notifier.channel());
    let sent = lent.all(query).await.map_err(QueryError::of_change)?;
    drop(lent);
    let Some(row) = sent.first() else { return Ok(None) };
    let id: i64 = Columns::new(TABLE, row).number()?;
    // The node that has the run may execute the command, whatever happens here.
    wait_for_response(shared, id, &mut responded).await.map_err(|error| match error {
        StoreError::Unavailable(why) => StoreError::OutcomeUnknown(why),
        error => error,
    })
}

/// Waits for the response to a request, and deletes the request.
async fn wait_for_response(
    shared: &Shared,
    id: i64,
    responded: &mut watch::Receiver<()>,
) -> Result<Option<RemoteResponse>, StoreError> {
    let deadline = Instant::now() + TIMEOUT;
    while is_pending(shared, id).await? {
        match timeout_at(deadline, timeout(POLL, responded.changed())).await {
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let deleted = shared.readers.first(|| sqlx::query(DELETE).bind(id)).await?;
    deleted.map_or(Ok(None), |row| Columns::new(TABLE, &row).json())
}

/// Returns whether there is no response yet, and the receiver is live.
async fn is_pending(shared: &Shared, id: i64) -> Result<bool, StoreError> {
    let row = shared.readers.first(|| sqlx::query(LOOK_UP).bind(id)).await?;
    let Some(row) = row else { return Ok(false) };
    let mut columns = Columns::new(TABLE, &row);
    Ok(columns.optional_text()?.is_none() && columns.flag()?)
}

/// Returns the requests to this node that were not returned before.
pub(super) async fn requests(shared: &Shared) -> Result<Vec<RemoteRequest>, StoreError> {
    let epoch = shared.notifier.epoch().0;
    let rows = shared.readers.all(|| sqlx::query(PENDING).bind(epoch).bind(TIMEOUT.as_secs_f64())).await?;
    let mut requests = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::new(TABLE, row);
        let (id, run, command) = (columns.number()?, columns.run_id()?, columns.json()?);
        // A newer version may send a command that this one does not know.
        requests.extend(command.map(|command| RemoteRequest { id, run, command }));
    }
    let pending = requests.iter().map(|request| request.id).collect();
    let returned = std::mem::replace(&mut *shared.returned.lock(), pending);
    requests.retain(|request| !returned.contains(&request.id));
    Ok(requests)
}

/// Responds to a request.
pub(super) async fn respond(
    shared: &Shared,
    request: i64,
    response: &RemoteResponse,
) -> Result<(), StoreError> {
    let (channel, payload) =
        (shared.notifier.channel(), shared.notifier.payload(Message::Responded(request)));
    let response = json(response)?;
    let query = || sqlx::query(RESPOND).bind(request).bind(&response).bind(channel).bind(&payload);
    shared.readers.all(query).await.map(|_| ())
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Rejected(format!("{TABLE}: {error}")))
}
