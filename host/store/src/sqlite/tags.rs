//! `forge_run_tags`: the tags of runs, for lists.

use rusqlite::{Connection, params};

use crate::StoreError;
use forge_journal::Run;

/// Writes a tag with the tenant and the status of its run.
const PUT: &str = "INSERT INTO forge_run_tags (number, name, value, tenant, status) \
     SELECT number, ?2, ?3, tenant, status FROM forge_runs WHERE id = ?1 \
     ON CONFLICT (number, name) DO UPDATE SET value = excluded.value, status = excluded.status \
     WHERE value <> excluded.value OR status <> excluded.status";

/// Writes the tags of a run that was written.
pub(super) fn put(connection: &Connection, run: &Run) -> Result<(), StoreError> {
    if run.tags.is_empty() {
        return Ok(());
    }
    let (mut statement, id) = (connection.prepare_cached(PUT)?, run.id.to_string());
    for (name, value) in run.tags.iter() {
        statement.execute(params![id, name, value])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn a_tag_is_written_to_the_run_that_is_looked_up() {
        let by_id = "SEARCH forge_runs USING INDEX sqlite_autoindex_forge_runs_1 (id=?)";
        assert_eq!(plan(&migrated(), PUT), [by_id]);
    }
}
