//! Words for messages, which are cut: names and values of a schema or an input can be as large as the document.

use std::fmt::{self, Display, Write};

/// The most bytes of a reason, and of a path.
pub(super) const SHOWN: usize = 1_000;

/// The most values of an `enum` that a message lists, and other things.
pub(super) const LISTED: usize = 10;

/// A text that ends at [`SHOWN`] bytes. What is written beyond is not made.
#[derive(Default)]
pub(super) struct Cut(String);

impl Cut {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = SHOWN - self.0.len();
        let fits = &text[..text.floor_char_boundary(room)];
        self.0.push_str(fits);
        if fits.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Returns a reason in a length for messages.
pub(super) fn cut(reason: impl Display) -> String {
    let mut cut = Cut::default();
    // It fails where the text is cut.
    let _ = write!(cut, "{reason}");
    cut.0
}

/// Returns the first of some values or names.
pub(super) fn listed(values: impl Iterator<Item = impl Display>, separator: &str) -> String {
    let mut cut = Cut::default();
    for (at, value) in values.take(LISTED + 1).enumerate() {
        let before = if at == 0 { "" } else { separator };
        let written = match at {
            LISTED => write!(cut, "{before}…"),
            _ => write!(cut, "{before}{value}"),
        };
        if written.is_err() {
            break;
        }
    }
    cut.0
}
