//! Databases that an earlier version of the program made: they open, and their runs go on.
//!
//! `tests/fixtures/README.md` says what is in them and how they were made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;

use forge_postgres::Server;
use forge_tests::program::{Statement, block, effect};
use forge_tests::{Api, Host, HostBuilder, Parts, Services, component};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tempfile::TempDir;

#[tokio::test]
async fn an_sqlite_database_of_the_program_before_opens_and_its_runs_go_on() {
    let folder = TempDir::new().unwrap();
    std::fs::copy(fixture("sqlite.database"), folder.path().join("forge.db")).unwrap();
    let old = Old::read("sqlite.json").await;
    let host = old.host().folder(folder).start().await;
    old.goes_on(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_database_of_the_program_before_opens_and_its_runs_go_on() {
    let start = || Server::start(&[]).expect("PostgreSQL can be started");
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    let url = server.create_database().unwrap();
    let dump = std::fs::read_to_string(fixture("postgres.sql")).unwrap();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(dump)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let old = Old::read("postgres.json").await;
    // The node that had the runs is gone, and its lease is over.
    let host = old.host().database(&url).flag(["--node", "new"]).start().await;
    old.goes_on(&host).await;
}

fn fixture(name: &str) -> PathBuf {
    forge_tests::binary::root().join("tests/fixtures/schema-2").join(name)
}

/// What a fixture contains, as the program that made it showed it.
struct Old {
    shown: Value,
    /// The services at the address that the journals contain.
    services: Services,
}

impl Old {
    async fn read(name: &str) -> Self {
        let shown: Value = serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap();
        let address = text(&shown["services"]).strip_prefix("http://").unwrap().parse().unwrap();
        Self { services: Services::start_at(address).await, shown }
    }

    fn host(&self) -> HostBuilder {
        Host::builder().variable("FORGE_SECRETS_KEY", text(&self.shown["secrets_key"]))
    }

    /// The record of a run, by the key that it was started with.
    fn record(&self, name: &str) -> &Value {
        &self.shown["runs"][name]
    }

    fn run(&self, name: &str) -> &str {
        text(&self.record(name)["id"])
    }

    async fn goes_on(&self, host: &Host) {
        let open = host.api();
        assert_eq!(open.health().await["status"], "ok");
        open.get("/_api/runs").await.refused(401);
        let ops = open.with_token(text(&self.shown["tokens"]["admin"]));
        self.ended_runs_are_unchanged(&ops).await;
        self.waiting_runs_complete(&ops).await;
        self.requests_are_sent_again(&ops).await;
        self.paused_run_resumes(&ops).await;
        self.new_runs_start(&ops).await;
        self.new_version_deploys(&ops).await;
        self.tenants_have_what_they_had(&open, &ops).await;
        let log = host.log();
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    }

    async fn ended_runs_are_unchanged(&self, ops: &Api) {
        let listed = ops.get("/_api/runs").await.ok();
        let listed = listed["runs"].as_array().unwrap();
        for (name, shown) in self.shown["runs"].as_object().unwrap() {
            let ours = listed.iter().any(|run| run["id"] == shown["id"]);
            assert_eq!(ours, name != "acme", "{name}: {listed:#?}");
        }
        for name in ["completed", "failed", "compensated", "paused"] {
            self.is_unchanged(ops, name).await;
        }
        let charge = ops.step(self.run("failed"), "compensation", "charge").await;
        assert_eq!(charge["status"], "failed");
        let greet = ops.step(self.run("completed"), "step", "greet").await;
        assert_eq!(greet["result"][0]["effect"], "welcome");
    }

    /// Checks all that the earlier program showed of a run. A later one may show more.
    async fn is_unchanged(&self, api: &Api, name: &str) {
        let record = api.record(self.run(name)).await;
        for (field, shown) in self.record(name).as_object().unwrap() {
            // The deadlines in the fixture were moved.
            assert!(field == "deadline" || record[field] == *shown, "{name}: {field} of {record:#}");
        }
    }

    /// Timers that ended while no host was running, one of a sleep and one between two attempts.
    async fn waiting_runs_complete(&self, ops: &Api) {
        for (name, done) in [("sleeping", "after"), ("in_retry", "late")] {
            let record = ops.settled(self.run(name)).await;
            assert_eq!(record["status"], "completed", "{record:#}");
            assert_eq!(self.services.asked(done).len(), 1);
        }
        let late = ops.step(self.run("in_retry"), "step", "late").await;
        assert_eq!(late["attempt"], 2, "{late:#}");
    }

    /// Requests that were under way when the host was killed, one of a step and one of a compensation.
    async fn requests_are_sent_again(&self, ops: &Api) {
        for (name, effect, status) in
            [("in_flight", "ship", "completed"), ("unwinding", "undo-book", "compensated")]
        {
            let record = ops.settled(self.run(name)).await;
            assert_eq!(record["status"], status, "{record:#}");
            let asked = self.services.asked(effect);
            assert_eq!(asked.len(), 1);
            let key = asked[0].key.as_deref().unwrap();
            assert_eq!(
                key,
                text(&self.shown["idempotency_keys"][effect]),
                "the key is that of the first time"
            );
        }
    }

    async fn paused_run_resumes(&self, ops: &Api) {
        let run = self.run("paused");
        ops.resume(run).await.ok();
        self.services.until_asked("door", 1).await;
        self.services.open("door");
        let record = ops.settled(run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(record["output"].as_array().unwrap().len(), 8);
        assert_eq!(self.services.asked("thanks").len(), 1);
        // What the journals have is not done again.
        let performed = self.services.performed();
        for done in ["welcome", "seat", "menu", "bread", "water", "before", "pack", "rent", "book"] {
            assert!(!performed.iter().any(|effect| effect == done), "{done} in {performed:?}");
        }
    }

    async fn new_runs_start(&self, ops: &Api) {
        let run = ops.start_program(&self.services, block![effect("new")]).await;
        let record = ops.settled(&run).await;
        assert_eq!((&record["status"], &record["version"]), (&json!("completed"), &json!(1)), "{record:#}");
        let same = json!({ "key": "completed", "input": self.record("completed")["input"] });
        let same = ops.try_start("program", &same).await.ok();
        assert_eq!(same["run_id"], self.run("completed"), "a key counts as long as its run is there");
    }

    async fn new_version_deploys(&self, ops: &Api) {
        let (code, _) = ops.upload(&component("interpreter")).await.refused(409);
        assert_eq!(code, "version_taken", "version 1 has other bytes");
        ops.deploy(&Parts { workflow: "program", version: 2, ..Parts::default() }.component()).await;
        let program = ops.get("/_api/workflows/program").await.ok();
        assert_eq!(program["current"], 2, "{program:#}");
        let run = ops.start("program", json!(null)).await;
        let record = ops.settled(&run).await;
        assert_eq!((&record["status"], &record["version"]), (&json!("completed"), &json!(2)), "{record:#}");
    }

    async fn tenants_have_what_they_had(&self, open: &Api, ops: &Api) {
        let acme = open.with_token(text(&self.shown["tokens"]["start"]));
        assert_eq!(acme.get("/_api/caller").await.ok()["role"], "start");
        acme.get("/_api/audit").await.refused(403);
        let revoked = open.with_token(text(&self.shown["tokens"]["revoked"]));
        assert_eq!(revoked.get("/_api/caller").await.refused(401).0, "unauthorized");
        self.is_unchanged(&acme, "acme").await;
        acme.get(&format!("/_api/runs/{}", self.run("completed"))).await.refused(404);

        // A secret that the earlier program encrypted.
        let header = ("x-test".to_owned(), "{{secret:API_KEY}}".to_owned());
        let get = Statement::GetWith("/headers".to_owned(), header);
        let run = acme.start_program(&self.services, block![get]).await;
        let record = acme.settled(&run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        assert_eq!(self.services.echoed()[0]["x-test"], "kept by the old program");

        let settings = ops.get("/_api/tenants/acme").await.ok();
        assert_eq!(settings["settings"]["egress"], json!([self.services.url()]), "{settings:#}");
        assert_eq!(settings["settings"]["limits"], json!({ "versions": 5 }), "{settings:#}");
        let umbrella = ops.for_tenant("umbrella");
        assert_eq!(umbrella.get("/_api/runs").await.ok()["runs"], json!([]));

        let audit = ops.get("/_api/audit?all=true").await.ok();
        for entry in self.shown["audit"].as_array().unwrap() {
            assert!(audit["records"].as_array().unwrap().contains(entry), "{entry:#} in {audit:#}");
        }
        let usage = ops.get("/_api/usage").await.ok();
        assert!(usage["storage_bytes"].as_u64().unwrap() > 10_000, "what it had stored counts: {usage:#}");
        for shown in self.shown["usage"].as_array().unwrap() {
            let hour = text(&shown["hour"]);
            let usage = ops.get(&format!("/_api/usage?all=true&from={hour}")).await.ok();
            let of_tenant = |row: &&Value| row["hour"] == hour && row["tenant"] == shown["tenant"];
            let row = usage["hours"].as_array().unwrap().iter().find(of_tenant);
            // Runs of this test are in that hour, too, if it is not over.
            assert!(row.unwrap()["fuel"].as_u64() >= shown["fuel"].as_u64(), "{usage:#}");
        }
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text is expected, not {value}"))
}
