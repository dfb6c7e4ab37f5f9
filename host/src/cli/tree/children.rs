use std::collections::BTreeMap;

use uuid::Uuid;

use crate::executor::{StepRecord, WorkflowRecord};

/// The runs that a run and its children have started, as far as they are shown, by id.
pub type Children = BTreeMap<Uuid, Child>;

/// A run that another run has started.
#[derive(Debug, Clone)]
pub struct Child {
    /// The run; `None` if it was deleted.
    pub record: Option<WorkflowRecord>,
    /// Its calls, if they are shown.
    pub steps: Vec<StepRecord>,
}
