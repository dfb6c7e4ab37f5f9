//! `cargo xtask demo`: runs the examples against real services, rolls one run back, and kills the host during another.

mod ledger;
mod process;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use self::ledger::Ledger;
use self::process::{Server, forget};
use super::cargo::{cargo, root, target};
use super::progress::{self, Build, Steps};
use super::setup;

/// The delay of the charge during which the host is killed.
const SLOW_CHARGE_MS: u64 = 3_000;

/// The longest wait for an event before the demo fails.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// The steps of the demo.
const STEPS: u32 = 9;

/// The build of the host: 990 s of processor time on two cores in November 2026.
const BUILD: Build = Build { includes: "forge_host", minutes: 8 };

const EXAMPLES: [&str; 4] =
    ["examples/payment", "examples/onboarding", "examples/verification", "examples/approval"];

/// What happens after the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The host ends, and its files are deleted.
    End,
    /// The host goes on until a person has looked at its dashboard.
    Open,
}

pub(crate) fn run(after: After) -> Result<()> {
    let began = Instant::now();
    std::env::set_current_dir(root()?)?;
    let mut steps = Steps::new(STEPS);
    steps.next("The Rust target for WebAssembly");
    setup::wasm_target()?;
    steps.next("The host and the example services");
    build(&["forge-host", "forge-example-services"])?;
    let mut demo = Demo::start(steps)?;
    demo.run_payment()?;
    demo.roll_back_payment()?;
    demo.kill_host_during_payment()?;
    demo.run_other_examples()?;
    demo.approve_order()?;
    demo.check_effects()?;
    println!("\nThe demo succeeded, in {}.", progress::duration(began.elapsed()));
    match after {
        After::Open => demo.stay_open()?,
        After::End => println!("To look at these runs in the dashboard: cargo xtask demo --open"),
    }
    let directory = demo.directory.clone();
    // Its servers end.
    drop(demo);
    // A failed demo keeps its logs and its database.
    std::fs::remove_dir_all(directory)?;
    println!(
        "Next: read examples/payment/src/lib.rs, then `cargo run -p forge-host -- new my-workflow`, or the README."
    );
    Ok(())
}

