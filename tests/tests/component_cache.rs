//! The cache of compiled components: the host runs only what it has written, and touches only what it has made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use forge_tests::{Host, HostBuilder, component};
use serde_json::json;
use tempfile::TempDir;

const MARKER: &str = "forge-component-cache";

/// A host with its cache in this folder, and the folder's key beside it.
fn with_cache(cache: &Path) -> HostBuilder {
    let (folder, key) = (cache.display().to_string(), format!("{}.key", cache.display()));
    Host::builder().flag(["--component-cache", &folder]).flag(["--component-cache-key", &key])
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Returns the compiled components in a cache.
fn compiled(cache: &Path) -> Vec<PathBuf> {
    let folders =
        fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    files.collect()
}

#[tokio::test]
async fn a_folder_that_is_not_the_hosts_alone_is_refused_and_stays_as_it_is() {
    let home = TempDir::new().unwrap();
    let at = |name: &str| home.path().join(name);
    for name in ["foreign", "hex", "link-to", "group", "world"] {
        fs::create_dir(at(name)).unwrap();
        set_mode(&at(name), 0o700);
    }
    let precious =
        [at("foreign").join("important/customers.db"), at("hex").join("0123456789abcdef/notes.txt")];
    for file in &precious {
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(file, "data").unwrap();
    }
    symlink(at("link-to"), at("link")).unwrap();
    set_mode(&at("group"), 0o770);
    set_mode(&at("world"), 0o703);
    for (name, words) in [
        ("foreign", "important, which the host did not make"),
        ("hex", "notes.txt, which the host did not make"),
        ("link", "symbolic link"),
        ("link/", "symbolic link"),
        ("group", "mode 0770"),
        ("world", "chmod go-w"),
    ] {
        let refused = with_cache(&at(name)).try_start().await.err().expect(name);
        assert!(
            refused.log.contains(words) && refused.log.contains(name.trim_end_matches('/')),
            "{name}: {}",
            refused.log
        );
        assert!(!at(name).join(MARKER).exists());
    }
    assert!(precious.iter().all(|file| file.exists()));
}

#[tokio::test]
async fn a_folder_of_a_version_before_is_taken_over_and_foreign_files_in_it_stay() {
    let home = TempDir::new().unwrap();
    let cache = home.path().join("cache");
    let old = cache.join("0123456789abcdef");
    fs::create_dir_all(&old).unwrap();
    set_mode(&cache, 0o755);
    // A checksum, and the beginning of the code.
    let component = old.join("ab".repeat(32));
    fs::write(&component, [&[7; 32][..], b"\x7fELF and more"].concat()).unwrap();
    fs::write(old.join(".tmpAbC123"), "unfinished").unwrap();
    let mut host = with_cache(&cache).start().await;
    assert!(!old.exists(), "it was compiled by another version");
    assert!(cache.join(MARKER).exists());
    host.terminate().await;
    // Now the folder is the host's, and so are files of its format: nothing else.
    fs::create_dir(&old).unwrap();
    fs::write(&component, [&[7; 32][..], b"\x7fELF and more"].concat()).unwrap();
    let foreign = [cache.join("notes.txt"), old.join("notes.txt"), old.join("cd".repeat(32))];
    foreign.iter().for_each(|file| fs::write(file, "data").unwrap());
    host.restart().await;
    assert!(!component.exists());
    assert!(foreign.iter().all(|file| file.exists()));
}

#[tokio::test]
async fn only_what_this_host_has_compiled_is_run() {
    let home = TempDir::new().unwrap();
    let cache = home.path().join("cache");
    let key = home.path().join("cache.key");
    let mut host = with_cache(&cache).start().await;
    host.api().deploy(&component("greeting")).await;
    assert_eq!((mode(&cache), mode(&key)), (0o700, 0o600));
    let greets = async |host: &Host| {
        let run = host.api().start("greeting", json!("Ada")).await;
        assert_eq!(host.api().settled(&run).await["status"], "completed");
    };
    let [file] = &compiled(&cache)[..] else { panic!("one component is compiled") };
    let before = fs::read(file).unwrap();

    // Unchanged, it is used.
    host.terminate().await;
    host.restart().await;
    greets(&host).await;
    assert!(!host.log().contains("compiled again"), "{}", host.log());

    // With a byte changed, and with its checksum right, it is not.
    host.terminate().await;
    let mut changed = before.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(file, &changed).unwrap();
    host.restart().await;
    greets(&host).await;
    assert!(
        host.log().contains("a compiled component is damaged, or another host has written it"),
        "{}",
        host.log()
    );
    assert_eq!(fs::read(file).unwrap().len(), before.len(), "it was compiled again");

    // Nor what a host with another key has written.
    host.terminate().await;
    fs::remove_file(&key).unwrap();
    let warnings = host.log().matches("another host has written it").count();
    host.restart().await;
    greets(&host).await;
    assert_eq!(host.log().matches("another host has written it").count(), warnings + 1);

    // A host that compiles what another has written replaces it: the restart after that finds its own.
    host.terminate().await;
    fs::remove_file(&key).unwrap();
    let mut other = with_cache(&cache).start().await;
    other.api().deploy(&component("greeting")).await;
    other.terminate().await;
    other.restart().await;
    greets(&other).await;
    assert!(!other.log().contains("another host has written it"), "{}", other.log());
    other.terminate().await;

    // A key that others can read is none.
    set_mode(&key, 0o644);
    let refused = host.try_restart().await.unwrap_err();
    assert!(refused.log.contains("cache.key") && refused.log.contains("chmod go-rwx"), "{}", refused.log);
}
