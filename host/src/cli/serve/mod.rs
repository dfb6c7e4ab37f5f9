mod api;
mod egress;
mod files;
mod limits;
mod live;
mod log_fields;
mod log_writer;
mod logging;
mod node;
mod secrets;
mod served;
mod stop;

pub(super) use stop::Signals;

use std::io::ErrorKind;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::served::Served;
use super::{CliError, Context};
use crate::config::{Config, DEFAULT_LISTEN, Database, Retention, ServerLimits};
use crate::executor::WorkflowExecutor;
use crate::tenants::Tenants;
use forge_sandbox::CompilerUser;

/// The time for requests to finish after a signal to stop. Requests that wait for a run are answered at once.
const REQUEST_GRACE: Duration = Duration::from_secs(1);

/// The time for runs to reach a point where they can stop, after that. Then they are interrupted.
const RUN_GRACE: Duration = Duration::from_secs(4);

/// The arguments of `forge serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The database: sqlite:FILE or postgres://USER@HOST/NAME.
    #[arg(long, value_name = "URL", env = "FORGE_DATABASE", default_value = "sqlite:forge.db")]
    database: Database,
    /// The address to listen on, such as 127.0.0.1:7070 or localhost:7070. Port 0 selects a free port.
    #[arg(long, value_name = "ADDRESS", env = "FORGE_LISTEN", default_value_t = DEFAULT_LISTEN, value_parser = listen_address)]
    listen: SocketAddr,
    /// For development: a deploy may change the code of a version. Only on a loopback address and without API keys.
    #[arg(long)]
    dev: bool,
    /// Serve the API alone, without the dashboard.
    #[arg(long, env = "FORGE_NO_DASHBOARD")]
    no_dashboard: bool,
    /// The format of the log on standard error. RUST_LOG sets the level.
    #[arg(long, value_enum, value_name = "FORM", env = "FORGE_LOG", default_value_t)]
    log: logging::Form,
    /// The folder for compiled components. Only the host may have write access
    /// [default: the name of the SQLite file followed by `.cache`; `forge.cache` with PostgreSQL].
    #[arg(long, alias = "module-cache", value_name = "FOLDER", env = "FORGE_COMPONENT_CACHE")]
    component_cache: Option<PathBuf>,
    /// The file with the key that authenticates the compiled components, which is created if it does not exist
    /// [default: the name of the folder followed by `.key`].
    #[arg(long, value_name = "FILE", env = "FORGE_COMPONENT_CACHE_KEY")]
    component_cache_key: Option<PathBuf>,
    /// The user as which components are compiled, by name or as UID:GID, if the host runs as root [default: nobody].
    #[arg(long, value_name = "USER", env = "FORGE_COMPILE_USER")]
    compile_user: Option<CompilerUser>,
    /// An object store for components, such as s3://BUCKET/FOLDER or file:///FOLDER. Credentials come from the
    /// environment [default: components are stored in the database].
    #[arg(long, value_name = "URL", env = "FORGE_COMPONENTS")]
    components: Option<Url>,
    /// How long final runs are kept: [WORKFLOW:]STATUS=AGE,..., such as completed=30d,compensated=90d,payment:failed=forever
    /// [default: for ever].
    #[arg(long, value_name = "RULES", env = "FORGE_RETENTION", default_value_t, hide_default_value = true)]
    retention: Retention,
    /// An object store to which runs are written before retention deletes them, such as s3://BUCKET/FOLDER or
    /// file:///FOLDER [default: they are not archived].
    #[arg(long, value_name = "URL", env = "FORGE_ARCHIVE")]
    archive: Option<Url>,
    #[command(flatten)]
    node: node::Args,
    #[command(flatten)]
    egress: egress::Args,
    #[command(flatten)]
    secrets: secrets::Args,
    #[command(flatten)]
    limits: limits::Args,
    #[command(flatten)]
    api: api::Args,
    #[command(flatten)]
    live: live::Args,
}

const EXAMPLES: &str = "\
When the server listens, it prints its address as the first line of standard output. After SIGTERM or Ctrl-C it \
stops within about 5 seconds. All runs continue at the next start.

