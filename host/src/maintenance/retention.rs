//! Deletes final runs that are older than their tenant and the host want to keep them.

use std::collections::BTreeSet;
use std::time::Duration;

use forge_clock as clock;
use forge_journal::{RunId, Timestamp, WorkflowStatus};
use forge_store::directory::AuditEntry;
use forge_store::{Loaded, LogFilter, StoreError};
use serde_json::json;

use super::{Context, Task};
use crate::config::{Retention, milliseconds};
use crate::tenants::{RETENTION, TenantInfo};

/// Runs that are deleted in one transaction: few, so that commits of runs do not wait for long.
const BATCH: u32 = 100;

/// The most batches of one workflow and status before the others have their turn.
const BATCHES: usize = 100;

/// The pause between two batches, in which other writes are committed.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) const TASK: Task = Task {
    name: "retention",
    interval: Duration::from_secs(30),
    once_per_cluster: true,
    at_shutdown: false,
    run: |context| Box::pin(delete_expired(context)),
};

async fn delete_expired(context: &Context) -> Result<(), StoreError> {
    let tenants = context.tenants.list().await.map_err(super::store_error)?;
    for tenant in tenants {
        let rules = tenant.settings.retention.clone().unwrap_or_default();
        if rules.is_empty() && context.retention.is_empty() {
            continue;
        }
        let versions = context.store.versions(&tenant.name, None).await?;
        let workflows: BTreeSet<String> = versions.into_iter().map(|version| version.workflow).collect();
        for workflow in workflows {
            for status in Retention::STATUSES {
                if let Some(age) = Retention::age(&context.retention, &rules, &workflow, status) {
                    let now = clock::now().0;
                    let before = Timestamp(now.saturating_sub_unsigned(milliseconds(age)));
                    delete_before(context, &tenant, &workflow, status, before).await?;
                }
            }
        }
    }
    Ok(())
}

/// Deletes the runs that ended before this time, in batches, and writes one line into the audit log.
async fn delete_before(
    context: &Context,
    tenant: &TenantInfo,
    workflow: &str,
    status: WorkflowStatus,
    before: Timestamp,
) -> Result<(), StoreError> {
    let mut deleted = 0;
    let mut failure = None;
    for _ in 0..BATCHES {
        match delete_batch(context, &tenant.name, workflow, status, before).await {
            Ok(runs) => {
                deleted += runs;
                if runs < BATCH as usize {
                    break;
                }
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if deleted > 0 {
        context.tenants.read_stored().await?;
        tracing::info!(tenant = tenant.name, workflow, %status, runs = deleted, "old runs were deleted");
        let detail = json!({ "status": status, "ended_before": before.to_rfc3339(), "runs": deleted });
        let entry = AuditEntry {
            at: clock::now(),
            tenant: tenant.name.clone(),
            actor: RETENTION.to_owned(),
            action: "run.expire".to_owned(),
            subject: workflow.to_owned(),
            detail: Some(detail.to_string()),
        };
        context.store.directory().change(None, &entry).await?;
    }
    failure.map_or(Ok(()), Err)
}

async fn delete_batch(
    context: &Context,
    tenant: &str,
    workflow: &str,
    status: WorkflowStatus,
    before: Timestamp,
) -> Result<usize, StoreError> {
    let runs = context.store.expired(tenant, workflow, status, before, BATCH).await?;
    if let Some(archive) = &context.archive {
        for run in &runs {
            archive_run(context, archive, *run).await?;
        }
    }
    Ok(context.store.delete(&runs).await?.len())
}

/// Archives a run before it is deleted. After a crash in between, it is archived again under the same name.
async fn archive_run(context: &Context, archive: &super::Archive, run: RunId) -> Result<(), StoreError> {
    match context.store.load(&[run]).await?.pop().transpose()?.flatten() {
        Some(loaded) => {
            let inbox = context.store.inbox(run, 0, u32::MAX).await?.unwrap_or_default();
            let page = context.store.logs(run, &LogFilter::default()).await?;
            archive(Loaded { inbox, ..loaded }, page.map(|page| page.lines).unwrap_or_default()).await
        }
        None => Ok(()),
    }
}
