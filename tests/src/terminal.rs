//! A command on a terminal, as a person sees it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::PATIENCE;

/// The time for what a command shows: the first build of a workflow compiles the SDK, beside other tests.
const LONG_PATIENCE: Duration = PATIENCE.saturating_mul(5);

/// The interval between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// A command whose input and outputs are a terminal. Dropping it kills the command with its children, and prints what the
/// command has written if the test fails.
pub struct Terminal {
    child: Child,
    keyboard: File,
    written: Written,
    rows: u16,
    columns: u16,
    /// The part of the output, as text, that [`Terminal::until`] has gone through.
    seen: usize,
}

/// What was written to a terminal.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Output>>);

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    /// Whether no process can write any more.
    is_whole: bool,
}

/// How much was written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    length: usize,
    is_whole: bool,
}

impl Terminal {
    /// Starts a command on a terminal of this size.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals here");
        grantpt(&keyboard).and_then(|()| unlockpt(&keyboard)).expect("a new terminal can be used");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keyboard, size).expect("a terminal has a size");
        let name = ptsname(&keyboard, Vec::new()).expect("a terminal has a name");
        let name = name.into_string().expect("the name of a terminal is UTF-8");
        let terminal = File::options().read(true).write(true).open(name).expect("the terminal can be opened");
        let keyboard = File::from(keyboard);
        command.stdin(copy(&terminal)).stdout(copy(&terminal)).stderr(terminal).env("TERM", "xterm-256color");
        // In a group, so that its children can be killed with it.
        let child = command.process_group(0).spawn().expect("the command can be run");
        // Reading ends when nobody has the terminal open: this process has it until here.
        drop(command);
        let written = Written::default();
        written.follow(copy(&keyboard));
        Self { child, keyboard, written, rows, columns, seen: 0 }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// Returns the text on the screen.
    pub fn screen(&self) -> String {
        let size = |size| NonZeroU16::new(size).expect("a terminal is not empty");
        let mut parser = vt100::Parser::new(size(self.rows), size(self.columns), 0);
        parser.process(&self.written.output().bytes);
        parser.screen().contents()
    }

    /// Returns the screen as soon as it is like this.
    pub async fn until_screen(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> String {
        self.until_some(what, || Some(self.screen()).filter(|screen| is_so(screen))).await
    }

    /// Waits until the command writes this text, after what an earlier call has waited for.
    pub async fn until(&mut self, text: &str) {
        let place = || self.text().get(self.seen..).and_then(|new| new.find(text));
        let place = self.until_some(&format!("`{text}` is written"), place).await;
        self.seen += place + text.len();
    }

    /// Waits until the command and its children have ended. Returns the exit status of the command.
    pub async fn ended(&mut self) -> ExitStatus {
        self.until_some("the command ends", || self.written.state().is_whole.then_some(())).await;
        self.child.wait().expect("a process of ours can be waited for")
    }

    /// Returns all that was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.written.output().bytes.clone()
    }

    /// Returns all that was written, without codes for the terminal.
    pub fn text(&self) -> String {
        let bytes = anstream::adapter::strip_bytes(&self.bytes()).into_vec();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Returns the id of the command's process, which is also the id of its group.
    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    async fn until_some<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let (begun, mut looked_at) = (Instant::now(), None);
        loop {
            let state = self.written.state();
            if looked_at.replace(state) != Some(state) {
                if let Some(found) = look() {
                    return found;
                }
                assert!(!state.is_whole, "the command has ended, and not: {what}");
            }
            assert!(begun.elapsed() < LONG_PATIENCE, "waited {LONG_PATIENCE:?} in vain: {what}");
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // They may have ended by themselves.
        let _ = kill_process_group(self.id(), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("on the terminal:\n{}", self.text());
        }
    }
}

impl Written {
    fn output(&self) -> MutexGuard<'_, Output> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> State {
        let output = self.output();
        State { length: output.bytes.len(), is_whole: output.is_whole }
    }

    /// Reads to the end on another thread.
    fn follow(&self, mut terminal: File) {
        let written = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Without a process that has it open, reading a terminal is an error.
            while let Ok(length @ 1..) = terminal.read(&mut buffer) {
                written.output().bytes.extend_from_slice(&buffer[..length]);
            }
            written.output().is_whole = true;
        });
    }
}

fn copy(terminal: &File) -> File {
    terminal.try_clone().expect("a terminal can be opened several times")
}