Examples:
  forge serve
  forge serve --database sqlite:/var/lib/forge/forge.db --listen 127.0.0.1:8080 --log json
  forge serve --database postgres://forge@db/forge --node a --component-cache /var/cache/forge
  forge serve --memory 128MiB --fuel 20G --http-timeout 30s";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    // Dropped last: the reason for an end is among the last lines.
    let _last_lines = logging::init(args.log)?;
    files::raise_limit();
    let stop = stop::Signals::listen()?;
    let mut config = Config::new(args.database);
    config.components = args.components;
    config.retention = args.retention;
    config.replace_versions = args.dev;
    config.archive = args.archive;
    config.egress = args.egress.into_policy();
    config.secret_keys = args.secrets.into_keys()?;
    config.limits = args.limits.into_limits();
    config.limits.live = args.live.into_limits();
    if config.limits.log.most < config.limits.log.truncate {
        let message =
            "--wal-limit is less than --wal-truncate: the log must be truncated before starts are refused";
        return Err(CliError::Usage(message.to_owned()));
    }
    let origins = args.api.origins();
    let server = args.api.into_limits();
    config.component_cache = args.component_cache.or(config.component_cache);
    config.component_cache_key = args.component_cache_key;
    config.compiler_user = args.compile_user;
    config.compiler = Some(this_program().context("cannot find the file of this program")?);
    let database = config.database.to_string();
    let is_local = args.listen.ip().is_loopback();
    if args.dev && (!is_local || has_keys(&config.database).await?) {
        return Err(CliError::Usage(
            "--dev lets a deploy change the code of a version, so it needs a loopback address and a database without \
             API keys: leave it out, or use another --listen or --database"
                .to_owned(),
        ));
    }
    if !is_local && !has_keys(&config.database).await? {
        return Err(CliError::Usage(format!(
            "without API keys, every machine that can reach {} would have full access. Create the first key \
             with `forge keys create NAME --host --role admin --database {database}`, or listen on 127.0.0.1",
            args.listen
        )));
    }
    // The port comes first: no run may continue in a process that cannot be reached.
    let listener = listen(args.listen).await?;
    let address = listener.local_addr().context("cannot read the address of the listener")?;
    config.node = args.node.into_config(address);
    let executor = WorkflowExecutor::open(config).await.map_err(anyhow::Error::from)?;
    // After the engine is set up: it opens `/proc/self/pagemap`, which belongs to root from here on.
    hide_memory();
    let has_keys = executor.tenants().has_keys().await.map_err(anyhow::Error::from)?;
    let has_dashboard = !args.no_dashboard;
    Served { url: format!("http://{address}"), database, has_dashboard, has_keys }.announce(context.json);
    let closing = CancellationToken::new();
    let router = match has_dashboard {
        true => crate::dashboard::router(executor.clone(), origins, closing.clone()),
        false => crate::api::with_gate(executor.clone(), origins, closing.clone()).0,
    };
    serve(listener, router, server, executor, closing, stop).await?;
    Ok(())
}

/// Reads an address: `IP:PORT`, or a name of this machine, whose first address counts.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let no_address = |why: String| format!("`{text}` is not an address, such as 127.0.0.1:7070: {why}");
    let addresses = text.to_socket_addrs().map_err(|error| no_address(error.to_string()))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    // 127.0.0.1 before ::1: most programs and the default of --server mean it.
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    first.copied().ok_or_else(|| no_address("the name has no address".to_owned()))
}

/// Returns whether this database, which no host uses yet, has ever had an API key.
async fn has_keys(database: &Database) -> Result<bool, CliError> {
    let store = super::open_store(database).await?;
    let tenants = Tenants::for_store(Arc::clone(&store)).map_err(anyhow::Error::from)?;
    let has_keys = tenants.has_keys().await;
    store.close().await;
    Ok(has_keys.map_err(anyhow::Error::from)?)
}

/// Keeps other processes of this user from reading the memory of this one, which has keys and secrets, and from core dumps.
#[cfg(target_os = "linux")]
fn hide_memory() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read the host's memory");
    }
}

/// Does nothing: this system has no such setting.
#[cfg(not(target_os = "linux"))]
fn hide_memory() {}

/// Returns the program that compiles components: this one, even if its file was replaced by another version.
fn this_program() -> std::io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "cannot listen on {address}: another program does, perhaps another `forge serve`. Stop it, or give another \
             address with --listen"
        ),
        _ => anyhow!("cannot listen on {address}: {error}"),
    })
}

async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    executor: WorkflowExecutor,
    closing: CancellationToken,
    mut stop: stop::Signals,
) -> anyhow::Result<()> {
    let mut server = tokio::spawn(crate::api::serve(listener, router, limits, closing.clone()));
    let mut outcome = Ok(());
    tokio::select! {
        ended = &mut server => return ended.context("the server ended unexpectedly"),
        signal = stop.recv() => tracing::info!(signal, "stopping"),
        () = executor.replaced() => outcome = Err(anyhow!(
            "another process serves this database under this node's name: give each process its own --node"
        )),
    }
    closing.cancel();
    let stopping = async {
        // The server ends first: requests need the executor. Connections that stay open are closed.
        let _ = tokio::time::timeout(REQUEST_GRACE, server).await;
        executor.shutdown(RUN_GRACE).await;
    };
    tokio::select! {
        () = stopping => tracing::info!("stopped"),
        signal = stop.recv() => tracing::warn!(signal, "stopped without waiting for requests and runs"),
    }
    outcome
}
