use std::io;
use std::process::ExitCode;

use serde_json::json;

use super::printable::Printable;
use crate::api::ErrorDetail;
use forge_journal::{PauseReason, RunId, WorkflowStatus};

/// The API's code for a request that may have taken effect.
const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// The exit codes, as `forge --help` lists them. They do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Success.
    Done = 0,
    /// An error that no other code describes.
    Error = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The awaited run failed or was rolled back.
    RunFailed = 3,
    /// The workflow, version or run does not exist.
    NotFound = 4,
    /// The server cannot be reached, or asks to try again later.
    Unavailable = 5,
    /// The request conflicts with an existing version, key or entry, or the status of a run.
    Conflict = 6,
    /// The awaited run is paused, or has not ended within the given time.
    NotEnded = 7,
    /// The request may have taken effect, and its answer was lost.
    OutcomeUnknown = 8,
    /// Ctrl-C ended the command while it waited for a run.
    Interrupted = 130,
}

/// The error of a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An argument is invalid.
    #[error("{0}")]
    Usage(String),
    /// The server responded with an error.
    #[error("{}", error.message)]
    Api {
        /// The HTTP status.
        status: u16,
        /// The error in the response.
        error: ErrorDetail,
    },
    /// The server cannot be reached.
    #[error(
        "cannot reach the server {server}: {why}. Is `forge serve` running there? --server or FORGE_SERVER selects \
         another server"
    )]
    Unreachable {
        /// Its address.
        server: String,
        /// The reason.
        why: String,
    },
    /// The server was reached and has not answered a request that changes something.
    #[error(
        "no answer from the server {server}: {why}. The request may have taken effect: send it again, a start or an \
         event with the same --key"
    )]
    NoAnswer {
        /// Its address.
        server: String,
        /// The reason.
        why: String,
    },
    /// The awaited run failed or was rolled back.
    #[error("run {run} {}{}", failed(*.status, .step.as_deref()), suffix(.error))]
    RunFailed {
        /// The run.
        run: RunId,
        /// `failed` or `compensated`.
        status: WorkflowStatus,
        /// The step that failed, unless the error names it.
        step: Option<String>,
        /// The error of the run.
        error: Option<String>,
    },
    /// The awaited run is paused.
    #[error("run {run} is paused{}{}", reason.map(|reason| format!(" ({reason})")).unwrap_or_default(), suffix(.why))]
    Paused {
        /// The run.
        run: RunId,
        /// The reason.
        reason: Option<PauseReason>,
        /// What happened, and what to do.
        why: Option<String>,
    },
    /// The awaited run has not ended within the given time.
    #[error(
        "run {run} is still {} and continues; `forge runs watch {run}` waits for it",
        doing.as_deref().unwrap_or(status.as_str())
    )]
    NotEnded {
        /// The run.
        run: RunId,
        /// Its status.
        status: WorkflowStatus,
        /// What it waits for.
        doing: Option<String>,
    },
    /// The user has interrupted a command that waited for a run.
    #[error("run {run} goes on; `forge runs watch {run}` shows it again")]
    Interrupted {
        /// The run.
        run: RunId,
    },
    /// No run is the one that the command names.
    #[error("{0}")]
    NoSuchRun(String),
    /// The ids of several runs begin like the one that the command names.
    #[error("{0}")]
    AmbiguousRun(String),
    /// The reader of the output has closed it, as in `forge runs | head`.
    #[error("the output is closed")]
    OutputClosed,
    /// Any other error.
    #[error("{}", chain(.0))]
    Other(#[from] anyhow::Error),
}

/// Returns the messages of an error and its causes. Many errors name their cause themselves; it is not written twice.
fn chain(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| match cause.to_string() {
        cause if text.contains(&cause) => text,
        cause if text.is_empty() => cause,
        cause => format!("{text}: {cause}"),
    })
}

fn suffix(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Says that a run failed, in which step, and whether it was rolled back.
fn failed(status: WorkflowStatus, step: Option<&str>) -> String {
    let step = step.map(|step| format!(" in step `{step}`")).unwrap_or_default();
    match status {
        WorkflowStatus::Compensated => format!("failed{step} and was rolled back"),
        _ => format!("failed{step}"),
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Other(error.into()),
        }
    }
}

impl CliError {
    /// Returns the error of a run without the reason, which the caller has printed.
    pub(super) fn without_reason(self) -> Self {
        match self {
            Self::RunFailed { run, status, .. } => Self::RunFailed { run, status, step: None, error: None },
            Self::Paused { run, .. } => Self::Paused { run, reason: None, why: None },
            error => error,
        }
    }

