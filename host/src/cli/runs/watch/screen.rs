//! Redraws text in place on a terminal.

use terminal_size::{Height, Width, terminal_size};
use unicode_width::UnicodeWidthChar;

use crate::cli::{CliError, output};

/// The text on the terminal that the next draw replaces.
#[derive(Default)]
pub(super) struct Screen {
    /// The number of lines of the last draw. The cursor is below them.
    lines: usize,
}

impl Screen {
    /// Replaces the last text. Unless the text is final, it is cut to what the terminal can replace again.
    pub(super) fn draw(&mut self, text: &str, is_final: bool) -> Result<(), CliError> {
        let (Width(columns), Height(rows)) = terminal_size().unwrap_or((Width(80), Height(24)));
        let lines =
            if is_final { text.lines().map(str::to_owned).collect() } else { fit(text, columns, rows) };
        // Moves to the first line of the last text and clears the terminal from there.
        let back = if self.lines > 0 { format!("\x1b[{}F\x1b[J", self.lines) } else { String::new() };
        self.lines = lines.len();
        output::print_rendered(&format!("{back}{}", lines.join("\n")))
    }
}

/// Returns the last lines that fit on the terminal, each cut to its width: wrapped lines cannot be replaced.
fn fit(text: &str, columns: u16, rows: u16) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(usize::from(rows).saturating_sub(1));
    lines[first..].iter().map(|line| cut(line, usize::from(columns))).collect()
}

/// Returns the part of a line that fits in `columns`, with all colour codes.
fn cut(line: &str, columns: usize) -> String {
    let mut cut = String::new();
    let (mut visible, mut in_code) = (0, false);
    for character in line.chars() {
        if character == '\x1b' {
            in_code = true;
        }
        if in_code {
            cut.push(character);
            in_code = character != 'm';
        } else {
            visible += character.width().unwrap_or(0);
            if visible <= columns {
                cut.push(character);
            }
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_without_breaking_colours() {
        assert_eq!(cut("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(cut("表表a", 3), "表");
    }

    #[test]
    fn the_end_is_what_is_shown_of_too_many_lines() {
        assert_eq!(fit("1\n2\n3\n4", 80, 3), ["3", "4"]);
        assert_eq!(fit("1\n2", 80, 3), ["1", "2"]);
    }
}
