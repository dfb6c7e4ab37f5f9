//! The schema: migrations, and the interface for other programs.

use std::time::Duration;

use bytes::Bytes;
use forge_journal::{Begin, Event, Failure, Journal, Kind, Run, Scope, Timestamp, kind};
use forge_postgres::Server;
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::{RunFilter, Store as _, StoreError, VersionConflict, Write};
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use crate::support::{SOON, commit, connect, database, execute, open, run, start, text};

#[tokio::test]
async fn migrations_are_applied_once() {
    let url = database();
    let all = PostgresStore::migrate(&url).await.unwrap();
    assert!(all.len() >= 3 && all.iter().copied().eq(1..=i32::try_from(all.len()).unwrap()), "{all:?}");
    assert_eq!(PostgresStore::migrate(&url).await.unwrap(), [0_i32; 0]);
    let url = database();
    let (one, two) = tokio::join!(PostgresStore::migrate(&url), PostgresStore::migrate(&url));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.len() + two.len(), all.len(), "one of two concurrent calls applies them");
}

#[tokio::test]
async fn a_host_works_with_a_newer_schema_unless_that_needs_a_newer_host() {
    let url = database();
    let last = PostgresStore::migrate(&url).await.unwrap().pop().unwrap();
    let mut other = connect(&url).await;
    let newer = "INSERT INTO forge_schema (version, needs) SELECT max(version) + 1, 1 FROM forge_schema";
    execute(&mut other, newer).await;
    open(&url, "a").await.close().await;
    let needed =
        "INSERT INTO forge_schema (version, needs) SELECT max(version) + 1, max(version) FROM forge_schema";
    execute(&mut other, needed).await;
    let refused = PostgresStore::open(&PostgresOptions::new(&url, "a")).await;
    let Err(StoreError::TooNew { found, known, .. }) = refused else { panic!("it is not refused") };
    assert_eq!((found, known), (i64::from(last) + 2, i64::from(last)));
}

