use serde::{Deserialize, Serialize};

/// The error for a stored word that this version does not know: the row is corrupt, or a newer version wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what} that this version of Forge knows")]
pub struct UnknownWord {
    /// What the word should have been.
    pub what: &'static str,
    /// The word.
    pub word: String,
}

impl UnknownWord {
    /// Creates the error for `word`, which should have been a `what`.
    pub fn new(what: &'static str, word: &str) -> Self {
        Self { what, word: word.to_owned() }
    }

    fn run_status(word: &str) -> Self {
        Self::new("run status", word)
    }

    fn step_status(word: &str) -> Self {
        Self::new("step status", word)
    }

    pub(crate) fn entry_kind(word: &str) -> Self {
        Self::new("kind of inbox entry", word)
    }

    pub(crate) fn log_level(word: &str) -> Self {
        Self::new("log level", word)
    }

    pub(crate) fn pause_reason(word: &str) -> Self {
        Self::new("pause reason", word)
    }
}

/// The status of a run (spec: *WorkflowStatus Enum*, and `paused`).
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
#[strum(parse_err_ty = UnknownWord, parse_err_fn = UnknownWord::run_status)]
pub enum WorkflowStatus {
    /// The run is accepted and does not execute yet.
    Created,
    /// The run executes steps.
    Running,
    /// The run waits for a timer and has nothing else to do.
    Waiting,
    /// The run finished with an output.
    Completed,
    /// The run executes compensation handlers.
    Compensating,
    /// The run was rolled back.
    Compensated,
    /// The run ended with an error and had nothing to compensate, or compensations failed.
    Failed,
    /// The run is stopped until a person resumes or cancels it.
    Paused,
}

impl WorkflowStatus {
    /// Returns the word that the database, the API and the CLI use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns whether the run has ended. A paused run has not.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Failed)
    }

    /// Returns whether the run is final or paused: the host does nothing for it until a person asks.
    pub const fn is_at_rest(self) -> bool {
        self.is_final() || matches!(self, Self::Paused)
    }
}

/// The status of a step or another journaled call (spec: *StepStatus Enum*).
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
#[strum(parse_err_ty = UnknownWord, parse_err_fn = UnknownWord::step_status)]
pub enum StepStatus {
    /// The call has not started.
    Pending,
    /// The call has begun and not ended.
    Running,
    /// The call succeeded.
    Completed,
    /// The call failed and is not retried.
    Failed,
    /// The call succeeded and was compensated afterwards.
    Compensated,
    /// The workflow dropped the call before it ended, for example in a `select!`.
    Skipped,
}

impl StepStatus {
    /// Returns the word that the database, the API and the CLI use.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;
    use crate::PauseReason;

    #[test]
    fn a_word_is_read_as_it_is_written_and_an_unknown_one_is_named() {
        for status in WorkflowStatus::VARIANTS {
            let word = status.as_str();
            assert_eq!(word.parse(), Ok(*status));
            assert_eq!(format!("{status:>12}").trim_start(), word, "`Display` pads");
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{word}\""));
        }
        for status in StepStatus::VARIANTS {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_string(status).unwrap(), format!("\"{status}\""));
        }
        for reason in PauseReason::VARIANTS {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
        let unknown = |error: UnknownWord| error.to_string();
        assert_eq!(
            unknown("Paused".parse::<WorkflowStatus>().unwrap_err()),
            "`Paused` is no run status that this version of Forge knows"
        );
        assert_eq!(
            unknown("".parse::<StepStatus>().unwrap_err()),
            "`` is no step status that this version of Forge knows"
        );
        assert_eq!(
            unknown("in doubt".parse::<PauseReason>().unwrap_err()),
            "`in doubt` is no pause reason that this version of Forge knows"
        );
    }
}
