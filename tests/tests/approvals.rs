//! Orders that wait for approvals, with children and stock, on hosts that are killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fastrand::Rng;
use forge_tests::{Answer, Api, Cluster, Crashes, Host, eventually_some, example, random};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// Customers who order at the same time, one order after the other.
const CUSTOMERS: usize = 50;

/// Articles, and the units of each. Some orders find nothing left.
const ARTICLES: usize = 4;
const UNITS: u64 = 150;

/// The longest wait of a customer between two requests, in milliseconds.
const PAUSE: u64 = 400;

/// A deadline of an approval that nobody sends, in milliseconds.
const SOON: u64 = 300;

/// Kills of the single host at most, and the longest life of it after it serves again, in milliseconds.
const KILLS: usize = 100;
const LIFE: u64 = 250;

/// The longest storm of the single host.
const STORM: Duration = Duration::from_secs(30);

/// Between two kills of a node, and the number of kills.
const KILL_EVERY: Duration = Duration::from_secs(2);
const NODE_KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn approvals_children_and_stock_survive_a_host_that_is_killed_again_and_again() {
    let seed = random::seed("approvals");
    let mut host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
    let api = host.api();
    let shop = Shop::open(vec![api.clone()], seed).await;
    let mut crashes = Crashes::new(seed);
    let mut random = Rng::with_seed(seed);
    let storm = async {
        let begun = Instant::now();
        while crashes.kills().len() < KILLS && begun.elapsed() < STORM {
            // It returns when the host serves. The rest is a random time, not a wait for a condition.
            drop(api.request(Method::GET, "/").await);
            tokio::time::sleep(Duration::from_millis(random.u64(..LIFE))).await;
            crashes.kill(&mut host);
        }
        shop.close();
    };
    let (orders, (), ()) = futures::join!(shop.customers(), storm, shop.count_units());
    println!("{} kills", crashes.kills().len());
    shop.check(&orders).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_children_and_stock_survive_nodes_that_are_killed_every_two_seconds() {
    let seed = random::seed("nodes with approvals");
    let builder = Cluster::builder().flag(["--lease", "3s"]).flag(["--compensation-backoff", "20ms"]);
    let mut cluster = builder.start(["a", "b", "c"]).await;
    cluster.watch_writes();
    let shop = Shop::open((0..3).map(|node| cluster.api(node)).collect(), seed).await;
    let mut crashes = Crashes::new(seed);
    let mut random = Rng::with_seed(seed);
    let storm = async {
        for _ in 0..NODE_KILLS {
            tokio::time::sleep(KILL_EVERY).await;
            crashes.kill(cluster.host(random.usize(0..3)));
        }
        shop.close();
    };
    let (orders, (), ()) = futures::join!(shop.customers(), storm, shop.count_units());
    shop.check(&orders).await;
    cluster.nothing_was_written_after_a_lease();
}

/// A shop with stock, and its customers.
struct Shop {
    /// The nodes.
    apis: Vec<Api>,
    seed: u64,
    is_closed: Cell<bool>,
}

/// What happens to an order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    Approved,
    Declined,
    /// Nobody approves it in time.
    Forgotten,
    /// It is approved and cannot be shipped.
    Unshippable,
    /// It is approved, and cancelled at the same time.
    Cancelled,
}

/// An order that a host acknowledged.
struct Order {
    run: String,
    plan: Plan,
    /// The keys of all events that were sent, and the numbers of those that were acknowledged.
    sent: BTreeSet<String>,
    acknowledged: BTreeMap<String, u64>,
}

impl Shop {
    async fn open(apis: Vec<Api>, seed: u64) -> Self {
        apis[0].deploy(&example("approval")).await;
        for article in 0..ARTICLES {
            apis[0].send(Method::PUT, &format!("/_api/db/stock/{article}"), Some(&json!(UNITS))).await.ok();
        }
        Self { apis, seed, is_closed: Cell::new(false) }
    }

    fn close(&self) {
        self.is_closed.set(true);
    }

    /// Lets all customers order until the shop is closed. Returns their orders, which have ended.
    async fn customers(&self) -> Vec<Order> {
        join_all((0..CUSTOMERS).map(|customer| self.customer(customer))).await.into_iter().flatten().collect()
    }

    async fn customer(&self, customer: usize) -> Vec<Order> {
        let mut random = Rng::with_seed(self.seed ^ customer as u64);
        let mut orders = Vec::new();
        while !self.is_closed.get() {
            orders.push(self.order(&format!("{customer}-{}", orders.len()), &mut random).await);
            pause(&mut random).await;
        }
        orders
    }

