//! Tables that fit the terminal.

use std::fmt::Write as _;

use terminal_size::{Width, terminal_size};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::printable::Printable;

/// The columns of a terminal whose size is unknown, and of output that is not shown on one.
const COLUMNS: usize = 80;

/// The width below which no column is cut.
const NARROWEST: usize = 8;

/// The space between columns.
const GAP: usize = 2;

/// A column, by its heading.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Its cells are shown whole: ids, numbers, times.
    Whole(&'static str),
    /// Its cells are cut if the table does not fit: names.
    Cut(&'static str),
}

/// Rows as aligned columns under their headings.
pub(super) struct Table<const N: usize> {
    columns: [Column; N],
    lines: Vec<Line<N>>,
}

enum Line<const N: usize> {
    Row([String; N]),
    Note(String),
}

impl<const N: usize> Table<N> {
    /// Returns a table without rows.
    pub(super) fn new(columns: [Column; N]) -> Self {
        Self { columns, lines: Vec::new() }
    }

    /// Returns a table with these rows.
    pub(super) fn with(columns: [Column; N], rows: impl IntoIterator<Item = [String; N]>) -> Self {
        let mut table = Self::new(columns);
        rows.into_iter().for_each(|row| table.row(row));
        table
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.lines.push(Line::Row(cells.map(|cell| Printable::line(&cell).to_string())));
    }

    /// Adds an indented line below the last row.
    pub(super) fn note(&mut self, text: &str) {
        self.lines.push(Line::Note(Printable::line(text).to_string()));
    }

    /// Returns the table as text that fits the terminal.
    pub(super) fn render(&self) -> String {
        self.fit(terminal_size().map_or(COLUMNS, |(Width(columns), _)| columns.into()))
    }

    fn fit(&self, columns: usize) -> String {
        let widths = self.widths(columns);
        let headings = self.columns.map(|(Column::Whole(heading) | Column::Cut(heading))| heading);
        let mut text = row(&headings, &widths);
        for line in &self.lines {
            text.push('\n');
            match line {
                Line::Row(cells) => text.push_str(&row(&cells.each_ref().map(String::as_str), &widths)),
                Line::Note(note) => {
                    let indent = " ".repeat(GAP);
                    let _ = write!(text, "{indent}{}", cut(note, columns.saturating_sub(GAP)));
                }
            }
        }
        text
    }

    /// Returns the widths of the columns.
    fn widths(&self, columns: usize) -> [usize; N] {
        let mut widths = self.columns.map(|(Column::Whole(heading) | Column::Cut(heading))| heading.width());
        for line in &self.lines {
            if let Line::Row(cells) = line {
                widths.iter_mut().zip(cells).for_each(|(width, cell)| *width = cell.width().max(*width));
            }
        }
        let room = columns.saturating_sub(GAP * N.saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            let cells = self.columns.iter().zip(&mut widths);
            let to_cut =
                cells.filter_map(|(column, width)| matches!(column, Column::Cut(_)).then_some(width));
            match to_cut.filter(|width| **width > NARROWEST).max() {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
        widths
    }
}

fn row<const N: usize>(cells: &[&str; N], widths: &[usize; N]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cut(cell, *width);
        let space = width.saturating_sub(cell.width()) + GAP;
        text.push_str(&cell);
        text.push_str(&" ".repeat(space));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Returns a text in `columns`: one that is longer ends with `…`.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut shown, mut width) = (String::new(), 1);
    for character in text.chars() {
        width += character.width().unwrap_or(0);
        if width > columns {
            break;
        }
        shown.push(character);
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::Column::{Cut, Whole};
    use super::*;

    fn table(rows: &[[&str; 2]]) -> Table<2> {
        Table::with([Cut("NAME"), Whole("V")], rows.iter().map(|row| row.map(str::to_owned)))
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(table(&[["größer", "12"], ["表", ""]]).fit(80), "NAME    V\ngrößer  12\n表");
    }

    #[test]
    fn names_are_cut_and_numbers_are_not() {
        let mut table = table(&[["a_long_name_of_a_workflow", "123456"]]);
        table.note("what went wrong is told below the row");
        assert_eq!(table.fit(20), "NAME          V\na_long_name…  123456\n  what went wrong i…");
        assert_eq!(table.fit(5).lines().nth(1), Some("a_long_…  123456"), "no column is cut completely");
    }
}
