//! What calls, runs and clients do in the commit of a batch beside writing runs and rows. It is done in the transaction of the
//! batch, between the runs and the rows, which have the outcomes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use uuid::Uuid;

use super::commit::CommitError;
use super::connection::Connection;
use super::notifications::Message as Notice;
use super::statement::FencingToken;
use super::{db, inbox};
use crate::committed;
use crate::db::next_outcome;
use crate::{Committed, Delivered, Epoch, Write, Written};
use forge_journal::{Changes, Message, Operation, Outcome, Performed, RunId};

/// Tells other nodes of entries in the inboxes of their runs.
const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// Runs that one notification names. PostgreSQL takes 8,000 bytes.
const NAMED: usize = 120;

/// What was done for a batch.
#[derive(Default)]
pub(super) struct Done {
    /// The outcomes of writes that have another one than [`Written::Done`], by place.
    pub(super) written: Vec<(usize, Written)>,
    pub(super) delivered: Vec<Delivered>,
}

/// Returns whether a batch does anything beside writing runs and rows.
pub(super) fn has_any(writes: &[Write]) -> bool {
    writes.iter().any(|write| match write {
        Write::Start(_) | Write::InsertUnowned(_) => false,
        Write::StartWithEvent { .. } | Write::Send(_) | Write::Transaction(_) => true,
        Write::Save(_, changes) => {
            !changes.operations.is_empty() || !changes.taken.is_empty() || !changes.outbox.is_empty()
        }
    })
}

/// Does it, once the runs are written. `begun` are those that have begun.
pub(super) async fn perform(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    writes: &[Write],
    begun: &[Uuid],
) -> Result<Done, CommitError> {
    let mut done = Done::default();
    let mut delivered = Vec::new();
    let transactions: Vec<_> = writes.iter().flat_map(Write::transactions).collect();
    let transacted =
        if transactions.is_empty() { Vec::new() } else { db::perform(connection, &transactions).await? };
    let mut transacted = transacted.into_iter();
    for (place, write) in writes.iter().enumerate() {
        match write {
            Write::Save(run, changes) => {
                if !changes.taken.is_empty() {
                    inbox::take(connection, token, *run, &changes.taken).await?;
                }
                if !changes.operations.is_empty() {
                    let performed =
                        perform_all(connection, token, changes, &mut transacted, &mut delivered).await?;
                    done.written.push((place, Written::Performed(performed)));
                }
                if !changes.outbox.is_empty() {
                    let outbox: Vec<&Message> = changes.outbox.iter().collect();
                    // A relative that has ended needs to know nothing.
                    inbox::send(connection, token, &outbox, &mut delivered).await?;
                }
            }
            Write::Send(message) => {
                let sent = inbox::send(connection, token, &[message], &mut delivered).await?;
                done.written.extend(sent.into_iter().map(|sent| (place, Written::Sent(sent))));
            }
            Write::Transaction(_) => {
                done.written.push((place, Written::Transacted(next_outcome(&mut transacted))))
            }
            Write::StartWithEvent { run, event, .. } if begun.contains(&run.id.0) => {
                inbox::send(connection, token, &[event], &mut delivered).await?;
            }
            Write::Start(_) | Write::InsertUnowned(_) | Write::StartWithEvent { .. } => {}
        }
    }
    finish(connection, token, delivered, &mut done).await?;
    Ok(done)
}

/// Returns a batch in which the rows of calls have the outcomes of their operations.
pub(super) fn with_outcomes<'w>(writes: &'w [Write], done: &Done) -> Cow<'w, [Write]> {
    if done.written.iter().all(|(_, written)| !matches!(written, Written::Performed(_))) {
        return Cow::Borrowed(writes);
    }
    let mut writes = writes.to_vec();
    for (place, written) in &done.written {
        if let Some(Write::Save(_, changes)) = writes.get_mut(*place) {
            changes.rows = committed::with_outcomes(changes, written).into_owned();
        }
    }
    Cow::Owned(writes)
}

impl Done {
    /// Completes what became of a batch.
    pub(super) fn complete(self, written: Vec<Written>, begun: &[Uuid], writes: &[Write]) -> Committed {
        let children = writes.iter().filter_map(Write::changes).flat_map(|(_, changes)| children(changes));
        let started = children.filter(|run| begun.contains(&run.id.0)).cloned().collect();
        let mut committed = Committed { written, delivered: self.delivered, started };
        for (place, written) in self.written {
            if let Some(known) = committed.written.get_mut(place) {
                *known = written;
            }
        }
        committed
    }
}

/// Returns the runs that calls start.
pub(super) fn children(changes: &Changes) -> impl Iterator<Item = &forge_journal::Run> {
    changes.operations.iter().filter_map(|(_, operation)| match operation {
        Operation::Start(run) => Some(&**run),
        _ => None,
    })
}

/// Locks the runs of the batch and those that get messages.
pub(super) async fn lock(connection: &mut Connection, writes: &[Write]) -> Result<(), CommitError> {
    let mut runs = BTreeSet::new();
    for write in writes {
        match write {
            Write::Save(run, changes) => {
                let sent = changes.operations.iter().filter_map(|(_, operation)| match operation {
                    Operation::Send(message) => Some(message.to),
                    _ => None,
                });
                runs.extend(sent.chain(changes.outbox.iter().map(|message| message.to)).map(|run| run.0));
                runs.insert(run.0);
            }
            Write::Send(message) => {
                runs.insert(message.to.0);
            }
            _ => {}
        }
    }
    let runs: Vec<Uuid> = runs.into_iter().collect();
    Ok(inbox::lock(connection, &runs).await?)
}

async fn perform_all(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    changes: &Changes,
    transacted: &mut impl Iterator<Item = Outcome>,
    delivered: &mut Vec<(Delivered, Epoch)>,
) -> Result<Vec<(u64, Performed)>, CommitError> {
    let mut performed = Vec::with_capacity(changes.operations.len());
    for (seq, operation) in &changes.operations {
        let outcome = match operation {
            Operation::Send(message) => {
                let sent = inbox::send(connection, token, &[message], delivered).await?;
                sent.first().map_or(Performed::Ended(Ok(None)), |sent| Performed::sent(message, sent))
            }
            Operation::Transaction(_) => Performed::Ended(next_outcome(transacted)),
            // It is inserted with the other runs.
            Operation::Start(run) => Performed::started(run),
        };
        performed.push((*seq, outcome));
    }
    Ok(performed)
}

/// Keeps what was delivered, and tells the nodes that execute the other runs.
async fn finish(
    connection: &mut Connection,
    token: &FencingToken<'_>,
    delivered: Vec<(Delivered, Epoch)>,
    done: &mut Done,
) -> Result<(), CommitError> {
    let elsewhere = delivered.iter().filter(|(delivered, _)| !delivered.is_here);
    let elsewhere: BTreeSet<(Epoch, RunId)> = elsewhere.map(|(at, owner)| (*owner, at.run)).collect();
    let elsewhere: Vec<(Epoch, RunId)> = elsewhere.into_iter().collect();
    for named in elsewhere.chunks(NAMED) {
        let payload = Notice::Inboxes(named.to_vec()).payload(token.epoch);
        connection.all(sqlx::query(NOTIFY).bind(token.channel).bind(payload)).await?;
    }
    done.delivered.extend(delivered.into_iter().map(|(delivered, _)| delivered));
    Ok(())
}
