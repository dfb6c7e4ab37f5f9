//! Writes results to standard output, messages to standard error, and files.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::CliError;
use super::text::printable;

/// Prints a result and a line break.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints a result as JSON on one line.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    print(&serde_json::to_string(value).context("cannot encode the result as JSON")?)
}

/// Prints a message to standard error. An error is ignored: there is no other place to report it.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a message to standard error if that is a terminal.
pub(super) fn hint(text: &str) {
    if io::stderr().is_terminal() {
        note(text);
    }
}

/// Returns whether standard output shows colours.
pub(super) fn has_color() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// Returns rows as aligned columns under their headings.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell).replace('\n', " ")));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Writes a file. Its folder is created if it does not exist.
pub(super) fn write_file(file: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["größer", "12"], ["表\n", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["NAME", "V"], rows), "NAME    V\ngrößer  12\n表");
    }
}
