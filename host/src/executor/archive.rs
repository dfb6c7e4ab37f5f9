//! The archive of runs that retention deletes: one JSON document for each run.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::{Value, json};

use super::logs::log_record;
use super::record::{record, step_record};
use crate::maintenance::Archive;
use crate::registry::Objects;
use forge_journal::{EntryKind, InboxEntry, LogLine};
use forge_store::{Loaded, RecentSteps, StoreError};

/// Returns what writes runs to `TENANT/WORKFLOW/ID.json` in a folder of an object store.
pub(super) fn archive(folder: Objects) -> Archive {
    let folder = Arc::new(folder);
    Box::new(move |loaded, lines| {
        let folder = Arc::clone(&folder);
        async move {
            let document = serde_json::to_vec(&document(&loaded, &lines)?).map_err(rejected)?;
            let Loaded { run, .. } = loaded;
            folder.put_at(&[&run.tenant, &run.workflow, &format!("{}.json", run.id)], document).await
        }
        .boxed()
    })
}

/// Returns the run, its steps, the events that it has not taken and its lines, as the API shows them. The steps of a journal
/// that cannot be read are `null`.
fn document(Loaded { run, rows, inbox }: &Loaded, lines: &[LogLine]) -> Result<Value, StoreError> {
    let (run, steps, error) = match rows {
        Ok(rows) => (
            record(run, &RecentSteps::of(rows)),
            Some(rows.iter().map(step_record).collect::<Vec<_>>()),
            None,
        ),
        Err(error) => (record(run, &RecentSteps::default()), None, Some(error.to_string())),
    };
    let mut document = json!({ "run": serde_json::to_value(run).map_err(rejected)? });
    document["steps"] = serde_json::to_value(steps).map_err(rejected)?;
    document["events"] = inbox.entries().filter(|entry| entry.kind == EntryKind::Event).map(event).collect();
    document["logs"] =
        serde_json::to_value(lines.iter().map(log_record).collect::<Vec<_>>()).map_err(rejected)?;
    if let Some(error) = error {
        document["error"] = error.into();
    }
    Ok(document)
}

fn event(InboxEntry { seq, name, key, payload, at, .. }: &InboxEntry) -> Value {
    let payload = serde_json::from_str(payload).unwrap_or_else(|_| Value::from(&**payload));
    json!({ "seq": seq, "name": **name, "key": **key, "at": at.to_datetime(), "payload": payload })
}

fn rejected(error: serde_json::Error) -> StoreError {
    StoreError::Rejected(format!("the archive: {error}"))
}
