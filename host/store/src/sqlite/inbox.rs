//! The inboxes of runs: `forge_inbox`, and the columns of `forge_runs` that count its entries.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::decode::{all, first};
use super::runs;
use super::steps::KEYS;
use crate::{Committed, Delivered, StoreError};
use forge_journal::{EntryKind, Inbox, InboxEntry, Message, RunId, Sent, Unsent, WorkflowStatus};

const TABLE: &str = "forge_inbox";

const RECEIVER: &str =
    "SELECT number, tenant, status, inbox_seq, inbox_events, inbox_bytes FROM forge_runs WHERE id = ?";

const DUPLICATE: &str = "SELECT key & 16777215 FROM forge_inbox \
     WHERE key >> 24 = ? AND kind = ? AND name = ? AND dedupe = ?";

const APPEND: &str =
    "INSERT INTO forge_inbox (key, kind, name, dedupe, payload, at) VALUES (?, ?, ?, ?, ?, ?)";

/// A paused run is due only if its parent asks it to roll back.
const COUNT: &str = "UPDATE forge_runs SET inbox_seq = ?2, inbox_events = inbox_events + ?3, inbox_bytes = inbox_bytes + ?4, \
         due_at = CASE WHEN due_at IS NOT NULL OR ?5 THEN 0 END \
     WHERE number = ?1";

const STORED: &str = "UPDATE forge_storage SET bytes = bytes + ? WHERE tenant = ?";

const PENDING: &str = "SELECT key & 16777215, kind, name, dedupe, payload, at FROM forge_inbox \
     WHERE key > ?1 AND key <= ?2 AND taken IS NULL ORDER BY key LIMIT ?3";

const LAST: &str = "SELECT number, inbox_seq FROM forge_runs WHERE id = ?";

const UNTAKEN: &str = "SELECT kind, octet_length(payload) FROM forge_inbox WHERE key = ? AND taken IS NULL";

const TAKE: &str = "UPDATE forge_inbox SET taken = ?2, payload = NULL WHERE key = ?1";

/// The bytes of an entry beside its payload.
const OVERHEAD: i64 = 256;

/// A run that gets a message.
struct Receiver {
    number: i64,
    tenant: Arc<str>,
    status: WorkflowStatus,
    last: i64,
    events: u64,
    bytes: u64,
}

/// Appends a message to the inbox of its run, unless an entry with its key is there.
pub(super) fn send(
    connection: &Connection,
    message: &Message,
    committed: &mut Committed,
) -> Result<Result<Sent, Unsent>, StoreError> {
    let mut statement = connection.prepare_cached(RECEIVER)?;
    let found = first(&mut statement, [message.to.to_string()], "forge_runs", |columns| {
        Ok(Receiver {
            number: columns.number()?,
            tenant: columns.text()?,
            status: columns.parsed()?,
            last: columns.number()?,
            events: columns.bits()?,
            bytes: columns.bits()?,
        })
    })?;
    let Some(receiver) = found.filter(|receiver| receiver.tenant == message.tenant) else {
        return Ok(Err(Unsent::Unknown(message.to)));
    };
    let Receiver { number, last, .. } = receiver;
    let kind = message.kind.as_str();
    let mut statement = connection.prepare_cached(DUPLICATE)?;
    let duplicate =
        first(&mut statement, params![number, kind, message.name, message.key], TABLE, |columns| {
            columns.bits()
        })?;
    if let Some(seq) = duplicate {
        return Ok(Ok(Sent { seq, duplicate: true }));
    }
    if let Err(unsent) = message.check_room(receiver.status, receiver.events, receiver.bytes) {
        return Ok(Err(unsent));
    }
    let seq = last + 1;
    if seq >= KEYS {
        return Ok(Err(message.full(format!("{last} entries"), KEYS.cast_unsigned() - 1, "inbox_events")));
    }
    let bytes = i64::try_from(message.payload.len()).unwrap_or(i64::MAX);
    let key = number * KEYS + seq;
    let mut statement = connection.prepare_cached(APPEND)?;
    statement.execute(params![key, kind, message.name, message.key, message.payload, message.at.0])?;
    let is_event = message.kind == EntryKind::Event;
    let counted = if is_event { [1, bytes] } else { [0, 0] };
    let wakes = message.kind == EntryKind::Cancel;
    connection.prepare_cached(COUNT)?.execute(params![number, seq, counted[0], counted[1], wakes])?;
    connection.prepare_cached(STORED)?.execute(params![OVERHEAD + bytes, receiver.tenant])?;
    let seq = seq.cast_unsigned();
    let entry = message.clone().into_entry(seq);
    committed.delivered.push(Delivered { run: message.to, tenant: receiver.tenant, entry, is_here: true });
    Ok(Ok(Sent { seq, duplicate: false }))
}

/// Marks entries as taken.
pub(super) fn take(connection: &Connection, run: RunId, taken: &[(u64, u64)]) -> Result<(), StoreError> {
    let Some(number) = runs::number(connection, run)? else { return Ok(()) };
    let [mut events, mut bytes, mut all] = [0; 3];
    for (entry, call) in taken {
        let key = number * KEYS + entry.cast_signed();
        let mut statement = connection.prepare_cached(UNTAKEN)?;
        let untaken = first(&mut statement, [key], TABLE, |columns| {
            Ok((columns.parsed::<EntryKind>()?, columns.optional_number::<i64>()?.unwrap_or(0)))
        })?;
        let Some((kind, size)) = untaken else { continue };
        connection.prepare_cached(TAKE)?.execute([key, call.cast_signed()])?;
        all += size;
        if kind == EntryKind::Event {
            events += 1;
            bytes += size;
        }
    }
    let mut statement = connection.prepare_cached(
        "UPDATE forge_runs SET inbox_events = inbox_events - ?2, inbox_bytes = inbox_bytes - ?3 WHERE number = ?1 \
         RETURNING tenant",
    )?;
    let tenant =
        first(&mut statement, params![number, events, bytes], "forge_runs", |columns| columns.text())?;
    connection.prepare_cached(STORED)?.execute(params![-all, tenant])?;
    Ok(())
}

/// Returns the entries after this position that the run has not taken; `None` if there is no such run.
pub(super) fn pending(
    connection: &Connection,
    run: RunId,
    after: u64,
    limit: u32,
) -> Result<Option<Inbox>, StoreError> {
    let mut statement = connection.prepare_cached(LAST)?;
    let found = first(&mut statement, [run.to_string()], "forge_runs", |columns| {
        Ok((columns.number::<i64>()?, columns.bits()?))
    })?;
    let Some((number, last)) = found else { return Ok(None) };
    if last <= after {
        return Ok(Some(Inbox::new(last, [])));
    }
    let keys = [number * KEYS + after.cast_signed(), number * KEYS + KEYS - 1, limit.into()];
    let mut statement = connection.prepare_cached(PENDING)?;
    let entries = all(&mut statement, keys, TABLE, |columns| {
        Ok(InboxEntry {
            seq: columns.bits()?,
            kind: columns.parsed()?,
            name: columns.text()?,
            key: columns.text()?,
            payload: columns.text()?,
            at: columns.time()?,
        })
    })?;
    Ok(Some(Inbox::new(last, entries)))
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn no_statement_of_an_inbox_scans_a_table() {
        let connection = migrated();
        for sql in [RECEIVER, DUPLICATE, COUNT, PENDING, LAST, UNTAKEN, TAKE] {
            for step in plan(&connection, sql).iter().filter(|step| step.contains("forge_")) {
                assert!(step.starts_with("SEARCH"), "{sql}: {step}");
            }
        }
    }
}
