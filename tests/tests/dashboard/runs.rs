//! The page of the runs.

use forge_tests::program::{Statement, block, fail_for_good};
use forge_tests::{Host, Services};
use serde_json::json;

use super::site::{Page, Site};
use super::{check, with_runs};

/// Returns the ids of the runs in the table.
fn listed(page: &Page) -> Vec<String> {
    page.all("tr", "data-run")
}

#[tokio::test]
async fn filters_are_in_the_url_and_stay_in_the_form() {
    let services = Services::start().await;
    let (host, runs) = with_runs(&services).await;
    let site = Site::of(&host);
    let [completed, failed, waiting] = &runs[..] else { panic!("three runs") };
    let prefix = &waiting[..18];
    for (query, expected) in [
        (String::new(), vec![waiting, failed, completed]),
        // As the form sends it.
        (
            "?workflow=&status=failed&status=waiting&since=&key=&id_prefix=&limit=".to_owned(),
            vec![waiting, failed],
        ),
        ("?status=failed,completed".to_owned(), vec![failed, completed]),
        ("?workflow=program&since=1h".to_owned(), vec![waiting, failed, completed]),
        ("?workflow=other".to_owned(), vec![]),
        ("?since=2026-01-31+08:30".to_owned(), vec![waiting, failed, completed]),
        (format!("?id_prefix={waiting}"), vec![waiting]),
        ("?key=nothing".to_owned(), vec![]),
    ] {
        let page = site.get(&format!("runs{query}")).await;
        check(&page);
        assert_eq!(page.status, 200, "{query}");
        let found = listed(&page);
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(page.body.contains("No run matches these filters."), expected.is_empty(), "{query}");
    }
    let page = site.get(&format!("runs?status=failed&workflow=a%22b&id_prefix={prefix}")).await;
    let tags = page.tags();
    let field = |name: &str| {
        let tag = tags.iter().find(|tag| tag.attributes.get("name").is_some_and(|known| known == name));
        tag.unwrap().attributes.get("value").cloned().unwrap()
    };
    assert_eq!((field("workflow").as_str(), field("id_prefix").as_str()), ("a\"b", prefix));
    let checked = tags.iter().filter(|tag| tag.attributes.contains_key("checked"));
    assert_eq!(checked.map(|tag| tag.attributes["value"].as_str()).collect::<Vec<_>>(), ["failed"]);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_leaves_the_form_and_says_what_is_wrong() {
    let host = Host::start().await;
    let site = Site::of(&host);
    for (query, message) in [
        ("since=soon", "`since`: `soon` is neither a duration"),
        ("status=broken", "`status` can have"),
        ("id_prefix=xyz", "id"),
        ("nonsense=1", "unknown parameter `nonsense`"),
        ("limit=1000", "`limit` must be a number from 1 to 500"),
    ] {
        let page = site.get(&format!("runs?{query}")).await;
        check(&page);
        assert_eq!(page.status, 400, "{query}");
        assert!(page.body.contains(message), "{query}: {}", page.body);
        assert!(page.body.contains("id=\"filters\""), "{query}");
    }
}

#[tokio::test]
async fn every_run_is_on_one_page_of_the_list() {
    let services = Services::start().await;
    let host = Host::with_interpreter().await;
    let api = host.api();
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(api.start_program(&services, block![fail_for_good("no")]).await);
    }
    for run in &runs {
        api.settled(run).await;
    }
    runs.reverse();
    let site = Site::of(&host);
    let mut path = "runs?limit=2&status=failed".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = site.get(&path).await;
        check(&page);
        seen.extend(listed(&page));
        let tags = page.tags();
        let next = tags.iter().find(|tag| tag.attributes.get("rel").is_some_and(|rel| rel == "next"));
        let Some(next) = next else { break };
        path = next.attributes["href"].clone();
        assert!(path.contains("status=failed") && path.contains("limit=2"), "{path}");
    }
    assert_eq!(seen, runs);
}

#[tokio::test]
async fn a_run_says_what_it_waits_for_and_why_it_failed() {
    let services = Services::start().await;
    let host = Host::with_interpreter().await;
    let api = host.api();
    let waiting = Statement::Event("approval".to_owned(), Some(3_600_000));
    let parent = api.start_program(&services, block![Statement::Child(block![waiting])]).await;
    let child = api.until_status(&parent, "waiting").await["waits_for"][0]["run"].clone();
    let child = child.as_str().unwrap();
    api.until_status(child, "waiting").await;
    let failed = api.start_program(&services, block![fail_for_good("the shop is closed")]).await;
    api.settled(&failed).await;
    let page = Site::of(&host).get("runs").await;
    assert!(page.body.contains("event approval, until <time"), "{}", page.body);
    assert!(page.body.contains("the shop is closed"));
    let chips = page.tags().into_iter().filter(|tag| tag.name == "a");
    let chips: Vec<_> =
        chips.filter(|tag| tag.attributes.get("class").is_some_and(|class| class == "chip")).collect();
    assert_eq!(chips.len(), 1, "{chips:?}");
    assert_eq!(chips[0].attributes["href"], format!("runs/{child}"));
}

#[tokio::test]
async fn an_empty_list_says_what_to_do_next() {
    let host = Host::start().await;
    let site = Site::of(&host);
    let page = site.get("runs").await;
    assert!(page.body.contains("no workflow is deployed") && page.body.contains("forge deploy"));
    host.api().deploy(&forge_tests::component("interpreter")).await;
    let page = site.get("runs").await;
    assert!(page.body.contains("forge start hasty_program"), "{}", page.body);
    let started = host.api().try_start("program", &json!({ "input": 1 })).await.ok();
    let id = started["run_id"].as_str().unwrap();
    host.api().settled(id).await;
    let page = site.get(&format!("runs?cursor={id}")).await;
    assert!(page.body.contains("There are no further runs."), "{}", page.body);
    assert!(page.body.contains("Newest"));
}
