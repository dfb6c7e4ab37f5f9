//! The tenants' store.

use std::collections::BTreeMap;

use forge_journal::db::{Change, Entry, State, Stored, Totals, Transaction};
use forge_journal::{Document, Outcome, TenantId};
use rusqlite::{Connection, params};

use super::decode::{each, first};
use crate::db::{in_range, named_keys};
use crate::{DbFilter, DbPage, StoreError};

const TABLE: &str = "forge_db";

const TOTALS: &str = "SELECT version, entries, bytes FROM forge_db_totals WHERE tenant = ?";

const STORED: &str = "SELECT version, octet_length(value) FROM forge_db WHERE tenant = ? AND key = ?";

const ENTRY: &str = "SELECT version, value FROM forge_db WHERE tenant = ? AND key = ?";

const PUT: &str = "INSERT INTO forge_db (tenant, key, version, value, updated_at) VALUES (?, ?, ?, ?, ?) \
     ON CONFLICT (tenant, key) DO UPDATE SET version = excluded.version, value = excluded.value, \
         updated_at = excluded.updated_at";

const DELETE: &str = "DELETE FROM forge_db WHERE tenant = ? AND key = ?";

const PUT_TOTALS: &str = "INSERT INTO forge_db_totals (tenant, version, entries, bytes) VALUES (?, ?, ?, ?) \
     ON CONFLICT (tenant) DO UPDATE SET version = excluded.version, entries = excluded.entries, bytes = excluded.bytes";

/// Returns the statement for a page. `?1` is the tenant, `?2` and `?3` are the bounds of the keys, `?4` is the limit.
fn page_sql(is_from_included: bool, has_end: bool) -> String {
    let keys = in_range(is_from_included, has_end, "?2", "?3");
    format!("SELECT key, version, value FROM forge_db WHERE tenant = ?1 AND {keys} ORDER BY key LIMIT ?4")
}

/// Performs transactions in their order, and returns their outcomes.
pub(super) fn perform(
    connection: &Connection,
    transactions: &[&Transaction],
) -> Result<Vec<Outcome>, StoreError> {
    let mut states: BTreeMap<&TenantId, State> = BTreeMap::new();
    for (tenant, keys) in named_keys(transactions) {
        let totals = totals(connection, tenant)?;
        let mut statement = connection.prepare_cached(STORED)?;
        let mut found = Vec::new();
        for key in keys {
            let stored = first(&mut statement, [&**tenant, key], TABLE, |columns| {
                Ok(Stored { version: columns.bits()?, value_bytes: columns.bits()? })
            })?;
            found.extend(stored.map(|stored| (key.to_owned(), stored)));
        }
        states.insert(tenant, State::new(totals, found));
    }
    let mut outcomes = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let state = states.get_mut(&transaction.tenant);
        outcomes.extend(state.map(|state| state.apply(transaction)));
    }
    for (tenant, state) in &states {
        write(connection, tenant, state)?;
    }
    Ok(outcomes)
}

fn write(connection: &Connection, tenant: &str, state: &State) -> Result<(), StoreError> {
    if state.changes().is_empty() {
        return Ok(());
    }
    let mut put = connection.prepare_cached(PUT)?;
    let mut delete = connection.prepare_cached(DELETE)?;
    for (key, change) in state.changes() {
        match change {
            Change::Put { version, value, at } => {
                put.execute(params![tenant, key, version.cast_signed(), &**value.text(), at.0])?
            }
            Change::Delete => delete.execute([tenant, key])?,
        };
    }
    let Totals { version, entries, bytes } = *state.totals();
    let totals = params![tenant, version.cast_signed(), entries.cast_signed(), bytes.cast_signed()];
    connection.prepare_cached(PUT_TOTALS)?.execute(totals)?;
    Ok(())
}

pub(super) fn totals(connection: &Connection, tenant: &str) -> Result<Totals, StoreError> {
    let totals = first(&mut *connection.prepare_cached(TOTALS)?, [tenant], TABLE, |columns| {
        Ok(Totals { version: columns.bits()?, entries: columns.bits()?, bytes: columns.bits()? })
    })?;
    Ok(totals.unwrap_or_default())
}

pub(super) fn entry(connection: &Connection, tenant: &str, key: &str) -> Result<Option<Entry>, StoreError> {
    first(&mut *connection.prepare_cached(ENTRY)?, [tenant, key], TABLE, |columns| {
        let version = columns.bits()?;
        Ok(Entry { key: key.to_owned(), version, value: Document::stored(columns.text()?) })
    })
}

pub(super) fn entries(
    connection: &Connection,
    tenant: &str,
    filter: &DbFilter,
) -> Result<DbPage, StoreError> {
    let range = filter.range();
    let mut statement =
        connection.prepare_cached(&page_sql(range.is_from_included, range.before.is_some()))?;
    let mut page = DbPage::default();
    let mut bytes = 0;
    // One more than asked for tells whether there are later ones.
    let values = params![tenant, range.from, range.before, i64::from(filter.limit) + 1];
    each(&mut statement, values, TABLE, |columns| {
        let (key, version, value) = (columns.string()?, columns.bits()?, columns.text()?);
        bytes += (key.len() + value.len()) as u64;
        let is_full = page.entries.len() >= filter.limit as usize || bytes > filter.bytes;
        page.has_more = is_full && !page.entries.is_empty();
        if !page.has_more {
            page.entries.push(Entry { key, version, value: Document::stored(value) });
        }
        Ok(!page.has_more)
    })?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{migrated, plan};
    use super::*;

    #[test]
    fn every_read_of_the_store_is_a_search_by_key() {
        let connection = migrated();
        let search = "SEARCH forge_db USING INDEX sqlite_autoindex_forge_db_1";
        for sql in [STORED, ENTRY, DELETE] {
            assert_eq!(plan(&connection, sql), [format!("{search} (tenant=? AND key=?)")]);
        }
        for (is_from_included, has_end, end) in
            [(true, true, " AND key<?"), (false, true, " AND key<?"), (true, false, ""), (false, false, "")]
        {
            let sql = page_sql(is_from_included, has_end);
            assert_eq!(plan(&connection, &sql), [format!("{search} (tenant=? AND key>?{end})")]);
        }
        assert_eq!(plan(&connection, TOTALS), ["SEARCH forge_db_totals USING PRIMARY KEY (tenant=?)"]);
    }
}
