//! Random sequences of what a host does with a store, held against a model in memory: every store must answer what the
//! model does.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bytes::Bytes;
use forge_journal::{
    Begin, Changes, Failure, Kind, NewRun, Pause, PauseReason, Row, Run, RunId, Scope, StepStatus, Tags,
    Timestamp, WorkflowStatus,
};
use forge_postgres::Server;
use forge_store::RunFilter;
use forge_store::postgres::{PostgresOptions, PostgresStore};
use forge_store::sqlite::SqliteStore;
use forge_store::{Acquired, Due, Store, VersionConflict, VersionRow, Write, Written};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use strum::VariantArray as _;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Cases per store: each has a database of its own.
const CASES: u32 = 40;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

#[test]
fn sqlite_does_what_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    let databases = std::sync::atomic::AtomicU32::new(0);
    check(|| {
        let number = databases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(format!("{number}.db"));
        Box::new(RUNTIME.block_on(SqliteStore::open(&path)).unwrap())
    });
}

#[test]
fn postgres_does_what_the_model_does() {
    let server = Server::shared().unwrap();
    check(|| {
        let options = PostgresOptions::new(server.create_database().unwrap(), "one");
        Box::new(RUNTIME.block_on(PostgresStore::open(&options)).unwrap())
    });
}

fn check(open: impl Fn() -> Box<dyn Store>) {
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let done = runner.run(&vec(operation(), 1..30), |operations| {
        let store = open();
        let mut model = Model { nodes: store.nodes().is_some(), ..Model::default() };
        RUNTIME.block_on(async {
            for operation in &operations {
                step(store.as_ref(), &mut model, operation).await;
            }
            store.close().await;
        });
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

/// One thing that a host does.
#[derive(Debug, Clone)]
enum Operation {
    Commit(Vec<Action>),
    Claim {
        until: i64,
        limit: u32,
    },
    Take(Vec<u8>),
    Load(Vec<u8>),
    List {
        tenant: &'static str,
        workflow: Option<&'static str>,
        status: Option<WorkflowStatus>,
        tag: Option<&'static str>,
        kind: Option<&'static str>,
        limit: u32,
        position: Option<(bool, u8)>,
    },
    Due {
        after: Option<(i64, u8)>,
        until: i64,
        limit: u32,
    },
    WithKey(Name, &'static str),
    Register {
        digest: &'static str,
        versions: Vec<(Name, u32)>,
    },
    Activate(Name, u32),
    Deprecate(Name, u32),
}

/// A tenant and a workflow of it.
type Name = (&'static str, &'static str);

/// One write. Those that make no sense in the state of the model are left out.
#[derive(Debug, Clone)]
enum Action {
    Begin { offer: bool, state: State },
    Save { run: u8, state: Option<State>, rows: Vec<Row> },
}

/// What a run is written with.
#[derive(Debug, Clone)]
struct State {
    workflow: Name,
    key: Option<&'static str>,
    status: WorkflowStatus,
    wake_at: Option<i64>,
    message: Option<&'static str>,
    tag: &'static str,
}

const TENANTS: [&str; 2] = ["default", "acme"];
const WORKFLOWS: [Name; 4] = [("default", "a"), ("default", "b"), ("acme", "b"), ("acme", "B")];
const KEYS: [&str; 3] = ["k", "l\0", "\u{1a}"];
const TEXTS: [&str; 4] = ["", "plain", "\0 and \u{1a}1", "ü\"'\\{}"];
/// Values of the tag that every run has.
const TAGS: [&str; 2] = ["1", "it's \"ü\""];
const DIGESTS: [&str; 3] = ["d1", "d2", "d3"];

fn operation() -> impl Strategy<Value = Operation> {
    let workflow = || select(&WORKFLOWS[..]);
    let time = || -2_i64..6;
    let runs = || vec(0_u8..20, 0..6);
    prop_oneof![
        8 => vec(action(), 0..8).prop_map(Operation::Commit),
        2 => (time(), 0_u32..5).prop_map(|(until, limit)| Operation::Claim { until, limit }),
        1 => runs().prop_map(Operation::Take),
        2 => runs().prop_map(Operation::Load),
        4 => (select(&TENANTS[..]), option::of(select(&["a", "b"][..])), option::of(select(WorkflowStatus::VARIANTS)),
            option::of(select(&TAGS[..])), option::of(select(&TEXTS[..])), 0_u32..6,
            option::of((any::<bool>(), 0_u8..25)))
            .prop_map(|(tenant, workflow, status, tag, kind, limit, position)| {
                Operation::List { tenant, workflow, status, tag, kind, limit, position }
            }),
        3 => (option::of((time(), 0_u8..20)), time(), 0_u32..6)
            .prop_map(|(after, until, limit)| Operation::Due { after, until, limit }),
        1 => (workflow(), select(&KEYS[..])).prop_map(|(workflow, key)| Operation::WithKey(workflow, key)),
        2 => (select(&DIGESTS[..]), vec((workflow(), 1_u32..4), 0..3))
            .prop_map(|(digest, versions)| Operation::Register { digest, versions }),
        1 => (workflow(), 1_u32..4).prop_map(|(workflow, version)| Operation::Activate(workflow, version)),
        1 => (workflow(), 1_u32..4).prop_map(|(workflow, version)| Operation::Deprecate(workflow, version)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let state = || {
        let wake_at = option::of(0_i64..5);
        let message = option::of(select(&TEXTS[..]));
        (
            select(&WORKFLOWS[..]),
            option::of(select(&KEYS[..])),
            select(WorkflowStatus::VARIANTS),
            wake_at,
            message,
            select(&TAGS[..]),
        )
            .prop_map(|(workflow, key, status, wake_at, message, tag)| State {
                workflow,
                key,
                status,
                wake_at,
                message,
                tag,
            })
    };
    prop_oneof![
        (any::<bool>(), state()).prop_map(|(offer, state)| Action::Begin { offer, state }),
        (0_u8..20, option::of(state()), vec(row(), 0..4)).prop_map(|(run, state, rows)| Action::Save {
            run,
            state,
            rows
        }),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let statuses = [StepStatus::Running, StepStatus::Completed, StepStatus::Failed];
    (
        1_u64..5,
        select(statuses.to_vec()),
        option::of(select(&TEXTS[..])),
        any::<u32>(),
        option::of(any::<i32>()),
    )
        .prop_map(|(seq, status, text, number, order)| {
            // What never changes of a row is the same each time.
            let begin = Begin {
                fingerprint: u64::MAX - seq,
                ..Begin::new(Scope::BODY, Some(7), Kind::Step, format!("step {seq} \0"), None)
            };
            Row {
                status,
                result: text.map(Into::into),
                failure: text
                    .map(|text| Box::new(Failure { retryable: number % 2 == 0, ..Failure::new(text, text) })),
                attempt: number % 4,
                attempt_orders: vec![u64::from(number); (number % 3) as usize],
                order: order.map(|order| u64::from(order.unsigned_abs())),
                wake_at: order.map(|order| Timestamp(i64::from(order))),
                completed_at: text.map(|_| Timestamp(i64::from(number))),
                ..Row::new(seq, begin, Timestamp(1))
            }
        })
}

fn tagged(value: &str) -> Tags {
    let mut tags = Tags::default();
    tags.set("t", value).unwrap();
    tags
}

fn id(number: u8) -> RunId {
    RunId(Uuid::from_u128(number.into()))
}

impl State {
    fn run(&self, number: u8) -> Run {
        let message = self.message.unwrap_or_default();
        let new = NewRun {
            id: id(number),
            tenant: self.workflow.0.into(),
            workflow: self.workflow.1.into(),
            version: 1,
            digest: "d1".into(),
            input: "{}".into(),
            started_at: Timestamp(number.into()),
            timeout_ms: 9,
        };
        Run {
            output: self.message.map(|_| "1".into()),
            status: self.status,
            completed_at: self.wake_at.map(Timestamp),
            wake_at: self.wake_at.map(Timestamp),
            failure: self.message.map(|message| Failure::new(message, message)),
            failed_compensations: self.message.map(Into::into),
            uncompensated: self.message.map(Into::into).into_iter().collect(),
            pause: (self.status == WorkflowStatus::Paused).then(|| Pause {
                reason: PauseReason::Operator,
                message: message.to_owned(),
                from: WorkflowStatus::Running,
            }),
            key: self.key.map(Into::into),
            tags: tagged(self.tag),
            ..Run::new(new)
        }
    }
}

/// What a store should have.
#[derive(Default)]
struct Model {
    /// Whether runs can be nobody's.
    nodes: bool,
    /// Runs by their number, and whether they are this node's.
    runs: BTreeMap<u8, (Run, bool)>,
    rows: BTreeMap<(u8, u64), Row>,
    /// The number of the next run: ids grow as time does.
    next: u8,
    /// The revision of the last save.
    revision: u64,
    versions: BTreeMap<(Name, u32), VersionRow>,
    components: BTreeSet<String>,
}

impl Model {
    /// The writes that make sense, and what should become of them.
    fn commit(&mut self, actions: &[Action]) -> (Vec<Write>, Vec<Written>) {
        let (mut writes, mut written) = (Vec::new(), Vec::new());
        let mut keyed_now = BTreeSet::new();
        // A store may see only the last of several states of a run or a row in one batch.
        let stored_runs: BTreeMap<u8, WorkflowStatus> =
            self.runs.iter().map(|(number, (run, _))| (*number, run.status)).collect();
        let stored_rows = self.rows.clone();
        for action in actions {
            match action {
                Action::Begin { offer, state } => {
                    let run = state.run(self.next);
                    let number = self.next;
                    self.next += 1;
                    let holder = self.with_key(state.workflow, run.key.as_deref()).map(|run| run.id);
                    written.push(holder.map_or(Written::Done, Written::KeyTaken));
                    if holder.is_none() {
                        self.runs.insert(number, (run.clone(), !(*offer && self.nodes)));
                        if run.key.is_some() {
                            keyed_now.insert(number);
                        }
                    }
                    let run = Box::new(run);
                    writes.push(if *offer { Write::InsertUnowned(run) } else { Write::Start(run) });
                }
                Action::Save { run: number, state, rows } => {
                    let Some((run, _)) = self.runs.get_mut(number).filter(|_| !keyed_now.contains(number))
                    else {
                        continue;
                    };
                    self.revision += 1;
                    let stored = stored_runs.get(number).copied();
                    let goes_on = |status| {
                        [Some(run.status), stored]
                            .into_iter()
                            .flatten()
                            .all(|before| run_goes_on(before, status))
                    };
                    let state = state.as_ref().filter(|state| goes_on(state.status));
                    if let Some(state) = state {
                        // What never changes of a run stays.
                        let state = State { workflow: ("", ""), key: None, ..state.clone() };
                        *run = Run {
                            tenant: run.tenant.clone(),
                            workflow: run.workflow.clone(),
                            key: run.key.clone(),
                            revision: self.revision,
                            ..state.run(*number)
                        };
                    }
                    let run = state.is_some().then(|| Box::new(run.clone()));
                    let mut written_rows = Vec::new();
                    for row in rows {
                        let place = (*number, row.seq);
                        let before = [self.rows.get(&place), stored_rows.get(&place)];
                        if !before.into_iter().flatten().all(|before| row_goes_on(before, row)) {
                            continue;
                        }
                        // A save may have a row twice.
                        self.revision += 1;
                        let row = Row { revision: self.revision, ..row.clone() };
                        written_rows.push(row.clone());
                        let kept = self.rows.entry((*number, row.seq)).or_insert_with(|| row.clone());
                        *kept = row.clone();
                    }
                    // Some are not new. A store must not depend on it.
                    let new_rows = written_rows.len();
                    let changes =
                        Changes { run, new_run: false, rows: written_rows, new_rows, ..Changes::default() };
                    writes.push(Write::Save(id(*number), changes));
                    written.push(Written::Done);
                }
            }
        }
        (writes, written)
    }

    fn with_key(&self, workflow: Name, key: Option<&str>) -> Option<&Run> {
        let mut runs = self.runs.values().map(|(run, _)| run);
        let is_it = |run: &&Run| key.is_some() && run.key.as_deref() == key;
        runs.find(|run| is_it(run) && (&*run.tenant, &*run.workflow) == workflow)
    }

    /// Runs that are due, in order, this node's or nobody's.
    fn due(&self, mine: bool, until: i64) -> Vec<(Timestamp, RunId)> {
        let runs = self.runs.values().filter(|(_, of_this)| *of_this == mine);
        let due = runs.filter_map(|(run, _)| Some((run.due_at()?, run.id)));
        let mut due: Vec<_> = due.filter(|(time, _)| time.0 <= until).collect();
        due.sort();
        due
    }

    fn loaded(&self, number: u8) -> Option<(Run, Vec<Row>)> {
        let (run, _) = self.runs.get(&number)?;
        Some((
            run.clone(),
            self.rows.range((number, 0)..=(number, u64::MAX)).map(|(_, row)| row.clone()).collect(),
        ))
    }

    fn register(&mut self, digest: &str, versions: &[((Name, u32), VersionRow)]) -> Vec<VersionRow> {
        let known = versions.iter().filter_map(|(place, _)| self.versions.get(place));
        let kept: Vec<VersionRow> = known.filter(|known| known.digest != digest).cloned().collect();
        if !versions.is_empty() && kept.len() == versions.len() {
            return kept;
        }
        self.components.insert(digest.to_owned());
        for (place, version) in versions {
            self.versions.entry(*place).or_insert_with(|| version.clone());
        }
        kept
    }
}

/// Whether a run may have this status after that one, whatever is between them.
fn run_goes_on(before: WorkflowStatus, after: WorkflowStatus) -> bool {
    use WorkflowStatus::{Compensated, Completed, Created, Failed, Running, Waiting};
    match before {
        Completed | Compensated => after == before,
        Failed => !matches!(after, Created | Running | Waiting | Completed),
        _ => true,
    }
}

/// Whether a row may have this state after that one, whatever is between them.
fn row_goes_on(before: &Row, after: &Row) -> bool {
    let is_new_attempt = after.attempt > before.attempt;
    after.attempt >= before.attempt
        && match before.status {
            StepStatus::Completed => after.status == StepStatus::Completed,
            StepStatus::Failed => after.status != StepStatus::Running || is_new_attempt,
            _ => true,
        }
}

async fn step(store: &dyn Store, model: &mut Model, operation: &Operation) {
    let epoch = store.epoch();
    match operation {
        Operation::Commit(actions) => {
            let (writes, written) = model.commit(actions);
            assert_eq!(store.commit(epoch, &writes).await.unwrap().written, written);
            let unfinished = model.runs.values().filter(|(run, _)| run.due_at().is_some()).count();
            assert_eq!(store.unfinished(1_000_000).await.unwrap(), unfinished as u64);
        }
        Operation::Claim { until, limit } => {
            let mut claimed = model.due(false, *until);
            claimed.truncate(*limit as usize);
            for (run, mine) in model.runs.values_mut() {
                *mine |= claimed.iter().any(|(_, id)| *id == run.id);
            }
            assert_eq!(alarms(model, store.claim(epoch, Timestamp(*until), *limit).await.unwrap()), claimed);
        }
        Operation::Take(numbers) => {
            let ids: Vec<RunId> = distinct(numbers).map(id).collect();
            let taken = store.acquire(epoch, &ids).await.unwrap();
            for (number, taken) in distinct(numbers).zip(taken) {
                let found = match taken.unwrap() {
                    Acquired::Here(loaded) => Some((loaded.run, loaded.rows.unwrap())),
                    Acquired::Unknown => None,
                    Acquired::Elsewhere => panic!("there is one node"),
                };
                assert_eq!(found, model.loaded(number));
                if let Some((_, mine)) = model.runs.get_mut(&number) {
                    *mine = true;
                }
            }
        }
        Operation::Load(numbers) => {
            let ids: Vec<RunId> = distinct(numbers).map(id).collect();
            let loaded = store.load(&ids).await.unwrap();
            for (number, loaded) in distinct(numbers).zip(loaded) {
                let found = loaded.unwrap().map(|loaded| (loaded.run, loaded.rows.unwrap()));
                assert_eq!(found, model.loaded(number));
                assert_eq!(store.run(id(number)).await.unwrap(), found.map(|(run, _)| run));
            }
        }
        Operation::List { tenant, workflow, status, tag, kind, limit, position } => {
            let position =
                |is_newer| position.filter(|(newer, _)| *newer == is_newer).map(|(_, number)| id(number).0);
            let filter = RunFilter {
                workflow: workflow.map(str::to_owned),
                statuses: status.iter().copied().collect(),
                tags: tag.map(tagged).unwrap_or_default(),
                error_kind: kind.map(str::to_owned),
                limit: *limit,
                cursor: position(false),
                newer: position(true),
                ..RunFilter::default()
            };
            let mut runs: Vec<_> = model.runs.values().rev().map(|(run, _)| run).collect();
            if filter.newer.is_some() {
                runs.reverse();
            }
            let expected: Vec<_> = runs
                .into_iter()
                .filter(|run| *run.tenant == **tenant)
                .filter(|run| workflow.is_none_or(|workflow| *run.workflow == *workflow))
                .filter(|run| status.is_none_or(|status| run.status == status))
                .filter(|run| tag.is_none_or(|tag| run.tags.get("t") == Some(tag)))
                .filter(|run| kind.is_none_or(|kind| run.failure.as_ref().is_some_and(|it| it.kind == kind)))
                .filter(|run| filter.cursor.is_none_or(|cursor| run.id.0 < cursor))
                .filter(|run| filter.newer.is_none_or(|newer| run.id.0 > newer))
                .take(*limit as usize)
                .map(|run| (run.id.0, run.status, run.error(), run.started_at.to_datetime()))
                .collect();
            let listed = store.list(tenant, &filter).await.unwrap().runs;
            let listed: Vec<_> =
                listed.into_iter().map(|run| (run.id, run.status, run.error, run.started_at)).collect();
            assert_eq!(listed, expected, "{filter:?}");
        }
        Operation::Due { after, until, limit } => {
            // A cursor is a run that was due then.
            let after = after.filter(|(_, number)| model.runs.contains_key(number));
            let after = after.map(|(time, number)| (Timestamp(time), id(number)));
            let mut expected = model.due(true, *until);
            expected.retain(|place| after.is_none_or(|after| *place > after));
            expected.truncate(*limit as usize);
            let due = store.due(epoch, after, Timestamp(*until), *limit).await.unwrap();
            assert_eq!(alarms(model, due), expected);
        }
        Operation::WithKey(workflow, key) => {
            let found = store.run_with_key(workflow.0, workflow.1, key).await.unwrap();
            assert_eq!(found.as_ref(), model.with_key(*workflow, Some(key)));
        }
        Operation::Register { digest, versions } => {
            // A component is uploaded by one tenant.
            let one = versions.first().map(|((tenant, _), _)| *tenant);
            let versions: Vec<_> =
                versions.iter().filter(|((tenant, _), _)| Some(*tenant) == one).copied().collect();
            let version = |place: (Name, u32)| VersionRow {
                tenant: place.0.0.to_owned(),
                workflow: place.0.1.to_owned(),
                version: place.1,
                digest: (*digest).to_owned(),
                timeout_ms: 5,
                deprecated: false,
                active: false,
                created_at: Timestamp(1_000),
                input_schema: None,
            };
            let placed: Vec<_> = versions.iter().map(|place| (*place, version(*place))).collect();
            let expected = model.register(digest, &placed);
            let versions: Vec<_> = placed.into_iter().map(|(_, version)| version).collect();
            let bytes = Some(Bytes::copy_from_slice(digest.as_bytes()));
            let kept = store.register(digest, bytes, &versions, &[], VersionConflict::Keep).await.unwrap();
            assert_eq!(kept, expected);
            let component = store.component(digest).await.unwrap();
            let expected = model.components.contains(*digest).then(|| digest.as_bytes().to_vec());
            assert_eq!(component, expected);
        }
        Operation::Activate(workflow, version) => {
            let found = model.versions.contains_key(&(*workflow, *version));
            for (_, row) in model.versions.iter_mut().filter(|((of, _), _)| found && of == workflow) {
                row.active = row.version == *version;
                row.deprecated &= row.version != *version;
            }
            assert_eq!(store.activate(workflow.0, workflow.1, *version).await.unwrap(), found);
            versions(store, model).await;
        }
        Operation::Deprecate(workflow, version) => {
            let row = model.versions.get_mut(&(*workflow, *version));
            let found = row.is_some();
            if let Some(row) = row {
                (row.active, row.deprecated) = (false, true);
            }
            assert_eq!(store.deprecate(workflow.0, workflow.1, *version).await.unwrap(), found);
            versions(store, model).await;
        }
    }
}

async fn versions(store: &dyn Store, model: &Model) {
    for tenant in TENANTS {
        let theirs = model.versions.values().filter(|version| version.tenant == tenant);
        let mut expected: Vec<_> = theirs.cloned().collect();
        expected.sort_by(|one, other| (&one.workflow, other.version).cmp(&(&other.workflow, one.version)));
        assert_eq!(store.versions(tenant, None).await.unwrap(), expected);
        expected.retain(|version| version.workflow == "b");
        assert_eq!(store.versions(tenant, Some("b")).await.unwrap(), expected);
    }
}

/// The times and runs, if each is said to be of its tenant.
fn alarms(model: &Model, due: Vec<Due>) -> Vec<(Timestamp, RunId)> {
    for Due { run, tenant, .. } in &due {
        assert!(model.runs.values().any(|(known, _)| known.id == *run && known.tenant == *tenant));
    }
    due.into_iter().map(|due| (due.at, due.run)).collect()
}

fn distinct(numbers: &[u8]) -> impl Iterator<Item = u8> {
    numbers.iter().copied().collect::<BTreeSet<_>>().into_iter()
}