    /// Returns the exit code.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Usage(_) | Self::AmbiguousRun(_) => ExitStatus::Usage,
            Self::NoSuchRun(_) => ExitStatus::NotFound,
            Self::Interrupted { .. } => ExitStatus::Interrupted,
            Self::NoAnswer { .. } => ExitStatus::OutcomeUnknown,
            Self::Api { error, .. } if error.code == OUTCOME_UNKNOWN => ExitStatus::OutcomeUnknown,
            Self::Api { status: 404, .. } => ExitStatus::NotFound,
            Self::Api { status: 409 | 412, .. } => ExitStatus::Conflict,
            Self::Api { status: 429 | 503, .. } | Self::Unreachable { .. } => ExitStatus::Unavailable,
            Self::RunFailed { .. } => ExitStatus::RunFailed,
            Self::Paused { .. } | Self::NotEnded { .. } => ExitStatus::NotEnded,
            Self::OutputClosed => ExitStatus::Done,
            Self::Api { .. } | Self::Other(_) => ExitStatus::Error,
        }
    }

    /// Returns the error code for programs: that of the server's response, or one of the command line.
    fn code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::Api { error, .. } => &error.code,
            Self::Unreachable { .. } => "unreachable",
            Self::NoAnswer { .. } => OUTCOME_UNKNOWN,
            Self::RunFailed { .. } => "run_failed",
            Self::Paused { .. } => "run_paused",
            Self::NotEnded { .. } => "run_not_ended",
            Self::Interrupted { .. } => "interrupted",
            Self::NoSuchRun(_) => "unknown_run",
            Self::AmbiguousRun(_) => "ambiguous_run",
            Self::OutputClosed => "output_closed",
            Self::Other(_) => "error",
        }
    }

    /// Prints the error to standard error and returns the exit code of the process.
    pub fn report(&self, json: bool) -> ExitCode {
        let message = self.to_string();
        match self {
            Self::OutputClosed => {}
            _ if json => {
                let error = json!({ "error": { "code": self.code(), "message": message } });
                super::output::note_document(&error.to_string());
            }
            // The user has asked for it.
            Self::Interrupted { .. } => super::output::note(&message),
            _ => super::output::note(&format!("error: {}", Printable::lines(&message))),
        }
        if let (Self::RunFailed { run, error: Some(_), .. }, false) = (self, json) {
            super::output::hint(&format!("see what happened: forge runs show {run}"));
        }
        ExitCode::from(self.exit_status() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> CliError {
        CliError::Api {
            status,
            error: ErrorDetail { code: "c".to_owned(), message: "m".to_owned(), path: None },
        }
    }

    #[test]
    fn exit_codes_tell_scripts_what_to_do() {
        let run = RunId(uuid::Uuid::nil());
        let exit_code = |error: CliError| error.exit_status() as u8;
        assert_eq!(exit_code(CliError::Other(anyhow::anyhow!("x"))), 1);
        assert_eq!(exit_code(answered(422)), 1);
        assert_eq!(exit_code(CliError::Usage("x".to_owned())), 2);
        assert_eq!(
            exit_code(CliError::RunFailed {
                run,
                status: WorkflowStatus::Compensated,
                step: None,
                error: None
            }),
            3
        );
        assert_eq!(exit_code(answered(404)), 4);
        assert_eq!(exit_code(answered(503)), 5);
        assert_eq!(exit_code(CliError::Unreachable { server: String::new(), why: String::new() }), 5);
        let lost = ErrorDetail { code: "outcome_unknown".to_owned(), message: String::new(), path: None };
        assert_eq!(exit_code(CliError::Api { status: 503, error: lost }), 8);
        assert_eq!(exit_code(CliError::NoAnswer { server: String::new(), why: String::new() }), 8);
        assert_eq!(exit_code(answered(409)), 6);
        assert_eq!(exit_code(CliError::Paused { run, reason: None, why: None }), 7);
        assert_eq!(exit_code(CliError::NotEnded { run, status: WorkflowStatus::Running, doing: None }), 7);
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.exit_status(), ExitStatus::Done);
    }

    #[test]
    fn an_error_names_all_its_causes() {
        let error = anyhow::anyhow!("no such file").context("cannot read input.json");
        assert_eq!(CliError::from(error).to_string(), "cannot read input.json: no such file");
    }
}
