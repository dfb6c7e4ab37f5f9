use super::rollback::Rollback;
use super::{GuestError, Session, SessionError};
use crate::{HashSet, Journal, Row, Scope};

/// A scope that the guest has entered in this session.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenScope {
    /// The index of the next call.
    pub(super) next_index: u32,
    /// The number of notes that the guest has made in it.
    pub(super) notes: u32,
    /// Whether it belongs to a compensation.
    pub(super) compensating: bool,
    /// Whether the attempt has ended.
    pub(super) ended: bool,
    /// The number of steps that contain it.
    pub(super) depth: u32,
}

impl Session {
    /// Returns the scope in which the guest makes a call; `None` if its calls are not recorded any more.
    pub(super) fn scope(&mut self, scope: Scope) -> Result<Option<&mut OpenScope>, SessionError> {
        let begun = self.rollback == Rollback::Begun;
        let foreign = GuestError::ForeignScope(scope.handle());
        match self.scopes.get_mut(&scope) {
            Some(open) if begun && !open.compensating => Ok(None),
            Some(open) if !open.ended => Ok(Some(open)),
            _ => Err(foreign.into()),
        }
    }

    /// Takes the index of the next call in a scope; `None` if its calls are not recorded any more.
    pub(super) fn take_index(&mut self, scope: Scope) -> Result<Option<u32>, SessionError> {
        let Some(open) = self.scope(scope)? else { return Ok(None) };
        let index = open.next_index;
        open.next_index += 1;
        Ok(Some(index))
    }

    pub(super) fn open_scope(&mut self, row_seq: u64, attempt: u32, compensating: bool) -> Scope {
        let scope = Scope { step: row_seq, attempt };
        let depth = self.journal.row(row_seq).map_or(0, |row| self.depth(row.scope)) + 1;
        self.scopes.insert(scope, OpenScope { next_index: 0, notes: 0, compensating, ended: false, depth });
        scope
    }

    /// Returns the number of steps that contain the calls of this scope. A compensation counts as none.
    pub(super) fn depth(&self, scope: Scope) -> u32 {
        self.scopes.get(&scope).map_or(0, |open| open.depth)
    }

    /// Returns whether calls in this scope are recorded: during a rollback, only calls of compensations are.
    pub(super) fn takes_part(&self, open: OpenScope) -> bool {
        open.compensating || self.rollback != Rollback::Begun
    }

    /// Returns whether the guest should have made this call by now: its scope is open, and the guest has made fewer calls
    /// in it.
    pub(super) fn is_missing(&self, row: &Row) -> bool {
        let Some(index) = row.index else { return false };
        match self.scopes.get(&row.scope) {
            Some(open) => self.takes_part(*open) && !open.ended && open.next_index <= index,
            None => false,
        }
    }
}

/// Returns the steps that contain a step with a handler. Only their code can register it, so they are entered again.
pub(super) fn ancestors_of_handlers(journal: &Journal) -> HashSet<u64> {
    let mut ancestors = HashSet::default();
    for row in journal.rows().iter().filter(|row| row.is_compensable()) {
        let mut scope = row.scope;
        while let Some(parent) = journal.row(scope.step) {
            if !ancestors.insert(parent.seq) {
                break;
            }
            scope = parent.scope;
        }
    }
    ancestors
}
