use std::time::Duration;

use crate::tenants::TenantError;
use forge_sandbox::InvalidComponent;
use forge_store::StoreError;

/// An error of the registry.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// The bytes are not a valid workflow component.
    #[error("{0}")]
    InvalidComponent(String),
    /// The store does not have the component, or its bytes do not match the digest.
    #[error(
        "component {0} is missing, or is not what was uploaded: upload the same file again, or restore it from a backup"
    )]
    MissingComponent(String),
    /// The component is too large.
    #[error("the component has {size} bytes; the most is {limit}")]
    TooLarge {
        /// The size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The tenant has an upload under way and one that waits.
    #[error(
        "tenant `{tenant}` has an upload under way and one that waits for it: try again when they have ended"
    )]
    UploadsWait {
        /// The tenant.
        tenant: String,
    },
    /// The tenant has used the compile time of this hour.
    #[error(
        "tenant `{tenant}` has used its limit compile_seconds = {limit} of this hour: try again in {}, or request a \
         higher limit",
        humantime::format_duration(Duration::from_secs(.retry_after.as_secs()))
    )]
    CompileTime {
        /// The tenant.
        tenant: String,
        /// The limit, in seconds for each hour.
        limit: u64,
        /// The time after which some of it is left.
        retry_after: Duration,
    },
    /// The version is registered with another component.
    #[error(
        "version {version} of workflow `{name}` is registered with another component, and versions are immutable: \
         increment the version (`#[version = {next}]`) and deploy again"
    )]
    VersionTaken {
        /// The workflow.
        name: String,
        /// The version.
        version: u32,
        /// The next free version.
        next: u32,
    },
    /// The workflow does not exist.
    #[error("there is no workflow `{name}`{}", list(.known))]
    UnknownWorkflow {
        /// The requested name.
        name: String,
        /// The names of all workflows.
        known: Vec<String>,
    },
    /// The version does not exist.
    #[error("workflow `{name}` has no version {version}{}", list(.known))]
    UnknownVersion {
        /// The workflow.
        name: String,
        /// The requested version.
        version: u32,
        /// All versions of the workflow.
        known: Vec<String>,
    },
    /// All versions are deprecated, and none was requested by number.
    #[error("all versions of workflow `{name}` are deprecated: activate one, or request a version by number")]
    AllDeprecated {
        /// The workflow.
        name: String,
    },
    /// The tenant does not exist, is suspended, or has reached a limit.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<InvalidComponent> for RegistryError {
    fn from(error: InvalidComponent) -> Self {
        Self::InvalidComponent(error.0)
    }
}

fn list(known: &[String]) -> String {
    if known.is_empty() {
        return "; none is deployed yet (`forge deploy`)".to_owned();
    }
    format!("; there are: {}", known.join(", "))
}
