//! `cargo xtask release`: the program as it should be handed out.
//!
//! It is compiled twice. The first one counts what it does while the benchmark's workflows run on it; the second is
//! compiled with these counts, so that what runs together lies together, and what is called often is inlined. Then its
//! code is arranged once more as a whole, if there is a tool for it (docs/decisions/0018).

mod arrange;
mod tools;

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use self::tools::{BOLT, Compiler, PROFDATA};
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
    let compiler = tools::compiler()?;
    let profdata = PROFDATA.ensure(&compiler)?;
    let bolt = bolt(&compiler);
    super::postgres::ensure()?;
    let folder = programs.target().join("pgo");
    let work = Work { programs, bench: programs.bench()?, compiler, folder };
    let counting = work.compile("counting", "that counts", &[flag("-Cprofile-generate=", NOWHERE)])?;
    let profile = work.profile(&counting, "profdata", |counts, profile| {
        work.train(&counting, &counting)?;
        merge(Command::new(&profdata).args(["merge", "--output"]).arg(profile), counts)
    })?;
    let mut flags = vec![flag("-Cprofile-use=", profile)];
    flags.extend(bolt.as_ref().map(|_| arrange::LINKED.into()));
    let mut made = work.compile("release", "with the counts", &flags)?;
    if let Some(bolt) = bolt {
        made = arrange::arranged(&bolt, &work, &made)
            .with_context(|| format!("`{}=` makes the program without arranging its code", BOLT.setting))?;
    }
    let folder = programs.target().join("dist");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let program = folder.join("forge");
    // Somebody may be running the earlier one.
    let _ = fs::remove_file(&program);
    fs::copy(&made, &program).with_context(|| format!("cannot write {}", program.display()))?;
    Ok(program)
}

/// The program is right without it, and somewhat slower: not every system has it.
fn bolt(compiler: &Compiler) -> Option<PathBuf> {
    let unwanted = std::env::var_os(BOLT.setting).is_some_and(|value| value.is_empty());
    if unwanted || !arrange::is_for(compiler) {
        return None;
    }
    let found = BOLT.ensure(compiler);
    found.inspect_err(|error| eprintln!("xtask: {error:#}. The program is made without it.")).ok()
}

/// What is at hand while the program is made.
struct Work<'p> {
    programs: &'p Programs,
    bench: PathBuf,
    compiler: Compiler,
    /// Where all that is on the way lies.
    folder: PathBuf,
}

impl Work<'_> {
    /// Compiles the host with more flags in a folder of its own. Naming the target keeps the flags from what is only run
    /// while compiling.
    fn compile(&self, folder: &str, which: &str, flags: &[OsString]) -> Result<PathBuf> {
        let (folder, host) = (self.folder.join(folder), &self.compiler.host);
        let mut cargo = programs::cargo();
        cargo.args(["build", "--release", "--package", "forge-host", "--target", host, "--target-dir"]);
        cargo.arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", with_flags(flags));
        cargo.current_dir(self.programs.root());
        eprintln!(
            "xtask: compiling the program {which} (each of the two takes as long as any release build)"
        );
        ensure!(cargo.status()?.success(), "the build failed; its errors are above");
        Ok(folder.join(host).join("release/forge"))
    }

    /// What a program has counted. The same program leads to the same profile: what was counted once need not be
    /// counted again.
    fn profile(
        &self,
        program: &Path,
        ending: &str,
        make: impl FnOnce(&Path, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let (counts, profiles) = (self.counts(), self.folder.join("profiles"));
        let profile = profiles.join(format!("{:016x}.{ending}", fingerprint(program)?));
        if profile.is_file() {
            return Ok(profile);
        }
        if counts.exists() {
            fs::remove_dir_all(&counts)?;
        }
        for folder in [&counts, &profiles] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        // Under its name only once it is complete.
        let partial = profile.with_extension("partial");
        make(&counts, &partial)?;
        fs::rename(&partial, &profile)?;
        Ok(profile)
    }

    /// Where programs write what they count.
    fn counts(&self) -> PathBuf {
        self.folder.join("counts")
    }

    /// Lets a program work on what another one has set up, on both kinds of database.
    fn train(&self, program: &Path, set_up_by: &Path) -> Result<()> {
        for database in ["sqlite", "postgres"] {
            eprintln!("xtask: the program works on {database}");
            let mut command = self.programs.command(&self.bench, set_up_by, &["--database", database]);
            command.arg("--train").arg(program);
            command.env("LLVM_PROFILE_FILE", self.counts().join("%p.profraw")).stdout(Stdio::null());
            ensure!(
                command.status()?.success(),
                "the program could not be set to work; what went wrong is above"
            );
        }
        Ok(())
    }
}

/// Runs a command on all files of a folder.
fn merge(command: &mut Command, counts: &Path) -> Result<()> {
    let files: Vec<PathBuf> = fs::read_dir(counts)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    ensure!(!files.is_empty(), "the program has counted nothing: {} is empty", counts.display());
    let status = command.args(&files).status()?;
    ensure!(status.success(), "{command:?} could not merge what was counted");
    Ok(())
}

fn flag(name: &str, value: impl Into<OsString>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(value.into());
    flag
}

/// The flags that the user wants, and more; separated by what cannot be a part of one.
fn with_flags(more: &[OsString]) -> OsString {
    let mut flags = std::env::var_os("CARGO_ENCODED_RUSTFLAGS").unwrap_or_else(|| {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        flags.split_whitespace().collect::<Vec<_>>().join("\x1f").into()
    });
    for flag in more {
        if !flags.is_empty() {
            flags.push("\x1f");
        }
        flags.push(flag);
    }
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
