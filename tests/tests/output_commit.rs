//! Output commit: no effect leaves the host before what led to it is durable, and nothing else waits
//! for the disk. The store is a real one that the test can slow down, freeze and cut off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forge_host::config::Limits;
use forge_host::executor::{ExecutorError, StartRequest, WorkflowExecutor, WorkflowRecord};
use forge_host::journal::{
    Begin, Event, Journal, Kind, NewRun, PauseReason, Run, RunId, Scope, Timestamp, WorkflowStatus,
};
use forge_host::store::{Epoch, Store, Writer};
use forge_tests::program::{Block, Statement, block, effect, fail, reversible, step};
use forge_tests::{
    Execution, PATIENCE, Services, Watch, WatchedStore, component, eventually, eventually_some, random,
};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Programs of which every request is checked.
const PROGRAMS: u64 = 150;

/// An executor in this process with a store that is watched.
struct Watched {
    executor: WorkflowExecutor,
    watch: Arc<Watch>,
}

impl Watched {
    async fn open(directory: &Path, change: impl FnOnce(&mut Limits)) -> Self {
        Self::open_watched(directory, change, |_| {}).await
    }

    /// The same without compiled components: they must be compiled again.
    async fn open_without_cache(directory: &Path) -> Self {
        Self::open_with(directory, |_| {}, |_| {}, None).await
    }

    /// The same with something that must be there before any run goes on.
    async fn open_watched(
        directory: &Path,
        change: impl FnOnce(&mut Limits),
        prepare: impl FnOnce(&Arc<Watch>),
    ) -> Self {
        // Compiled once for all tests, which the cache is for.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
        Self::open_with(directory, change, prepare, Some(&cache)).await
    }

    async fn open_with(
        directory: &Path,
        change: impl FnOnce(&mut Limits),
        prepare: impl FnOnce(&Arc<Watch>),
        cache: Option<&Path>,
    ) -> Self {
        let (store, watch) = WatchedStore::open(&directory.join("forge.db")).await;
        prepare(&watch);
        let mut limits = Limits { store_retry: Duration::from_millis(20), ..Limits::default() };
        limits.compensation_retry.backoff_ms = 20;
        change(&mut limits);
        let executor = WorkflowExecutor::with_store(store, limits, cache).await.unwrap();
        executor.registry().register(component("interpreter").to_vec()).await.unwrap();
        Self { executor, watch }
    }

    async fn start(&self, input: Value) -> RunId {
        self.executor.start("program", input).await.unwrap()
    }

    async fn settled(&self, run: RunId) -> WorkflowRecord {
        let record = self.executor.wait(run, PATIENCE).await.unwrap();
        assert!(record.status.is_final(), "{:?}: {:?}", record.status, record.error);
        record
    }

    async fn stop(self) {
        self.executor.shutdown(Duration::from_secs(5)).await;
    }
}

/// Checks every request when it arrives; what is wrong with those that arrived too early.
fn check_requests(services: &Services, watch: &Arc<Watch>) -> Arc<Mutex<Vec<String>>> {
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let (seen, watch) = (Arc::clone(&wrong), Arc::clone(watch));
    services.on_request(move |key| {
        if let Err(why) = watch.has_request(key) {
            seen.lock().unwrap().push(why);
        }
    });
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_arrives_before_its_journal_is_durable() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |_| {}).await;
    let wrong = check_requests(&services, &host.watch);
    host.watch.slow_down(Duration::from_millis(3));
    let seed = random::seed("durability");
    let programs = (0..PROGRAMS).map(|number| random::program(seed.wrapping_add(number)));
    let runs = programs.map(|body| host.start(services.program(body)));
    for run in futures::future::join_all(runs).await {
        host.settled(run).await;
    }
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "requests that arrived before they were durable: {wrong:#?}");
    let asked = services.ledger.summary().requests;
    assert!(asked > 500, "the programs make requests: {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_frozen_nothing_is_said_and_no_request_is_sent_but_guests_go_on() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |_| {}).await;
    let wrong = check_requests(&services, &host.watch);
    let waiting = host.start(services.program(block![effect("first"), gate("go"), effect("last")])).await;
    services.until_asked("go", 1).await;

    host.watch.freeze();
    services.open("go");
    let pure = (0..200).map(|number| Statement::from(step(format!("s{number}"), block![Statement::Draw])));
    let pure: Block = pure.chain(block![Statement::Log("pure steps are done".to_owned())]).collect();
    let executor = host.executor.clone();
    let input = services.program(pure);
    let start = tokio::spawn(async move { executor.start("program", input).await });
    // Time for what must not happen.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!start.is_finished(), "a start is acknowledged although it is not durable");
    assert!(services.asked("last").is_empty(), "a request left although the answer before it is not durable");
    assert_eq!(host.executor.status(waiting).await.unwrap().status, WorkflowStatus::Running);

    host.watch.thaw();
    let started = start.await.unwrap().unwrap();
    assert_eq!(host.settled(started).await.status, WorkflowStatus::Completed);
    assert_eq!(host.settled(waiting).await.status, WorkflowStatus::Completed);
    assert_eq!(services.performed(), ["first", "go", "last"]);
    assert!(wrong.lock().unwrap().is_empty());
}

