use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to do when there are none.
pub const HOW_TO_INSTALL: &str = "PostgreSQL's programs `initdb` and `pg_ctl` are nowhere: install its server \
     (Debian and Ubuntu: `apt install postgresql`; Fedora: `dnf install postgresql-server`; macOS: \
     `brew install postgresql`), or set FORGE_POSTGRES_BIN to the folder that has them";

/// Where Debian has one folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of PostgreSQL's programs.
#[derive(Debug, Clone)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// Looks where `FORGE_POSTGRES_BIN` says; else in Debian's folders, the highest version first; where
    /// `pg_config` says; in `PATH`.
    pub fn find() -> Option<Self> {
        if let Some(folder) = std::env::var_os("FORGE_POSTGRES_BIN") {
            return complete(folder.into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        versions(Path::new(DEBIAN)).chain(configured()).chain(std::env::split_paths(&path)).find_map(complete)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

fn complete(folder: PathBuf) -> Option<Binaries> {
    let there = ["initdb", "pg_basebackup", "pg_ctl", "postgres", "psql"]
        .iter()
        .all(|name| folder.join(name).is_file());
    there.then_some(Binaries(folder))
}

/// `<folder>/<version>/bin`, the highest version first.
fn versions(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &OsStr| name.to_str()?.parse().ok();
    let mut versions: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((number(&entry.file_name())?, entry.path().join("bin")))).collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder)
}

fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(folder.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["9", "15", "common"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let found: Vec<PathBuf> = versions(folder.path()).collect();
        assert_eq!(found, [folder.path().join("15/bin"), folder.path().join("9/bin")]);
    }
}
