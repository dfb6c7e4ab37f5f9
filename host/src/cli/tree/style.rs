use chrono::{DateTime, Utc};

/// How a tree is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether to use colours.
    pub color: bool,
    /// Whether to show every call: those that are alike one by one, reads of the clock and the timers of timeouts.
    pub every_call: bool,
    /// Whether to show only what failed, and the steps that it is in.
    pub only_failed: bool,
    /// The current time, from which the durations of running calls are calculated.
    pub now: DateTime<Utc>,
}

impl Style {
    /// Returns the text with a tone. The codes are on each line, so that lines can be cut and moved.
    pub(super) fn paint(&self, tone: anstyle::Style, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        text.split('\n').map(|line| format!("{tone}{line}{tone:#}")).collect::<Vec<_>>().join("\n")
    }
}
