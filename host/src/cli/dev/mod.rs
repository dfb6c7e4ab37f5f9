//! `forge dev`: the loop of writing a workflow. A change of a file leads to a new result without another command.

mod changes;
mod keys;
mod server;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use self::changes::Changes;
use self::keys::{Key, Keys};
use self::server::Server;
use super::client::Client;
use super::serve::Signals;
use super::{CliError, Context, follow, input, output, project, tree};
use crate::api::StartBody;
use crate::config::{DEFAULT_LISTEN, Database};
use crate::executor::WorkflowRecord;
use forge_clock as clock;
use forge_journal::RunId;
use forge_toolchain::BuildError;

/// The arguments of `forge dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The folder of the project, which has a Cargo.toml.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The input of the runs: JSON or @FILE, which is read for each run [default: input.json of the project, or {}].
    #[arg(long, short, value_name = "JSON|@FILE", allow_hyphen_values = true)]
    input: Option<String>,
    /// The workflow to run [default: the first one of the project].
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// The address at which the server listens: only on this machine.
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_LISTEN, value_parser = super::serve::listen_address)]
    listen: SocketAddr,
    /// The database [default: target/forge-dev.db of the project].
    #[arg(long, value_name = "URL")]
    database: Option<Database>,
}

const EXAMPLES: &str = "\
Runs a server, and compiles, deploys and runs the project: now, and whenever one of its files changes. A version takes the \
changed code, so no version has to be raised. The server's log and the tree of each run are printed here.

Keys: r runs the workflow again, b compiles again, q quits.

Examples:
  forge dev
  forge dev examples/payment --input @examples/payment/input.json
  forge dev --workflow refund --input '{\"order\": 7}'";

const KEYS: &str = "r: run again   b: build again   q: quit";

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Build,
    Run,
    Quit,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if context.json {
        return Err(CliError::Usage("`forge dev` is for people: it has no --json".to_owned()));
    }
    let folder = folder(&args.path)?;
    let mut stop = Signals::listen()?;
    let changes = Changes::watch(&folder)?;
    let database = match &args.database {
        Some(database) => database.clone(),
        None => Database::Sqlite(database_file(&folder)?),
    };
    let mut server = Server::start(args.listen, &database).await?;
    let client = Client::new(server.url(), None, None)?;
    output::note(&format!("the dashboard is {}/runs; the database is {database}", server.url()));
    let mut session = Session { args, folder, client, changes, keys: Keys::listen(), target: None };
    let outcome = tokio::select! {
        () = session.run() => Ok(()),
        _ = stop.recv() => Ok(()),
        ended = server.ended() => Err(anyhow!("the server has ended ({ended}); its log is above").into()),
    };
    // The terminal is as it was before the last lines of the server's log.
    drop(session);
    server.stop().await;
    outcome
}

/// Returns the folder of a project.
fn folder(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = if path.ends_with("Cargo.toml") { path.parent().unwrap_or(path) } else { path };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !folder.join("Cargo.toml").is_file() {
        // Before anything in the folder is watched or created.
        return Err(BuildError::NoManifest { path: path.to_owned() }.into());
    }
    folder.canonicalize().with_context(|| format!("cannot find the project {}", path.display()))
}

/// Returns the file of the database, in the folder of compiled files, which version control leaves out.
fn database_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let target = folder.join("target");
    std::fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    Ok(target.join("forge-dev.db"))
}

/// The project that is being written.
struct Session {
    args: Args,
    folder: PathBuf,
    client: Client,
    changes: Changes,
    keys: Keys,
    /// The workflow that runs, and its version, once one was deployed.
    target: Option<(String, u32)>,
}

impl Session {
    /// Builds and runs until the user quits.
    async fn run(&mut self) {
        let mut next = Next::Build;
        loop {
            next = match self.act(next).await {
                Ok(Some(run)) => self.follow(run).await,
                Ok(None) => return,
                Err(error) => {
                    output::note(&format!("error: {error}"));
                    self.next().await
                }
            };
        }
    }