fn build(packages: &[&str]) -> Result<()> {
    let mut cargo = cargo();
    // The demo needs no object store, which has many dependencies.
    cargo.args(["build", "--no-default-features"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    ensure!(BUILD.run(&mut cargo, &target()?)?, "the build failed; its errors are above");
    Ok(())
}

/// The servers of the demo.
struct Demo {
    /// The folder of the programs.
    binaries: PathBuf,
    /// The folder of the logs and the database.
    directory: PathBuf,
    services: Server,
    host: Server,
    steps: Steps,
}

impl Demo {
    fn start(mut steps: Steps) -> Result<Self> {
        let binaries = target()?.join("debug");
        let directory = std::env::temp_dir().join(format!("forge-demo-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let services = Server::start(
            Command::new(binaries.join("forge-example-services")).args(["--listen", "127.0.0.1:0"]),
            &directory.join("services.log"),
        )?;
        println!("   the example services (inventory, payments, users, mail) listen on {}", services.url);
        let host = serve(&binaries, &directory, "127.0.0.1:0")?;
        println!("   forge serves {} with the database {}", host.url, directory.join("forge.db").display());
        steps.next("Deploying the examples: ordinary async Rust, compiled to WebAssembly components");
        println!("   the first time takes about a minute");
        let demo = Self { binaries, directory, services, host, steps };
        for example in EXAMPLES {
            demo.forge(&["deploy", example])?;
        }
        Ok(demo)
    }

    fn run_payment(&mut self) -> Result<()> {
        self.steps.next("A payment that succeeds");
        let run = self.start_run("payment_workflow", "examples/payment/input.json", json!({}))?;
        self.expect(&run, "completed")
    }

    /// The third step fails because its mail bounces.
    fn roll_back_payment(&mut self) -> Result<()> {
        self.steps
            .next("A payment whose third step fails: the completed steps are compensated, in reverse order");
        let run = self.start_run("payment_with_confirmation", "examples/payment/bounce.json", json!({}))?;
        self.expect(&run, "compensated")
    }

    fn kill_host_during_payment(&mut self) -> Result<()> {
        self.steps.next("A payment during which the host is killed (SIGKILL), while it charges the card");
        let ledger = Ledger::new(&self.services.url);
        ledger.slow_down("charge_card", SLOW_CHARGE_MS)?;
        let run = self.start_run(
            "payment_workflow",
            "examples/payment/input.json",
            json!({"card_token": "tok_mastercard"}),
        )?;
        wait_for("the charge to be in flight", || Ok(ledger.entries()?.iter().any(ledger::is_in_flight)))?;
        let address = self.host.address();
        self.host.kill()?;
        println!("   killed the host; the request that charges the card is in flight");
        self.host = serve(&self.binaries, &self.directory, &address)?;
        println!("   started it again on the same database\n");
        self.expect(&run, "completed")
    }

    fn run_other_examples(&mut self) -> Result<()> {
        self.steps.next("The other examples: onboarding, and verification with the low-level API");
        for (workflow, input) in [
            ("user_onboarding", "examples/onboarding/input.json"),
            ("verification_workflow", "examples/verification/input.json"),
        ] {
            let run = self.start_run(workflow, input, json!({}))?;
            self.expect(&run, "completed")?;
        }
        Ok(())
    }

    /// The stock is in the tenant's store, and the order is shipped by a child.
    fn approve_order(&mut self) -> Result<()> {
        self.steps.next(
            "An order that waits for an approval, an event, and is then shipped by a workflow of its own",
        );
        self.forge(&["db", "put", "stock/mug", "3"])?;
        let run = self.start_run("approved_order", "examples/approval/input.json", json!({}))?;
        self.until(&run, "waiting")?;
        self.forge(&["runs", "show", &run])?;
        self.forge(&["send", &run, "approval", "--payload", r#"{"by": "ada", "approved": true}"#])?;
        self.until(&run, "completed")?;
        self.forge(&["runs", "show", &run, "--deep"])?;
        self.forge(&["db", "list"])
    }

    /// Checks that no effect happened twice.
    fn check_effects(&mut self) -> Result<()> {
        self.steps.next(
            "The ledger of the services: the requests that they received, and whether they performed them",
        );
        let ledger = Ledger::new(&self.services.url);
        wait_for("all requests to be answered", || Ok(!ledger.entries()?.iter().any(ledger::is_in_flight)))?;
        let entries = ledger.entries()?;
        ledger::print(&entries);
        let repeated = ledger::check_once(&entries)?;
        ensure!(repeated >= 1, "the charge that was in flight at the kill was not sent again");
        println!(
            "\n   {} requests, every effect once. {repeated} was sent again after the kill, with the same key: the\n   \
             service recognised the key and did not charge the card again.",
            entries.len()
        );
        Ok(())
    }

    /// Starts a run that waits for a person, names the dashboard, and goes on until somebody presses Enter.
    fn stay_open(&mut self) -> Result<()> {
        let run = self.start_run("approved_order", "examples/approval/input.json", json!({}))?;
        self.until(&run, "waiting")?;
        println!("\nThe dashboard: {}/runs", self.host.url);
        println!(
            "   An order waits for its approval: send it the event `approval` with {{\"by\": \"ada\", \"approved\": true}}"
        );
        println!("   {}/runs/{run}", self.host.url);
        println!("Enter ends the host and deletes its files.");
        if std::io::stdin().read_line(&mut String::new())? == 0 {
            // Nobody can press a key: the host goes on until this program is stopped.
            self.host.wait()?;
        }
        Ok(())
    }

    /// Starts a workflow with the input in a file, with some fields changed. Returns the run's id.
    fn start_run(&self, workflow: &str, input: &str, changes: Value) -> Result<String> {
        let mut document: Value = serde_json::from_str(&std::fs::read_to_string(input)?)?;
        document["services"] = json!(self.services.url);
        for (name, value) in changes.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        println!("   forge start {workflow} --input @{input}");
        let output =
            self.command(&["start", workflow, "--input", &document.to_string(), "--json"]).output()?;
        ensure!(output.status.success(), "start failed: {}", String::from_utf8_lossy(&output.stderr));
        let started: Value = serde_json::from_slice(&output.stdout)?;
        Ok(started["run_id"].as_str().context("`forge start` printed no run id")?.to_owned())
    }

    /// Waits until a run ends, prints it, and checks its status.
    fn expect(&self, run: &str, status: &str) -> Result<()> {
        self.until(run, status)?;
        self.forge(&["runs", "show", run])
    }

    /// Waits until a run has a status. Fails if it ends with another one.
    fn until(&self, run: &str, status: &str) -> Result<()> {
        let has_it = || -> Result<bool> {
            let output = self.command(&["runs", "show", run, "--json"]).output()?;
            let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            match shown["run"]["status"].as_str() {
                Some(found) if found == status => Ok(true),
                Some(found @ ("completed" | "compensated" | "failed" | "paused")) => {
                    self.forge(&["runs", "show", run])?;
                    bail!("run {run} is {found}; expected {status}")
                }
                _ => Ok(false),
            }
        };
        wait_for(&format!("the run to be {status}"), has_it)
    }

    /// Runs `forge`, which prints to the terminal.
    fn forge(&self, arguments: &[&str]) -> Result<()> {
        println!("   forge {}", arguments.join(" "));
        let done = self.command(arguments).status()?;
        ensure!(done.success(), "`forge {}` failed", arguments.join(" "));
        println!();
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join("forge"));
        command.args(["--server", &self.host.url]).args(arguments);
        forget(&mut command);
        command
    }
}

fn serve(binaries: &Path, directory: &Path, listen: &str) -> Result<Server> {
    let database = format!("sqlite:{}", directory.join("forge.db").display());
    Server::start(
        Command::new(binaries.join("forge")).args(["serve", "--database", &database, "--listen", listen]),
        &directory.join("forge.log"),
    )
}

fn wait_for(what: &str, mut happened: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + WAIT_LIMIT;
    while !happened()? {
        ensure!(Instant::now() < until, "waited {} s for {what}", WAIT_LIMIT.as_secs());
        process::pause();
    }
    Ok(())
}
