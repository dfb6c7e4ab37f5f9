//! Lines and published values that no correct guest makes.

use forge_tests::LimitedHost;
use serde_json::{Value, json};

/// Executes an attack that ends well. Returns the run's record and its lines.
async fn completed(host: &LimitedHost, attack: &str) -> (Value, Vec<Value>) {
    let record = host.attacked(attack).await;
    assert_eq!(record["status"], "completed", "{attack}: {record:#}");
    let lines = host.api().logs(record["id"].as_str().unwrap(), "level=trace").await;
    (record, lines)
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn odd_texts_are_kept_as_they_are_and_shown_without_what_controls_a_terminal() {
    let host = LimitedHost::start().await;
    let (record, lines) = completed(&host, "log_odd_texts").await;
    let odd =
        ["\u{1b}[2J\u{7}", "nul \0", "\u{202e}txt.exe", "<script>", "a\nINFO forged", "", "🦀", "in it"];
    assert_eq!(messages(&lines), odd);
    let shown = host.host().cli().run(["runs", "logs", record["id"].as_str().unwrap()]).await.ok();
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\0', '\u{202e}']), "{shown}");
    assert!(shown.lines().all(|line| line.starts_with(['2', ' '])), "{shown}");

    let (record, lines) = completed(&host, "log_in_scopes_that_do_not_exist").await;
    assert_eq!(messages(&lines), ["where is this?"; 4]);
    assert!(lines.iter().all(|line| line["step"].is_null()), "{lines:#?}");
    assert_eq!(record["published"], json!({ "place": u64::MAX }));
    host.is_unharmed().await;
}

#[tokio::test]
async fn values_beyond_the_limits_are_not_published_and_a_line_says_why() {
    let host = LimitedHost::start().await;
    let (record, lines) = completed(&host, "publish_many_names").await;
    assert_eq!(record["published"].as_object().unwrap().len(), 16);
    assert_eq!(lines.len(), 984);
    let why = "`name 16` is not published: the run has published 16 names, the most that one run may (published_names)";
    assert_eq!((&lines[0]["message"], &lines[0]["level"]), (&json!(why), &json!("warn")));

    let (record, lines) = completed(&host, "publish_large_values").await;
    let names: Vec<&String> = record["published"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["fits", "small"]);
    let why = messages(&lines);
    assert!(why[0].contains("would have 66027 bytes; the most is 65536 (published_bytes)"), "{why:?}");
    assert!(why[1].contains("the most is 1048576 (payload_bytes)"), "{why:?}");

    let (record, lines) = completed(&host, "publish_odd_names").await;
    assert_eq!(record["published"], json!({ "\u{202e}name": 1 }));
    assert!(messages(&lines).iter().all(|why| why.contains("is not published: ")), "{lines:#?}");
    assert_eq!(lines.len(), 4);
    let shown = host.host().cli().run(["runs", "show", record["id"].as_str().unwrap()]).await.ok();
    assert!(shown.contains(r"\u{202e}name: 1"), "{shown}");

    let (record, lines) = completed(&host, "publish_no_json").await;
    assert!(record.get("published").is_none(), "{record:#}");
    assert_eq!(lines.len(), 7);

    // The guest copies the value before the host sees it.
    let record = host.attacked("publish_ten_megabytes").await;
    assert_eq!(record["status"], "failed", "{record:#}");
    assert_eq!(record["error_kind"], "out-of-memory", "{record:#}");
    host.is_unharmed().await;
}

#[tokio::test]
async fn values_without_end_end_with_the_fuel() {
    let host = LimitedHost::start().await;
    let record = host.attacked("flood_publish").await;
    assert_eq!(record["error_kind"], "out-of-fuel", "{record:#}");
    assert!(record["published"]["round"].as_u64().unwrap() > 100, "{}", record["published"]["round"]);
    host.is_unharmed().await;
}
