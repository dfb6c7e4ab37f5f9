use chrono::{DateTime, Utc};

/// How a tree looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether the terminal shows colours.
    pub color: bool,
    /// Show also what says little: readings of the time, and the timers of timeouts.
    pub every_call: bool,
    /// The present, for what is still under way.
    pub now: DateTime<Utc>,
}

/// What a piece of text says by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Warn,
    Active,
}

impl Style {
    /// The text in its colour, line by line, so that every line is complete in itself.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Warn => "33",
            Tone::Active => "36",
        };
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let lines: Vec<String> = text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect();
        lines.join("\n")
    }
}