    /// Makes one order, and waits for its end. Each request goes to another node and is sent until it is acknowledged.
    async fn order(&self, key: &str, random: &mut Rng) -> Order {
        let plan = match random.u32(..10) {
            0..=4 => Plan::Approved,
            5 => Plan::Declined,
            6 => Plan::Forgotten,
            7 => Plan::Unshippable,
            _ => Plan::Cancelled,
        };
        let input = json!({
            "sku": random.usize(..ARTICLES).to_string(),
            "quantity": random.u64(1..=3),
            "address": if plan == Plan::Unshippable { " " } else { "1 Analytical Row" },
            "approve_within_ms": if plan == Plan::Forgotten { SOON } else { 1_000_000 },
            "packing_ms": random.u64(..100),
        });
        let start = json!({ "key": key, "input": input });
        let run = self.node(random).start_acknowledged("approved_order", &start).await;
        let mut order = Order { run, plan, sent: BTreeSet::new(), acknowledged: BTreeMap::new() };
        if plan != Plan::Forgotten {
            pause(random).await;
            self.decide(&mut order, random).await;
        }
        if plan == Plan::Cancelled {
            pause(random).await;
            let cancel = format!("/_api/runs/{}/cancel", order.run);
            let answer = acknowledged(self.node(random), &cancel, &json!({})).await;
            assert!(matches!(answer.status, 200..300 | 409), "{}", answer.body);
        }
        self.node(random).settled(&order.run).await;
        order
    }

    /// Sends the decision once or twice, and sometimes a second one, which the run does not take.
    async fn decide(&self, order: &mut Order, random: &mut Rng) {
        let path = format!("/_api/runs/{}/events/approval", order.run);
        for key in ["first", "first", "second"].into_iter().take(random.usize(1..=3)) {
            let payload = json!({ "by": key, "approved": order.plan != Plan::Declined });
            let event = json!({ "payload": payload, "key": key });
            order.sent.insert(key.to_owned());
            let answer = acknowledged(self.node(random), &path, &event).await;
            match answer.status {
                202 => {
                    let number = answer.body["seq"].as_u64().unwrap();
                    let before = order.acknowledged.insert(key.to_owned(), number);
                    assert!(
                        before.is_none_or(|before| before == number),
                        "{key} of run {} is two",
                        order.run
                    );
                }
                // The run has ended, because it took the first or found nothing left.
                409 => {}
                _ => panic!("the event is refused: {}", answer.body),
            }
        }
    }

    fn node(&self, random: &mut Rng) -> &Api {
        &self.apis[random.usize(..self.apis.len())]
    }

    /// Counts the units again and again until the shop is closed: at every moment their sum is the same.
    async fn count_units(&self) {
        let mut random = Rng::with_seed(self.seed);
        let mut counted = 0;
        while !self.is_closed.get() {
            if let Some(page) = self.entries(&mut random).await {
                count(&page);
                counted += 1;
            }
            pause(&mut random).await;
        }
        println!("the units were counted {counted} times");
        assert!(counted > 0);
    }

    /// Returns all entries of the store, as they were at one moment. `None`: no node answers.
    async fn entries(&self, random: &mut Rng) -> Option<BTreeMap<String, Value>> {
        let request = self.node(random).request(Method::GET, "/_api/db?limit=500").await;
        let response = request.send().await.ok().filter(|response| response.status().is_success())?;
        let page: Value = response.json().await.ok()?;
        assert!(page["next_cursor"].is_null(), "one page has all entries");
        let entries = page["entries"].as_array().unwrap().iter();
        Some(entries.map(|entry| (text(&entry["key"]), entry["value"].clone())).collect())
    }

