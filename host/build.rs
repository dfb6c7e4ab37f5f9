//! Lists the sources of the guest SDK, which `forge new` writes into the projects that it makes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What is embedded, as (folder in this repository, folder in a project's `.forge/`).
const FOLDERS: [(&str, &str); 2] = [("guest-sdk", "forge"), ("wit", "wit")];

/// Files and folders that a project does not need.
const LEFT_OUT: [&str; 4] = ["target", "tests", "benches", "Cargo.lock"];

fn main() -> io::Result<()> {
    let repository = variable("CARGO_MANIFEST_DIR")?.join("..").canonicalize()?;
    // The migrations are compiled in, too: a changed one must compile the crate again.
    println!("cargo::rerun-if-changed=../migrations");
    let mut list = String::from("&[\n");
    for (from, to) in FOLDERS {
        let folder = repository.join(from);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = Vec::new();
        collect(&folder, Path::new(to), &mut files)?;
        files.sort();
        for (name, file) in files {
            let _ = writeln!(list, "    ({:?}, include_str!({:?})),", name, file.display().to_string());
        }
    }
    list.push(']');
    fs::write(variable("OUT_DIR")?.join("sdk.rs"), list)
}

/// Adds the files below `folder`, with the names that they get.
fn collect(folder: &Path, name: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name().into_string().map_err(|_| io::ErrorKind::InvalidFilename)?;
        if LEFT_OUT.contains(&file_name.as_str()) || file_name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &name.join(&file_name), files)?;
        } else {
            // With slashes on every system: these are names in a project, not paths of this machine.
            let name = name.join(&file_name).display().to_string().replace('\\', "/");
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

fn variable(name: &str) -> io::Result<PathBuf> {
    env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("{name} is not set")))
}
