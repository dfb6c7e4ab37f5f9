use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use forge_postgres::{Server, Shutdown};
use futures::future::join_all;

use crate::{Api, Host, HostBuilder, eventually};

/// The default lease of the nodes.
const LEASE: [&str; 2] = ["--lease", "3s"];

/// Hosts that share a database on a PostgreSQL server of their own.
pub struct Cluster {
    hosts: Vec<Host>,
    url: String,
    server: Arc<Server>,
}

/// A builder of a [`Cluster`].
#[derive(Default)]
pub struct ClusterBuilder {
    flags: Vec<[String; 2]>,
}

impl ClusterBuilder {
    /// Adds a flag to all hosts, with its value.
    pub fn flag(mut self, flag: [&str; 2]) -> Self {
        self.flags.push(flag.map(str::to_owned));
        self
    }

    /// Starts a server and hosts with these names, and waits until they serve.
    pub async fn start<const N: usize>(self, names: [&str; N]) -> Cluster {
        let server = blocking(|| Server::start(&[]).expect("PostgreSQL can be started")).await;
        let url = server.create_database().expect("a database can be made");
        let host = |name| {
            let flags = self.flags.iter().map(|[flag, value]| [flag.as_str(), value.as_str()]);
            let builder = Host::builder().database(&url).flag(["--node", name]);
            flags.fold(builder, HostBuilder::flag).start()
        };
        let hosts = join_all(names.map(host)).await;
        Cluster { hosts, url, server: Arc::new(server) }
    }
}

impl Cluster {
    /// Starts hosts with these names and the default lease.
    pub async fn start<const N: usize>(names: [&str; N]) -> Self {
        Self::builder().flag(LEASE).start(names).await
    }

    /// Creates a builder, for hosts with flags.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Starts another host. The builder has the database's URL.
    pub async fn add(&mut self, host: HostBuilder) {
        self.hosts.push(host.start().await);
    }

    /// Returns the API of one host.
    pub fn api(&self, host: usize) -> Api {
        self.hosts[host].api()
    }

    /// Returns one host.
    pub fn host(&mut self, host: usize) -> &mut Host {
        &mut self.hosts[host]
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the URL of the database at another address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        self.url.replace(&self.address().to_string(), &address.to_string())
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    /// Starts a standby of the server, which streams its changes.
    pub fn standby(&self) -> Server {
        self.server.standby().expect("a standby can be started")
    }

    /// Stops the server as in a crash.
    pub fn stop_database(&self) {
        self.server.stop(Shutdown::Immediate).expect("PostgreSQL can be stopped");
    }

    /// Crashes the server and starts it again.
    pub fn crash_database(&self) {
        self.server.restart(Shutdown::Immediate).expect("PostgreSQL can be restarted");
    }

    /// Executes SQL and returns the first column of each row.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let output = self.server.sql(&self.url, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        output.lines().map(str::to_owned).collect()
    }

    /// Locks the runs against writes for this time, and returns when they are locked.
    pub async fn lock_runs(&self, time: Duration) {
        let (server, url) = (Arc::clone(&self.server), self.url.clone());
        let sql = format!(
            "BEGIN; LOCK TABLE forge_runs IN EXCLUSIVE MODE; SELECT pg_sleep({})",
            time.as_secs_f64()
        );
        tokio::task::spawn_blocking(move || server.sql(&url, &sql).expect("the runs can be locked"));
        let locked = "SELECT count(*) FROM pg_locks WHERE relation = 'forge_runs'::regclass AND mode = 'ExclusiveLock' AND granted";
        eventually("the runs are locked", async || self.rows(locked) == ["1"]).await;
    }

    /// Waits until a statement of a node waits for a lock.
    pub async fn until_a_node_waits(&self) {
        let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'forge:%'";
        eventually("a node waits for a lock", async || self.rows(waiting) == ["t"]).await;
    }

    /// Records from now on every row that is written for a run after its node's lease ended, or by a node that does not
    /// own the run.
    pub fn watch_writes(&self) {
        self.rows(WATCH);
    }

    /// Checks that no such row was recorded.
    pub fn nothing_was_written_after_a_lease(&self) {
        let wrong = self.rows("SELECT what FROM forge_test_wrong_writes");
        assert!(wrong.is_empty(), "written without a lease: {wrong:#?}");
    }
}

const WATCH: &str = "
    CREATE TABLE forge_test_wrong_writes (what TEXT);
    CREATE FUNCTION forge_test_watch() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        who TEXT := current_setting('application_name');
        wrong TEXT;
    BEGIN
        SELECT format('%s wrote row %s of run %s, which epoch %s of %s has (ended: %s)',
                      who, NEW.seq, NEW.run_id, n.epoch, n.name, n.ended_at) INTO wrong
          FROM forge_runs r LEFT JOIN forge_nodes n ON n.epoch = r.owner
         WHERE r.id = NEW.run_id
           AND (n.ended_at IS NOT NULL OR 'forge:' || n.name IS DISTINCT FROM who);
        IF wrong IS NOT NULL THEN
            INSERT INTO forge_test_wrong_writes VALUES (wrong);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER forge_test_watch AFTER INSERT OR UPDATE ON forge_steps
        FOR EACH ROW EXECUTE FUNCTION forge_test_watch();";

/// Runs a blocking function on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}