fn gate(name: &str) -> Statement {
    Statement::Gate(name.to_owned())
}

/// Programs that have all that a crash can interrupt.
fn workloads() -> Vec<(&'static str, Block)> {
    let parallel = Statement::Join(vec![
        block![step("a", block![effect("a1"), Statement::Draw, effect("a2")])],
        block![step("b", block![Statement::Sleep(5), effect("b")]), Statement::Draw],
    ]);
    let retried = step("flaky", block![Statement::Flaky("f".to_owned(), 1)]).retry(3, 5);
    let race = Statement::Race(vec![block![effect("winner")], block![Statement::Never(None)]]);
    vec![
        ("forward", block![reversible("reserve"), parallel.clone(), retried, race, effect("end")]),
        ("backward", block![reversible("one"), parallel, reversible("two"), fail("it was not to be")]),
        ("pure", (0..5).map(|number| step(format!("s{number}"), block![Statement::Draw]).into()).collect()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_batch_leads_to_the_same_end() {
    let services = Services::start().await;
    for (name, body) in workloads() {
        let (undisturbed, effects, batches) = crash_after(&services, &body, None).await;
        for lost_after in 0..=batches {
            let (execution, performed, _) = crash_after(&services, &body, Some(lost_after)).await;
            let difference = execution.difference(&undisturbed);
            assert_eq!(difference, "", "`{name}` with a crash after batch {lost_after} of {batches}");
            assert_eq!(performed, effects, "`{name}` with a crash after batch {lost_after} of {batches}");
        }
    }
}

/// Runs a program on a host whose disk is gone after some batches, and then on one that finds what
/// was written until then. How it ended, its effects, and how many batches the first host wrote.
async fn crash_after(
    services: &Services,
    body: &Block,
    batches: Option<u64>,
) -> (Execution, BTreeSet<String>, u64) {
    let directory = TempDir::new().unwrap();
    let performed_before = services.performed().len();
    let request = || StartRequest {
        workflow: "program".to_owned(),
        input: services.program(body.clone()).into(),
        key: Some("the only one".to_owned()),
        ..StartRequest::default()
    };
    let host =
        Watched::open(directory.path(), |limits| limits.leave_patience = Duration::from_millis(50)).await;
    let wrong = check_requests(services, &host.watch);
    let (watch, before) = (Arc::clone(&host.watch), host.watch.batches());
    if let Some(batches) = batches {
        watch.lose_after(before + batches);
    }
    match host.executor.start_with(request()).await {
        Ok(run) if batches.is_none() => _ = host.settled(run).await,
        Ok(run) => {
            let over = async || {
                host.executor.health().await.details.unwrap().error.is_some() || is_over(&host, run).await
            };
            eventually("the disk is gone, or the run is over", over).await;
        }
        Err(error) => assert!(batches.is_some(), "{error}"),
    }
    host.stop().await;
    let written = watch.batches() - before;

    let mut wrong_later = Arc::default();
    let prepare = |watch: &Arc<Watch>| wrong_later = check_requests(services, watch);
    let host = Watched::open_watched(directory.path(), |_| {}, prepare).await;
    let run = host.executor.start_with(request()).await.unwrap();
    let record = host.settled(run).await;
    let steps = host.executor.steps(run).await.unwrap();
    host.stop().await;
    for wrong in [wrong, wrong_later] {
        assert!(wrong.lock().unwrap().is_empty(), "{wrong:?}");
    }
    let performed = services.performed().split_off(performed_before);
    let effects: BTreeSet<String> = performed.iter().cloned().collect();
    assert_eq!(effects.len(), performed.len(), "each effect happens once: {performed:?}");
    (Execution::from_json(&json!(record), &json!(steps)), effects, written)
}

async fn is_over(host: &Watched, run: RunId) -> bool {
    host.executor.status(run).await.is_ok_and(|record| record.status.is_final())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_costs_one_commit_and_a_run_without_any_is_one_commit() {
    const EFFECTS: u64 = 5;
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |_| {}).await;
    let effects = (0..EFFECTS).map(|number| step(format!("s{number}"), block![effect("e")]).into()).collect();
    let pure = (0..10).map(|number| step(format!("s{number}"), block![Statement::Draw]).into()).collect();
    // Lines and values cost nothing.
    let notes = |number: u64| {
        let (log, name) = (Statement::Log("a line".to_owned()), "progress".to_owned());
        let body = block![log.clone(), effect("e"), log.clone(), Statement::Publish(name, number.into())];
        step(format!("s{number}"), body).into()
    };
    let noted = (0..EFFECTS).map(notes).collect();
    let talk = (0..10).map(|number| Statement::Log(format!("line {number}"))).collect();
    // The last commit has the answer to the last request, and the end.
    for (body, expected) in [(effects, EFFECTS + 1), (pure, 1), (noted, EFFECTS + 1), (talk, 1)] {
        let mut fewest = u64::MAX;
        // On a busy machine a guest takes so long that what it did is written before it waits.
        for _ in 0..5 {
            let (input, before) = (services.program(Block::clone(&body)).into(), host.watch.batches());
            let request = StartRequest { workflow: "program".to_owned(), input, ..StartRequest::default() };
            let started = host.executor.start_and_wait(request, tokio::time::sleep(PATIENCE)).await.unwrap();
            assert_eq!(started.record.unwrap().status, WorkflowStatus::Completed);
            fewest = fewest.min(host.watch.batches() - before);
        }
        assert_eq!(fewest, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_beyond_the_queue_are_refused_and_those_that_were_taken_are_carried_out() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |limits| limits.tenant.start_queue = 8).await;
    host.watch.freeze();
    let mut starts: FuturesUnordered<_> = (0..20)
        .map(|_| {
            let (executor, input) = (host.executor.clone(), services.program(block![effect("e")]));
            tokio::spawn(async move { executor.start("program", input).await })
        })
        .collect();
    for _ in 8..20 {
        let refused = tokio::time::timeout(PATIENCE, starts.next()).await.unwrap().unwrap().unwrap();
        assert!(
            matches!(refused, Err(ExecutorError::Busy { limit: "start_queue", value: 8, .. })),
            "{refused:?}"
        );
    }
    host.watch.thaw();
    while let Some(start) = starts.next().await {
        let run = start.unwrap().expect("it was taken");
        assert_eq!(host.settled(run).await.status, WorkflowStatus::Completed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_result_keeps_no_place_for_a_start_and_hears_when_the_start_is_lost() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |limits| limits.tenant.start_queue = 1).await;
    let start_and_wait = |body| {
        let (executor, input) = (host.executor.clone(), services.program(body).into());
        let request = StartRequest { workflow: "program".to_owned(), input, ..StartRequest::default() };
        tokio::spawn(async move { executor.start_and_wait(request, tokio::time::sleep(PATIENCE)).await })
    };
    let waiting = start_and_wait(block![gate("go"), effect("after")]);
    services.until_asked("go", 1).await;
    let other = host.start(services.program(block![effect("e")])).await;
    assert_eq!(host.settled(other).await.status, WorkflowStatus::Completed);

    host.watch.lose_after(host.watch.batches());
    let lost = start_and_wait(block![effect("never")]).await.unwrap();
    assert!(matches!(lost, Err(ExecutorError::Store(_))), "{lost:?}");
    // This one was started, and is still waited for.
    services.open("go");
    let go_on = async || services.performed() == ["go", "e"];
    eventually("its first request is answered", go_on).await;
    assert!(!waiting.is_finished());
    assert!(services.asked("after").is_empty(), "a request left although it is not durable");
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_key_is_carried_out_although_whoever_asked_has_gone() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |_| {}).await;
    let request = || StartRequest {
        workflow: "program".to_owned(),
        input: services.program(block![effect("once")]).into(),
        key: Some("order-1041".to_owned()),
        ..StartRequest::default()
    };
    host.watch.freeze();
    let (executor, start) = (host.executor.clone(), request());
    let asking = tokio::spawn(async move { executor.start_with(start).await });
    eventually("its start is being written", async || host.watch.waiting() == 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    host.watch.thaw();
    let again = host.executor.start_with(request()).await.unwrap();
    assert_eq!(host.settled(again).await.status, WorkflowStatus::Completed);
    assert_eq!(services.performed(), ["once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_carried_out_although_its_component_cannot_be_read_while_it_is_written() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    Watched::open(directory.path(), |_| {}).await.stop().await;
    for lost in [1, 3] {
        // It knows the component, and has not compiled it.
        let host = Watched::open_without_cache(directory.path()).await;
        host.watch.slow_down(Duration::from_millis(200));
        host.watch.lose_components(lost);
        let run = tokio::time::timeout(PATIENCE, host.start(services.program(block![effect("e")])));
        let run = run.await.expect("whoever starts a run is answered");
        assert_eq!(host.settled(run).await.status, WorkflowStatus::Completed);
        assert_eq!(host.watch.lost_components(), 0, "it could not be read as often as that");
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_database_can_never_store_pauses_its_run_and_no_other() {
    let directory = TempDir::new().unwrap();
    let services = Services::start().await;
    let host = Watched::open(directory.path(), |_| {}).await;
    host.watch.reject(Some("too large"));
    let run = host
        .start(services.program(block![
            effect("first"),
            step("too large", block![effect("second")]),
            effect("last")
        ]))
        .await;
    let other = host.start(services.program(block![effect("first"), effect("last")])).await;
    assert_eq!(host.settled(other).await.status, WorkflowStatus::Completed);
    let record = eventually_some("the run is paused", async || {
        let record = host.executor.status(run).await.unwrap();
        (record.status == WorkflowStatus::Paused).then_some(record)
    })
    .await;
    assert_eq!(record.pause_reason, Some(PauseReason::RejectedWrite));
    assert!(record.error.unwrap().contains("the test cannot store `too large`"));

    host.watch.reject(None);
    host.executor.resume(run).await.unwrap();
    assert_eq!(host.settled(run).await.status, WorkflowStatus::Completed);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_disk_is_slower_than_the_runs_the_runs_wait() {
    const QUEUE: usize = 64 << 10;
    let directory = TempDir::new().unwrap();
    let (store, watch) = WatchedStore::open(&directory.path().join("forge.db")).await;
    let writer = Writer::new(Arc::clone(&store) as Arc<dyn Store>, Arc::default(), QUEUE);
    let mut journal = Journal::unsaved(run());
    journal.apply(Event::Running, Timestamp(1)).unwrap();
    let saving = writer.for_run(Epoch::default(), journal.run().id, &"default".into());
    watch.freeze();
    let mut queued = 0;
    loop {
        journal.apply(time(queued), Timestamp(1)).unwrap();
        let saved = saving.save(journal.take_changes());
        match tokio::time::timeout(Duration::from_millis(200), saved).await {
            Ok(saved) => saved.unwrap(),
            Err(_) => break,
        }
        queued += 1;
        assert!(queued < 1_000, "the queue has no end");
    }
    assert!(queued > 10, "{queued} writes fill the queue");
    watch.thaw();
    saving.barrier(journal.take_changes()).await.unwrap();
    let loaded = store.load(&[journal.run().id]).await.unwrap().pop().unwrap().unwrap().unwrap();
    assert_eq!(loaded.rows.unwrap().len(), queued as usize, "what was given up was not written");
}

fn run() -> Run {
    Run::new(NewRun {
        id: forge_host::clock::new_run_id(),
        tenant: "default".into(),
        workflow: "w".into(),
        version: 1,
        digest: "d".into(),
        input: "{}".into(),
        started_at: Timestamp(0),
        timeout_ms: 1_000_000,
    })
}

fn time(index: u32) -> Event {
    Event::Begun(Begin::new(Scope::BODY, Some(index), Kind::Time, "workflow_time", None))
}
