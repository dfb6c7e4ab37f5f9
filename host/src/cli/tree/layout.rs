//! Lays out the nodes of a tree as lines, with guides and columns.

use unicode_width::UnicodeWidthStr;

use super::node::Node;
use super::{Style, tone};

/// The maximum width of the columns before the durations.
const MAX_NAMES: usize = 64;

/// The width of a duration such as `59 min 59 s`.
const DURATIONS: usize = 9;

/// A node with its guides.
struct Row<'a> {
    /// The guide before the first line of the node: `│  ├─ `.
    guide: String,
    /// The guide before the other lines of the node.
    margin: String,
    node: &'a Node,
}

impl Row<'_> {
    /// Returns the width of the columns before the duration.
    fn width(&self) -> usize {
        self.guide.width() + self.node.mark.width() + 1 + self.node.label.width()
    }
}

/// Returns the lines of the tree.
pub(super) fn lines(nodes: &[Node], style: &Style) -> Vec<String> {
    let mut rows = Vec::new();
    add_rows(nodes, "", &mut rows);
    let in_column = rows.iter().filter(|row| row.node.in_column).map(Row::width);
    let names = in_column.filter(|width| *width <= MAX_NAMES).max().unwrap_or(0);
    rows.iter().flat_map(|row| row_lines(row, names, style)).collect()
}

fn add_rows<'a>(nodes: &'a [Node], margin: &str, rows: &mut Vec<Row<'a>>) {
    for (index, node) in nodes.iter().enumerate() {
        let is_last = index + 1 == nodes.len();
        let guide = format!("{margin}{}", if is_last { "└─ " } else { "├─ " });
        let below = format!("{margin}{}", if is_last { "   " } else { "│  " });
        let stem = if node.children.is_empty() { "  " } else { "│ " };
        rows.push(Row { guide, margin: format!("{below}{stem}"), node });
        add_rows(&node.children, &below, rows);
    }
}

fn row_lines(row: &Row<'_>, names: usize, style: &Style) -> Vec<String> {
    let node = row.node;
    let mut line = format!(
        "{}{} {}",
        style.paint(tone::FAINT, &row.guide),
        style.paint(node.tone, node.mark),
        style.paint(node.label_tone, &node.title())
    );
    if node.duration.is_some() || (node.in_column && !node.facts.is_empty()) {
        let duration = node.duration.as_deref().unwrap_or_default();
        let (gap, columns) =
            if node.in_column { (names.saturating_sub(row.width()), DURATIONS) } else { (0, 0) };
        let duration = style.paint(tone::FAINT, &format!("{duration:>columns$}"));
        line.push_str(&format!("{}  {duration}", " ".repeat(gap)));
    }
    if !node.facts.is_empty() {
        line.push_str(&format!("  {}", style.paint(node.tone, &node.facts.join(", "))));
    }
    let mut lines = vec![line];
    // An error is red even if a later attempt succeeded.
    for error in node.error.iter().flat_map(|error| error.lines()) {
        let margin = style.paint(tone::FAINT, &row.margin);
        lines.push(format!("{margin}{}", style.paint(tone::BAD, error)));
    }
    lines
}