#[tokio::test]
async fn a_role_that_may_not_change_the_schema_is_told_who_must() {
    let server = Server::shared().unwrap();
    let url = database();
    let mut owner = connect(&url).await;
    execute(
        &mut owner,
        "CREATE ROLE plain LOGIN PASSWORD 's3cret'; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    .await;
    let database = url.split('/').next_back().unwrap();
    let plain = format!("postgres://plain:s3cret@127.0.0.1:{}/{database}", server.port());
    let refused = PostgresStore::open(&PostgresOptions::new(&plain, "a")).await.err().unwrap().to_string();
    assert!(refused.contains("run `forge migrate` with a role that owns the schema"), "{refused}");
    assert!(!refused.contains("s3cret"), "{refused}");
    PostgresStore::migrate(&url).await.unwrap();
    execute(&mut owner, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO plain").await;
    let store = PostgresStore::open(&PostgresOptions::new(&plain, "a")).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    store.register("d", Some(Bytes::from_static(b"c")), &[], &[], VersionConflict::Keep).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_schema_that_comes_first_and_is_created_later_is_not_used() {
    let server = Server::shared().unwrap();
    let url = database();
    let mut owner = connect(&url).await;
    execute(&mut owner, "CREATE ROLE pathfinder LOGIN SUPERUSER").await;
    let database = url.split('/').next_back().unwrap();
    let own = format!("postgres://pathfinder@127.0.0.1:{}/{database}", server.port());
    let store = PostgresStore::open(&PostgresOptions::new(&own, "a")).await.unwrap();
    commit(&store, &[start(1)]).await.unwrap();
    // The search path is `"$user", public`.
    execute(
        &mut owner,
        "CREATE SCHEMA pathfinder; CREATE TABLE pathfinder.forge_runs (LIKE public.forge_runs INCLUDING ALL);
         CREATE TABLE pathfinder.forge_nodes (LIKE public.forge_nodes INCLUDING ALL)",
    )
    .await;
    // New connections, too.
    execute(
        &mut owner,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pathfinder'",
    )
    .await;
    let committed = async {
        while commit(&store, &[start(2)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while store.load(&[run(2).id]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, committed).await.unwrap();
    assert_eq!(text(&mut owner, "SELECT count(*)::text FROM public.forge_runs").await, "2");
    assert_eq!(text(&mut owner, "SELECT count(*)::text FROM pathfinder.forge_runs").await, "0");
    store.close().await;
}

/// Names that would end a string or a statement if they were part of its text.
const NAMES: [&str; 5] =
    ["'; DROP TABLE forge_runs; --", "\"; --", "$1", "\\'; SELECT pg_sleep(100); --", "%' OR tenant <> '"];

#[tokio::test]
async fn names_are_values_and_never_part_of_a_statement() {
    let store = open(&database(), "a").await;
    for (number, name) in (1..).zip(NAMES) {
        let run = Run {
            tenant: name.into(),
            workflow: name.into(),
            key: Some(name.into()),
            trace_id: Some(name.into()),
            ..run(number)
        };
        commit(&store, &[Write::Start(Box::new(run.clone()))]).await.unwrap();
        let found = store.run_with_key(name, name, name).await.unwrap().unwrap();
        assert_eq!((found.id, found.tenant), (run.id, run.tenant));
        let elsewhere = store.run_with_key("default", name, name).await.unwrap();
        assert!(elsewhere.is_none(), "{name}");
        let filter = RunFilter { workflow: Some(name.to_owned()), limit: 10, ..RunFilter::default() };
        assert_eq!(store.list(name, &filter).await.unwrap().runs.len(), 1, "{name}");
        assert_eq!(store.list("default", &filter).await.unwrap().runs.len(), 0, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_says_why() {
    let server = Server::shared().unwrap();
    let why = async |url: &str| -> String {
        let options = PostgresOptions { timeout: Duration::from_secs(2), ..PostgresOptions::new(url, "a") };
        PostgresStore::open(&options).await.err().unwrap().to_string()
    };
    let there_is_none = why(&server.url("nowhere")).await;
    assert!(there_is_none.contains("create the database"), "{there_is_none}");
    let nobody_there = why("postgres://forge:s3cret@127.0.0.1:1/forge").await;
    assert!(
        nobody_there.contains("check that it runs") && !nobody_there.contains("s3cret"),
        "{nobody_there}"
    );
    let mut other = connect(&server.url("postgres")).await;
    execute(&mut other, "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0").await;
    let no_utf8 = why(&server.url("latin")).await;
    assert!(no_utf8.contains("ENCODING 'UTF8'"), "{no_utf8}");
}

/// A run with documents and texts that JSONB and TEXT do not support.
fn odd() -> Journal {
    let document = r#"{"a":"\u0000","b":1e999999}"#;
    let mut journal = Journal::unsaved(Run {
        input: document.into(),
        trace_id: Some("tr\0ace".into()),
        deadline: Timestamp(i64::MAX),
        ..run(1)
    });
    let begin = |name: &str, input: Option<&str>| {
        Event::Begun(Begin {
            wake_at: Some(Timestamp(i64::MIN)),
            ..Begin::new(Scope::BODY, Some(u32::from(name != "plain")), Kind::Step, name, input)
        })
    };
    let failure = Failure::permanent(kind::ERROR, "nul: \0");
    for event in [
        begin("plain", None),
        Event::Completed { seq: 1, result: Some(document.into()) },
        begin("n\0ul", Some("[1]")),
        Event::Failed { seq: 2, failure: failure.clone() },
        Event::Unwinding { failure },
    ] {
        journal.apply(event, Timestamp(2_000)).unwrap();
    }
    journal
}

#[tokio::test]
async fn the_views_show_every_row_in_the_types_of_the_spec() {
    let url = database();
    let store = open(&url, "a").await;
    let mut journal = odd();
    commit(&store, &[Write::Save(run(1).id, journal.take_changes()), start(2)]).await.unwrap();
    let loaded = store.load(&[run(1).id]).await.unwrap().pop().unwrap().unwrap().unwrap();
    assert_eq!((&loaded.run, loaded.rows.unwrap().as_slice()), (journal.run(), journal.rows()));

    let mut other = connect(&url).await;
    let types = "SELECT string_agg(DISTINCT concat_ws(' ', pg_typeof(id), pg_typeof(input), pg_typeof(output), \
         pg_typeof(step_results), pg_typeof(started_at), pg_typeof(completed_at)), ', ') FROM forge_workflow_runs";
    let zoned = "timestamp with time zone";
    assert_eq!(text(&mut other, types).await, format!("uuid jsonb jsonb jsonb {zoned} {zoned}"));
    let types = "SELECT string_agg(DISTINCT concat_ws(' ', pg_typeof(id), pg_typeof(workflow_run_id), pg_typeof(input), \
         pg_typeof(result), pg_typeof(started_at), pg_typeof(completed_at)), ', ') FROM forge_workflow_steps";
    assert_eq!(text(&mut other, types).await, format!("uuid uuid jsonb jsonb {zoned} {zoned}"));
    let rows = "SELECT string_agg(to_jsonb(view)::TEXT, ',') FROM forge_workflow_runs view";
    let rows = text(&mut other, rows).await;
    assert!(rows.contains(r#""current_step": "n"#) && rows.contains(r#""plain": "{\"a\""#), "{rows}");
    let steps =
        text(&mut other, "SELECT string_agg(to_jsonb(view)::TEXT, ',') FROM forge_workflow_steps view").await;
    assert!(steps.contains(r#""input": [1]"#), "{steps}");
    let ids = "SELECT count(DISTINCT id)::TEXT FROM forge_workflow_steps";
    assert_eq!(text(&mut other, ids).await, "2");
}

#[tokio::test]
async fn deleting_a_run_deletes_its_journal() {
    let url = database();
    let store = open(&url, "a").await;
    let mut journal = odd();
    commit(&store, &[Write::Save(run(1).id, journal.take_changes()), start(2)]).await.unwrap();
    let mut other = connect(&url).await;
    execute(&mut other, "DELETE FROM forge_runs WHERE right(id::TEXT, 1) = '1'").await;
    assert_eq!(text(&mut other, "SELECT count(*)::TEXT FROM forge_steps").await, "0");
    assert!(store.run(run(2).id).await.unwrap().is_some());
}

#[tokio::test]
async fn reactivity_notifies_of_every_statement() {
    let url = database();
    let store = open(&url, "a").await;
    let mut other = connect(&url).await;
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen_all(["forge_workflow_runs", "forge_workflow_steps"]).await.unwrap();
    let receive = async |listener: &mut PgListener| -> (String, serde_json::Value) {
        let received = timeout(SOON, listener.recv()).await.unwrap().unwrap();
        (received.channel().to_owned(), serde_json::from_str(received.payload()).unwrap())
    };
    commit(&store, &[start(9)]).await.unwrap();
    execute(
        &mut other,
        "SELECT forge_enable_reactivity('forge_workflow_runs'); \
         SELECT forge_enable_reactivity('forge_workflow_steps'); \
         SELECT forge_enable_reactivity('forge_workflow_steps')",
    )
    .await;
    let mut journal = odd();
    commit(&store, &[Write::Save(run(1).id, journal.take_changes())]).await.unwrap();
    let id = run(1).id.to_string();
    let inserted = serde_json::json!({ "op": "insert", "ids": [id], "more": false });
    let mut received = [receive(&mut listener).await, receive(&mut listener).await];
    received.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        received,
        ["forge_workflow_runs", "forge_workflow_steps"].map(|name| (name.to_owned(), inserted.clone()))
    );

    execute(&mut other, "SELECT forge_disable_reactivity('forge_workflow_steps')").await;
    let mut changed = journal.run().clone();
    changed.output = Some("1".into());
    changed.revision += 1;
    let changes = forge_journal::Changes {
        run: Some(Box::new(changed)),
        rows: journal.rows().to_vec(),
        new_run: false,
        new_rows: 0,
        ..forge_journal::Changes::default()
    };
    commit(&store, &[Write::Save(run(1).id, changes)]).await.unwrap();
    let updated = serde_json::json!({ "op": "update", "ids": [id], "more": false });
    assert_eq!(receive(&mut listener).await, ("forge_workflow_runs".to_owned(), updated));

    let many: Vec<Write> = (1_000..1_400).map(start).collect();
    commit(&store, &many).await.unwrap();
    let (_, payload) = receive(&mut listener).await;
    assert_eq!((payload["ids"].as_array().unwrap().len(), &payload["more"]), (190, &true.into()));
    execute(&mut other, "DELETE FROM forge_runs WHERE right(id::TEXT, 1) = '1' AND NOT id::TEXT LIKE '%4%'")
        .await;
    assert_eq!(receive(&mut listener).await.1["op"], "delete");

    let error =
        sqlx::raw_sql("SELECT forge_enable_reactivity('forge_runs')").execute(&mut other).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("forge_workflow_runs and forge_workflow_steps"), "{error}");
}
