//! The inboxes of runs. The functions `forge_send` and `forge_take` of the migrations change them.

use std::collections::HashMap;

use uuid::Uuid;

use super::commit::CommitError;
use super::connection::{Connection, Connections};
use super::decode::Columns;
use super::error::QueryError;
use super::statement::{FencingToken, STORAGE_PARTS};
use super::text;
use crate::{Delivered, Epoch, StoreError};
use forge_journal::{EntryKind, Inbox, InboxEntry, Message, RunId, Sent, Unsent};

const TABLE: &str = "forge_inbox";

/// Locks runs in the order of their ids, before anything else in the transaction does: batches of several nodes write to the
/// same runs.
const LOCK: &str = "SELECT id FROM forge_runs WHERE id = ANY ($1) ORDER BY id FOR UPDATE";

/// Each message sees what the earlier ones have appended.
const SEND: &str = "SELECT sent.outcome, sent.number, sent.owner FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], \
         $5::TEXT[], $6::TEXT[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[]) \
         WITH ORDINALITY AS message (receiver, sender, kind, name, key, payload, at, events, bytes, place) \
     CROSS JOIN LATERAL forge_send(receiver, sender, kind, name, key, payload, at, events, bytes, $10) AS sent \
     ORDER BY place";

const TAKE: &str = "SELECT forge_take($1, $2, $3, $4)";

const PENDING: &str = "SELECT run.id, run.inbox_seq, entry.seq, entry.kind, entry.name, entry.dedupe, entry.payload, entry.at \
     FROM forge_runs run LEFT JOIN LATERAL ( \
         SELECT * FROM forge_inbox WHERE run_id = run.id AND seq > $2 AND taken IS NULL ORDER BY seq LIMIT $3 \
     ) AS entry ON TRUE WHERE run.id = ANY ($1) ORDER BY run.id, entry.seq";

pub(super) async fn lock(connection: &mut Connection, runs: &[Uuid]) -> Result<(), QueryError> {
    connection.all(sqlx::query(LOCK).bind(runs)).await.map(|_| ())
}

/// Appends messages, in their order. Returns what became of each.
pub(super) async fn send(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    messages: &[&Message],
    delivered: &mut Vec<(Delivered, Epoch)>,
) -> Result<Vec<Result<Sent, Unsent>>, CommitError> {
    let column = |part: fn(&Message) -> &str| -> Vec<String> {
        messages.iter().map(|message| text::encode(part(message)).into_owned()).collect()
    };
    let number = |part: fn(&Message) -> u64| -> Vec<i64> {
        messages.iter().map(|message| i64::try_from(part(message)).unwrap_or(i64::MAX)).collect()
    };
    let query = sqlx::query(SEND)
        .bind(messages.iter().map(|message| message.to.0).collect::<Vec<_>>())
        .bind(column(|message| &message.tenant))
        .bind(column(|message| message.kind.as_str()))
        .bind(column(|message| &message.name))
        .bind(column(|message| &message.key))
        .bind(messages.iter().map(|message| message.payload.to_string()).collect::<Vec<_>>())
        .bind(messages.iter().map(|message| message.at.0).collect::<Vec<_>>())
        .bind(number(|message| message.most_events))
        .bind(number(|message| message.most_bytes))
        .bind(token.epoch.0 % STORAGE_PARTS);
    let rows = connection.all(query).await?;
    let mut outcomes = Vec::with_capacity(rows.len());
    for (row, message) in rows.iter().zip(messages) {
        let mut columns = Columns::new(TABLE, row);
        let outcome = columns.string()?;
        let (number, owner) = (columns.bits()?, columns.number()?);
        outcomes.push(match outcome.as_str() {
            "sent" => {
                let (run, tenant) = (message.to, message.tenant.clone());
                let entry = (*message).clone().into_entry(number);
                let is_here = owner == token.epoch.0;
                delivered.push((Delivered { run, tenant, entry, is_here }, Epoch(owner)));
                Ok(Sent { seq: number, duplicate: false })
            }
            "duplicate" => Ok(Sent { seq: number, duplicate: true }),
            "unknown" => Err(Unsent::Unknown(message.to)),
            "inbox_events" => {
                Err(message.full(format!("{number} events"), message.most_events, "inbox_events"))
            }
            "inbox_bytes" => {
                Err(message.full(format!("{number} bytes of events"), message.most_bytes, "inbox_bytes"))
            }
            status => match status.parse() {
                Ok(status) => Err(Unsent::Final { run: message.to, status }),
                Err(error) => {
                    let error = StoreError::Corrupt { table: "forge_runs", why: format!("{error}") };
                    return Err(error.into());
                }
            },
        });
    }
    Ok(outcomes)
}

/// Marks entries as taken.
pub(super) async fn take(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    run: RunId,
    taken: &[(u64, u64)],
) -> Result<(), QueryError> {
    let (entries, calls): (Vec<i64>, Vec<i64>) =
        taken.iter().map(|(entry, call)| (entry.cast_signed(), call.cast_signed())).unzip();
    let part = token.epoch.0 % STORAGE_PARTS;
    connection.all(sqlx::query(TAKE).bind(run.0).bind(entries).bind(calls).bind(part)).await.map(|_| ())
}

/// Returns the entries of runs after this position that they have not taken.
pub(super) async fn pending(
    readers: &Connections,
    runs: &[Uuid],
    after: u64,
    limit: u32,
) -> Result<HashMap<RunId, Inbox>, StoreError> {
    let query = || sqlx::query(PENDING).bind(runs).bind(after.cast_signed()).bind(i64::from(limit));
    let mut found: HashMap<RunId, (u64, Vec<InboxEntry>)> = HashMap::new();
    for row in readers.all(query).await? {
        let mut columns = Columns::new(TABLE, &row);
        let (run, last) = (columns.run_id()?, columns.bits()?);
        let (_, entries) = found.entry(run).or_insert((last, Vec::new()));
        if let Some(seq) = columns.optional_bits()? {
            entries.push(InboxEntry {
                seq,
                kind: columns.parsed::<EntryKind>()?,
                name: columns.text()?,
                key: columns.text()?,
                payload: columns.text()?,
                at: columns.time()?,
            });
        }
    }
    Ok(found.into_iter().map(|(run, (last, entries))| (run, Inbox::new(last, entries))).collect())
}
