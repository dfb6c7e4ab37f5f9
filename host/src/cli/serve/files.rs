//! The limit on open files. Each client, HTTP request and database connection uses a file.

/// Raises the soft limit of this process to its hard limit. The soft limit is often only 1,024.
#[cfg(unix)]
pub(super) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let allowed = getrlimit(Resource::Nofile);
    if allowed.current == allowed.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::warn!(%error, files = allowed.current, "cannot raise the limit on open files");
    }
}

/// Does nothing: this system has no such limit.
#[cfg(not(unix))]
pub(super) fn raise_limit() {}

/// Returns how many files this process may open; `None` if there is no limit.
#[cfg(unix)]
pub(super) fn most() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Returns `None`: this system has no such limit.
#[cfg(not(unix))]
pub(super) fn most() -> Option<u64> {
    None
}
