//! The wasm target from Debian's Rust packages.
//!
//! rustup's standard libraries come from a server that not every machine can reach. Debian ships the
//! compiler together with the sources of its standard library, so the target can be compiled here, once:
//! `-Zbuild-std` (an unstable option, hence `RUSTC_BOOTSTRAP`) makes the libraries, and a folder in the
//! cache puts them together with Debian's compiler:
//!
//! ```text
//! wasm-guest/bin/rustc, cargo                     scripts that run Debian's with this folder as sysroot
//! wasm-guest/lib/rustlib/<host>/lib               -> Debian's own, for build scripts and macros
//! wasm-guest/lib/rustlib/<host>/bin/rust-lld      -> a linker that knows wasm
//! wasm-guest/lib/rustlib/wasm32-unknown-unknown/  the libraries made here
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::{forget_outer_cargo, on_path};
use crate::process;
use crate::scratch::Scratch;
use crate::toolchain::{TARGET, Toolchain};
use crate::wasm_target::{LINKED, SetupError};

/// The compiler that Debian keeps recent enough for its browsers, and its sources.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Has a linker that knows wasm. Only for machines whose Rust brought none.
const LINKER_PACKAGE: &str = "lld";

const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";

/// What an earlier [`install`] made, if it still works: an upgrade of Debian's compiler makes its
/// libraries unusable.
pub(crate) fn linked() -> Option<Toolchain> {
    let by_name = || Toolchain::of_rustup(LINKED);
    let in_cache = || cache_folder().map(|cache| Toolchain::in_folder(&cache.join(LINKED)));
    let found = if on_path("rustup") { Some(by_name()) } else { in_cache() };
    found.filter(|toolchain| toolchain.has_std() && toolchain.links())
}

/// Makes the target. `reason` says why it has to be this way.
pub(crate) fn install(
    active: Option<&Toolchain>,
    reason: String,
    progress: &mut dyn FnMut(&str),
) -> Result<Toolchain, SetupError> {
    if !on_path("apt-get") || !on_path("dpkg-query") {
        return Err(SetupError::Missing {
            reason: format!("{reason}\nThis is no Debian, so there is no other way."),
        });
    }
    let Some(cache) = cache_folder() else {
        return Err(SetupError::Missing {
            reason: format!("{reason}\nNeither XDG_CACHE_HOME nor HOME is set."),
        });
    };
    fs::create_dir_all(&cache).map_err(cannot("make", &cache))?;
    let _lock = lock(&cache.join("wasm-guest.lock"), progress)?;
    if let Some(made_meanwhile) = linked() {
        progress(&format!("Using {made_meanwhile}, which another process has just made."));
        return Ok(made_meanwhile);
    }
    progress("Making it from Debian's Rust packages.");
    install_packages(&PACKAGES, reason.clone(), progress)?;
    let host = host_triple()?;
    let linker = linker(active, &host, reason, progress)?;

    let scratch = Scratch::new(&cache, LINKED).map_err(cannot("make", &cache))?;
    progress("Compiling Rust's standard library for it, which takes about a minute, once.");
    let libraries = compile_std(scratch.path(), &linker, progress)?;
    let root = cache.join(LINKED);
    assemble(&root, &host, &linker, &libraries).map_err(cannot("write", &root))?;
    link(&root, progress)
}

/// Held until it is dropped: only one process makes the toolchain, the others wait and then use it.
fn lock(path: &Path, progress: &mut dyn FnMut(&str)) -> Result<File, SetupError> {
    let file = File::create(path).map_err(cannot("make", path))?;
    if file.try_lock().is_err() {
        progress("Another process is making it; waiting for that one.");
        file.lock().map_err(cannot("lock", path))?;
    }
    Ok(file)
}

/// Installs what is missing of `packages`, without removing anything: `rustc-web` conflicts with
/// Debian's `rustc` and `rustup`.
fn install_packages(
    packages: &[&str],
    reason: String,
    progress: &mut dyn FnMut(&str),
) -> Result<(), SetupError> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root()? {
        let packages = missing.iter().map(|&package| package.to_owned()).collect();
        return Err(SetupError::NeedsRoot { reason, packages });
    }
    progress(&format!("Installing Debian's packages {}.", missing.join(", ")));
    let mut update = apt_get();
    process::run(update.args(["update", "-qq"]), None, progress).map_err(SetupError::Debian)?;
    let mut install = apt_get();
    install.args(["install", "-y", "-qq", "--no-install-recommends", "--no-remove"]).args(missing);
    process::run(&mut install, None, progress).map_err(SetupError::Debian)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    process::output(query.args(["-W", "-f", "${Status}", package]))
        .is_ok_and(|status| status == "install ok installed")
}

fn is_root() -> Result<bool, SetupError> {
    let id = process::output(Command::new("id").arg("-u")).map_err(SetupError::Debian)?;
    Ok(id.trim() == "0")
}

fn host_triple() -> Result<String, SetupError> {
    let mut rustc = Command::new(RUSTC);
    let version = process::output(rustc.arg("-vV")).map_err(SetupError::Debian)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let missing = || SetupError::Missing { reason: format!("`{RUSTC} -vV` names no host:\n{version}") };
    host.map(str::to_owned).ok_or_else(missing)
}

