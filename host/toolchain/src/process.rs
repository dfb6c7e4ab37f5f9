//! Running a program and knowing why it failed.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How many of a failed program's last lines its error keeps: enough for the cause, and it still fits on
/// a screen.
const KEPT_LINES: usize = 20;

/// A program that did not do its work. The display names the command as one would type it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started, most often because it is not installed.
    #[error("`{command}` could not be started: {source}")]
    NotStarted {
        /// The command line.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("`{command}` failed ({status}){}", indented(output))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        output: String,
    },
    /// It was stopped because it took too long.
    #[error("`{command}` did not end within {} s and was stopped{}", limit.as_secs(), indented(output))]
    TimedOut {
        /// The command line.
        command: String,
        /// How long it had.
        limit: Duration,
        /// The last lines it wrote.
        output: String,
    },
}

/// The standard output of a program that takes no input and answers at once.
pub(crate) fn output(command: &mut Command) -> Result<String, CommandError> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::NotStarted { command: line(command), source })?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let output = String::from_utf8_lossy(&out.stderr).into_owned();
    Err(CommandError::Failed { command: line(command), status: out.status, output: last_lines(&output) })
}

/// Runs a program to its end, at most for `limit`, and hands each line of its standard error to
/// `progress`. Its standard output is dropped.
///
/// # Errors
/// [`CommandError`] names the command and has its last lines.
pub fn run(
    command: &mut Command,
    limit: Option<Duration>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), CommandError> {
    let name = line(command);
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(source) => return Err(CommandError::NotStarted { command: name, source }),
    };
    let lines = lines_of(child.stderr.take());
    let mut kept = VecDeque::new();
    let ended = follow(&lines, limit.map(|limit| started + limit), &mut |text| {
        progress(text);
        kept.push_back(text.to_owned());
        if kept.len() > KEPT_LINES {
            kept.pop_front();
        }
    });
    let output = kept.make_contiguous().join("\n");
    if let (false, Some(limit)) = (ended, limit) {
        stop(&mut child);
        return Err(CommandError::TimedOut { command: name, limit, output });
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(CommandError::Failed { command: name, status, output }),
        Err(source) => Err(CommandError::NotStarted { command: name, source }),
    }
}

/// A program that is over its time has no say in how it ends.
fn stop(child: &mut Child) {
    // Both fail only when it has ended by itself, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

fn lines_of(stderr: Option<ChildStderr>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stderr) = stderr {
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// Whether the program closed its output before the deadline.
fn follow(lines: &Receiver<String>, deadline: Option<Instant>, each: &mut dyn FnMut(&str)) -> bool {
    loop {
        let next = match deadline {
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => lines.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// A command as one would type it, without its environment.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
}

fn indented(output: &str) -> String {
    if output.is_empty() {
        return String::new();
    }
    output.lines().fold(":".to_owned(), |text, line| text + "\n    " + line)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn every_line_of_the_standard_error_is_progress() {
        let mut seen = Vec::new();
        run(&mut sh("echo one >&2; echo hidden; echo two >&2"), None, &mut |line| seen.push(line.to_owned()))
            .unwrap();
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn a_failure_names_the_command_and_keeps_what_it_said() {
        let error = run(&mut sh("echo the cause >&2; exit 3"), None, &mut |_| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`sh -c ") && text.ends_with("(exit status: 3):\n    the cause"), "{text}");
    }

    #[test]
    fn a_program_over_its_time_is_stopped() {
        let limit = Duration::from_millis(50);
        let error = run(&mut sh("echo started >&2; exec sleep 600"), Some(limit), &mut |_| {}).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { limit: given, .. } if given == limit), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output(&mut Command::new("forge-no-such-program")).unwrap_err();
        assert!(
            matches!(&error, CommandError::NotStarted { command, .. } if command == "forge-no-such-program")
        );
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text = (1..=100).map(|n| format!("{n}\n")).collect::<String>();
        let kept = last_lines(&text);
        assert_eq!(kept.lines().count(), KEPT_LINES);
        assert!(kept.ends_with("\n100"));
    }
}
