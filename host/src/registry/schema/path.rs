//! The place of a value in a document, such as `$.orders[3].price`.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::message::{Cut, SHOWN};

/// The parts from the root to a value. Messages of the SDK have paths of the same form.
#[derive(Debug, Default)]
pub(super) struct Path<'v>(Vec<Part<'v>>);

#[derive(Debug)]
enum Part<'v> {
    Key(&'v str),
    Index(usize),
}

impl<'v> Path<'v> {
    pub(super) fn key(&mut self, key: &'v str) {
        self.0.push(Part::Key(key));
    }

    pub(super) fn index(&mut self, index: usize) {
        self.0.push(Part::Index(index));
    }

    pub(super) fn up(&mut self) {
        self.0.pop();
    }

    /// The number of parts.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Cut::default();
        let written =
            text.write_str("$").and_then(|()| self.0.iter().try_for_each(|part| part.write(&mut text)));
        f.write_str(text.as_str())?;
        // Not whole.
        if written.is_err() { f.write_str("…") } else { Ok(()) }
    }
}

impl Part<'_> {
    fn write(&self, text: &mut Cut) -> fmt::Result {
        match self {
            Self::Index(index) => write!(text, "[{index}]"),
            Self::Key(key) => {
                let shown = &key[..key.floor_char_boundary(SHOWN)];
                if is_name(shown) {
                    write!(text, ".{shown}")
                } else {
                    write!(text, "[{}]", Value::from(shown))
                }
            }
        }
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}
