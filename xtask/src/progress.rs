//! What a chore is doing, and about how long it takes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of a chore, which are numbered as they begin.
pub(crate) struct Steps {
    total: u32,
    begun: u32,
}

impl Steps {
    /// Returns the steps of a chore that has so many.
    pub(crate) fn new(total: u32) -> Self {
        Self { total, begun: 0 }
    }

    /// Says that the next step begins.
    pub(crate) fn next(&mut self, what: &str) {
        self.begun += 1;
        println!("\n\x1b[1m== {} of {}: {what}\x1b[0m", self.begun, self.total);
    }
}

/// A build by cargo whose first time takes minutes.
pub(crate) struct Build {
    /// A crate that was compiled if this is not the first time.
    pub(crate) includes: &'static str,
    /// The minutes of the first time on a machine with two cores.
    pub(crate) minutes: u32,
}

impl Build {
    /// Says about how long the build takes, runs it, and says how long it took. Returns whether it succeeded. Cargo shows how
    /// many crates are left on a terminal, and the crates that it compiles elsewhere.
    pub(crate) fn run(&self, cargo: &mut Command, target: &Path) -> Result<bool> {
        let estimate = match (self.was_done(target), self.minutes) {
            (true, _) => "what has changed".to_owned(),
            (false, 1) => "the first time takes about a minute on two cores".to_owned(),
            (false, minutes) => format!("the first time takes about {minutes} minutes on two cores"),
        };
        println!("   compiling: {estimate}");
        let begun = Instant::now();
        let succeeded = cargo.status()?.success();
        if succeeded {
            println!("   compiled in {}", duration(begun.elapsed()));
        }
        Ok(succeeded)
    }

    /// Returns whether the build was done before into this target folder.
    fn was_done(&self, target: &Path) -> bool {
        // Without this folder, nothing was compiled. Each compilation leaves a list of its sources: `CRATE-HASH.d` or `CRATE.d`.
        let files = std::fs::read_dir(target.join("debug/deps")).into_iter().flatten().flatten();
        files.into_iter().any(|file| {
            let (name, extension) = (PathBuf::from(file.file_name()), OsStr::new("d"));
            let stem = name.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            name.extension() == Some(extension) && stem.split('-').next() == Some(self.includes)
        })
    }
}

/// Returns a duration for people: `48 s`, `6 min 12 s`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_was_done_if_its_crate_was_compiled() {
        let target = tempfile::tempdir().unwrap();
        let build = Build { includes: "forge_host", minutes: 6 };
        assert!(!build.was_done(target.path()));
        let folder = target.path().join("debug/deps");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("forge_hosted-1.d"), "").unwrap();
        std::fs::write(folder.join("forge_host-1.o"), "").unwrap();
        assert!(!build.was_done(target.path()));
        for name in ["forge_host-1.d", "forge_host.d"] {
            std::fs::write(folder.join(name), "").unwrap();
            assert!(build.was_done(target.path()), "{name}");
            std::fs::remove_file(folder.join(name)).unwrap();
        }
    }

    #[test]
    fn a_duration_from_a_minute_on_has_minutes() {
        assert_eq!(duration(Duration::from_millis(2_900)), "2 s");
        assert_eq!(duration(Duration::from_secs(372)), "6 min 12 s");
    }
}
