//! `cargo xtask release`: the program as it should be handed out.
//!
//! It is compiled twice. The first one counts what it does while the benchmark's workflows run on it; the second is
//! compiled with these counts, so that what runs together lies together, and what is called often is inlined
//! (docs/decisions/0018).

mod profdata;

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::programs::{self, Programs};

/// Where the counting program would write if nobody told it where: nowhere. That is how it is in the process that
/// compiles components, which may not write files.
const NOWHERE: &str = "/dev/null/counts";

pub(crate) fn run() -> Result<()> {
    let program = program(&Programs::prepare()?)?;
    eprintln!("xtask: the program is {}", program.display());
    Ok(())
}

/// Makes the program, as far as it is not there.
pub(crate) fn program(programs: &Programs) -> Result<PathBuf> {
    let tool = profdata::ensure()?;
    super::postgres::ensure()?;
    let bench = programs.bench()?;
    let folder = programs.target().join("pgo");
    let profiles = folder.join("profiles");
    fs::create_dir_all(&profiles).with_context(|| format!("cannot make {}", profiles.display()))?;
    let counting =
        compile(programs, &folder.join("counting"), "that counts", &flag("-Cprofile-generate=", NOWHERE))?;
    // The same program leads to the same profile: what was counted once need not be counted again.
    let profile = profiles.join(format!("{:016x}.profdata", fingerprint(&counting)?));
    if !profile.is_file() {
        let counts = folder.join("counts");
        train(programs, &bench, &counting, &counts)?;
        merge(&tool, &counts, &profile)?;
    }
    let made =
        compile(programs, &folder.join("release"), "with the counts", &flag("-Cprofile-use=", profile))?;
    let folder = programs.target().join("dist");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let program = folder.join("forge");
    // Somebody may be running the earlier one.
    let _ = fs::remove_file(&program);
    fs::copy(&made, &program).with_context(|| format!("cannot write {}", program.display()))?;
    Ok(program)
}

fn flag(name: &str, value: impl Into<OsString>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(value.into());
    flag
}

/// Compiles the host with one more flag in a folder of its own. Naming the target keeps the flag from what is only run
/// while compiling.
fn compile(programs: &Programs, folder: &Path, which: &str, flag: &OsString) -> Result<PathBuf> {
    let host = profdata::compiler()?.host;
    let mut cargo = programs::cargo();
    cargo.args(["build", "--release", "--package", "forge-host", "--target", &host, "--target-dir"]);
    cargo.arg(folder).env("CARGO_ENCODED_RUSTFLAGS", with_flag(flag)).current_dir(programs.root());
    eprintln!("xtask: compiling the program {which} (each of the two takes as long as any release build)");
    ensure!(cargo.status()?.success(), "the build failed; its errors are above");
    Ok(folder.join(host).join("release/forge"))
}

/// The flags that the user wants, and one more; separated by what cannot be a part of one.
fn with_flag(flag: &OsString) -> OsString {
    let mut flags = std::env::var_os("CARGO_ENCODED_RUSTFLAGS").unwrap_or_else(|| {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        flags.split_whitespace().collect::<Vec<_>>().join("\x1f").into()
    });
    if !flags.is_empty() {
        flags.push("\x1f");
    }
    flags.push(flag);
    flags
}

fn fingerprint(program: &Path) -> Result<u64> {
    let mut file = File::open(program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.write(&buffer[..read]),
        }
    }
}

/// Lets the counting program work, on both kinds of database.
fn train(programs: &Programs, bench: &Path, counting: &Path, counts: &Path) -> Result<()> {
    if counts.exists() {
        fs::remove_dir_all(counts)?;
    }
    fs::create_dir_all(counts)?;
    for database in ["sqlite", "postgres"] {
        eprintln!("xtask: the program counts what it does on {database}");
        let mut command = programs.command(bench, counting, &["--train", "--database", database]);
        command.env("LLVM_PROFILE_FILE", counts.join("%p.profraw")).stdout(Stdio::null());
        ensure!(
            command.status()?.success(),
            "the program could not be set to work; what went wrong is above"
        );
    }
    Ok(())
}

fn merge(tool: &Path, counts: &Path, profile: &Path) -> Result<()> {
    let files: Vec<PathBuf> = fs::read_dir(counts)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    ensure!(!files.is_empty(), "the program has counted nothing: {} is empty", counts.display());
    // Under its name only once it is complete.
    let partial = profile.with_extension("partial");
    let mut merge = Command::new(tool);
    merge.args(["merge", "--output"]).arg(&partial).args(&files);
    ensure!(merge.status()?.success(), "{} could not merge what was counted", tool.display());
    fs::rename(&partial, profile)?;
    Ok(())
}
