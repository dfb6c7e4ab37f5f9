//! `forge dev`: from a saved file to a result in one step, with keys of a real terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use forge_tests::{PATIENCE, binary};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

/// A running `forge dev` whose standard input is a terminal.
struct Dev {
    child: Child,
    keyboard: File,
    lines: Receiver<String>,
    /// The lines that were read.
    said: Vec<String>,
}

impl Dev {
    fn start(project: &Path) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let stdin = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut child = Command::new(binary::forge())
            .args(["dev", "--listen", "localhost:0"])
            .current_dir(project)
            .env("CARGO_TARGET_DIR", binary::root().join("target/guests"))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Self { child, keyboard: File::from(terminal), lines, said: Vec::new() }
    }

    /// Waits for a line that contains this text.
    #[track_caller]
    fn until(&mut self, text: &str) {
        // The first build compiles the SDK, beside other tests.
        let end = Instant::now() + 5 * PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let is_it = line.contains(text);
                    self.said.push(line);
                    if is_it {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("`{text}` is missing in:\n{}", self.said.join("\n"))
                }
            }
        }
    }

    fn press(&mut self, key: &str) {
        self.keyboard.write_all(key.as_bytes()).unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{text}");
    std::fs::write(file, text.replace(old, new)).unwrap();
}

#[test]
fn a_saved_file_and_a_key_lead_to_a_new_result() {
    let folder = TempDir::new().unwrap();
    let new =
        Command::new(binary::forge()).args(["new", "dinner"]).current_dir(folder.path()).output().unwrap();
    assert!(new.status.success(), "{new:?}");
    let project = folder.path().join("dinner");
    let source = project.join("src/lib.rs");
    let mut dev = Dev::start(&project);
    dev.until("built and deployed dinner v1");
    dev.until("See you at eight, Ada!");

    replace(&source, "See you at eight", "See you at nine");
    dev.until("changed: src/lib.rs");
    dev.until("See you at nine, Ada!");

    // The input is read again for each run.
    replace(&project.join("input.json"), "Ada", "Grace");
    dev.until("See you at nine, Grace!");
    dev.press("r");
    dev.until("See you at nine, Grace!");

    replace(&source, "See you at nine", "See you at \" nine");
    dev.until("did not compile");
    replace(&source, "See you at \" nine", "See you at ten");
    dev.until("See you at ten, Grace!");

    dev.press("q");
    // Its outputs end with it, and with its server.
    loop {
        match dev.lines.recv_timeout(PATIENCE) {
            Ok(line) => dev.said.push(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("it does not quit: {}", dev.said.join("\n")),
        }
    }
    assert!(dev.child.wait().unwrap().success(), "{}", dev.said.join("\n"));
    assert!(dev.said.iter().any(|line| line.starts_with("r: run again")), "{}", dev.said.join("\n"));
    assert!(project.join("target/forge-dev.db").exists());
}
