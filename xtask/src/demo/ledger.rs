//! The ledger of the example services: the requests that they received.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// A client of the ledger.
pub(super) struct Ledger<'a> {
    url: &'a str,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(url: &'a str) -> Self {
        Self { url }
    }

    /// Returns every mutating request that the services received, in order.
    pub(super) fn entries(&self) -> Result<Vec<Value>> {
        let mut answer =
            ureq::get(format!("{}/ledger", self.url)).call().context("cannot read the ledger")?;
        Ok(answer.body_mut().read_json()?)
    }

    /// Delays the next request for an effect.
    pub(super) fn slow_down(&self, effect: &str, delay_ms: u64) -> Result<()> {
        let fault = json!({"effect": effect, "delay_ms": delay_ms});
        ureq::post(format!("{}/faults", self.url)).send_json(fault).context("cannot delay the services")?;
        Ok(())
    }
}

/// Returns whether a request has arrived and has no response yet.
pub(super) fn is_in_flight(entry: &Value) -> bool {
    entry["status"].is_null()
}

pub(super) fn print(entries: &[Value]) {
    println!("   {:<3} {:<20} {:<6} {:<14} Idempotency-Key", "#", "effect", "status", "");
    for (number, entry) in entries.iter().enumerate() {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let performed = if entry["performed"] == true { "performed" } else { "not performed" };
        println!(
            "   {:<3} {:<20} {:<6} {performed:<14} {}",
            number + 1,
            text("effect"),
            entry["status"],
            text("key")
        );
    }
}

/// Checks that no key led to an effect twice. Returns the number of requests that were sent again.
pub(super) fn check_once(entries: &[Value]) -> Result<usize> {
    let mut keys: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for entry in entries {
        let key = entry["key"].as_str().context("a request has no key")?;
        let (sent, performed) = keys.entry(key).or_default();
        *sent += 1;
        *performed += usize::from(entry["performed"] == true);
    }
    for (key, (_, performed)) in &keys {
        ensure!(*performed <= 1, "the effect with key {key} happened {performed} times");
    }
    Ok(keys.values().map(|(sent, _)| sent - 1).sum())
}
