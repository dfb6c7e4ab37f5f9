//! Building crates with the real cargo.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests only, not in the functions that they share

use std::path::Path;

use forge_toolchain::{BuildError, ComponentError, Options, Toolchain, build, ensure};

fn toolchain() -> Toolchain {
    ensure(&mut |step| eprintln!("{step}")).unwrap()
}

/// A crate without dependencies, in a workspace of its own.
fn write_crate(folder: &Path, manifest: &str, source: &str) {
    std::fs::create_dir_all(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/lib.rs"), source).unwrap();
}

fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}\n")
}

const CDYLIB: &str = "[lib]\ncrate-type = [\"cdylib\"]";
const OWN_WORKSPACE: &str = "[workspace]";

fn build_error(project: &Path) -> BuildError {
    build(&toolchain(), project, &Options { quiet: true, ..Options::default() }).unwrap_err()
}

#[test]
fn a_folder_without_a_crate_says_what_to_give_instead() {
    let folder = tempfile::tempdir().unwrap();
    let error = build_error(folder.path());
    assert!(matches!(error, BuildError::NoManifest { .. }), "{error}");
    assert!(error.to_string().contains("`forge new NAME` makes one"), "{error}");
}

#[test]
fn an_ordinary_library_is_told_how_to_become_a_workflow_crate() {
    let folder = tempfile::tempdir().unwrap();
    write_crate(folder.path(), &manifest("ordinary", OWN_WORKSPACE), "");
    let error = build_error(folder.path()).to_string();
    assert!(error.starts_with("not a workflow crate: ordinary"), "{error}");
    assert!(error.contains("crate-type = [\"cdylib\", \"rlib\"]"), "{error}");
}

#[test]
fn a_workspace_with_several_workflow_crates_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("Cargo.toml"),
        "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"2\"\n",
    )
    .unwrap();
    for name in ["a", "b"] {
        write_crate(&folder.path().join(name), &manifest(name, CDYLIB), "");
    }
    let error = build_error(folder.path()).to_string();
    assert!(error.contains("(a)") && error.contains("(b)"), "{error}");
}

#[test]
fn a_manifest_that_cargo_refuses_comes_with_cargos_words() {
    let folder = tempfile::tempdir().unwrap();
    write_crate(folder.path(), "[package]\nname = 7\n", "");
    let error = build_error(folder.path());
    assert!(matches!(&error, BuildError::Metadata { .. }), "{error}");
    assert!(error.to_string().contains("expected a string"), "{error}");
}

#[test]
fn a_crate_that_does_not_compile_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest("broken", &format!("{CDYLIB}\n{OWN_WORKSPACE}"));
    write_crate(folder.path(), &manifest, "this is not Rust");
    let error = build_error(folder.path());
    assert!(matches!(&error, BuildError::Compile { package } if package == "broken"), "{error}");
}

#[test]
fn a_crate_without_a_workflow_compiles_but_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // The flag for `getrandom` must reach the compiler, whatever else the crate configures.
    let source = "#![allow(unexpected_cfgs)]
                  #[cfg(not(getrandom_backend = \"custom\"))] compile_error!(\"no custom backend\");
                  #[cfg(not(from_config))] compile_error!(\"the crate's own flags are lost\");";
    write_crate(folder.path(), &manifest("empty", &format!("{CDYLIB}\n{OWN_WORKSPACE}")), source);
    std::fs::create_dir(folder.path().join(".cargo")).unwrap();
    let config = "[target.wasm32-unknown-unknown]\nrustflags = [\"--cfg\", \"from_config\"]\n";
    std::fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
    let error = build_error(&folder.path().join("Cargo.toml"));
    let is_expected =
        matches!(&error, BuildError::Component { source: ComponentError::NoWorkflow { .. }, .. });
    assert!(is_expected, "{error}");
}

#[test]
fn an_import_of_wasi_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#[link(wasm_import_module = \"wasi_snapshot_preview1\")]
                  unsafe extern \"C\" { fn sched_yield() -> i32; }
                  #[unsafe(no_mangle)] pub extern \"C\" fn run() -> i32 { unsafe { sched_yield() } }";
    write_crate(folder.path(), &manifest("clocked", &format!("{CDYLIB}\n{OWN_WORKSPACE}")), source);
    let error = build_error(folder.path()).to_string();
    assert!(
        error.starts_with("`clocked` compiled, but it imports wasi_snapshot_preview1.sched_yield"),
        "{error}"
    );
}

#[test]
fn a_dependency_that_cannot_work_is_named_before_anything_is_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let dependencies = "[dependencies]\nchrono = \"0.4\"\ntokio = { version = \"1\", features = [\"full\"] }";
    let manifest = manifest("clocks", &format!("{CDYLIB}\n{dependencies}\n{OWN_WORKSPACE}"));
    write_crate(folder.path(), &manifest, "");
    let error = build_error(folder.path()).to_string();
    assert!(error.starts_with("`clocks` cannot become a component:"), "{error}");
    assert!(error.contains("Cargo.toml:8: chrono = \"0.4\""), "{error}");
    assert!(error.contains("Cargo.toml:9: tokio = {"), "{error}");
    assert!(!folder.path().join("target").exists(), "nothing is compiled");
}
