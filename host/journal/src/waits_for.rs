use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A call that a waiting run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitsFor {
    /// The kind of the call, such as `event`, `child` or `sleep`; `retry` for the next attempt of a step.
    pub kind: String,
    /// The name: of an event, of the workflow of a child, of a step.
    pub name: String,
    /// The time until which it waits at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// The child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
}

impl WaitsFor {
    /// Reads the list of a run, which [`Run::waits_for`](crate::Run::waits_for) has as text.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is no such list.
    pub fn list(text: Option<&str>) -> Result<Vec<Self>, serde_json::Error> {
        text.map_or(Ok(Vec::new()), serde_json::from_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_calls_and_no_text_is_no_call() {
        let run = "01941f29-7c00-7000-8000-000000000001";
        let text = format!(
            r#"[{{"kind":"event","name":"a","until":"2026-01-01T00:00:00.000Z"}},{{"kind":"child","name":"ship","run":"{run}"}},
               {{"kind":"child","name":"ship","run":null}}]"#
        );
        let list = WaitsFor::list(Some(&text)).unwrap();
        let found: Vec<_> =
            list.iter().map(|call| (&*call.name, call.until.is_some(), call.run.is_some())).collect();
        assert_eq!(found, [("a", true, false), ("ship", false, true), ("ship", false, false)]);
        assert_eq!(WaitsFor::list(None).unwrap(), []);
        WaitsFor::list(Some("{}")).unwrap_err();
    }
}
