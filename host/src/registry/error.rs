use crate::tenants::TenantError;
use forge_store::StoreError;

/// Why a component or a version was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// The bytes are no component that runs here.
    #[error("{0}")]
    InvalidComponent(String),
    /// The bytes of a registered component are missing, or are not those that were uploaded.
    #[error(
        "component {digest} is missing from the store, or is not what was uploaded: upload the same file again, or restore \
         it from a backup"
    )]
    MissingComponent {
        /// The component's digest.
        digest: String,
    },
    /// The component is larger than components may be.
    #[error("the component has {size} bytes; the most is {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Another component has this name and version.
    #[error(
        "version {version} of workflow `{name}` is registered with other code, and versions are immutable: \
         raise the version (`#[version = {next}]`) and deploy again"
    )]
    VersionTaken {
        /// The workflow.
        name: String,
        /// The version.
        version: u32,
        /// The next version that is free.
        next: u32,
    },
    /// There is no workflow with this name.
    #[error("there is no workflow `{name}`{}", those_known(.known))]
    UnknownWorkflow {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The workflow has no such version.
    #[error("workflow `{name}` has no version {version}{}", those_known(.known))]
    UnknownVersion {
        /// The workflow.
        name: String,
        /// The version asked for.
        version: u32,
        /// The versions that there are.
        known: Vec<String>,
    },
    /// All versions are deprecated and none was asked for.
    #[error(
        "all versions of workflow `{name}` are deprecated: activate one, or ask for a version by its number"
    )]
    AllDeprecated {
        /// The workflow.
        name: String,
    },
    /// The tenant cannot have it.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn those_known(known: &[String]) -> String {
    if known.is_empty() {
        return "; none is deployed yet (`forge deploy`)".to_owned();
    }
    format!("; there are: {}", known.join(", "))
}
