//! pgbouncer between the nodes and the server.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forge_postgres::Server;
use forge_store::postgres::PostgresStore;
use forge_store::{Nodes as _, Notification, Store as _, StoreError};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{SOON, claim, commit, database, insert_unowned, options, receives, run, start};

/// A running pgbouncer.
struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one before the server that all tests share.
    async fn start(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let server = Server::shared().unwrap().port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server} user=forge\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
             ignore_startup_parameters = extra_float_digits\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("pgbouncer");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin")).arg("--quiet").arg(&file);
        if rustix::process::getuid().is_root() {
            command.args(["--user", "nobody"]);
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = spawned.expect("pgbouncer is installed (Debian and Ubuntu: `apt install pgbouncer`)");
        let pooler = Self { process, port, _folder: folder };
        let listens = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, listens).await.expect("pgbouncer listens");
        pooler
    }

    fn url(&self, direct: &str) -> String {
        let server = Server::shared().unwrap().port();
        direct.replace(&format!(":{server}/"), &format!(":{}/", self.port))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn nodes_work_through_a_pooler_in_session_mode() {
    let (url, pooler) = (database(), Pooler::start("session").await);
    let a = PostgresStore::open(&options(&pooler.url(&url), "a")).await.unwrap();
    let b = PostgresStore::open(&options(&pooler.url(&url), "b")).await.unwrap();
    let mut notifications = b.listen().unwrap();
    commit(&a, &[start(1), insert_unowned(2)]).await.unwrap();
    receives(&mut notifications, Notification::Unowned).await;
    assert_eq!(claim(&b, b.epoch(), 10).await.unwrap(), [2]);
    assert!(b.run(run(1).id).await.unwrap().is_some());
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_refused_by_name() {
    let (url, pooler) = (database(), Pooler::start("transaction").await);
    // Without named statements, it is as with a pooler that supports prepared statements.
    for parameter in ["", "&statement-cache-capacity=0"] {
        let url = pooler.url(&url) + parameter;
        let refused = PostgresStore::open(&options(&url, "a")).await;
        let Err(StoreError::CannotOpen { why, .. }) = refused else { panic!("it is used") };
        assert!(why.contains("a pooler in transaction mode is between this host and PostgreSQL"), "{why}");
        assert!(why.contains("pool_mode = session"), "{why}");
    }
}
