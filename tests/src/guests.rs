//! Components, compiled when a test first asks for them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use forge_toolchain::{Options, Toolchain};

use crate::binary::root;

/// The components that this process has compiled.
static BUILT: LazyLock<Mutex<BTreeMap<PathBuf, Arc<[u8]>>>> = LazyLock::new(Mutex::default);

/// Returns the component of a guest in `tests/guests`.
pub fn component(name: &str) -> Arc<[u8]> {
    built(root().join("tests/guests").join(name))
}

/// Returns the component of a workflow in `examples`.
pub fn example(name: &str) -> Arc<[u8]> {
    built(root().join("examples").join(name))
}

fn built(project: PathBuf) -> Arc<[u8]> {
    let mut components = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let component = components.entry(project).or_insert_with_key(|project| {
        let target_dir = root().join("target/guests");
        let _lock = lock(&target_dir);
        let options = Options { target_dir: Some(target_dir), quiet: true, ..Options::default() };
        match forge_toolchain::build(&toolchain(), project, &options) {
            Ok(component) => component.bytes.into(),
            Err(error) => panic!("{error}"),
        }
    });
    Arc::clone(component)
}

fn toolchain() -> Toolchain {
    forge_toolchain::ensure(&mut |step| eprintln!("{step}")).expect("guests can be compiled here")
}

/// Compiles in one test process at a time. The others find the guests compiled.
fn lock(folder: &PathBuf) -> File {
    std::fs::create_dir_all(folder).expect("the target folder can be made");
    let file = File::create(folder.join("tests.lock")).expect("the target folder can be written to");
    file.lock().expect("files can be locked here");
    file
}
