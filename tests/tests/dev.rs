//! `forge dev`: from a saved file to a result in one step, with keys of a real terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::path::Path;

use forge_tests::{Cli, Terminal};
use tempfile::TempDir;

fn replace(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{text}");
    std::fs::write(file, text.replace(old, new)).unwrap();
}

#[tokio::test]
async fn a_saved_file_and_a_key_lead_to_a_new_result() {
    let folder = TempDir::new().unwrap();
    let cli = Cli::default().folder(folder.path());
    cli.run(["new", "dinner"]).await.ok();
    let project = folder.path().join("dinner");
    let source = project.join("src/lib.rs");
    let command = cli.folder(&project).command(["dev", "--listen", "localhost:0"]);
    let mut dev = Terminal::start(command, 24, 200);
    dev.until("built and deployed dinner v1").await;
    dev.until("See you at eight, Ada!").await;
    dev.until("r: run again   b: build again   q: quit").await;

    replace(&source, "See you at eight", "See you at nine");
    dev.until("changed: src/lib.rs").await;
    dev.until("See you at nine, Ada!").await;

    // The input is read again for each run.
    replace(&project.join("input.json"), "Ada", "Grace");
    dev.until("See you at nine, Grace!").await;
    dev.press("r");
    dev.until("See you at nine, Grace!").await;

    replace(&source, "See you at nine", "See you at \" nine");
    dev.until("did not compile").await;
    replace(&source, "See you at \" nine", "See you at ten");
    dev.until("See you at ten, Grace!").await;

    dev.press("q");
    // The terminal is free when the server has ended, too.
    assert!(dev.ended().await.success());
    assert!(project.join("target/forge-dev.db").exists());
}

#[tokio::test]
async fn a_folder_without_a_project_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let said = Cli::default().folder(folder.path()).run(["dev", "--listen", "localhost:0"]).await.failed(1);
    assert_eq!(
        said,
        "error: there is no Cargo.toml in this folder. Give the folder of a workflow crate; `forge new NAME` makes one\n"
    );
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn a_port_that_is_in_use_is_said_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let cli = Cli::default().folder(folder.path());
    cli.run(["new", "dinner"]).await.ok();
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = used.local_addr().unwrap().to_string();
    for command in [["dev", "dinner"], ["serve", "--dev"]] {
        let said = cli.run(command.iter().chain(&["--listen", &address])).await.failed(1);
        let expected = format!(
            "error: cannot listen on {address}: another program does, perhaps another `forge serve`. Stop it, or give another \
             address with --listen\n"
        );
        assert!(said.starts_with(&expected), "{said}");
    }
}
