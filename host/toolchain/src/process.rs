//! Running a program and reporting why it failed.

use std::io;
use std::process::{Command, ExitStatus, Stdio};

/// The number of lines that an error keeps of a failed program's output.
const KEPT_LINES: usize = 20;

/// A program that failed. The display contains the command as one would type it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program could not be started. Often it is not installed.
    #[error("`{command}` could not be started: {source}")]
    NotStarted {
        /// The command line.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("`{command}` failed ({status}){output}")]
    Failed {
        /// The command line.
        command: String,
        /// The exit status.
        status: ExitStatus,
        /// The last lines of its standard error, indented.
        output: String,
    },
}

/// Runs a program without input and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, CommandError> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| CommandError::NotStarted { command: line(command), source })?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let output = last_lines(&String::from_utf8_lossy(&out.stderr));
    Err(CommandError::Failed { command: line(command), status: out.status, output })
}

/// Returns a command as one would type it, without its environment.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Returns the last lines of an output, to follow a sentence.
fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let kept = &lines[lines.len().saturating_sub(KEPT_LINES)..];
    let indented: String = kept.iter().map(|line| format!("\n    {line}")).collect();
    if indented.is_empty() { indented } else { format!(":{indented}") }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_keeps_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo the cause >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("`sh -c ") && text.ends_with("(exit status: 3):\n    the cause"), "{text}");
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
        assert_eq!(kept.lines().count(), 1 + KEPT_LINES);
        assert!(kept.ends_with("\n    100"));
        assert_eq!(last_lines("\n"), "");
    }
}
