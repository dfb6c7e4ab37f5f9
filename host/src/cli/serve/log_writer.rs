//! Writes the log on a thread of its own, so that a standard error that cannot be written costs lines and nothing else.
//!
//! The reader of the log may have exited, may have stopped reading, or may have a full disk. `tracing-appender` does not
//! count lines that could not be written, bounds its queue by lines of any size, and panics at the end if standard output is closed.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// The maximum size of lines that wait to be written, in bytes: some ten thousand lines. Further lines are lost.
const QUEUE_BYTES: usize = 4 << 20;

/// The time for the last lines to be written when the program ends.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The interval between two reports of lost lines.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A writer that never fails and never waits.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<Shared>);

/// Dropping it waits until the queued lines are written, for at most half a second.
#[must_use]
pub(super) struct LastLines(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The lines that were lost since the last report.
    lost: u64,
    /// The thread is writing lines that it has taken.
    is_writing: bool,
}

impl LogWriter {
    /// Starts a thread that writes to `output`. `report` makes the line that says how many lines were lost.
    ///
    /// # Errors
    /// There is no thread.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        report: fn(u64) -> String,
    ) -> anyhow::Result<(Self, LastLines)> {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new() });
        let thread = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("log".to_owned());
        builder
            .spawn(move || thread.write_lines(output, report))
            .context("cannot start the thread of the log")?;
        Ok((Self(Arc::clone(&shared)), LastLines(shared)))
    }
}

impl Shared {
    fn add(&self, line: &[u8]) {
        let mut queue = self.queue.lock();
        if queue.bytes + line.len() > QUEUE_BYTES {
            queue.lost += 1;
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        drop(queue);
        self.changed.notify_all();
    }

    fn write_lines(&self, mut output: impl Write, report: fn(u64) -> String) {
        let mut reported = None;
        // After a failure, part of a line may have been written.
        let mut begins_line = true;
        loop {
            let lines = self.take();
            for line in lines {
                let is_due = reported.is_none_or(|at: Instant| at.elapsed() >= REPORT_EVERY);
                let lost = if is_due { std::mem::take(&mut self.queue.lock().lost) } else { 0 };
                let mut text = Vec::new();
                if !begins_line {
                    text.push(b'\n');
                }
                if lost > 0 {
                    text.extend_from_slice(report(lost).as_bytes());
                }
                text.extend_from_slice(&line);
                begins_line = output.write_all(&text).and_then(|()| output.flush()).is_ok();
                if begins_line {
                    reported = if lost > 0 { Some(Instant::now()) } else { reported };
                } else {
                    self.queue.lock().lost += lost + 1;
                }
            }
        }
    }

    /// Takes the queued lines, once there are any.
    fn take(&self) -> VecDeque<Vec<u8>> {
        let mut queue = self.queue.lock();
        queue.is_writing = false;
        self.changed.notify_all();
        while queue.lines.is_empty() {
            self.changed.wait(&mut queue);
        }
        queue.is_writing = true;
        queue.bytes = 0;
        std::mem::take(&mut queue.lines)
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_LINES;
        let mut queue = self.0.queue.lock();
        while queue.is_writing || !queue.lines.is_empty() {
            if self.0.changed.wait_until(&mut queue, end).timed_out() {
                return;
            }
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output whose every write the test answers: it gets what is written, and says whether that works.
    struct Output {
        written: mpsc::Sender<String>,
        works: mpsc::Receiver<bool>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            match self.works.recv() {
                Ok(true) => Ok(bytes.len()),
                // The test has ended.
                Ok(false) | Err(_) => Err(io::Error::other("no space left")),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started() -> (LogWriter, LastLines, mpsc::Receiver<String>, mpsc::Sender<bool>) {
        let (written, lines) = mpsc::channel();
        let (answer, works) = mpsc::channel();
        let (writer, last) =
            LogWriter::start(Output { written, works }, |lost| format!("{lost} lost\n")).unwrap();
        (writer, last, lines, answer)
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_reported_when_one_can() {
        let (mut log, last, lines, answer) = started();
        for (line, written) in [("a\n", "a\n"), ("b\n", "\n1 lost\nb\n")] {
            log.write_all(line.as_bytes()).unwrap();
            assert_eq!(lines.recv().unwrap(), written);
            answer.send(false).unwrap();
        }
        log.write_all(b"c\n").unwrap();
        assert_eq!(lines.recv().unwrap(), "\n2 lost\nc\n", "a line that was begun ends");
        answer.send(true).unwrap();
        drop(last);
        log.write_all(b"d\n").unwrap();
        assert_eq!(lines.recv().unwrap(), "d\n");
    }

    #[test]
    fn lines_beyond_the_queue_are_lost_and_nobody_waits() {
        let (mut log, last, lines, answer) = started();
        log.write_all(b"stuck\n").unwrap();
        assert_eq!(lines.recv().unwrap(), "stuck\n");
        let large = vec![b'x'; QUEUE_BYTES / 2];
        for _ in 0..5 {
            log.write_all(&large).unwrap();
        }
        // It gives up, because the output is stuck.
        drop(last);
        answer.send(true).unwrap();
        assert!(lines.recv().unwrap().starts_with("3 lost\nx"));
    }
}
