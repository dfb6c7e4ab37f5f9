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
    #[error(
        "the component has {size} bytes; the most is {limit} (component_bytes): make it smaller, or request a higher limit"
    )]
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
    #[error("there is no workflow `{name}`{}", suggest(.name, .known))]
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
    /// The type of the input derives no schema.
    #[error(
        "the input of `{name}` version {version} has no schema: `forge workflows {name}` lists the versions; to give it \
         one, derive `JsonSchema` for the type of the input and deploy a new version"
    )]
    NoSchema {
        /// The workflow.
        name: String,
        /// The version.
        version: u32,
    },
    /// The input of a start does not fit the schema.
    #[error("the input does not fit the schema of `{name}` version {version}, at {path}: {why}")]
    InputMisfit {
        /// The workflow.
        name: String,
        /// The version.
        version: u32,
        /// The place in the input, such as `$.items[2].price`.
        path: String,
        /// What was expected there, and what was found.
        why: String,
    },
    /// The check of the input of a start against the schema was given up.
    #[error("the input cannot be checked against the schema of `{name}` version {version}, at {path}: {why}")]
    InputUnchecked {
        /// The workflow.
        name: String,
        /// The version.
        version: u32,
        /// The place in the input at which the check ended.
        path: String,
        /// What the check needs, and what to do.
        why: String,
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

/// The most names that a message lists.
const MOST_NAMES: usize = 20;

/// How similar a name is at least to the one that was meant: 1 is the same.
const SIMILAR: f64 = 0.8;

/// Returns the name that was probably meant, or the names that there are.
fn suggest(name: &str, known: &[String]) -> String {
    let similarity = |other: &String| strsim::jaro_winkler(name, other);
    let closest = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    let meant = closest.filter(|closest| similarity(closest) >= SIMILAR);
    let listed = match known.len() {
        0..=MOST_NAMES => list(known),
        all => format!("; there are {all}: `forge workflows` lists them"),
    };
    match meant {
        Some(meant) => format!(": did you mean `{meant}`? {}", listed.replacen("; there", "There", 1)),
        None => listed,
    }
}

fn list(known: &[String]) -> String {
    if known.is_empty() {
        return "; none is deployed yet (`forge deploy`)".to_owned();
    }
    format!("; there are: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_suggested() {
        let unknown = |name: &str, known: &[&str]| {
            let known = known.iter().map(ToString::to_string).collect();
            RegistryError::UnknownWorkflow { name: name.to_owned(), known }.to_string()
        };
        assert_eq!(
            unknown("paymnt", &["onboarding", "payment"]),
            "there is no workflow `paymnt`: did you mean `payment`? There are: onboarding, payment"
        );
        assert_eq!(unknown("tea", &["payment"]), "there is no workflow `tea`; there are: payment");
        assert!(unknown("tea", &["payment"; 21]).ends_with("; there are 21: `forge workflows` lists them"));
        assert!(unknown("tea", &[]).contains("forge deploy"));
    }
}