    /// Carries out what is next. Returns the run that was started; `None` to quit.
    async fn act(&mut self, next: Next) -> Result<Option<RunId>, CliError> {
        match next {
            Next::Quit => return Ok(None),
            Next::Run if self.target.is_some() => {}
            Next::Build | Next::Run => self.build().await?,
        }
        self.start().await.map(Some)
    }

    /// Compiles and deploys the project.
    async fn build(&mut self) -> Result<(), CliError> {
        let begun = Instant::now();
        // The progress of later builds is a line or two that scroll the result away.
        let is_first = self.target.is_none();
        let built = project::build_for_development(self.folder.clone(), !is_first).await?;
        let registered = self.client.upload(built.bytes).await?;
        let workflows = &registered.workflows;
        let wanted = self.args.workflow.as_ref();
        let chosen = workflows.iter().find(|workflow| wanted.is_none_or(|wanted| *wanted == workflow.name));
        let names = || {
            let mut names: Vec<&str> = workflows.iter().map(|workflow| workflow.name.as_str()).collect();
            names.dedup();
            names.join(", ")
        };
        let Some(chosen) = chosen else {
            let wanted = wanted.cloned().unwrap_or_default();
            return Err(CliError::Usage(format!(
                "the project has no workflow `{wanted}`; there are: {}",
                names()
            )));
        };
        let took = begun.elapsed().as_secs_f64();
        output::note(&format!("built and deployed {} v{} in {took:.1} s", chosen.name, chosen.version));
        if is_first && wanted.is_none() && names().contains(',') {
            output::note(&format!("the project has several workflows ({}): --workflow selects one", names()));
        }
        self.target = Some((chosen.name.clone(), chosen.version));
        Ok(())
    }

    /// Starts a run of the version that was deployed.
    async fn start(&self) -> Result<RunId, CliError> {
        let (name, version) = self.target.as_ref().context("nothing is deployed yet")?;
        let file = self.folder.join("input.json");
        let input = match &self.args.input {
            Some(input) => input::read(input)?,
            None if file.exists() => input::read(&format!("@{}", file.display()))?,
            None => input::read("{}")?,
        };
        let body = StartBody { input, version: Some(*version), ..StartBody::default() };
        Ok(RunId(self.client.start(name, &body).await?.run_id))
    }

    /// Shows the run when it has ended or is paused. Returns what is next, also if that comes before.
    async fn follow(&mut self, run: RunId) -> Next {
        let client = &self.client;
        let shown = async {
            let record = follow::until_settled(client, run, None).await?;
            show(client, &record).await
        };
        tokio::select! {
            shown = shown => {
                if let Err(error) = shown {
                    output::note(&format!("error: {error}"));
                }
            }
            next = next(&mut self.changes, &mut self.keys) => {
                output::note(&format!("run {run} goes on: forge runs show {run}"));
                return next;
            }
        }
        self.next().await
    }

    async fn next(&mut self) -> Next {
        if self.keys.are_keys() {
            output::note(KEYS);
        }
        next(&mut self.changes, &mut self.keys).await
    }
}

/// Waits for a change of a file or for a key.
async fn next(changes: &mut Changes, keys: &mut Keys) -> Next {
    tokio::select! {
        file = changes.next() => {
            output::note(&format!("changed: {file}"));
            Next::Build
        }
        key = keys.next() => match key {
            Key::Run => Next::Run,
            Key::Build => Next::Build,
            Key::Quit => Next::Quit,
        },
    }
}

/// Prints the tree of a run.
async fn show(client: &Client, record: &WorkflowRecord) -> Result<(), CliError> {
    let steps = client.steps(RunId(record.id), 0).await?;
    let now = clock::now().to_datetime();
    let style = tree::Style { color: output::has_color(), every_call: false, only_failed: false, now };
    // After the lines that the workflow logged, which the server prints.
    tokio::time::sleep(Duration::from_millis(20)).await;
    output::print_rendered(&format!("\n{}", tree::render(record, &steps, &tree::Children::new(), &style)))
}
