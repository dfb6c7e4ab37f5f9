//! The page of a run: what it says, to whom it offers what, and what it loads.

use std::collections::BTreeSet;
use std::process::Command;

use forge_tests::binary::root;
use forge_tests::clients::{installed, output};
use forge_tests::program::{Statement, block, effect, fail_for_good, gate, step};
use forge_tests::{Host, Services};
use serde_json::{Value, json};

use super::check;
use super::site::{Page, Site};

async fn of_run(site: &Site, run: &str) -> Page {
    let page = site.get(&format!("runs/{run}")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    check(&page);
    page
}

#[track_caller]
fn says(page: &Page, texts: &[&str]) {
    for text in texts {
        assert!(page.body.contains(text), "`{text}` is missing in:\n{}", page.body);
    }
}

#[track_caller]
fn says_not(page: &Page, texts: &[&str]) {
    for text in texts {
        assert!(!page.body.contains(text), "`{text}` is in:\n{}", page.body);
    }
}

#[tokio::test]
async fn the_page_of_a_run_follows_it_from_its_wait_to_its_end() {
    let host = Host::with_interpreter().await;
    let (api, services, site) = (host.api(), Services::start().await, Site::of(&host));
    let body =
        block![step("reserve", block![effect("reserve")]), Statement::Event("approval".to_owned(), None)];
    let start = json!({ "input": services.program(body), "key": "order-7" });
    let run = api.try_start("program", &start).await.ok()["run_id"].as_str().unwrap().to_owned();
    api.until_status(&run, "waiting").await;

    let page = of_run(&site, &run).await;
    let waits = "It waits for the event <code>approval</code>";
    says(&page, &["data-status=\"waiting\"", waits, "<code>order-7</code>", "data-calls=\"3\""]);
    says(&page, &["data-action=\"pause\"", "data-action=\"terminate\"", "data-document=\"input\""]);
    says_not(&page, &["data-document=\"output\"", "data-action=\"delete\"", "data-final"]);

    api.send_event(&run, "approval", &json!("yes"), None).await;
    api.settled(&run).await;
    let page = of_run(&site, &run).await;
    says(
        &page,
        &["data-status=\"completed\"", "data-final", "data-document=\"output\"", "data-action=\"delete\""],
    );
    says_not(&page, &["data-action=\"pause\"", "It waits"]);
}

#[tokio::test]
async fn all_modules_that_the_page_of_a_run_imports_are_there() {
    let host = Host::with_interpreter().await;
    let (api, services, site) = (host.api(), Services::start().await, Site::of(&host));
    let run = api.start_program(&services, block![]).await;
    let mut waiting: Vec<_> = of_run(&site, &run).await.links();
    waiting.retain(|link| link.path().ends_with(".js"));
    let mut known = BTreeSet::new();
    while let Some(url) = waiting.pop() {
        if !known.insert(url.clone()) {
            continue;
        }
        let module = site.get(url.as_str()).await;
        assert_eq!(
            (module.status, module.header("content-type")),
            (200, "text/javascript; charset=utf-8"),
            "{url}"
        );
        let imports =
            module.body.lines().filter(|line| line.starts_with("import ") || line.starts_with("} from "));
        waiting.extend(imports.map(|line| url.join(line.split('"').nth(1).unwrap()).unwrap()));
    }
    assert!(known.iter().any(|url| url.path().ends_with("/run/grid.js")), "{known:?}");
}

#[tokio::test]
async fn the_page_of_a_failed_run_says_why_and_offers_the_compensations_again() {
    let host = Host::with_interpreter().await;
    let (api, services, site) = (host.api(), Services::start().await, Site::of(&host));
    let body = block![
        step("reserve", block![effect("reserve")]).undo(block![fail_for_good("the shelf is gone")]),
        fail_for_good("there is no such parcel"),
    ];
    let run = api.start_program(&services, body).await;
    assert_eq!(api.settled(&run).await["status"], "failed");
    let page = of_run(&site, &run).await;
    says(
        &page,
        &["It failed, and steps of it are not compensated.", "<code>reserve</code>", "Retry compensations"],
    );
    says(&page, &["data-action=\"resume\"", "data-dialog=\"resolve\"", "there is no such parcel"]);
}

#[tokio::test]
async fn a_page_has_no_button_that_the_role_does_not_allow_and_shows_no_run_of_another_tenant() {
    let host = Host::with_interpreter().await;
    let (api, services, site) = (host.api(), Services::start().await, Site::of(&host));
    let run = api.start_program(&services, block![gate("pick")]).await;
    let of_host = json!({ "role": "admin", "name": "ops", "host": true });
    let created = api.post_json("/_api/keys", &of_host).await.ok();
    let ops = api.with_token(created["token"].as_str().unwrap());
    ops.post_json("/_api/tenants", &json!({ "name": "acme" })).await.ok();
    let with_key = async |tenant: &str, role: &str| {
        let token = super::key(&ops.for_tenant(tenant), role, role).await;
        site.with_token(&token)
    };
    for (role, expected) in [
        ("read", &[] as &[&str]),
        ("start", &["pause", "event", "again", "cancel"]),
        ("admin", &["pause", "event", "again", "cancel", "terminate"]),
    ] {
        let page = of_run(&with_key("default", role).await, &run).await;
        assert_eq!(page.all("button", "data-action"), expected, "{role}");
        assert_eq!(page.body.contains("<dialog"), role != "read", "{role}");
    }
    let other = with_key("acme", "admin").await.get(&format!("runs/{run}")).await;
    check(&other);
    assert_eq!(other.status, 404, "{}", other.body);
    let nobody = site.get(&format!("runs/{run}")).await;
    assert_eq!((nobody.status, nobody.header("location")), (303, &*format!("../login?next=runs%2F{run}")));
}

/// The documents of a call come from the API. The page itself reads calls without them.
#[tokio::test]
async fn one_call_is_read_with_its_documents() {
    let host = Host::with_interpreter().await;
    let (api, services) = (host.api(), Services::start().await);
    let run = api.start_program(&services, block![step("reserve", block![effect("reserve")])]).await;
    api.settled(&run).await;
    let light = api.get(&format!("/_api/runs/{run}/steps?payloads=false&limit=500&cursor=0")).await.ok();
    assert!(light["steps"].as_array().unwrap().iter().all(|step| step["input"] == Value::Null));
    let one = api.get(&format!("/_api/runs/{run}/steps?cursor=1&limit=1")).await.ok();
    assert_eq!((&one["steps"][0]["seq"], &one["steps"][0]["input"]["method"]), (&json!(2), &json!("POST")));
}

#[test]
fn the_modules_without_a_page_pass_their_own_tests() {
    let folder = root().join("tests/dashboard");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let tests = files.filter(|file| file.to_string_lossy().ends_with(".test.mjs"));
    output(Command::new(installed("python/bin/node")).arg("--test").args(tests));
}

/// The errors of TypeScript's compiler about names that nobody defines, imports or exports.
const UNKNOWN_NAMES: [&str; 5] = ["TS2304", "TS2305", "TS2307", "TS2552", "TS2724"];

/// No compiler looks at the modules when the host is built.
#[test]
fn the_modules_use_only_names_that_exist() {
    let folder = root().join("host/src/dashboard/assets");
    let modules =
        ["page.js", "run.js", "runs/page.js", "tenant.js", "workflows/page.js", "workflows/start.js"];
    let checked = Command::new(installed("python/bin/node"))
        .arg(installed("client/node_modules/typescript/bin/tsc"))
        .args(["--allowJs", "--checkJs", "--noEmit", "--skipLibCheck", "--pretty", "false"])
        .args(["--target", "es2023", "--lib", "es2023,dom,dom.iterable"])
        .args(["--module", "esnext", "--moduleResolution", "bundler"])
        .args(modules)
        .current_dir(folder)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&checked.stdout);
    let unknown = |line: &&str| UNKNOWN_NAMES.iter().any(|code| line.contains(code));
    let errors: Vec<&str> = printed.lines().filter(unknown).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    // It has looked: these modules have no types, about which it has other complaints.
    assert!(printed.contains("error TS"), "{printed}{}", String::from_utf8_lossy(&checked.stderr));
}
