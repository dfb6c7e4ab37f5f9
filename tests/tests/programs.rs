//! Random programs, each executed once in peace and once on a host that is killed again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;

use forge_tests::{Api, Crashes, Database, Execution, Host, Services, random};
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

#[tokio::test(flavor = "multi_thread")]
async fn programs_end_the_same_however_often_the_host_is_killed() {
    let seed = random::seed("programs");
    let mut crashes = Crashes::new(seed);
    let services = Services::start().await;
    services.slow_down(5);
    let mut crashing = Host::with_interpreter().await;
    let calm = Host::with_interpreter().await;

    let mut programs = programs(seed);
    let (mut compared, mut hits) = (0, 0);
    while !programs.is_empty() {
        let batch: Vec<Seeded> = programs.drain(..programs.len().min(BATCH)).collect();
        let pairs = start(&batch, &crashing.api(), &calm.api(), &services).await;
        storm(&mut crashes, &mut crashing, &services).await;
        for Pair { program, crashed, undisturbed } in pairs {
            let record = crashing.api().settled(&crashed).await;
            calm.api().settled(&undisturbed).await;
            if record["status"] == "paused" {
                let steps = crashing.api().steps(&crashed).await;
                panic!(
                    "program {0} is paused (FORGE_SEED={0}): {1}\n{2}\n{steps:#?}",
                    program.seed,
                    record["error"],
                    shown(program)
                );
            }
            hits += crashes.during(&record);
            if crashes.during(&record) == 0 {
                assert!(program.tries < TRIES, "no kill hits program {}", program.seed);
                programs.push_back(Seeded { tries: program.tries + 1, ..program });
                continue;
            }
            let crashed = Execution::of(&crashing.api(), &crashed).await;
            let undisturbed = Execution::of(&calm.api(), &undisturbed).await;
            let difference = crashed.difference(&undisturbed);
            assert_eq!(
                difference,
                "",
                "program {0} differs (FORGE_SEED={0}):\n{1}",
                program.seed,
                shown(program)
            );
            compared += 1;
        }
    }
    println!("{compared} programs, {} kills, {hits} hits", crashes.kills().len());
    for host in [&crashing, &calm] {
        compensations_are_in_reverse_order(&mut host.database().await).await;
    }
    let ledger = services.ledger.entries();
    let mut effects: Vec<_> = ledger.iter().filter(|entry| entry.performed).map(|entry| &entry.key).collect();
    let count = effects.len();
    effects.sort();
    effects.dedup();
    assert_eq!(effects.len(), count, "every key has one effect");
}

/// The programs to execute; with `FORGE_SEED` many times the one of that seed.
fn programs(seed: u64) -> VecDeque<Seeded> {
    let seeds: Vec<u64> = match random::given_seed() {
        Some(seed) => vec![seed; BATCH],
        None => (0..PROGRAMS).map(|number| seed.wrapping_add(number)).collect(),
    };
    seeds.into_iter().map(|seed| Seeded { seed, tries: 1 }).collect()
}

async fn start(batch: &[Seeded], crashing: &Api, calm: &Api, services: &Services) -> Vec<Pair> {
    let starts = batch.iter().map(async |program| {
        let body = random::program(program.seed);
        let crashed = crashing.start_program(services, body.clone()).await;
        let undisturbed = calm.start_program(services, body).await;
        Pair { program: *program, crashed, undisturbed }
    });
    futures::future::join_all(starts).await
}

/// Kills the host again and again, as long as there is something to do.
async fn storm(crashes: &mut Crashes, host: &mut Host, services: &Services) {
    for _ in 0..KILLS {
        if !crashes.crash(host, services, LIFE).await {
            break;
        }
    }
}

fn shown(program: Seeded) -> String {
    format!("{:#}", json!(random::program(program.seed)))
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
