use std::ops::Range;

use anyhow::{Context as _, Result};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{JOURNAL, MOST_ROWS};

/// A journal in the database of a host, with the host's settings: WAL, `synchronous=FULL`.
pub(crate) struct Journal {
    database: Connection,
    insert: String,
    /// In the order of their keys, which is the order in which the host inserted them.
    pub(super) rows: Vec<Vec<Value>>,
}

impl Journal {
    pub(super) fn open(file: &str) -> Result<Self> {
        let database = Connection::open(file)?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "foreign_keys", "OFF")?;
        let mut statement = database.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let columns = statement.query_map([JOURNAL], |row| row.get(0))?;
        let columns: Vec<String> = columns.collect::<rusqlite::Result<_>>()?;
        drop(statement);
        let (names, values) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
        let mut select = database
            .prepare(&format!("SELECT {names} FROM {JOURNAL} LIMIT {MOST_ROWS}"))
            .with_context(|| format!("the host's database has no table {JOURNAL}"))?;
        let rows = select.query_map([], |row| (0..columns.len()).map(|column| row.get(column)).collect())?;
        let rows = rows.collect::<rusqlite::Result<_>>()?;
        drop(select);
        // Writes every page, so that the log gets its full length. From then on commits overwrite it, as in a host that
        // has run for a while; a sync of a file that grows takes longer.
        database.execute_batch("VACUUM")?;
        let insert = format!("INSERT INTO {JOURNAL} ({names}) VALUES ({values})");
        Ok(Self { database, insert, rows })
    }

    pub(super) fn empty(&mut self) -> Result<()> {
        self.database.execute(&format!("DELETE FROM {JOURNAL}"), [])?;
        Ok(())
    }

    pub(super) fn insert(&mut self, rows: Range<usize>) -> Result<()> {
        let is_batch = rows.len() > 1;
        let mut insert = self.database.prepare_cached(&self.insert)?;
        if is_batch {
            self.database.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        }
        for row in &self.rows[rows] {
            insert.execute(params_from_iter(row))?;
        }
        if is_batch {
            self.database.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Journal as AnyJournal;
    use super::*;
    use crate::database::SQLITE;

    #[tokio::test]
    async fn rows_are_inserted_again_without_generated_columns() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("forge.db");
        let (host, url) = (Connection::open(&file).unwrap(), format!("{SQLITE}{}", file.display()));
        host.execute_batch("CREATE TABLE other (id INTEGER)").unwrap();
        let error = AnyJournal::open(&url).await.err().unwrap().to_string();
        assert_eq!(error, "the host's database has no table forge_steps");

        let schema =
            "CREATE TABLE forge_steps (run BLOB, seq INTEGER, id TEXT GENERATED ALWAYS AS (seq) VIRTUAL, name TEXT,
                 PRIMARY KEY (run, seq)) WITHOUT ROWID;
             INSERT INTO forge_steps VALUES (x'01', 1, 'a'), (x'01', 2, 'b'), (x'02', 1, NULL);";
        host.execute_batch(schema).unwrap();
        let mut journal = AnyJournal::open(&url).await.unwrap();
        assert!(journal.rows_per_second(2).await.unwrap() > 0.0);
        assert!(journal.commit_latency(Duration::from_secs(1)).await.unwrap() > 0.0);
        let AnyJournal::Sqlite(journal) = journal else { panic!("it is a file") };
        assert_eq!(journal.insert, "INSERT INTO forge_steps (run, seq, name) VALUES (?, ?, ?)");
        let sql = "SELECT count(name) FROM forge_steps";
        assert_eq!(host.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    }
}
