//! A read ends when its caller is gone: the client has disconnected, or its time is over.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use crate::StoreError;

/// A read, while it waits for a connection or uses one.
#[derive(Default)]
pub(super) struct Reading(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    /// A thread reads with a connection.
    Running(InterruptHandle),
    /// The thread has given the connection back.
    Ended,
    /// Nobody waits for the result.
    Abandoned,
}

impl Reading {
    /// Runs `read`, which fails when the caller is gone.
    pub(super) fn run<T>(
        &self,
        connection: &Connection,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        {
            let mut state = self.0.lock();
            if matches!(*state, State::Abandoned) {
                return Err(StoreError::Unavailable("the caller of the read is gone".to_owned()));
            }
            *state = State::Running(connection.get_interrupt_handle());
        }
        let done = read(connection);
        // From here on the connection is not interrupted: another read may get it.
        *self.0.lock() = State::Ended;
        done
    }
}

/// Ends a read when it is dropped.
pub(super) struct EndWithCaller(pub(super) Arc<Reading>);

impl Drop for EndWithCaller {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        if let State::Running(handle) = &*state {
            handle.interrupt();
        }
        *state = State::Abandoned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts for a minute or so.
    const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000) SELECT count(*) FROM n";

    fn count(connection: &Connection) -> Result<i64, StoreError> {
        Ok(connection.query_row(LONG, (), |row| row.get(0))?)
    }

    #[test]
    fn a_read_ends_when_its_caller_is_gone() {
        let reading = Arc::new(Reading::default());
        let caller = EndWithCaller(Arc::clone(&reading));
        let (started, begun) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let connection = Connection::open_in_memory().unwrap();
            reading.run(&connection, |connection| {
                started.send(()).unwrap();
                // An interrupt before the statement begins has no effect.
                std::iter::repeat_with(|| count(connection)).find(Result::is_err).unwrap()
            })
        });
        begun.recv().unwrap();
        while !thread.is_finished() {
            // As a caller does that goes away while the statement runs.
            if let State::Running(handle) = &*caller.0.0.lock() {
                handle.interrupt();
            }
            std::thread::yield_now();
        }
        assert!(
            matches!(thread.join().unwrap(), Err(StoreError::Unavailable(why)) if why.contains("interrupted"))
        );
    }

    #[test]
    fn a_read_whose_caller_is_gone_does_not_begin() {
        let reading = Arc::new(Reading::default());
        drop(EndWithCaller(Arc::clone(&reading)));
        let connection = Connection::open_in_memory().unwrap();
        reading.run(&connection, count).unwrap_err();
    }
}
