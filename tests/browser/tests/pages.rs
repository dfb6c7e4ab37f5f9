//! What holds for every page: it complains about nothing, a screen reader and a keyboard get along with it, and it fits every
//! screen. Pictures of all pages are in `target/screens/` afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_browser_tests::{Browser, Key};
use forge_tests::program::{Statement, block, effect, fail_for_good, gate, step};
use forge_tests::{Api, Host, Services, component};
use serde_json::{Value, json};

/// A host with keys and a tenant that has all kinds of runs.
struct Stage {
    host: Host,
    _services: Services,
    /// The API key of the host.
    token: String,
    /// The pages: a name for the pictures, and the path.
    pages: Vec<(&'static str, String)>,
}

impl Stage {
    async fn start() -> Self {
        let host = Host::builder().flag(["--compensation-backoff", "20ms"]).start().await;
        let services = Services::start().await;
        let anyone = host.api();
        let key = json!({ "role": "admin", "name": "operations", "host": true });
        let key = anyone.post_json("/_api/keys", &key).await.ok();
        let token = key["token"].as_str().expect("a key has a token").to_owned();
        let ops = anyone.with_token(&token);
        ops.post_json("/_api/tenants", &json!({ "name": "acme", "egress": [services.url()] })).await.ok();
        let acme = ops.for_tenant("acme");
        acme.deploy(&component("interpreter")).await;
        acme.deploy(&component("checked")).await;
        for name in ["checkout", "shipping"] {
            acme.post_json("/_api/keys", &json!({ "role": "start", "name": name })).await.ok();
        }

        let done = order(
            &acme,
            &services,
            "1040",
            block![
                Statement::Log("an order has come".to_owned()),
                step("reserve", block![effect("reserve")]).undo(block![effect("release")]),
                Statement::Join(vec![
                    block![step("charge", block![effect("charge"), Statement::Sleep(300)])],
                    block![step("invoice", block![effect("invoice")]), step("mail", block![effect("mail")])],
                ]),
                Statement::Sleep(200),
                step("ship", block![Statement::Flaky("ship".to_owned(), 2)]).retry(4, 50),
            ],
        )
        .await;
        acme.settled(&done).await;
        let failed = order(
            &acme,
            &services,
            "1041",
            block![
                step("reserve", block![effect("reserve")]).undo(block![effect("release")]),
                step("charge", block![fail_for_good("the card has expired")]),
            ],
        )
        .await;
        acme.settled(&failed).await;
        let waits = order(
            &acme,
            &services,
            "1042",
            block![
                step("reserve", block![effect("reserve")]).undo(block![effect("release")]),
                Statement::Join(vec![
                    block![Statement::Event("approval".to_owned(), Some(86_400_000))],
                    block![Statement::Child(block![step("label", block![gate("printer")])])],
                ]),
            ],
        )
        .await;
        services.until_asked("printer", 1).await;
        let pages = vec![
            ("runs", "runs?tenant=acme".to_owned()),
            ("runs-filtered", "runs?tenant=acme&status=failed&status=compensated".to_owned()),
            ("runs-none", "runs?tenant=acme&workflow=nothing".to_owned()),
            ("run-completed", format!("runs/{done}?tenant=acme")),
            ("run-rolled-back", format!("runs/{failed}?tenant=acme")),
            ("run-waiting", format!("runs/{waits}?tenant=acme")),
            ("workflows", "workflows?tenant=acme".to_owned()),
            ("workflow", "workflows/program?tenant=acme".to_owned()),
            ("start-form", "workflows/order/start?tenant=acme".to_owned()),
            ("start-json", "workflows/program/start?tenant=acme".to_owned()),
            ("tenants", "tenants".to_owned()),
            ("tenant", "tenants/acme".to_owned()),
            ("nodes", "nodes".to_owned()),
            ("audit", "audit".to_owned()),
        ];
        Self { host, _services: services, token, pages }
    }

    async fn log_in(&self, browser: &Browser) {
        browser.open(&self.url("login")).await;
        browser.fill("textbox", "API key", &self.token).await;
        browser.press("button", "Log in").await;
        browser.find("heading", "Runs").await;
    }

    fn url(&self, page: &str) -> String {
        format!("{}/{page}", self.host.url())
    }
}

async fn order(api: &Api, services: &Services, order: &str, body: Vec<Statement>) -> String {
    let tags = json!({ "order": order, "customer": "Ada" });
    let start = json!({ "input": services.program(body), "key": format!("order-{order}"), "tags": tags });
    let started = api.try_start("program", &start).await.ok();
    started["run_id"].as_str().expect("a start has a run").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_quiet_has_one_heading_and_fits_every_screen() {
    let stage = Stage::start().await;
    let browser = Browser::start().await;
    browser.open(&stage.url("login")).await;
    browser.picture("login").await;
    stage.log_in(&browser).await;
    for (name, path) in &stage.pages {
        browser.open(&stage.url(path)).await;
        browser.idle().await;
        let headings = browser.script("return document.querySelectorAll('h1').length").await;
        assert_eq!(headings, 1, "the headings of {name}");
        for landmark in ["banner", "navigation", "main"] {
            assert!(!browser.names(landmark).await.is_empty(), "{name} has no {landmark}");
        }
        browser.picture(name).await;
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "{name} complains:\n{}", complaints.join("\n"));
    }
    browser.close().await;
}

/// The roles of what a person operates.
const CONTROLS: [&str; 9] =
    ["button", "link", "textbox", "searchbox", "combobox", "checkbox", "radio", "spinbutton", "treegrid"];

#[tokio::test(flavor = "multi_thread")]
async fn every_control_has_a_name_and_the_keyboard_reaches_it_in_the_order_of_the_page() {
    let stage = Stage::start().await;
    let browser = Browser::start().await;
    stage.log_in(&browser).await;
    for (page, path) in &stage.pages {
        browser.open(&stage.url(path)).await;
        browser.idle().await;
        for role in CONTROLS {
            let names = browser.names(role).await;
            assert!(
                names.iter().all(|name| !name.trim().is_empty()),
                "a {role} of {page} has no name: {names:?}"
            );
        }
        assert_eq!(out_of_order(&browser).await, json!([]), "{page}");
    }
    browser.close().await;
}

/// Presses Tab through the page, and returns what got the focus before something that stands before it, or was not seen.
async fn out_of_order(browser: &Browser) -> Value {
    browser
        .script(
            "window.reached = []; \
         document.addEventListener('focusin', event => window.reached.push(event.target)); \
         document.activeElement.blur();",
        )
        .await;
    for _ in 0..60 {
        browser.keys(Key::Tab + "").await;
    }
    browser.script(
        "const wrong = []; \
         for (const [index, element] of window.reached.entries()) { \
           const box = element.getBoundingClientRect(); \
           if (box.width === 0 && element.type !== 'file') wrong.push('unseen: ' + element.outerHTML.slice(0, 200)); \
           const before = window.reached[index - 1]; \
           const wraps = element.matches('.skip'); \
           if (before && !wraps && before.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_PRECEDING) \
             wrong.push('before ' + before.outerHTML.slice(0, 100) + ': ' + element.outerHTML.slice(0, 200)); \
         } \
         return wrong;",
    )
    .await
}
