//! The client in `clients/typescript`: its own tests with a real host, and the copies of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use forge_tests::binary::{forge, root};
use forge_tests::clients::{installed, output};
use forge_tests::component;
use tempfile::TempDir;

/// What the package's folder has besides what is built or installed there.
const SOURCES: [&str; 5] = ["src", "test", "scripts", "package.json", "tsconfig.json"];

/// Where the dashboard has the client as one module, relative to the repository.
const IN_DASHBOARD: &str = "host/src/dashboard/assets/forge.js";

/// The time for one test of the package. The longest one kills its host 20 times.
const TIME_LIMIT: &str = "--test-timeout=120000";

/// A copy of the package, with the packages of its tests.
struct Package {
    folder: TempDir,
}

impl Package {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in SOURCES {
            copy(&root().join("clients/typescript").join(name), &folder.path().join(name));
        }
        std::os::unix::fs::symlink(installed("client/node_modules"), folder.path().join("node_modules"))
            .unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn node(&self) -> Command {
        let mut node = Command::new(installed("python/bin/node"));
        node.current_dir(self.folder.path()).env("NO_PROXY", "*");
        node
    }

    /// Compiles a project with the types that it declares.
    fn compile(&self, arguments: &[&str]) {
        output(self.node().arg("node_modules/typescript/bin/tsc").args(arguments));
    }
}

/// Copies a file or a folder.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
}

#[test]
fn the_dashboard_has_the_client_as_it_is_built_from_its_sources() {
    let package = Package::new();
    output(package.node().args(["scripts/bundle.ts", "forge.js"]));
    let built = fs::read_to_string(package.path("forge.js")).unwrap();
    let committed = fs::read_to_string(root().join(IN_DASHBOARD)).unwrap();
    assert!(
        built == committed,
        "{IN_DASHBOARD} is not what `npm run bundle` in clients/typescript builds: run it and commit the file"
    );
}

#[test]
fn the_client_passes_its_tests_with_a_host() {
    let package = Package::new();
    package.compile(&["--noEmit", "-p", "test"]);
    let program = package.path("program.wasm");
    fs::write(&program, component("interpreter")).unwrap();
    let mut tests = package.node();
    tests.args(["--test", TIME_LIMIT, "test/*.test.ts"]);
    output(tests.env("FORGE_BINARY", forge()).env("FORGE_COMPONENT", program));
}

#[test]
fn a_program_imports_the_package_by_its_name_with_its_types() {
    let package = Package::new();
    package.compile(&[]);
    let program = r#"
        import { createClient, type WorkflowStore } from "@forge-workflows/client";
        import { useWorkflow } from "@forge-workflows/client/react";
        const client = createClient({ url: "http://127.0.0.1:7070" });
        export const wait = (run: string): Promise<{ total: number }> => client.wait<{ total: number }>(run);
        export const total = (store: WorkflowStore<number>): number | null | undefined => store.value?.output;
        console.log(typeof createClient, typeof useWorkflow);
    "#;
    fs::create_dir(package.path("program")).unwrap();
    fs::write(package.path("program/main.ts"), program).unwrap();
    let project = r#"{"extends": "../tsconfig.json", "include": ["."], "compilerOptions": {"rootDir": ".", "noEmit": true}}"#;
    fs::write(package.path("program/tsconfig.json"), project).unwrap();
    package.compile(&["-p", "program"]);
    let printed = output(package.node().arg("program/main.ts"));
    assert_eq!(printed, "function function\n");
}
