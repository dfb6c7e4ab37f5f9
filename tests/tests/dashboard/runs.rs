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
    for (query, kept, expected) in [
        ("", "", vec![waiting, failed, completed]),
        // As the form sends it.
        (
            "workflow=&status=failed&status=waiting&started_after=&key=&id_prefix=&limit=",
            "status=failed%2Cwaiting",
            vec![waiting, failed],
        ),
        ("status=failed,completed", "status=failed,completed", vec![failed, completed]),
        ("workflow=program&since=1h", "workflow=program&started_after=1h", vec![waiting, failed, completed]),
        ("workflow=other", "workflow=other", vec![]),
        (
            "started_after=2026-01-31+08:30",
            "started_after=2026-01-31+08:30",
            vec![waiting, failed, completed],
        ),
        ("started_before=2026-01-31", "started_before=2026-01-31", vec![]),
        ("version=1", "version=1", vec![waiting, failed, completed]),
        ("version=2", "version=2", vec![]),
        ("error_kind=hopeless", "error_kind=hopeless", vec![failed]),
        ("tags=order%3D1041,+customer%3DAda+L", "tag.order=1041&tag.customer=Ada+L", vec![failed]),
        ("tag.order=1041", "tag.order=1041", vec![waiting, failed]),
        ("tag.order=1041&status=failed", "tag.order=1041&status=failed", vec![failed]),
        ("key=nothing", "key=nothing", vec![]),
    ] {
        let page = site.open(&format!("runs?{query}")).await;
        check(&page);
        assert_eq!(page.status, 200, "{query}");
        assert_eq!(page.url.query().unwrap_or_default(), kept, "{query}");
        let found = listed(&page);
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(page.body.contains("No run matches these filters."), expected.is_empty(), "{query}");
    }
    let page = site.get(&format!("runs?id_prefix={prefix}")).await;
    assert_eq!(listed(&page), [waiting.as_str()]);
    let page = site.get(&format!("runs?status=failed&workflow=a%22b&id_prefix={prefix}&tag.a=b%22c")).await;
    let tags = page.tags();
    let field = |name: &str| {
        let tag = tags.iter().find(|tag| tag.attributes.get("name").is_some_and(|known| known == name));
        tag.unwrap().attributes.get("value").cloned().unwrap()
    };
    assert_eq!((field("workflow").as_str(), field("id_prefix").as_str()), ("a\"b", prefix));
    assert_eq!(field("tags"), "a=b\"c");
    let checked = tags.iter().filter(|tag| tag.attributes.contains_key("checked"));
    assert_eq!(checked.map(|tag| tag.attributes["value"].as_str()).collect::<Vec<_>>(), ["failed"]);
}

#[tokio::test]
async fn runs_are_counted_by_status_with_every_filter() {
    let services = Services::start().await;
    let (host, _) = with_runs(&services).await;
    let site = Site::of(&host);
    for (query, counts) in [
        ("", [1, 1, 1]),
        ("?status=failed", [1, 1, 1]),
        ("?tag.order=1041", [0, 1, 1]),
        ("?workflow=other", [0, 0, 0]),
        ("?version=1", [1, 1, 1]),
        ("?version=1&tag.order=1041&error_kind=hopeless", [0, 1, 0]),
        ("?version=2", [0, 0, 0]),
    ] {
        let page = site.get(&format!("runs{query}")).await;
        for (index, status) in ["completed", "failed", "waiting"].into_iter().enumerate() {
            let shown = format!("data-count=\"{status}\">{}</span>", counts[index]);
            assert!(page.body.contains(&shown), "{query}: {shown} in {}", page.body);
        }
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_leaves_the_form_and_says_what_is_wrong() {
    let host = Host::start().await;
    let site = Site::of(&host);
    for (query, message) in [
        ("started_after=soon", "`started_after`: `soon` is neither a duration"),
        ("status=broken", "`status` can have"),
        ("id_prefix=xyz", "id"),
        ("nonsense=1", "unknown parameter `nonsense`"),
        ("tags=order", "`order` is no tag"),
        ("tag.order=1&tag.order=2", "`tag.order` is given twice"),
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
async fn pages_lead_to_all_runs_and_back() {
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
    let mut pages = vec![site.get("runs?limit=2&status=failed").await];
    while let Some(next) = leads(&pages[pages.len() - 1], "next") {
        assert!(next.contains("status=failed") && next.contains("limit=2"), "{next}");
        pages.push(site.get(&next).await);
    }
    let seen: Vec<String> = pages.iter().inspect(|page| check(page)).flat_map(listed).collect();
    assert_eq!(seen, runs);
    assert_eq!(leads(&pages[0], "prev"), None);
    // The same pages lead back.
    for (page, before) in pages.iter().skip(1).zip(&pages) {
        let back = site.get(&leads(page, "prev").unwrap()).await;
        assert_eq!(listed(&back), listed(before), "{}", back.url);
    }
}

/// Returns the address of the next page or of the page before.
fn leads(page: &Page, rel: &str) -> Option<String> {
    let tags = page.tags();
    let link = tags.into_iter().find(|tag| tag.attributes.get("rel").is_some_and(|known| known == rel));
    link.and_then(|mut link| link.attributes.remove("href"))
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
    assert!(page.body.contains("event approval, times out <time"), "{}", page.body);
    assert!(page.body.contains("the shop is closed"));
    // The kind of a failure is one, too.
    let chips = page.tags().into_iter().filter(|tag| tag.name == "a");
    let chips = chips.filter(|tag| tag.attributes.get("class").is_some_and(|class| class == "chip"));
    let links: Vec<String> = chips.map(|tag| tag.attributes["href"].clone()).collect();
    assert_eq!(links, ["runs?error_kind=hopeless", &format!("runs/{child}")]);
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
