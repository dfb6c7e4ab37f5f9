//! The child's side: limits first, input second.

use std::io::{Read, Write};
use std::time::Duration;

use super::{compiling_engine, invalid};

/// Files that the child may have open: its three streams, and what looking at the processor takes.
#[cfg(target_os = "linux")]
const FILES: u64 = 8;

/// Why the child has compiled nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChildFailed {
    /// The component is not valid, and why.
    #[error("{0}")]
    Invalid(String),
    /// It takes more memory than there may be.
    #[error("out of memory")]
    OutOfMemory,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl ChildFailed {
    /// The exit code that tells the parent.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => exit::INVALID,
            Self::OutOfMemory => exit::OUT_OF_MEMORY,
            Self::Other(_) => exit::OTHER,
        }
    }
}

/// Exit codes: beyond those of `forge`'s other commands, and below those that shells give to signals.
pub(super) mod exit {
    pub(crate) const INVALID: u8 = 65;
    pub(crate) const OUT_OF_MEMORY: u8 = 66;
    pub(crate) const OTHER: u8 = 67;
}

/// Compiles the component on the standard input and writes its code to the standard output. Bounds this process
/// first, for good: call it in a process that has nothing else to do, and before it has threads.
///
/// # Errors
/// [`ChildFailed`].
pub fn compile_as_child(time: Duration, memory: u64) -> Result<(), ChildFailed> {
    bound(time, memory).map_err(ChildFailed::other)?;
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component)?;
    let engine = compiling_engine().map_err(|error| refused(&error, |error| ChildFailed::other(error)))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| refused(&error, |error| ChildFailed::Invalid(invalid(error).to_string())))?;
    let mut output = std::io::stdout().lock();
    output.write_all(&code)?;
    Ok(output.flush()?)
}

impl ChildFailed {
    fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<std::io::Error> for ChildFailed {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::OutOfMemory { Self::OutOfMemory } else { Self::other(error) }
    }
}

fn refused(error: &wasmtime::Error, otherwise: impl FnOnce(&wasmtime::Error) -> ChildFailed) -> ChildFailed {
    let lacks_memory = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::OutOfMemory;
    if error.is::<wasmtime::OutOfMemory>() || error.downcast_ref().is_some_and(lacks_memory) {
        return ChildFailed::OutOfMemory;
    }
    otherwise(error)
}

/// The parent ends us after this time by its clock. The processor's time is for the case that it is gone.
#[cfg(target_os = "linux")]
fn bound(time: Duration, memory: u64) -> Result<(), rustix::io::Errno> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let seconds = time.as_secs().saturating_add(2);
    let limits = [
        (Resource::Cpu, seconds),
        (Resource::As, memory.saturating_add(size_now())),
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
    ];
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

/// Bytes of address space that this program takes before it compiles anything: what compiling takes comes on top.
#[cfg(target_os = "linux")]
fn size_now() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|pages| pages.split(' ').next()?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

/// Elsewhere only the parent's clock bounds it.
#[cfg(not(target_os = "linux"))]
fn bound(_: Duration, _: u64) -> Result<(), std::convert::Infallible> {
    Ok(())
}
