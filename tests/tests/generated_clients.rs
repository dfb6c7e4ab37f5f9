//! Clients that others generate from the OpenAPI document that a host serves, with generators that know nothing of Forge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use forge_tests::binary::root;
use forge_tests::clients::{installed, output};
use forge_tests::program::{Statement, block};
use forge_tests::{Api, Host, Services, component};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A host with API keys, and a folder with its document and a component.
struct Stage {
    host: Host,
    services: Services,
    folder: TempDir,
    /// A client with the role that the generated one has.
    api: Api,
    key: String,
}

impl Stage {
    async fn new() -> Self {
        let (host, services) = (Host::start().await, Services::start().await);
        let create = async |api: &Api, key: Value| {
            let created = api.post_json("/_api/keys", &key).await.ok();
            created["token"].as_str().unwrap().to_owned()
        };
        let operator = create(&host.api(), json!({"name": "operator", "role": "admin", "host": true})).await;
        let operator = host.api().with_token(&operator);
        let key = create(&operator, json!({"name": "generated", "role": "deploy"})).await;
        let document = operator.get("/_api/openapi.json").await.ok();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
        std::fs::write(folder.path().join("component.wasm"), component("interpreter")).unwrap();
        Self { api: host.api().with_token(&key), host, services, folder, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program that uses the generated client, and checks what it has done.
    async fn check(&self, program: &mut Command) {
        let (quick, sleeping) = (block![], block![Statement::Sleep(3_600_000)]);
        program
            .env("NO_PROXY", "*")
            .env("SERVER", self.host.url())
            .env("API_KEY", &self.key)
            .env("COMPONENT", self.path("component.wasm"))
            .env("QUICK", self.services.program(quick).to_string())
            .env("SLEEPING", self.services.program(sleeping).to_string());
        let printed = output(program);
        let runs: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        for (run, status) in [("finished", "completed"), ("cancelled", "compensated")] {
            let id = runs[run].as_str().unwrap();
            assert_eq!(self.api.record(id).await["status"], status, "{run}");
        }
    }
}

/// Copies a file of the repository.
fn copy(file: &str, to: &Path) {
    std::fs::copy(root().join("tests/clients").join(file), to).unwrap();
}

#[tokio::test]
async fn a_client_that_is_generated_for_python_uploads_starts_waits_and_cancels() {
    let stage = Stage::new().await;
    let mut generator = Command::new(installed("python/bin/openapi-python-client"));
    generator
        .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
        .arg(stage.path("openapi.json"));
    generator.arg("--output-path").arg(stage.path("forge_client"));
    output(generator.arg("--config").arg(root().join("tests/clients/python/config.yml")));

    copy("python/check.py", &stage.path("check.py"));
    stage.check(Command::new(installed("python/bin/python")).arg(stage.path("check.py"))).await;
}

#[tokio::test]
async fn a_client_that_is_generated_for_typescript_uploads_starts_waits_and_cancels() {
    let stage = Stage::new().await;
    let modules = installed("typescript/node_modules");
    std::os::unix::fs::symlink(&modules, stage.path("node_modules")).unwrap();
    copy("typescript/check.ts", &stage.path("check.ts"));
    copy("typescript/tsconfig.json", &stage.path("tsconfig.json"));
    let node = || {
        let mut node = Command::new(installed("python/bin/node"));
        node.current_dir(stage.folder.path());
        node
    };
    let generator = modules.join("@hey-api/openapi-ts/bin/run.js");
    output(node().arg(generator).args(["--input", "openapi.json", "--output", "client"]));
    output(node().arg(modules.join("typescript/bin/tsc")));
    stage.check(node().arg("compiled/check.js")).await;
}
