//! The generators of API clients, with which a test generates a Python and a TypeScript client.
//!
//! Python's package index has both Node.js and npm, so a Python with `venv` is all that they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::apt;
use super::cargo::root;

/// The pinned versions, relative to the repository. A change of one of these files installs everything again.
const PINS: [&str; 3] = [
    "tests/clients/python/requirements.txt",
    "tests/clients/typescript/package.json",
    "tests/clients/typescript/package-lock.json",
];

/// What to do if the generators cannot be installed.
const HOW_TO_INSTALL: &str = "the tests of generated clients need Python 3.10 or newer with `venv` (Debian: `python3-venv`), and \
                              packages from PyPI and npm";

/// The environment variable with the folder of the generators, instead of `target/clients`.
const FOLDER: &str = "FORGE_CLIENTS";

/// Installs the generators in `target/clients`, where the tests look for them, if other versions or none are there. Those in the
/// folder that the environment names are used as they are.
pub(crate) fn ensure() -> Result<()> {
    if std::env::var_os(FOLDER).is_some() {
        return Ok(());
    }
    let root = root()?;
    let clients = Clients { folder: root.join("target/clients"), pins: read_pins(&root)? };
    if clients.is_current() {
        return Ok(());
    }
    eprintln!("xtask: Installing the generators of API clients in {}.", clients.folder.display());
    clients.install(&root).context(HOW_TO_INSTALL)
}

fn read_pins(root: &Path) -> Result<String> {
    let read =
        |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("{file} cannot be read"));
    PINS.into_iter().map(read).collect()
}

/// The installed generators.
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
        apt::run(pip.arg(root.join(PINS[0])))?;

        let typescript = folder.join("typescript");
        fs::create_dir_all(&typescript)?;
        for file in &PINS[1..] {
            let file = root.join(file);
            fs::copy(&file, typescript.join(file.file_name().context("a file has a name")?))?;
        }
        let mut npm = Command::new(bin.join("npm"));
        npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        apt::run(npm.current_dir(&typescript))?;
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
    fn generators_are_current_until_a_version_changes() {
        let folder = tempfile::tempdir().unwrap();
        let clients = |pins: &str| Clients { folder: folder.path().to_owned(), pins: pins.to_owned() };
        assert!(!clients("a==1").is_current());
        fs::write(clients("a==1").stamp(), "a==1").unwrap();
        assert!(clients("a==1").is_current() && !clients("a==2").is_current());
    }
}
