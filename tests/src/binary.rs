//! The `forge` binary under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use forge_toolchain::environment::forget_package;

/// Returns this crate's folder. It is read when a test runs, because cargo does not recompile the test when the
/// repository was moved together with its target folder.
pub(crate) fn tests() -> &'static Path {
    static TESTS: OnceLock<PathBuf> = OnceLock::new();
    TESTS.get_or_init(|| {
        let now = std::env::var_os("CARGO_MANIFEST_DIR");
        let now = now.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        // The package of the tests in a browser is below this one.
        let tests = now.ancestors().find(|folder| folder.join("guests").is_dir());
        tests.expect("the tests have guests").to_owned()
    })
}

/// Returns the repository's root.
pub fn root() -> &'static Path {
    tests().parent().expect("the tests are in a folder of the repository")
}

/// Returns the program `forge`: the one that `FORGE_BINARY` names, or the one of this repository, which is
/// compiled first if necessary, in the target folder and the profile of the tests.
pub fn forge() -> &'static Path {
    static FORGE: OnceLock<PathBuf> = OnceLock::new();
    FORGE.get_or_init(|| {
        if let Some(given) = std::env::var_os("FORGE_BINARY") {
            return given.into();
        }
        let folder = target_folder();
        let mut cargo = Command::new(std::env::var_os("CARGO").as_deref().unwrap_or("cargo".as_ref()));
        forget_package(&mut cargo);
        cargo.args(["build", "--quiet", "--package", "forge-host", "--bin", "forge"]).current_dir(root());
        cargo.arg("--target-dir").arg(folder.parent().expect("a profile's folder is in a target folder"));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.status().expect("cargo can be run");
        assert!(status.success(), "forge does not compile");
        folder.join(format!("forge{}", std::env::consts::EXE_SUFFIX))
    })
}

/// Returns the folder of the programs of the profile that this test was compiled with.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let folder = test.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    folder.expect("a test is in the target folder").to_owned()
}
