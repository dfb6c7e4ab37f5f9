//! Making `wasm32-unknown-unknown` available.
//!
//! In this order, and only as far as needed:
//! 1. the active toolchain has it: nothing happens;
//! 2. a toolchain linked as `wasm-guest` has it and works;
//! 3. `rustup target add`, for at most a minute;
//! 4. Debian's Rust packages: their sources are compiled for wasm32 once and linked as `wasm-guest`.
//!    For machines that reach a Debian mirror but not rustup's server.
//!
//! `FORGE_WASM_TOOLCHAIN=debian` leaves out 1 and 3, for tests and for machines on which everything has
//! to come from the distribution.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, CommandError};
use crate::toolchain::{TARGET, Toolchain};

/// The name of the linked toolchain, in rustup and in the cache folder.
pub(crate) const LINKED: &str = "wasm-guest";

/// The environment variable that chooses the way.
const SETTING: &str = "FORGE_WASM_TOOLCHAIN";

/// The download is 20 MB. A firewall that drops packets would otherwise hold it up for many minutes of
/// retries.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(60);

/// Why guests cannot be compiled here, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is neither rustup nor a Rust compiler.
    #[error(
        "there is no Rust on this machine: neither `rustup` nor `cargo` and `rustc` are on the path. Install it from https://rustup.rs"
    )]
    NoRust,
    /// `FORGE_WASM_TOOLCHAIN` has a value that means nothing.
    #[error(
        "{SETTING}={value} means nothing: the only value is `debian`; leave it unset for the ordinary way"
    )]
    UnknownSetting {
        /// The value found.
        value: String,
    },
    /// The target is missing, could not be downloaded, and there is no other way on this machine.
    #[error(
        "the Rust target {TARGET} is missing. {reason}\n\nTo install it by hand: `rustup target add {TARGET}`, or without rustup your distribution's package for it"
    )]
    Missing {
        /// What was tried, and how it ended.
        reason: String,
    },
    /// Debian's packages would help, but only root can install them.
    #[error("the Rust target {TARGET} is missing. {reason}\n\nDebian's packages can replace it. Run this as root, then try again:\n    apt-get update && apt-get install --no-install-recommends {}", packages.join(" "))]
    NeedsRoot {
        /// What was tried before, and how it ended.
        reason: String,
        /// The packages that are not installed.
        packages: Vec<String>,
    },
    /// A step of the fallback failed.
    #[error("the Rust target {TARGET} could not be made from Debian's packages, because {0}")]
    Debian(#[source] CommandError),
    /// A file or folder of the fallback could not be written.
    #[error("the Rust target {TARGET} could not be made from Debian's packages: cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes [`TARGET`] available and names the toolchain that has it. The first time may take minutes;
/// `progress` is told of every step before it begins. Several processes may do this at once.
///
/// # Errors
/// [`SetupError`] says what was tried and what a person can do.
pub fn ensure(progress: &mut dyn FnMut(&str)) -> Result<Toolchain, SetupError> {
    let only_debian = only_debian(std::env::var(SETTING).ok().as_deref())?;
    let active = Toolchain::active();
    if !only_debian {
        match &active {
            None => return Err(SetupError::NoRust),
            Some(active) if active.has_std() => return Ok(active.clone()),
            Some(_) => progress(&format!("The Rust target {TARGET} is not installed.")),
        }
    }
    if let Some(linked) = linked() {
        progress(&format!("Using {linked}, made earlier from Debian's Rust packages."));
        return Ok(linked);
    }
    let reason = match &active {
        _ if only_debian => format!("{SETTING}=debian asks for Debian's packages."),
        Some(active) if active.rustup_name().is_some() => match download(active, progress) {
            Ok(()) => return Ok(active.clone()),
            Err(error) => {
                progress("rustup could not download it.");
                format!("rustup could not download it: {error}")
            }
        },
        _ => "There is no rustup here that could download it.".to_owned(),
    };
    fallback(active.as_ref(), reason, progress)
}

fn only_debian(setting: Option<&str>) -> Result<bool, SetupError> {
    match setting {
        None | Some("") => Ok(false),
        Some("debian") => Ok(true),
        Some(value) => Err(SetupError::UnknownSetting { value: value.to_owned() }),
    }
}

fn download(active: &Toolchain, progress: &mut dyn FnMut(&str)) -> Result<(), CommandError> {
    let name = active.rustup_name().unwrap_or_default();
    progress(&format!("Downloading it: rustup target add --toolchain {name} {TARGET}"));
    let mut rustup = Command::new("rustup");
    process::run(rustup.args(["target", "add", "--toolchain", name, TARGET]), Some(DOWNLOAD_LIMIT), progress)
}

#[cfg(target_os = "linux")]
fn linked() -> Option<Toolchain> {
    crate::debian::linked()
}

#[cfg(target_os = "linux")]
fn fallback(
    active: Option<&Toolchain>,
    reason: String,
    progress: &mut dyn FnMut(&str),
) -> Result<Toolchain, SetupError> {
    crate::debian::install(active, reason, progress)
}

#[cfg(not(target_os = "linux"))]
fn linked() -> Option<Toolchain> {
    Some(Toolchain::of_rustup(LINKED)).filter(Toolchain::links)
}

#[cfg(not(target_os = "linux"))]
fn fallback(
    _active: Option<&Toolchain>,
    reason: String,
    _progress: &mut dyn FnMut(&str),
) -> Result<Toolchain, SetupError> {
    Err(SetupError::Missing { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_debian_or_nothing() {
        assert!(!only_debian(None).unwrap());
        assert!(!only_debian(Some("")).unwrap());
        assert!(only_debian(Some("debian")).unwrap());
        let error = only_debian(Some("Debian 12")).unwrap_err().to_string();
        assert!(error.starts_with("FORGE_WASM_TOOLCHAIN=Debian 12 means nothing"), "{error}");
    }

    #[test]
    fn who_is_not_root_is_told_the_exact_command() {
        let packages = vec!["rustc-web".to_owned(), "rust-web-src".to_owned()];
        let error = SetupError::NeedsRoot { reason: "Nothing else helped.".to_owned(), packages };
        assert!(
            error.to_string().ends_with("apt-get install --no-install-recommends rustc-web rust-web-src")
        );
    }
}