/// A linker that knows wasm: the one that rustup's Rust brings, Debian's, or a package.
fn linker(
    active: Option<&Toolchain>,
    host: &str,
    reason: String,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, SetupError> {
    let packaged = PathBuf::from("/usr/bin/lld");
    let mut candidates = Vec::new();
    if let Some(sysroot) = active.and_then(|active| active.sysroot().ok()) {
        candidates.push(rust_lld(&sysroot, host));
    }
    candidates.extend([
        rust_lld(Path::new("/usr/lib"), host),
        rust_lld(Path::new("/usr"), host),
        packaged.clone(),
    ]);
    if let Some(found) = candidates.into_iter().find(|candidate| candidate.exists()) {
        return Ok(found);
    }
    install_packages(&[LINKER_PACKAGE], reason, progress)?;
    Ok(packaged)
}

fn rust_lld(root: &Path, host: &str) -> PathBuf {
    root.join("lib/rustlib").join(host).join("bin/rust-lld")
}

/// Compiles the standard library inside of `work` and returns the folder with it.
fn compile_std(work: &Path, linker: &Path, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, SetupError> {
    let manifest =
        "[package]\nname = \"std-for-wasm\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    fs::create_dir(work.join("src"))
        .and_then(|()| fs::write(work.join("src/lib.rs"), ""))
        .and_then(|()| fs::write(work.join("Cargo.toml"), manifest))
        .map_err(cannot("write", work))?;
    let target_dir = work.join("target");
    let mut cargo = Command::new(CARGO);
    forget_outer_cargo(&mut cargo);
    cargo
        .current_dir(work)
        .args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort", "--target-dir"])
        .arg(&target_dir)
        .env_remove("RUSTC_WRAPPER")
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // Guests may use link-time optimisation, which needs the libraries' bitcode.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    process::run(&mut cargo, None, progress).map_err(SetupError::Debian)?;
    Ok(target_dir.join(TARGET).join("release/deps"))
}

/// Puts the toolchain together. A crash in between leaves one that [`linked`] finds wanting.
fn assemble(root: &Path, host: &str, linker: &Path, libraries: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let rustlib = root.join("lib/rustlib");
    let host_folder = rustlib.join(host);
    let target_lib = rustlib.join(TARGET).join("lib");
    for folder in [root.join("bin"), host_folder.join("bin"), target_lib.clone()] {
        fs::create_dir_all(folder)?;
    }
    symlink(Path::new("/usr/lib/rustlib").join(host).join("lib"), host_folder.join("lib"))?;
    symlink(linker, host_folder.join("bin/rust-lld"))?;
    for library in fs::read_dir(libraries)? {
        let library = library?;
        if library.file_name().to_str().is_some_and(is_of_std) {
            fs::copy(library.path(), target_lib.join(library.file_name()))?;
        }
    }
    script(&root.join("bin/rustc"), &rustc_script(root))?;
    script(&root.join("bin/cargo"), &cargo_script(root))
}

fn is_of_std(file: &str) -> bool {
    file.starts_with("lib") && file.ends_with(".rlib") && !file.starts_with("libstd_for_wasm")
}

fn script(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn rustc_script(root: &Path) -> String {
    format!("#!/bin/sh\nexec {RUSTC} --sysroot {} \"$@\"\n", quoted(root))
}

fn cargo_script(root: &Path) -> String {
    format!("#!/bin/sh\nRUSTC=${{RUSTC:-{}}} exec {CARGO} \"$@\"\n", quoted(&root.join("bin/rustc")))
}

/// One word of a shell command.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

/// Makes it known to rustup, where there is one.
fn link(root: &Path, progress: &mut dyn FnMut(&str)) -> Result<Toolchain, SetupError> {
    if !on_path("rustup") {
        return Ok(Toolchain::in_folder(root));
    }
    progress(&format!("Linking it as rustup's toolchain {LINKED}."));
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "link", LINKED]).arg(root);
    process::run(&mut rustup, None, progress).map_err(SetupError::Debian)?;
    Ok(Toolchain::of_rustup(LINKED))
}

/// `$XDG_CACHE_HOME`, or `.cache` at home. The specification says to ignore relative paths.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}

fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SetupError {
    let path = path.to_owned();
    move |source| SetupError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_shell_whatever_is_in_it() {
        assert_eq!(quoted(Path::new("/home/a b/$x")), "'/home/a b/$x'");
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }

    #[test]
    fn only_the_standard_library_is_taken_from_the_build() {
        assert!(is_of_std("libstd-0123.rlib"));
        assert!(is_of_std("libdlmalloc-0123.rlib"));
        assert!(!is_of_std("libstd_for_wasm-0123.rlib"));
        assert!(!is_of_std("libstd-0123.rmeta"));
    }

    #[test]
    fn the_assembled_toolchain_has_what_rustup_and_rustc_look_for() {
        let folder = tempfile::tempdir().unwrap();
        let libraries = folder.path().join("deps");
        fs::create_dir(&libraries).unwrap();
        fs::write(libraries.join("libstd-1.rlib"), "").unwrap();
        fs::write(libraries.join("libstd_for_wasm-1.rlib"), "").unwrap();
        let root = folder.path().join(LINKED);
        for _again in 0..2 {
            assemble(&root, "host-triple", Path::new("/usr/bin/lld"), &libraries).unwrap();
        }
        let target_lib = root.join("lib/rustlib").join(TARGET).join("lib");
        let names: Vec<_> = fs::read_dir(target_lib).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["libstd-1.rlib"]);
        assert_eq!(fs::read_link(rust_lld(&root, "host-triple")).unwrap(), Path::new("/usr/bin/lld"));
        for tool in ["rustc", "cargo"] {
            let mode = fs::metadata(root.join("bin").join(tool)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{tool}");
        }
    }
}
