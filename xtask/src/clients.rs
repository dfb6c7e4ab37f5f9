//! What the tests of API clients need: generators for Python and TypeScript, and the packages with which `clients/typescript`
//! is built and tested.
//!
//! Python's package index has both Node.js and npm, so a Python with `venv` is all that they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::apt;
use super::cargo::root;

/// The pinned versions of Python's packages, one of which is Node.js. Relative to the repository.
const PYTHON_PINS: &str = "tests/clients/python/requirements.txt";

/// The folders with pinned versions of npm's packages, relative to the repository, and where they are installed.
const NPM: [(&str, &str); 2] = [("tests/clients/typescript", "typescript"), ("clients/typescript", "client")];

/// The files that pin versions of npm's packages.
const NPM_PINS: [&str; 2] = ["package.json", "package-lock.json"];

/// What to do if something cannot be installed.
const HOW_TO_INSTALL: &str = "the tests of API clients need Python 3.10 or newer with `venv` (Debian: `python3-venv`), and \
                              packages from PyPI, such as Node.js, and from npm";

/// The environment variable with another folder than `target/clients`.
const FOLDER: &str = "FORGE_CLIENTS";

/// Installs in `target/clients`, where the tests look, what is missing or has another version. A folder that the environment
/// names is used as it is.
pub(crate) fn ensure() -> Result<()> {
    if std::env::var_os(FOLDER).is_some() {
        return Ok(());
    }
    let root = root()?;
    let clients = Clients { folder: root.join("target/clients"), pins: read_pins(&root)? };
    if clients.is_current() {
        return Ok(());
    }
    eprintln!("xtask: Installing what the tests of API clients need in {}.", clients.folder.display());
    clients.install(&root).context(HOW_TO_INSTALL)
}

fn read_pins(root: &Path) -> Result<String> {
    let npm = NPM.into_iter().flat_map(|(from, _)| NPM_PINS.map(|file| format!("{from}/{file}")));
    let read =
        |file: String| fs::read_to_string(root.join(&file)).with_context(|| format!("{file} cannot be read"));
    std::iter::once(PYTHON_PINS.to_owned()).chain(npm).map(read).collect()
}

/// What is installed.
struct Clients {
    folder: PathBuf,
    /// The versions that the repository wants.
    pins: String,
}

impl Clients {
    /// Returns the file with the versions that are installed. It is written last.
    fn stamp(&self) -> PathBuf {
        self.folder.join("installed")
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|installed| installed == self.pins)
    }

    fn install(&self, root: &Path) -> Result<()> {
        let Self { folder, pins } = self;
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        let python = folder.join("python");
        make_environment(&python)?;
        let bin = python.join("bin");
        let mut pip = Command::new(bin.join("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        apt::run(pip.arg(root.join(PYTHON_PINS)))?;

        for (from, to) in NPM {
            let (from, to) = (root.join(from), folder.join(to));
            fs::create_dir_all(&to)?;
            for file in NPM_PINS {
                fs::copy(from.join(file), to.join(file))?;
            }
            let mut npm = Command::new(bin.join("npm"));
            npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
            apt::run(npm.current_dir(&to))?;
        }
        fs::write(self.stamp(), pins)?;
        Ok(())
    }
}

/// Makes a Python environment. Debian has the module `venv` in a package of its own.
fn make_environment(folder: &Path) -> Result<()> {
    let make = || Command::new("python3").args(["-m", "venv"]).arg(folder).output();
    if make().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    if apt::is_available() {
        apt::install(&["python3-venv"])?;
    }
    let output = make().context("`python3` could not be started")?;
    ensure!(
        output.status.success(),
        "`python3 -m venv` failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_current_until_a_version_changes() {
        let folder = tempfile::tempdir().unwrap();
        let clients = |pins: &str| Clients { folder: folder.path().to_owned(), pins: pins.to_owned() };
        assert!(!clients("a==1").is_current());
        fs::write(clients("a==1").stamp(), "a==1").unwrap();
        assert!(clients("a==1").is_current() && !clients("a==2").is_current());
    }
}
