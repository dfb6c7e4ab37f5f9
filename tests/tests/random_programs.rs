//! Random programs, each executed once in peace and once on a host that is killed again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, VecDeque};

use forge_example_services::ledger::Entry;
use forge_tests::random::COUNTER;
use forge_tests::{Crashes, Database, Execution, Host, Services, random};
use serde_json::json;

/// Programs in all.
const PROGRAMS: u64 = 500;

/// Programs that run at the same time.
const BATCH: usize = 50;

/// Kills during a batch, if it does not end before.
const KILLS: usize = 8;

/// Batches that a program may take part in until a kill hits it.
const TRIES: u32 = 10;

/// How long the host works between kills at most, in milliseconds: a part of what a program takes.
const LIFE: u64 = 150;

/// A program, by the seed that it follows from.
#[derive(Clone, Copy)]
struct Seeded {
    seed: u64,
    tries: u32,
}

/// One program's two runs.
struct Pair {
    program: Seeded,
    crashed: String,
    undisturbed: String,
}

/// Where programs are executed.
struct Fixture {
    services: Services,
    crashing: Host,
    calm: Host,
    crashes: Crashes,
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_end_the_same_however_often_the_host_is_killed() {
    let seed = random::seed("programs");
    let mut fixture = Fixture::new(seed).await;
    let mut programs = programs(seed);
    let (mut compared, mut hits, mut missed) = (0, 0, 0);
    while !programs.is_empty() {
        let batch: Vec<Seeded> = programs.drain(..programs.len().min(BATCH)).collect();
        for pair in fixture.start(&batch).await {
            let hit = fixture.compare(&pair).await;
            match hit {
                0 if pair.program.tries < TRIES => {
                    programs.push_back(Seeded { tries: pair.program.tries + 1, ..pair.program });
                }
                // It waits for nothing, and is over before anything can hit it.
                0 => missed += 1,
                _ => {}
            }
            compared += usize::from(hit > 0);
            hits += hit;
        }
    }
    println!(
        "{compared} programs, hit {hits} times by {} kills; {missed} were not hit",
        fixture.crashes.kills().len()
    );
    assert!(missed * 20 < compared, "kills hit nearly all programs");
    for host in [&fixture.crashing, &fixture.calm] {
        compensations_are_in_reverse_order(&mut host.database().await).await;
        the_counter_has_every_increment(host).await;
    }
    every_key_has_one_effect(&fixture.services.ledger.entries());
}

impl Fixture {
    async fn new(seed: u64) -> Self {
        let services = Services::start().await;
        services.slow_down(5);
        let (crashing, calm) = (Host::with_interpreter().await, Host::with_interpreter().await);
        Self { services, crashing, calm, crashes: Crashes::new(seed) }
    }

    /// Starts programs on both hosts, and kills the one of them again and again, as long as there is
    /// something to do.
    async fn start(&mut self, programs: &[Seeded]) -> Vec<Pair> {
        let (crashing, calm) = (self.crashing.api(), self.calm.api());
        let starts = programs.iter().map(async |program| {
            let body = random::program(program.seed);
            let crashed = crashing.start_program(&self.services, body.clone()).await;
            let undisturbed = calm.start_program(&self.services, body).await;
            Pair { program: *program, crashed, undisturbed }
        });
        let pairs = futures::future::join_all(starts).await;
        for _ in 0..KILLS {
            if !self.crashes.crash(&mut self.crashing, &self.services, LIFE).await {
                break;
            }
        }
        pairs
    }

    /// Waits for both runs, and checks that they ended the same; how many kills hit the one.
    async fn compare(&self, Pair { program, crashed, undisturbed }: &Pair) -> usize {
        let (crashing, calm) = (self.crashing.api(), self.calm.api());
        let record = crashing.settled(crashed).await;
        calm.settled(undisturbed).await;
        let seed = program.seed;
        let shown = format!("(FORGE_SEED={seed}):\n{:#}", json!(random::program(seed)));
        if record["status"] == "paused" {
            let steps = json!(crashing.steps(crashed).await);
            panic!("program {seed} is paused: {} {shown}\n{steps:#}", record["error"]);
        }
        let crashed = Execution::of(&crashing, crashed).await;
        let undisturbed = Execution::of(&calm, undisturbed).await;
        assert_eq!(crashed.difference(&undisturbed), "", "program {seed} differs {shown}");
        self.crashes.during(&record)
    }
}

/// The programs to execute; with `FORGE_SEED` many times the one of that seed.
fn programs(seed: u64) -> VecDeque<Seeded> {
    let seeds: Vec<u64> = match random::given_seed() {
        Some(seed) => vec![seed; BATCH],
        None => (0..PROGRAMS).map(|number| seed.wrapping_add(number)).collect(),
    };
    seeds.into_iter().map(|seed| Seeded { seed, tries: 1 }).collect()
}

/// Of two compensations of a run, the one that began first is that of the step that ended last.
async fn compensations_are_in_reverse_order(database: &mut Database) {
    let wrong: Vec<(String, String, String)> = database
        .rows(
            "SELECT c1.workflow_run_id, s1.step_name, s2.step_name
               FROM forge_workflow_steps c1
               JOIN forge_workflow_steps s1 ON s1.workflow_run_id = c1.workflow_run_id AND s1.seq = c1.scope_step
               JOIN forge_workflow_steps c2 ON c2.workflow_run_id = c1.workflow_run_id AND c2.seq > c1.seq
               JOIN forge_workflow_steps s2 ON s2.workflow_run_id = c2.workflow_run_id AND s2.seq = c2.scope_step
              WHERE c1.kind = 'compensation' AND c2.kind = 'compensation' AND s2.call_order > s1.call_order",
            &[],
        )
        .await;
    assert!(wrong.is_empty(), "compensated in the wrong order: {wrong:#?}");
}

/// The number that all programs increment is that of the increments that were committed.
async fn the_counter_has_every_increment(host: &Host) {
    let sql = "SELECT count(*) FROM forge_workflow_steps
                WHERE kind = 'db' AND step_name = 'put ' || ? AND status = 'completed'";
    let increments: Vec<(i64,)> = host.database().await.rows(sql, &[COUNTER]).await;
    let counter = host.api().get(&format!("/_api/db/{COUNTER}")).await.ok();
    println!("{counter} increments");
    assert_eq!(counter.as_i64(), Some(increments[0].0));
}

fn every_key_has_one_effect(ledger: &[Entry]) {
    let mut keys = BTreeSet::new();
    for entry in ledger.iter().filter(|entry| entry.performed) {
        assert!(keys.insert(&entry.key), "this effect happened twice: {entry:#?}");
    }
    let handlers = ledger.iter().filter(|entry| entry.effect.starts_with('u'));
    let requests = handlers.clone().count();
    let keys = handlers.map(|entry| &entry.key).collect::<BTreeSet<_>>().len();
    println!(
        "{} requests, {} of them of handlers, which sent {} again",
        ledger.len(),
        requests,
        requests - keys
    );
}
