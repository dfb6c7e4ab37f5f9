//! Redraws text in place on a terminal.

use terminal_size::{Height, Width, terminal_size};
use unicode_width::UnicodeWidthChar;

use crate::cli::text::count;
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

/// Returns the lines that fit on the terminal: those up to the first empty one, which say which run it is and how it stands,
/// and the last ones. Each is cut to the width: wrapped lines cannot be replaced.
fn fit(text: &str, columns: u16, rows: u16) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let rows = usize::from(rows).saturating_sub(1);
    let mut shown: Vec<String> = Vec::new();
    let mut last = lines.as_slice();
    if lines.len() > rows {
        let head = lines.iter().take_while(|line| !line.is_empty()).count().min(rows / 2);
        shown.extend(lines[..head].iter().map(|line| (*line).to_owned()));
        // One row says how many are left out.
        let left_out = lines.len() - rows.saturating_sub(1).max(head);
        shown.push(format!("  … {} above", count(left_out, "line")));
        last = &lines[head + left_out..];
    }
    shown.extend(last.iter().map(|line| (*line).to_owned()));
    shown.truncate(rows);
    shown.iter().map(|line| cut(line, usize::from(columns))).collect()
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
    fn the_head_and_the_end_are_what_is_shown_of_too_many_lines() {
        let text = "head\nrun\n\n1\n2\n3\n4\n5";
        assert_eq!(fit(text, 80, 7), ["head", "run", "  … 3 lines above", "3", "4", "5"]);
        assert_eq!(fit(text, 80, 9), ["head", "run", "", "1", "2", "3", "4", "5"]);
        assert_eq!(fit(text, 80, 3), ["head", "  … 7 lines above"]);
        assert_eq!(fit(text, 80, 1), [""; 0]);
    }
}
