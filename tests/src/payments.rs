//! Payments that customers make while hosts are killed, and the checks afterwards.

use std::cell::Cell;
use std::collections::BTreeMap;

use forge_example_services::ledger::Entry;
use serde_json::{Value, json};

use crate::{Api, Kill, Services, crashes};

/// A request of a host that was killed may be read by the services this much later, in milliseconds.
const ARRIVAL: u64 = 500;

/// A payment that a host acknowledged.
pub struct Payment {
    /// Its run.
    pub run: String,
    /// The mail at its end bounces, so that it is rolled back.
    pub bounces: bool,
}

impl Payment {
    /// Starts one, at whichever host is asked, and asks again until it is acknowledged: it has a key.
    pub async fn start(key: &str, bounces: bool, api: &Api, services: &Services) -> Self {
        let workflow = if bounces { "payment_with_confirmation" } else { "payment_workflow" };
        let order = json!({
            "key": key,
            "input": {
                "items": [{"sku": "beans-yirgacheffe-1kg", "quantity": 1}],
                "card_token": "tok_visa",
                "email": if bounces { "bounce@example.com" } else { "ada@example.com" },
                "services": services.url(),
            },
        });
        Self { run: api.start_acknowledged(workflow, &order).await, bounces }
    }
}

/// One customer's payments, one after the other.
pub async fn shop(
    customer: usize,
    apis: &[Api],
    services: &Services,
    closing_time: &Cell<bool>,
) -> Vec<Payment> {
    let mut payments = Vec::new();
    while !closing_time.get() {
        let number = payments.len();
        let turn = |shift| &apis[(customer + number + shift) % apis.len()];
        let key = format!("customer-{customer}-payment-{number}");
        let bounces = (customer + number).is_multiple_of(4);
        let payment = Payment::start(&key, bounces, turn(0), services).await;
        turn(1).settled(&payment.run).await;
        payments.push(payment);
    }
    payments
}

/// Checks that every payment ended as it should, and that each effect happened once: what was in flight
/// at a kill was sent again with the same key, and nothing else was.
pub async fn check(payments: &[Payment], api: &Api, services: &Services, kills: &[Kill]) {
    let ledger = services.ledger.entries();
    println!("{} payments, {} requests, {} kills", payments.len(), ledger.len(), kills.len());
    every_key_has_one_effect(&ledger);
    only_what_was_in_flight_was_sent_again(&ledger, kills);
    let sent = by_run(&ledger);
    for payment in payments {
        let record = api.record(&payment.run).await;
        let steps = api.steps(&payment.run).await;
        ended_as_it_should(payment, &record, &steps);
        calls_follow_each_other(payment, sent.get(&*payment.run).map_or(&[], Vec::as_slice));
    }
    assert_eq!(sent.len(), payments.len(), "only acknowledged runs had effects");
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
fn only_what_was_in_flight_was_sent_again(ledger: &[Entry], kills: &[Kill]) {
    let mut by_key: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in ledger {
        by_key.entry(entry.key.as_deref().expect("every request has a key")).or_default().push(entry);
    }
    for (key, sends) in by_key {
        for pair in sends.windows(2) {
            let kills = crashes::between(kills, pair[0].at.saturating_sub(ARRIVAL), pair[1].at);
            assert!(kills > 0, "{key} was sent again although nothing was killed: {pair:#?}");
        }
        if let [first, .., last] = sends[..] {
            let kills = crashes::between(kills, first.at.saturating_sub(ARRIVAL), last.at);
            assert!(sends.len() <= 1 + kills, "{key} was sent {} times during {kills} kills", sends.len());
        }
    }
}

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
