//! Writing to the terminal, or to whatever takes its place.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::CliError;
use super::text::{printable, width};

/// Prints a result and a line break.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints a result as JSON on one line.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    print(&serde_json::to_string(value).map_err(anyhow::Error::from)?)
}

/// Says something that is not the result. There is nothing to do if nobody can hear it.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says something that is not the result, if a person listens.
pub(super) fn hint(text: &str) {
    if io::stderr().is_terminal() {
        note(text);
    }
}

/// Whether the standard output shows colours.
pub(super) fn has_color() -> bool {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    io::stdout().is_terminal() && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb"
}

/// Rows in columns, the first row being their heads.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let mut widths = Vec::new();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell).replace('\n', " ")).collect()).collect();
    for row in &rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = width(cell).max(*column);
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: String =
            cells.map(|(cell, column)| format!("{cell}{}", " ".repeat(column - width(cell) + 2))).collect();
        cells.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["NAME".to_owned(), "V".to_owned()], vec!["größer".to_owned(), "12".to_owned()]];
        assert_eq!(table(&rows), "NAME    V\ngrößer  12");
    }
}
