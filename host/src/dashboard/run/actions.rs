//! What may be done with a run, as its status and the caller's role allow it.

use maud::{Markup, html};

use crate::dashboard::view::View;
use crate::executor::WorkflowRecord;
use crate::tenants::Role;
use forge_journal::{WorkflowStatus, kind};

/// Something that may be done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Resume,
    RetryCompensations,
    Pause,
    SendEvent,
    StartAgain,
    Cancel,
    Terminate,
    Delete,
}

impl Action {
    /// Returns the word by which `assets/run/actions.js` knows it.
    fn word(self) -> &'static str {
        match self {
            Self::Resume | Self::RetryCompensations => "resume",
            Self::Pause => "pause",
            Self::SendEvent => "event",
            Self::StartAgain => "again",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
            Self::Delete => "delete",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Resume => "Resume",
            Self::RetryCompensations => "Retry compensations",
            Self::Pause => "Pause",
            Self::SendEvent => "Send event",
            Self::StartAgain => "Start again",
            Self::Cancel => "Cancel",
            Self::Terminate => "Terminate",
            Self::Delete => "Delete",
        }
    }

    /// Returns the role that it requires.
    fn role(self) -> Role {
        match self {
            Self::Terminate | Self::Delete => Role::Admin,
            _ => Role::Start,
        }
    }

    /// Returns the class of its button: what is done most often stands out, and what cannot be undone looks like it.
    fn class(self) -> &'static str {
        match self {
            Self::Resume | Self::RetryCompensations => "main",
            Self::Cancel | Self::Terminate | Self::Delete => "danger",
            Self::Pause | Self::SendEvent | Self::StartAgain => "",
        }
    }
}

/// Returns what the status of a run allows. The API has the last word: a run may change meanwhile.
pub(super) fn allowed(run: &WorkflowRecord) -> Vec<Action> {
    use Action::{Cancel, Delete, Pause, Resume, RetryCompensations, SendEvent, StartAgain, Terminate};
    let is_terminated = run.error_kind.as_deref() == Some(kind::TERMINATED);
    match run.status {
        WorkflowStatus::Created | WorkflowStatus::Running | WorkflowStatus::Waiting => {
            vec![Pause, SendEvent, StartAgain, Cancel, Terminate]
        }
        WorkflowStatus::Compensating => vec![Pause, SendEvent, StartAgain, Terminate],
        WorkflowStatus::Paused => vec![Resume, SendEvent, StartAgain, Cancel, Terminate],
        WorkflowStatus::Failed if !run.not_compensated.is_empty() && !is_terminated => {
            vec![RetryCompensations, StartAgain, Delete]
        }
        WorkflowStatus::Completed | WorkflowStatus::Compensated | WorkflowStatus::Failed => {
            vec![StartAgain, Delete]
        }
    }
}

/// Returns the buttons of what the caller may do.
pub(super) fn buttons(view: &View, run: &WorkflowRecord) -> Markup {
    html! {
        div.actions {
            @for action in allowed(run).into_iter().filter(|action| view.may(action.role())) {
                button type="button" class=(action.class()) data-action=(action.word()) { (action.label()) }
            }
        }
    }
}
