//! What calls do in the commit that records them.

use rusqlite::Connection;

use super::{db, inbox, runs};
use crate::db::next_outcome;
use crate::{Committed, StoreError, Write, Written};
use forge_journal::{Operation, Performed};

/// Performs the operations of calls. The rows of the calls are written afterwards, with the outcomes.
pub(super) fn perform(
    connection: &Connection,
    batch: &[Write],
    committed: &mut Committed,
) -> Result<(), StoreError> {
    let transactions: Vec<_> = batch.iter().flat_map(Write::transactions).collect();
    let mut transacted =
        if transactions.is_empty() { Vec::new() } else { db::perform(connection, &transactions)? }
            .into_iter();
    for (place, write) in batch.iter().enumerate() {
        if let Write::Transaction(_) = write {
            committed.written[place] = Written::Transacted(next_outcome(&mut transacted));
        }
        let Some((_, changes)) = write.changes().filter(|(_, changes)| !changes.operations.is_empty()) else {
            continue;
        };
        let mut performed = Vec::with_capacity(changes.operations.len());
        for (seq, operation) in &changes.operations {
            let outcome = match operation {
                Operation::Send(message) => {
                    Performed::sent(message, &inbox::send(connection, message, committed)?)
                }
                Operation::Transaction(_) => Performed::Ended(next_outcome(&mut transacted)),
                Operation::Start(run) => {
                    if runs::start_child(connection, run)? {
                        committed.started.push((**run).clone());
                    }
                    Performed::started(run)
                }
            };
            performed.push((*seq, outcome));
        }
        committed.written[place] = Written::Performed(performed);
    }
    Ok(())
}

/// Appends what runs and clients send, and marks what runs have taken, once the runs are written.
pub(super) fn finish(
    connection: &Connection,
    batch: &[Write],
    committed: &mut Committed,
) -> Result<(), StoreError> {
    for (place, write) in batch.iter().enumerate() {
        match write {
            Write::Save(run, changes) => {
                if !changes.taken.is_empty() {
                    inbox::take(connection, *run, &changes.taken)?;
                }
                for message in &changes.outbox {
                    // A relative that has ended needs to know nothing.
                    let _ = inbox::send(connection, message, committed)?;
                }
            }
            Write::Send(message) => {
                committed.written[place] = Written::Sent(inbox::send(connection, message, committed)?);
            }
            Write::StartWithEvent { event, .. } if committed.written[place].is_done() => {
                let _ = inbox::send(connection, event, committed)?;
            }
            _ => {}
        }
    }
    Ok(())
}
