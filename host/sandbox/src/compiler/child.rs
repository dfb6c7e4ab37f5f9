//! The child's side: limits and confinement first, input second.

use std::io::{Read, Write};
use std::time::Duration;

use super::{CompilerUser, compiling_engine, confinement, invalid};
use crate::mac::{self, MacKey};

/// The maximum number of open files of the child: three streams, and the files that detecting the processor opens.
#[cfg(target_os = "linux")]
const FILES: u64 = 8;

/// The error of a child that could not compile.
#[derive(Debug, thiserror::Error)]
pub enum ChildFailed {
    /// The component is not valid. Holds the reason.
    #[error("{0}")]
    Invalid(String),
    /// Compiling takes more memory than the limit.
    #[error("out of memory")]
    OutOfMemory,
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

impl ChildFailed {
    /// Returns the exit code by which the parent recognises this error.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => exit::INVALID,
            Self::OutOfMemory => exit::OUT_OF_MEMORY,
            Self::Other(_) => exit::OTHER,
        }
    }
}

/// The exit codes: above the codes of other `forge` commands, below the codes that shells use for signals.
pub(super) mod exit {
    pub(crate) const INVALID: u8 = 65;
    pub(crate) const OUT_OF_MEMORY: u8 = 66;
    pub(crate) const OTHER: u8 = 67;
}

/// Compiles the component on standard input and writes its native code to standard output. Before the component is a key,
/// and after the code is its authentication code under this key: so the parent knows that the code is complete, and from the
/// child that it has started.
///
/// It first limits and confines this process, so call it in a process of its own, before that starts threads.
///
/// # Errors
/// [`ChildFailed`] if the component is not valid, a limit was reached, or input or output failed.
pub fn compile_as_child(time: Duration, memory: u64, user: Option<CompilerUser>) -> Result<(), ChildFailed> {
    bound(time, memory).map_err(ChildFailed::other)?;
    // Opens files, to detect the processor.
    let engine = compiling_engine().map_err(|error| refused(&error, |error| ChildFailed::other(error)))?;
    // What is missing, the parent has logged when it started.
    let _ = confinement::confine(user);
    let mut key = [0; mac::SIZE];
    std::io::stdin().lock().read_exact(&mut key)?;
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component)?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| refused(&error, |error| ChildFailed::Invalid(invalid(error).to_string())))?;
    #[allow(clippy::disallowed_methods, reason = "machine code for the host, which no terminal shows")]
    let mut output = std::io::stdout().lock();
    output.write_all(&code)?;
    output.write_all(&MacKey(key).tag("", &code))?;
    Ok(output.flush()?)
}

/// Limits and confines this process as [`compile_as_child`] does, and returns the measures that are missing.
///
/// # Errors
/// [`ChildFailed`] if a limit cannot be set.
pub fn check_as_child(
    time: Duration,
    memory: u64,
    user: Option<CompilerUser>,
) -> Result<Vec<String>, ChildFailed> {
    bound(time, memory).map_err(ChildFailed::other)?;
    let mut missing = confinement::confine(user);
    missing.extend(confinement::attempts());
    Ok(missing)
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

/// Returns the failure that an error of wasmtime means: lack of memory, or `otherwise`.
fn refused(error: &wasmtime::Error, otherwise: impl FnOnce(&wasmtime::Error) -> ChildFailed) -> ChildFailed {
    let lacks_memory = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::OutOfMemory;
    if error.is::<wasmtime::OutOfMemory>() || error.downcast_ref().is_some_and(lacks_memory) {
        return ChildFailed::OutOfMemory;
    }
    otherwise(error)
}

/// Sets the resource limits. `time` is CPU time, in whole seconds: what compiles in time does so on a busy machine, too.
#[cfg(target_os = "linux")]
fn bound(time: Duration, memory: u64) -> Result<(), rustix::io::Errno> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let seconds = u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
    let limits = [
        (Resource::As, memory.saturating_add(size_now())),
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
    ];
    // The signal at the lower limit says what happened, and the one at the higher limit does not.
    let cpu = Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) };
    setrlimit(Resource::Cpu, cpu)?;
    for (resource, limit) in limits {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

/// Returns the address space of this process in bytes. The limit for compiling is added to it.
#[cfg(target_os = "linux")]
fn size_now() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm");
    let pages = pages.ok().and_then(|pages| pages.split(' ').next()?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}

/// Sets nothing: on other systems only the parent's clock limits the child.
#[cfg(not(target_os = "linux"))]
fn bound(_: Duration, _: u64) -> Result<(), std::convert::Infallible> {
    Ok(())
}
