//! BOLT, which arranges the code of a finished program anew, by what it has counted: SQLite's and the allocator's, too,
//! which the compiler's profile does not know.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::tools::Compiler;
use super::{Work, merge};

/// The linker must say where the program refers to itself, or nothing in it could be moved.
pub(super) const LINKED: &str = "-Clink-arg=-Wl,--emit-relocs";

/// Assembly, and C that belongs to it, stays as and where it is: BOLT knows what compilers make. The first is the
/// cryptography of TLS, the second is what switches between stacks.
const LEFT_ALONE: &str = "--skip-funcs=ring_core_.*,.*wasmtime_fiber.*";

/// What it does: blocks and functions in the order in which they run, what hardly ever runs elsewhere. Functions that were
/// not seen running stay where they are.
const ARRANGEMENT: [&str; 6] = [
    "--lite",
    "--reorder-blocks=ext-tsp",
    "--reorder-functions=cdsort",
    "--split-functions",
    "--split-all-cold",
    "--update-debug-sections",
];

/// It is for Linux, and tried on this processor.
pub(super) fn is_for(compiler: &Compiler) -> bool {
    compiler.host == "x86_64-unknown-linux-gnu"
}

/// The program, arranged. It has worked once before it is handed out.
pub(super) fn arranged(bolt: &Path, work: &Work<'_>, program: &Path) -> Result<PathBuf> {
    let profile = work.profile(program, "fdata", |counts, profile| {
        let counting = work.folder.join("forge-counting");
        let mut instrument = Command::new(bolt);
        instrument.args(["--instrument", LEFT_ALONE, "--instrumentation-file-append-pid"]);
        instrument.arg("--instrumentation-file").arg(counts.join("counts"));
        run(instrument.arg(program).arg("-o").arg(&counting))?;
        work.train(&counting, program)?;
        // It lies beside BOLT itself, if not beside a link to it.
        let bolt = bolt.canonicalize().unwrap_or_else(|_| bolt.to_owned());
        let mut merging = Command::new(bolt.with_file_name("merge-fdata"));
        merge(merging.args(["-q", "-o"]).arg(profile), counts)
    })?;
    let arranged = work.folder.join("forge-arranged");
    let mut arrange = Command::new(bolt);
    arrange.arg(LEFT_ALONE).args(ARRANGEMENT).arg("--data").arg(profile);
    run(arrange.arg(program).arg("-o").arg(&arranged))?;
    work.train(&arranged, program)?;
    Ok(arranged)
}

/// It says much about what it does, which matters only if it fails.
fn run(bolt: &mut Command) -> Result<()> {
    eprintln!("xtask: arranging the program's code");
    let output = bolt.output().with_context(|| format!("{bolt:?} could not be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{bolt:?} failed ({}): {said}", output.status);
    Ok(())
}
