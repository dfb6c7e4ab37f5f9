//! Killing the host: nothing acknowledged is lost, nothing is done twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;

use forge_example_services::ledger::Entry;
use forge_tests::program::{Statement, block, effect, fail, gate, reversible, step};
use forge_tests::{Api, Crashes, Host, Services, example, random};
use futures::future::join_all;
use serde_json::{Value, json};

/// How often the host is killed during the storm.
const KILLS: usize = 100;

/// Customers who pay at the same time, each one payment after the other.
const CUSTOMERS: usize = 50;

/// A payment that the host acknowledged.
struct Payment {
    run: String,
    bounces: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_survive_a_hundred_kills_and_each_effect_happens_once() {
    let mut crashes = Crashes::new(random::seed("payments"));
    let services = Services::start().await;
    services.slow_down(40);
    let mut host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
    let api = host.api();
    api.deploy(&example("payment")).await;

    let closing_time = Cell::new(false);
    let customers = (0..CUSTOMERS).map(|customer| shop(customer, &api, &services, &closing_time));
    let storm = async {
        for _ in 0..KILLS {
            assert!(crashes.crash(&mut host, &services, 400).await, "the customers go on paying");
        }
        closing_time.set(true);
    };
    let (payments, ()) = futures::join!(join_all(customers), storm);
    let payments: Vec<Payment> = payments.into_iter().flatten().collect();

    let ledger = services.ledger.entries();
    println!("{} payments, {} requests, {} kills", payments.len(), ledger.len(), crashes.kills().len());
    assert!(payments.len() >= CUSTOMERS, "every customer paid");
    every_key_has_one_effect(&ledger);
    only_what_was_in_flight_was_sent_again(&ledger, &crashes);
    let sent = by_run(&ledger);
    for payment in &payments {
        let record = api.record(&payment.run).await;
        let steps = api.steps(&payment.run).await;
        ended_as_it_should(payment, &record, &steps);
        calls_follow_each_other(payment, sent.get(&*payment.run).map_or(&[], Vec::as_slice));
    }
    assert_eq!(sent.len(), payments.len(), "only acknowledged runs had effects");
}

/// One customer's payments, each with a key, so that a start whose answer was lost can be repeated.
async fn shop(customer: usize, api: &Api, services: &Services, closing_time: &Cell<bool>) -> Vec<Payment> {
    let mut payments = Vec::new();
    while !closing_time.get() {
        let bounces = (customer + payments.len()).is_multiple_of(4);
        let workflow = if bounces { "payment_with_confirmation" } else { "payment_workflow" };
        let order = json!({
            "key": format!("customer-{customer}-payment-{}", payments.len()),
            "input": {
                "items": [{"sku": "beans-yirgacheffe-1kg", "quantity": 1}],
                "card_token": "tok_visa",
                "email": if bounces { "bounce@example.com" } else { "ada@example.com" },
                "services": services.url(),
            },
        });
        let run = api.start_acknowledged(workflow, &order).await;
        api.settled(&run).await;
        payments.push(Payment { run, bounces });
    }
    payments
}

fn every_key_has_one_effect(ledger: &[Entry]) {
    let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in ledger {
        let key = entry.key.as_deref().expect("every request has a key");
        *effects.entry(key).or_default() += usize::from(entry.performed);
    }
    // A mail to an address that bounces is refused, and so has no effect.
    let wrong: Vec<_> = effects
        .iter()
        .filter(|(key, count)| {
            let refused =
                ledger.iter().any(|entry| entry.key.as_deref() == Some(key) && entry.status == Some(422));
            **count != usize::from(!refused)
        })
        .collect();
    assert!(wrong.is_empty(), "keys whose effect did not happen once: {wrong:#?}");
}

/// Between two requests with the same key lies a kill, and there are no more requests than kills.
fn only_what_was_in_flight_was_sent_again(ledger: &[Entry], crashes: &Crashes) {
    let mut by_key: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in ledger {
        by_key.entry(entry.key.as_deref().expect("every request has a key")).or_default().push(entry);
    }
    for (key, sends) in by_key {
        for pair in sends.windows(2) {
            let kills = crashes.between(pair[0].at.saturating_sub(ARRIVAL), pair[1].at);
            assert!(kills > 0, "{key} was sent again although nothing was killed: {pair:#?}");
        }
        if let [first, .., last] = sends[..] {
            let kills = crashes.between(first.at.saturating_sub(ARRIVAL), last.at);
            assert!(sends.len() <= 1 + kills, "{key} was sent {} times during {kills} kills", sends.len());
        }
    }
}

/// A request of a host that was killed may be read by the services this much later, in milliseconds.
const ARRIVAL: u64 = 500;

/// The requests of each run, in order of arrival. A key begins with its run.
fn by_run(ledger: &[Entry]) -> BTreeMap<&str, Vec<&Entry>> {
    let mut by_run: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in ledger {
        let key = entry.key.as_deref().expect("every request has a key");
        let (run, _) = key.split_once(':').expect("a key begins with its run");
        by_run.entry(run).or_default().push(entry);
    }
    by_run
}

fn ended_as_it_should(payment: &Payment, record: &Value, steps: &[Value]) {
    let expected = if payment.bounces { "compensated" } else { "completed" };
    assert_eq!(record["status"], expected, "{record:#}");
    let again: Vec<_> = steps.iter().filter(|step| step["attempt"] != 1).collect();
    assert!(again.is_empty(), "steps that were executed again: {again:#?}");
}

/// Once a call was sent, no earlier one of the run is: its answer was durable.
fn calls_follow_each_other(payment: &Payment, sent: &[&Entry]) {
    let expected: &[&str] = match payment.bounces {
        true => &["reserve_inventory", "charge_card", "send_mail", "refund_charge", "release_inventory"],
        false => &["reserve_inventory", "charge_card", "send_mail"],
    };
    let mut effects: Vec<&str> = sent.iter().map(|entry| entry.effect.as_str()).collect();
    effects.dedup();
    assert_eq!(effects, expected, "{sent:#?}");
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
