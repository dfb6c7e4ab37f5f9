//! The lines that a run logs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Scope, Timestamp, UnknownWord};

/// The severity of a line that a workflow logs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[strum(parse_err_ty = UnknownWord, parse_err_fn = UnknownWord::log_level)]
pub enum LogLevel {
    /// Details of a library.
    Trace,
    /// Details for whoever works on the workflow.
    Debug,
    /// What the workflow does.
    Info,
    /// Something that a person should look at some time.
    Warn,
    /// Something that a person should look at now.
    Error,
}

impl LogLevel {
    /// Returns the word that the API and the CLI use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A line that a workflow has logged, and that is kept with its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The position among the lines of the run, from 1.
    pub seq: u64,
    /// The time at which it was logged.
    pub at: Timestamp,
    /// The severity.
    pub level: LogLevel,
    /// The attempt of the step or compensation that logged it, or the workflow's body.
    pub scope: Scope,
    /// The name of the step or of the compensated step; `None` for the body.
    pub step: Option<Arc<str>>,
    /// The message.
    pub message: Arc<str>,
    /// The revision of the journal with which it was saved; see [`Row::revision`](super::Row::revision).
    pub revision: u64,
}

impl LogLine {
    /// The bytes of a line beside its texts: its time, its place, and its entry in the index.
    pub const OVERHEAD: u64 = 100;

    /// The most lines of a run. A store has keys for as many.
    pub const MOST: u64 = (1 << 24) - 1;

    /// Returns the bytes that the line takes in a store. The migrations compute the same number in SQL.
    pub fn stored_bytes(&self) -> u64 {
        let step = self.step.as_deref().map_or(0, str::len);
        Self::OVERHEAD + (step + self.message.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn levels_are_ordered_by_their_severity_and_read_as_they_are_written() {
        assert!(LogLevel::VARIANTS.is_sorted());
        for level in LogLevel::VARIANTS {
            assert_eq!(level.as_str().parse(), Ok(*level));
            assert_eq!(serde_json::to_string(level).unwrap(), format!("\"{level}\""));
        }
    }
}
