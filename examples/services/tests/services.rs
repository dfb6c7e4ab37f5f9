//! The services over real HTTP.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::time::Duration;

use forge_example_services::ledger::{Entry, Summary};
use forge_example_services::{Services, idempotency, serve};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Services on a port of their own, and a client for them.
struct Running {
    services: Services,
    client: reqwest::Client,
    url: String,
}

async fn running() -> Running {
    // reqwest is built without a provider of its own. Another test may have installed this one.
    _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let services = Services::default();
    tokio::spawn(serve(listener, services.clone()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    Running { services, client, url }
}

impl Running {
    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> (StatusCode, Value) {
        read(self.send(Method::POST, path, Some(key), &body).await.unwrap()).await
    }

    async fn delete(&self, path: &str, key: &str) -> (StatusCode, Value) {
        let request = self.client.delete(format!("{}{path}", self.url));
        read(request.header("Idempotency-Key", key).send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.client.get(format!("{}{path}", self.url)).send().await.unwrap()).await
    }

    async fn fault(&self, fault: Value) -> StatusCode {
        self.send(Method::POST, "/faults", None, &fault).await.unwrap().status()
    }
}

async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    (status, body)
}

fn charge() -> Value {
    json!({"card_token": "tok_visa", "amount_cents": 4990, "currency": "EUR"})
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap()
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_and_performs_nothing() {
    let it = running().await;
    let response = it.send(Method::POST, "/payments/charges", None, &charge()).await.unwrap();
    let (status, body) = read(response).await;
    assert_eq!((status, code(&body)), (StatusCode::BAD_REQUEST, "missing_idempotency_key"));
    let entries = it.services.ledger.entries();
    assert_eq!((entries[0].performed, entries[0].status), (false, Some(400)));
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_performs_nothing() {
    let it = running().await;
    let first = it.send(Method::POST, "/payments/charges", Some("k"), &charge()).await.unwrap();
    assert!(first.headers().get(idempotency::REPLAYED).is_none());
    let again = it.send(Method::POST, "/payments/charges", Some("k"), &charge()).await.unwrap();
    assert_eq!(again.headers()[idempotency::REPLAYED], "true");
    assert_eq!(read(first).await, read(again).await);

    let (_, summary) = it.get("/ledger/summary").await;
    assert_eq!(summary, json!({"requests": 2, "effects": 1, "keys": 1, "repeated": 1}));
}

#[tokio::test]
async fn a_repeat_of_a_failure_gets_the_same_failure() {
    let it = running().await;
    let declined = json!({"card_token": "tok_declined", "amount_cents": 1, "currency": "EUR"});
    let first = it.post("/payments/charges", "k", declined.clone()).await;
    assert_eq!((first.0, code(&first.1)), (StatusCode::PAYMENT_REQUIRED, "card_declined"));
    assert_eq!(it.post("/payments/charges", "k", declined).await, first);
    assert_eq!(it.services.ledger.summary().effects, 0);
}

#[tokio::test]
async fn a_key_is_good_for_one_request_only() {
    let it = running().await;
    it.post("/effects/a", "k", json!(1)).await;
    for (path, body) in [("/effects/a", json!(2)), ("/effects/b", json!(1))] {
        let (status, body) = it.post(path, "k", body).await;
        assert_eq!((status, code(&body)), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
    }
    assert_eq!(it.services.ledger.summary(), Summary { requests: 3, effects: 1, keys: 1, repeated: 2 });
}

#[tokio::test]
async fn concurrent_duplicates_have_one_effect_and_one_answer() {
    let it = running().await;
    let slow = json!({"card_token": "tok_slow", "amount_cents": 1, "currency": "EUR"});
    let sends = (0..20).map(|_| it.post("/payments/charges?delay_ms=50", "k", slow.clone()));
    let answers = futures::future::join_all(sends).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].0, StatusCode::CREATED);
    assert_eq!(it.services.ledger.summary(), Summary { requests: 20, effects: 1, keys: 1, repeated: 19 });
}

#[tokio::test]
async fn the_ledger_says_what_was_asked_for_in_order_of_arrival() {
    let it = running().await;
    it.post("/payments/charges", "one", charge()).await;
    it.post("/effects/anything?n=1", "two", json!(["x"])).await;
    let (_, ledger) = it.get("/ledger").await;
    let entries: Vec<Entry> = serde_json::from_value(ledger).unwrap();
    let seen: Vec<_> =
        entries.iter().map(|e| (e.seq, e.key.as_deref().unwrap(), &*e.effect, &*e.path)).collect();
    let expected =
        [(1, "one", "charge_card", "/payments/charges"), (2, "two", "anything", "/effects/anything?n=1")];
    assert_eq!(seen, expected);
    assert_eq!((&entries[0].body, entries[0].status), (&charge(), Some(201)));

    assert_eq!(it.client.delete(format!("{}/ledger", it.url)).send().await.unwrap().status(), 204);
    assert_eq!(it.get("/ledger").await.1, json!([]));
    it.post("/effects/anything", "three", json!(null)).await;
    assert_eq!(it.services.ledger.entries()[0].seq, 3);
}

#[tokio::test]
async fn a_reservation_takes_stock_and_its_release_puts_it_back_once() {
    let it = running().await;
    let items = json!({"items": [{"sku": "mug-limited-edition", "quantity": 2}]});
    let (status, reservation) = it.post("/inventory/reservations", "k1", items.clone()).await;
    assert_eq!((status, &reservation["order_id"]), (StatusCode::CREATED, &json!("ord_000001")));
    assert_eq!(it.get("/inventory").await.1["mug-limited-edition"], 1);

    let (status, body) = it.post("/inventory/reservations", "k2", items).await;
    assert_eq!((status, code(&body)), (StatusCode::CONFLICT, "out_of_stock"));
    let unknown = json!({"items": [{"sku": "teapot", "quantity": 1}]});
    let (status, body) = it.post("/inventory/reservations", "k3", unknown).await;
    assert_eq!((status, code(&body)), (StatusCode::CONFLICT, "unknown_sku"));

    // The second release has a key of its own, so it is no repeat; there is nothing left to do.
    let path = "/inventory/reservations/res_000001";
    assert_eq!(it.delete(path, "k4").await.0, StatusCode::OK);
    assert_eq!(it.delete(path, "k5").await.0, StatusCode::OK);
    assert_eq!(it.services.inventory.stock("mug-limited-edition"), Some(3));
    assert_eq!(it.services.ledger.summary().effects, 2);
    assert_eq!(it.delete("/inventory/reservations/res_9", "k6").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_reservation_takes_all_items_or_none() {
    let it = running().await;
    let items = json!({"items": [
        {"sku": "dripper-v60-02", "quantity": 1},
        {"sku": "mug-limited-edition", "quantity": 4},
    ]});
    assert_eq!(it.post("/inventory/reservations", "k", items).await.0, StatusCode::CONFLICT);
    assert_eq!(it.services.inventory.stock("dripper-v60-02"), Some(1_000_000));
}

#[tokio::test]
async fn a_charge_is_refunded_once() {
    let it = running().await;
    let (status, charged) = it.post("/payments/charges", "k1", charge()).await;
    assert_eq!((status, &charged["charge_id"]), (StatusCode::CREATED, &json!("ch_000001")));
    let path = "/payments/charges/ch_000001/refund";
    assert_eq!(it.post(path, "k2", json!({})).await.1["refunded"], true);
    assert_eq!(it.post(path, "k3", json!({})).await.0, StatusCode::OK);
    assert_eq!(it.services.ledger.summary().effects, 2);
    assert_eq!(it.post("/payments/charges/ch_9/refund", "k4", json!({})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn users_are_created_verified_and_deleted() {
    let it = running().await;
    let (_, user) = it.post("/users", "k1", json!({"email": "ada@example.com"})).await;
    assert_eq!((&user["user_id"], &user["verified"]), (&json!("usr_000001"), &json!(false)));
    assert_eq!(it.post("/users/usr_000001/verify", "k2", json!({})).await.1["verified"], true);
    assert_eq!(it.delete("/users/usr_000001", "k3").await.1["deleted"], true);
    assert_eq!(it.post("/users/usr_000001/verify", "k4", json!({})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn customers_are_created_and_deleted() {
    let it = running().await;
    let new = json!({"email": "ada@example.com", "user_id": "usr_000001"});
    let (status, customer) = it.post("/customers", "k1", new).await;
    assert_eq!((status, &customer["customer_id"]), (StatusCode::CREATED, &json!("cus_000001")));
    assert_eq!(it.delete("/customers/cus_000001", "k2").await.1["deleted"], true);
    assert_eq!(it.delete("/customers/cus_9", "k3").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mail_goes_out_unless_the_address_bounces() {
    let it = running().await;
    let mail = |to: &str| json!({"to": to, "subject": "Welcome", "body": "Hello!"});
    assert_eq!(it.post("/mail", "k1", mail("ada@example.com")).await.0, StatusCode::CREATED);
    let (status, body) = it.post("/mail", "k2", mail("bounce@example.com")).await;
    assert_eq!((status, code(&body)), (StatusCode::UNPROCESSABLE_ENTITY, "mailbox_unavailable"));
    let sent = it.services.mail.sent();
    assert_eq!((sent.len(), &*sent[0].to), (1, "ada@example.com"));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_answered_with_a_problem() {
    let it = running().await;
    let (status, body) = it.post("/payments/charges", "k", json!({"card_token": 7})).await;
    assert_eq!((status, code(&body)), (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"));
}

#[tokio::test]
async fn echo_answers_the_query_and_headers() {
    let it = running().await;
    let request = it.client.get(format!("{}/echo?a=1&status=418", it.url)).header("x-trace", "t");
    let (status, body) = read(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::IM_A_TEAPOT);
    assert_eq!((&body["query"]["a"], &body["headers"]["x-trace"]), (&json!("1"), &json!("t")));
}

#[tokio::test]
async fn a_fault_with_a_status_performs_nothing_and_leaves_the_key_unused() {
    let it = running().await;
    assert_eq!(it.fault(json!({"effect": "charge_card", "fail": 2, "status": 503})).await, 201);
    for _ in 0..2 {
        assert_eq!(it.post("/payments/charges", "k", charge()).await.0, 503);
    }
    // Other effects are not hit, and the third request goes through.
    assert_eq!(it.post("/effects/other", "o", json!(1)).await.0, 200);
    assert_eq!(it.post("/payments/charges", "k", charge()).await.0, 201);
    assert_eq!(it.services.ledger.summary(), Summary { requests: 4, effects: 2, keys: 2, repeated: 2 });
}

#[tokio::test]
async fn a_dropped_answer_was_performed_and_its_repeat_is_replayed() {
    let it = running().await;
    it.fault(json!({"path_prefix": "/payments", "drop": true})).await;
    let lost = it.send(Method::POST, "/payments/charges", Some("k"), &charge()).await;
    assert!(lost.unwrap_err().is_request());
    assert!(it.services.ledger.entries()[0].performed);
    let again = it.send(Method::POST, "/payments/charges", Some("k"), &charge()).await.unwrap();
    assert_eq!(again.headers()[idempotency::REPLAYED], "true");
    assert_eq!(it.services.ledger.summary().effects, 1);
}

#[tokio::test]
async fn a_delayed_request_is_in_the_ledger_while_it_is_in_flight() {
    let it = running().await;
    it.fault(json!({"effect": "a", "delay_ms": 200})).await;
    let began = Instant::now();
    let answer = it.post("/effects/a", "k", json!(1));
    let arrived = async {
        it.services.ledger.until(|entries| !entries.is_empty()).await;
        assert_eq!(it.services.ledger.entries()[0].status, None);
    };
    let ((status, _), ()) = futures::join!(answer, arrived);
    assert_eq!(status, StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_its_request() {
    let it = running().await;
    it.fault(json!({"effect": "a", "delay_ms": 100})).await;
    tokio::select! {
        _ = it.post("/effects/a", "k", json!(1)) => panic!("it was delayed"),
        () = it.services.ledger.until(|entries| !entries.is_empty()) => {}
    }
    it.services.ledger.until(|entries| entries[0].performed).await;
}

#[tokio::test]
async fn faults_hit_reading_requests_by_path() {
    let it = running().await;
    it.fault(json!({"path_prefix": "/echo", "status": 500})).await;
    assert_eq!(it.get("/echo").await.0, 500);
    assert_eq!(it.get("/echo").await.0, 200);
    it.fault(json!({"path_prefix": "/echo", "drop": true})).await;
    assert!(it.client.get(format!("{}/echo", it.url)).send().await.is_err());
}

#[tokio::test]
async fn faults_can_be_seen_taken_back_and_must_make_sense() {
    let it = running().await;
    it.fault(json!({"path_prefix": "/mail", "status": 500})).await;
    assert_eq!(it.get("/faults").await.1[0]["status"], 500);
    it.client.delete(format!("{}/faults", it.url)).send().await.unwrap();
    assert_eq!(it.get("/faults").await.1, json!([]));
    assert_eq!(it.fault(json!({"status": 500, "drop": true})).await, 422);
    assert_eq!(it.fault(json!({"status": 99})).await, 422);
    assert_eq!(it.fault(json!({"efect": "charge_card"})).await, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_requests_are_counted_exactly() {
    const KEYS: usize = 1_000;
    let it = running().await;
    // Every key three times, so that duplicates race.
    let sends = (0..3 * KEYS).map(|n| {
        let key = format!("k{}", n % KEYS);
        let it = &it;
        async move { it.post("/effects/count", &key, json!({"n": n % KEYS})).await.0 }
    });
    let statuses = futures::StreamExt::buffer_unordered(futures::stream::iter(sends), 100);
    let statuses: Vec<_> = futures::StreamExt::collect(statuses).await;
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    let expected = Summary { requests: 3 * KEYS, effects: KEYS, keys: KEYS, repeated: 2 * KEYS };
    assert_eq!(it.services.ledger.summary(), expected);
}
