//! A process whose output is read line by line.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

/// A running process. Dropping it kills it.
pub struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

/// The lines that processes wrote.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Process {
    /// Starts a process. `on_line` is called for every line that it writes, after the line is in the log. Standard error
    /// goes to `stderr` instead, if there is one.
    pub fn spawn(
        command: &mut Command,
        stderr: Option<Stdio>,
        log: &Log,
        on_line: impl Fn(&str) + Clone + Send + 'static,
    ) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr.unwrap_or_else(Stdio::piped));
        let mut child = command.spawn().expect("the program can be run");
        log.add(&format!("--- process {}", child.id()));
        let stdout = child.stdout.take().expect("the output is a pipe");
        let mut readers = vec![follow(stdout, log, on_line.clone())];
        readers.extend(child.stderr.take().map(|stderr| follow(stderr, log, on_line)));
        Self { child, readers }
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Returns the exit status if the process has ended. The log then has all its lines.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a process of ours can be waited for")?;
        self.join_readers();
        Some(status)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("a process of ours can be signalled");
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("a process of ours can be waited for");
        self.join_readers();
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().expect("reading lines does not panic");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn follow(
    output: impl Read + Send + 'static,
    log: &Log,
    on_line: impl Fn(&str) + Send + 'static,
) -> JoinHandle<()> {
    let log = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            log.add(&line);
            on_line(&line);
        }
    })
}

impl Log {
    fn add(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
    }

    /// Returns all lines.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
