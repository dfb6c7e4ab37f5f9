//! Formats of strings.

use chrono::{DateTime, FixedOffset, NaiveDate};
use uuid::Uuid;

/// A format of strings that a type of Rust reads: the workflow would refuse another text. Other formats are not checked, as
/// the specification of JSON Schema has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Date,
    Uuid,
}

impl Format {
    /// Returns the format with this name in a schema.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "date-time" => Self::DateTime,
            "date" => Self::Date,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    /// Returns what a text of the format is, for messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::DateTime => "a time such as 2026-11-30T12:00:00Z",
            Self::Date => "a date such as 2026-11-30",
            Self::Uuid => "a UUID",
        }
    }

    /// Returns whether a text has the format.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::DateTime => text.parse::<DateTime<FixedOffset>>().is_ok(),
            Self::Date => text.parse::<NaiveDate>().is_ok(),
            Self::Uuid => Uuid::try_parse(text).is_ok(),
        }
    }
}
