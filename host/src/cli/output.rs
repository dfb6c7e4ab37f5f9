//! Writes results to standard output, messages to standard error, and files. Nothing else in the program prints.

#![allow(clippy::disallowed_methods, reason = "the output streams, which other files do not use")]

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::CliError;
use super::printable::Printable;

/// Prints a result and a line break.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    write(Printable::composed(text))
}

/// Prints a tree, or what replaces it on a terminal. It has codes for the terminal, so it is printed as it is: the texts in
/// it were escaped when it was rendered.
pub(super) fn print_rendered(text: &str) -> Result<(), CliError> {
    write(text)
}

/// Prints a result as JSON on one line.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    print_document(&serde_json::to_string(value).context("cannot encode the result as JSON")?)
}

/// Prints a JSON document.
pub(super) fn print_document(json: &str) -> Result<(), CliError> {
    write(Printable::json(json))
}

fn write(text: impl Display) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints a message to standard error. An error is ignored: there is no other place to report it.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", Printable::composed(text));
}

/// Prints a JSON document to standard error, as [`note`] prints a message.
pub(super) fn note_document(json: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", Printable::json(json));
}

/// Prints a message to standard error if that is a terminal.
pub(super) fn hint(text: &str) {
    if notes_on_terminal() {
        note(text);
    }
}

/// Returns whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub(super) fn notes_on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Returns whether standard output shows colours.
pub(super) fn has_color() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Returns whether standard error shows colours.
pub(super) fn notes_have_color() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Shows a line on the terminal of standard error, in place of the line that was shown before.
pub(super) fn show_progress(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{}", Printable::composed(text)).and_then(|()| stderr.flush());
}

/// Removes the line of [`show_progress`].
pub(super) fn clear_progress() {
    show_progress("");
}

/// Writes a file. Its folder is created if it does not exist.
pub(super) fn write_file(file: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
