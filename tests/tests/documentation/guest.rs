//! The Rust code of the pages as one workflow crate.

use std::path::PathBuf;
use std::process::Command;

use axum::http::StatusCode;
use axum::{Json, Router};
use forge_tests::binary::root;
use forge_tests::{Cli, Host};
use forge_toolchain::environment::forget_outer_cargo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::page::{Block, Language, Mark, Page};

/// What the pages leave out.
const SURROUNDINGS: &str = include_str!("surroundings.rs");

/// The beginning of the crate. A page shows only some of what its code could use.
const LIB: &str = "\
#![allow(unused)]
mod surroundings;
use forge::prelude::*;
use surroundings::*;
";

/// The servers in the code of the pages. None of them exists.
const SERVERS: [&str; 2] = ["https://shop.example", "https://stock.example"];

/// A workflow crate with the code of the pages.
pub(crate) struct Guest {
    folder: TempDir,
    /// The address of the server that takes the place of those in the code.
    server: String,
}

/// What a block is in the crate.
enum Code {
    /// A file with workflows, which are exported.
    File { text: String, workflows: Vec<String> },
    /// Tests of workflows.
    Tests { text: String },
    /// The body of a workflow.
    Body { text: String },
    /// The same, which is compiled and not run.
    Unrun { text: String },
}

impl Guest {
    /// Writes the crate.
    pub(crate) async fn of(pages: &[Page]) -> Self {
        let folder = TempDir::new().unwrap();
        let sdk = root().join("guest-sdk");
        let cli = Cli::default().folder(folder.path());
        cli.run(["new", "pages", "--sdk", sdk.to_str().unwrap()]).await.ok();
        let guest = Self { folder, server: server().await };
        guest.write("surroundings", SURROUNDINGS);
        let (mut lib, mut workflows) = (LIB.to_owned(), Vec::new());
        for (page, block) in pages.iter().flat_map(|page| page.blocks.iter().map(move |block| (page, block)))
        {
            if block.language == Language::Rust {
                // The compiler's errors name the module.
                let module = format!("{}_line_{}", page.stem(), block.line);
                lib.push_str(&guest.add(&module, &Code::of(block), &mut workflows));
            }
        }
        guest.write("lib", &format!("{lib}forge::export!({});\n", workflows.join(", ")));
        guest
    }

    /// Adds a module with this code. Returns its declaration.
    fn add(&self, module: &str, code: &Code, workflows: &mut Vec<String>) -> String {
        match code {
            Code::File { text, workflows: exported } => {
                self.write(module, &format!("use super::*;\n{text}"));
                workflows.extend(exported.iter().map(|workflow| format!("{module}::{workflow}")));
                format!("mod {module};\nuse {module}::*;\n")
            }
            Code::Tests { text } => {
                self.write(module, &format!("use super::*;\n{text}"));
                format!("#[cfg(test)]\nmod {module};\n")
            }
            Code::Unrun { text } => {
                self.write_unrun(module, text);
                format!("mod {module};\n")
            }
            Code::Body { text } => {
                let head = "#[forge::workflow]\n#[name = \"MODULE\"]\npub async fn body(ctx: &WorkflowContext, _input: ()) -> Result<()> {\nlet input = input();\n{\n";
                let head = head.replace("MODULE", module);
                self.write(module, &format!("use super::*;\n{head}{text}}}\nOk(())\n}}\n"));
                workflows.push(format!("{module}::BodyWorkflow"));
                format!("mod {module};\n")
            }
        }
    }

    fn write_unrun(&self, module: &str, text: &str) {
        let head = "pub async fn body(ctx: &WorkflowContext) -> Result<()> {\nlet (other_run, order, month, entry, limit, token, last, version, left) = values();\n";
        self.write(module, &format!("use super::*;\n{head}{text}Ok(())\n}}\n"));
    }

    fn write(&self, module: &str, code: &str) {
        let code = SERVERS.iter().fold(code.to_owned(), |code, server| code.replace(server, &self.server));
        std::fs::write(self.project().join(format!("src/{module}.rs")), code).unwrap();
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("pages")
    }

    /// Runs the tests of the crate.
    pub(crate) async fn tests_pass(&self) {
        let mut cargo = Command::new("cargo");
        forget_outer_cargo(&mut cargo);
        cargo.args(["test", "--quiet"]).current_dir(self.project());
        cargo.env("CARGO_TARGET_DIR", root().join("target/guests"));
        let output = tokio::task::spawn_blocking(move || cargo.output().unwrap()).await.unwrap();
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{errors}");
        assert!(said.contains("2 passed"), "the pages have tests: {said}");
    }

    /// Deploys the crate, and runs each of its workflows.
    pub(crate) async fn workflows_complete(&self) {
        let host = Host::start().await;
        host.cli().folder(&self.project()).run(["deploy"]).await.ok();
        let api = host.api();
        let workflows = api.get("/_api/workflows").await.ok();
        for workflow in workflows["workflows"].as_array().unwrap() {
            let name = workflow["name"].as_str().unwrap();
            let input = match name {
                "place_order" => json!({"sku": "mug", "card": "tok_visa"}),
                "user_onboarding" => json!({"email": "ada@example.com"}),
                _ => Value::Null,
            };
            let run = api.start(name, input).await;
            let record = api.settled(&run).await;
            assert_eq!(record["status"], "completed", "{name}: {record:#}");
        }
        let run = api.start("place_order", json!({"sku": "mug", "card": "tok_declined"})).await;
        assert_eq!(api.settled(&run).await["status"], "compensated");
    }
}

impl Code {
    fn of(block: &Block) -> Self {
        let text = &block.text;
        let exported = text.lines().find_map(|line| line.strip_prefix("forge::export!(")?.strip_suffix(");"));
        match exported {
            Some(names) => Self::File {
                // The crate has one export.
                text: text.replace(&format!("forge::export!({names});\n"), ""),
                workflows: names.split(", ").map(str::to_owned).collect(),
            },
            None if text.contains("#[test]") => Self::Tests { text: text.clone() },
            None if matches!(block.mark, Mark::NotRun(_)) => Self::Unrun { text: text.clone() },
            None => Self::Body { text: text.clone() },
        }
    }
}

/// Starts a server that answers each request with the JSON of a string, but declines a card. Returns its address.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(async |body: String| match body.contains("tok_declined") {
        true => (StatusCode::PAYMENT_REQUIRED, Json("the card is declined")),
        false => (StatusCode::CREATED, Json("id_1")),
    });
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}
