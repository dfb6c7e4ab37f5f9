//! From nodes to lines, with guides and columns.

use super::node::Node;
use super::style::{Style, Tone};
use crate::cli::text::width;

/// The column of durations moves right with the names of steps, up to here.
const MAX_NAMES: usize = 64;

/// The width of a duration such as `59 min 59 s`.
const DURATIONS: usize = 9;

/// A node with its place on the screen.
struct Row<'a> {
    /// What leads to it: `│  ├─ `.
    guide: String,
    /// What leads past it, for its further lines.
    margin: String,
    node: &'a Node,
}

impl Row<'_> {
    /// Columns before the duration.
    fn width(&self) -> usize {
        width(&self.guide) + width(self.node.mark) + 1 + width(&self.node.label)
    }
}

/// The lines of the tree.
pub(super) fn lines(nodes: &[Node], style: &Style) -> Vec<String> {
    let mut rows = Vec::new();
    place(nodes, "", &mut rows);
    let in_column = rows.iter().filter(|row| row.node.in_column).map(Row::width);
    let names = in_column.filter(|width| *width <= MAX_NAMES).max().unwrap_or(0);
    rows.iter().flat_map(|row| row_lines(row, names, style)).collect()
}

fn place<'a>(nodes: &'a [Node], margin: &str, rows: &mut Vec<Row<'a>>) {
    for (index, node) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let guide = format!("{margin}{}", if is_last { "└─ " } else { "├─ " });
        let below = format!("{margin}{}", if is_last { "   " } else { "│  " });
        let stem = if node.children.is_empty() { "  " } else { "│ " };
        rows.push(Row { guide, margin: format!("{below}{stem}"), node });
        place(&node.children, &below, rows);
    }
}

fn row_lines(row: &Row<'_>, names: usize, style: &Style) -> Vec<String> {
    let node = row.node;
    let mut line = format!(
        "{}{} {}",
        style.paint(Tone::Faint, &row.guide),
        style.paint(node.tone, node.mark),
        style.paint(node.label_tone, &node.label)
    );
    if node.duration.is_some() || !node.facts.is_empty() {
        let duration = node.duration.as_deref().unwrap_or_default();
        let (gap, columns) =
            if node.in_column { (names.saturating_sub(row.width()), DURATIONS) } else { (0, 0) };
        let duration = style.paint(Tone::Faint, &format!("{duration:>columns$}"));
        line.push_str(&format!("{}  {duration}", " ".repeat(gap)));
    }
    if !node.facts.is_empty() {
        line.push_str(&format!("  {}", style.paint(node.tone, &node.facts.join(", "))));
    }
    let mut lines = vec![line];
    // A failure is red, also of an attempt that was followed by a better one.
    for error in node.error.iter().flat_map(|error| error.lines()) {
        let margin = style.paint(Tone::Faint, &row.margin);
        lines.push(format!("{margin}{}", style.paint(Tone::Bad, error)));
    }
    lines
}