    /// Checks that nothing was lost, doubled or left behind.
    async fn check(&self, orders: &[Order]) {
        let api = &self.apis[0];
        let (mut children, mut shipped) = (BTreeSet::new(), BTreeSet::new());
        let mut in_doubt = BTreeSet::new();
        for order in orders {
            let record = api.record(&order.run).await;
            let steps = api.steps(&order.run).await;
            order.ended_as_planned(&record);
            order.got_its_events(&record, &steps);
            let mut started = steps.iter().filter_map(|step| step["child_run"].as_str());
            if !record["in_doubt"].is_null() {
                in_doubt.insert(order.run.clone());
            }
            let Some(child) = started.next() else { continue };
            assert_eq!(started.next(), None, "two children: {steps:#?}");
            assert!(children.insert(child.to_owned()), "{child} has two parents");
            // A child ends before its parent does.
            let child = api.record(child).await;
            assert_eq!(child["parent"]["run_id"], order.run, "{child:#}");
            match child["status"].as_str().unwrap() {
                "completed" => _ = shipped.insert(order.run.clone()),
                "compensated" | "failed" => assert_ne!(order.plan, Plan::Approved, "{child:#}"),
                _ => panic!("an orphan: {child:#}"),
            }
            if !child["in_doubt"].is_null() {
                in_doubt.insert(order.run.clone());
            }
        }
        assert_eq!(runs(api, "approved_order").await.len(), orders.len(), "an order is a run");
        assert_eq!(runs(api, "ship_order").await, children, "each child has its parent");
        let entries = self.entries(&mut Rng::with_seed(self.seed)).await.expect("the host answers");
        count(&entries);
        let of = |kind: &str| -> BTreeSet<String> {
            entries.keys().filter_map(|key| key.strip_prefix(kind)).map(str::to_owned).collect()
        };
        let settled = |orders: BTreeSet<String>| -> BTreeSet<String> { &orders - &in_doubt };
        assert_eq!(
            settled(of("shipped/")),
            settled(shipped.clone()),
            "what was shipped is recorded as shipped"
        );
        assert_eq!(settled(of("reserved/")), BTreeSet::new(), "all others gave their units back");
        println!(
            "{} orders, {} of them shipped, {} with transactions in doubt",
            orders.len(),
            shipped.len(),
            in_doubt.len()
        );
        assert!(!shipped.is_empty() && shipped.len() < orders.len());
    }
}

impl Order {
    fn ended_as_planned(&self, record: &Value) {
        let (status, kind) = (record["status"].as_str().unwrap(), record["error_kind"].as_str());
        let is_right = match (status, kind) {
            ("failed", Some("sold-out")) => true,
            ("completed", None) => matches!(self.plan, Plan::Approved | Plan::Cancelled),
            ("compensated", Some(kind)) => match self.plan {
                Plan::Approved => false,
                Plan::Declined => kind == "declined",
                Plan::Forgotten => kind == "timeout",
                Plan::Unshippable => kind == "child",
                Plan::Cancelled => kind == "cancelled",
            },
            _ => false,
        };
        assert!(is_right, "an order that is to be {:?}: {record:#}", self.plan);
    }

    /// Each event that was acknowledged was taken, or is kept; none is twice.
    fn got_its_events(&self, record: &Value, steps: &[Value]) {
        let taken = steps.iter().filter(|step| step["kind"] == "event" && step["status"] == "completed");
        let taken: Vec<String> = taken.map(|step| text(&step["result"]["by"])).collect();
        let kept = record["events"]["first"].as_array().into_iter().flatten();
        let kept: Vec<String> = kept.map(|event| text(&event["key"])).collect();
        let got: BTreeSet<String> = taken.iter().chain(&kept).cloned().collect();
        assert_eq!(got.len(), taken.len() + kept.len(), "an event twice: {taken:?} {kept:?} {record:#}");
        assert!(got.is_subset(&self.sent), "an event that nobody sent: {got:?}");
        let lost: Vec<&String> = self.acknowledged.keys().filter(|key| !got.contains(*key)).collect();
        assert!(lost.is_empty(), "acknowledged events are lost: {lost:?} {record:#} {steps:#?}");
    }
}

/// Checks that the sum of the units is what it was.
fn count(entries: &BTreeMap<String, Value>) {
    let units = |(key, value): (&String, &Value)| match key.split_once('/') {
        Some(("stock", _)) => value.as_u64(),
        _ => value["quantity"].as_u64(),
    };
    // A number below 0 is no `u64`.
    let sum: Option<u64> = entries.iter().map(units).sum();
    assert_eq!(sum, Some(ARTICLES as u64 * UNITS), "{entries:#?}");
}

/// Sends a request until a host has answered, which may be another process than the one that it was sent to first.
async fn acknowledged(api: &Api, path: &str, body: &Value) -> Answer {
    eventually_some(&format!("{path} is acknowledged"), async || {
        let response = api.request(Method::POST, path).await.json(body).send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.json().await.ok()?;
        (status != 503).then_some(Answer { status, body, retry_after: None })
    })
    .await
}

/// Returns the ids of all runs of a workflow.
async fn runs(api: &Api, workflow: &str) -> BTreeSet<String> {
    let (mut all, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = api.get(&format!("/_api/runs?workflow={workflow}&limit=100{cursor}")).await.ok();
        all.extend(page["runs"].as_array().unwrap().iter().map(|run| text(&run["id"])));
        let Some(next) = page["next_cursor"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

/// Waits for a random time, as a customer who thinks. It does not wait for a condition.
async fn pause(random: &mut Rng) {
    tokio::time::sleep(Duration::from_millis(random.u64(..PAUSE))).await;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text is expected, not {value}")).to_owned()
}
