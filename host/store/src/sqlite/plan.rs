//! The query plans of SQLite, for tests.

use rusqlite::Connection;

use super::open::MIGRATIONS;

/// Returns an empty database with the tables, and without statistics.
pub(super) fn migrated() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for migration in MIGRATIONS {
        connection.execute_batch(migration).unwrap();
    }
    connection
}

/// Returns the steps of a statement's plan.
pub(super) fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Its parameters are NULL.
    let steps = statement.raw_query().mapped(|row| row.get("detail"));
    steps.collect::<Result<_, _>>().unwrap()
}
