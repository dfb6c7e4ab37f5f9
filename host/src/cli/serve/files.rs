//! How many files may be open: each client, each request that is under way and each database connection is one.

/// Lets this process open as many as it may. Systems give a thousand to programs that do not ask, and many more to those
/// that do.
#[cfg(unix)]
pub(super) fn allow_many() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let allowed = getrlimit(Resource::Nofile);
    if allowed.current == allowed.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }) {
        tracing::warn!(%error, files = allowed.current, "this process can have no more files open than it has by default");
    }
}

/// There is no such limit.
#[cfg(not(unix))]
pub(super) fn allow_many() {}
