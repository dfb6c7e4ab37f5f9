//! Killing the host: nothing acknowledged is lost, nothing is done twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;

use forge_tests::payments::{self, Payment, shop};
use forge_tests::program::{Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Crashes, Host, Services, example, random};
use futures::future::join_all;

/// How often the host is killed during the storm.
const KILLS: usize = 100;

/// Customers who pay at the same time, each one payment after the other.
const CUSTOMERS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn payments_survive_a_hundred_kills_and_each_effect_happens_once() {
    let mut crashes = Crashes::new(random::seed("payments"));
    let services = Services::start().await;
    services.slow_down(40);
    let mut host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
    let api = host.api();
    api.deploy(&example("payment")).await;

    let closing_time = Cell::new(false);
    let apis = [api];
    let customers = (0..CUSTOMERS).map(|customer| shop(customer, &apis, &services, &closing_time));
    let storm = async {
        for _ in 0..KILLS {
            assert!(crashes.crash(&mut host, &services, 400).await, "the customers go on paying");
        }
        closing_time.set(true);
    };
    let (payments, ()) = futures::join!(join_all(customers), storm);
    let payments: Vec<Payment> = payments.into_iter().flatten().collect();
    assert!(payments.len() >= CUSTOMERS, "every customer paid");
    payments::check(&payments, &apis[0], &services, crashes.kills()).await;
}

#[tokio::test]
async fn a_step_that_is_killed_after_two_of_three_calls_makes_only_the_third() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let body =
        block![step("order", block![effect("reserve"), effect("charge"), gate("mail")]), effect("thanks")];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("mail", 1).await;

    host.kill();
    host.restart().await;
    services.until_asked("mail", 2).await;
    services.open("mail");
    assert_eq!(host.api().settled(&run).await["status"], "completed");

    let asked = |effect| services.asked(effect).len();
    assert_eq!((asked("reserve"), asked("charge"), asked("mail"), asked("thanks")), (1, 1, 2, 1));
    let keys: Vec<_> = services.asked("mail").into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys[0], keys[1], "it is sent again with the same key");
    assert_eq!(services.performed(), ["reserve", "charge", "mail", "thanks"]);
}

#[tokio::test]
async fn completed_steps_do_not_run_again() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let body = block![
        reversible("a"),
        Statement::Join(vec![block![reversible("b")], block![reversible("c")]]),
        step("d", block![step("e", block![effect("e")]), effect("d")]),
        Statement::Manual("f".to_owned(), block![effect("f")]),
        gate("wait"),
    ];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("wait", 1).await;
    for _ in 0..3 {
        host.kill();
        host.restart().await;
    }
    services.open("wait");
    assert_eq!(host.api().settled(&run).await["status"], "completed");
    for effect in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(services.asked(effect).len(), 1, "{effect}");
    }
}

#[tokio::test]
async fn an_acknowledged_start_survives_a_kill_right_after_it() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    for round in 0..5 {
        let run = host.api().start_program(&services, block![effect(format!("round-{round}"))]).await;
        host.kill();
        host.restart().await;
        assert_eq!(host.api().settled(&run).await["status"], "completed", "round {round}");
    }
}

#[tokio::test]
async fn a_timer_ends_when_it_was_to_end_although_the_host_is_killed() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let run = host.api().start_program(&services, block![Statement::Sleep(8_000)]).await;
    host.api().until_status(&run, "waiting").await;
    let begun = host.api().steps(&run).await;
    host.kill();
    host.restart().await;
    assert_eq!(host.api().steps(&run).await, begun, "the timer is as it was");
    assert_eq!(host.api().settled(&run).await["status"], "completed");
    let ended = &host.api().steps(&run).await[0];
    assert_eq!(ended["wake_at"], begun[0]["wake_at"]);
    assert!(ended["completed_at"].as_str() >= ended["wake_at"].as_str(), "not before its time: {ended:#}");
}

#[tokio::test]
async fn a_retry_goes_on_with_the_next_attempt_after_a_kill() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let flaky = block![effect("knock"), Statement::Flaky("door".to_owned(), 2), gate("hall")];
    let body = block![step("enter", flaky).retry(3, 10), reversible("sit"), fail("the chair is broken")];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("hall", 1).await;
    host.kill();
    host.restart().await;
    services.open("hall");
    assert_eq!(host.api().settled(&run).await["status"], "compensated");
    assert_eq!(host.api().step(&run, "step", "enter").await["attempt"], 3);
    assert_eq!(services.asked("door").len(), 3);
}

#[tokio::test]
async fn a_step_with_a_timeout_goes_on_after_a_low_level_step_inside_of_it() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let inner = Statement::Manual("weigh".to_owned(), block![effect("weigh")]);
    let body = block![step("pack", block![inner, gate("seal")]).timeout(600_000)];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("seal", 1).await;
    host.kill();
    host.restart().await;
    services.open("seal");
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(services.performed(), ["weigh", "seal"]);
}

#[tokio::test]
async fn parallel_branches_after_a_low_level_step_go_on_as_they_began() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    let race =
        [block![step("pure", block![Statement::Draw]), gate("finish")], block![Statement::Sleep(3_600_000)]];
    let body =
        block![Statement::Manual("weigh".to_owned(), block![effect("weigh")]), Statement::Race(race.into())];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("finish", 1).await;
    host.kill();
    host.restart().await;
    services.open("finish");
    let record = host.api().settled(&run).await;
    assert_eq!(record["status"], "completed", "{record:#}");
    assert_eq!(services.performed(), ["weigh", "finish"]);
}

#[tokio::test]
async fn each_attempt_of_a_step_sends_the_same_random_values_also_after_a_kill() {
    let mut host = Host::with_interpreter().await;
    let services = Services::start().await;
    services.refuse("pay", 2);
    let inner = step("inner", block![Statement::Token("pay".to_owned()), gate("receipt")]);
    let body = block![step("order", block![inner]).retry(5, 20)];
    let run = host.api().start_program(&services, body).await;
    services.until_asked("receipt", 1).await;
    host.kill();
    host.restart().await;
    services.open("receipt");
    assert_eq!(host.api().settled(&run).await["status"], "completed");

    let sent = services.asked("pay");
    assert_eq!(sent.len(), 3);
    for attempt in &sent[1..] {
        assert_eq!(attempt.key, sent[0].key);
        assert_eq!(
            (&attempt.body["uuid"], &attempt.body["number"]),
            (&sent[0].body["uuid"], &sent[0].body["number"])
        );
        assert_ne!(attempt.body["fresh"], sent[0].body["fresh"]);
    }
}
