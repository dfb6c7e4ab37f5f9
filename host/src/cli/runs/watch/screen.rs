//! Drawing over what was drawn before.

use terminal_size::{Height, Width, terminal_size};

use crate::cli::{CliError, output};

/// The part of the terminal that belongs to us.
#[derive(Default)]
pub(super) struct Screen {
    /// Lines drawn by the last `draw`; the cursor is below them.
    lines: usize,
}

impl Screen {
    /// Draws the text. Unless it is `final_`, only as much as the terminal can show and take back.
    pub(super) fn draw(&mut self, text: &str, is_final: bool) -> Result<(), CliError> {
        let (Width(columns), Height(rows)) = terminal_size().unwrap_or((Width(80), Height(24)));
        let lines =
            if is_final { text.lines().map(str::to_owned).collect() } else { fit(text, columns, rows) };
        // To the first line of what was drawn, and clear from there on.
        let back = if self.lines > 0 { format!("\x1b[{}F\x1b[J", self.lines) } else { String::new() };
        self.lines = lines.len();
        output::print(&format!("{back}{}", lines.join("\n")))
    }
}

/// The last lines that fit, each cut to the width: a line that wraps could not be drawn over.
fn fit(text: &str, columns: u16, rows: u16) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(usize::from(rows).saturating_sub(1));
    lines[first..].iter().map(|line| cut(line, usize::from(columns))).collect()
}

/// The first `columns` visible characters, and all colour codes.
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
        } else if visible < columns {
            cut.push(character);
            visible += 1;
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
    }

    #[test]
    fn the_end_is_what_is_shown_of_too_many_lines() {
        assert_eq!(fit("1\n2\n3\n4", 80, 3), ["3", "4"]);
        assert_eq!(fit("1\n2", 80, 3), ["1", "2"]);
    }
}
