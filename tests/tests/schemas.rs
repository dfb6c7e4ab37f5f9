//! Schemas of inputs: exported, read, and applied to starts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::{Api, Cli, Host, component, components};
use serde_json::{Value, json};

async fn host() -> Host {
    let host = Host::start().await;
    host.api().deploy(&component("checked")).await;
    host
}

fn order() -> Value {
    json!({"sku": "tea", "count": 3, "payment": {"kind": "card", "token": "tok_1"}})
}

/// Returns the code, the path and the message of a start that is refused.
async fn refused(api: &Api, input: Value) -> (String, Value, String) {
    let answer = api.try_start("order", &json!({"input": input})).await;
    let path = answer.body["error"]["path"].clone();
    let (code, message) = answer.refused(400);
    (code, path, message)
}

#[tokio::test]
async fn the_schema_of_an_input_is_that_of_its_type() {
    let host = host().await;
    let api = host.api();
    let schema = api.get("/_api/workflows/order/schema").await.ok();
    assert_eq!(schema["title"], "Order");
    assert_eq!(schema["properties"]["sku"]["description"], "The article's number in the catalogue.");
    assert_eq!(schema["required"], json!(["sku", "payment"]));
    assert_eq!(api.get("/_api/workflows/order/schema?version=1").await.ok(), schema);
    let info = api.get("/_api/workflows/order").await.ok();
    assert_eq!(info["versions"][0]["input_schema"].as_str().map(str::len), Some(64));

    let cli = Cli::default().server(&host.url());
    let shown = cli.run(["workflows", "schema", "order"]).await.ok();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), schema);
    assert_eq!(cli.run(["workflows", "schema", "order", "--version", "1", "--json"]).await.json(), schema);
}

#[tokio::test]
async fn a_workflow_without_a_schema_has_none_and_takes_any_input() {
    let host = host().await;
    let api = host.api();
    let (code, message) = api.get("/_api/workflows/orders/schema").await.refused(404);
    assert!(code == "no_schema" && message.contains("derive `JsonSchema`"), "{code}: {message}");
    assert_eq!(api.get("/_api/workflows/orders").await.ok()["versions"][0].get("input_schema"), None);
    assert_eq!(api.get("/_api/workflows/tea/schema").await.refused(404).0, "unknown_workflow");
    assert_eq!(api.get("/_api/workflows/order/schema?version=9").await.refused(404).0, "unknown_version");
    let run = api.start("orders", json!({"no": "list"})).await;
    assert_eq!(api.settled(&run).await["status"], "failed", "the workflow itself refuses it");
    let failed = Cli::default().server(&host.url()).run(["workflows", "schema", "orders"]).await.failed(4);
    assert!(failed.contains("has no schema"), "{failed}");
}

#[tokio::test]
async fn a_component_without_the_export_loads_as_before() {
    let host = Host::start().await;
    host.api().deploy(&components::describing(&[("plain", 1)])).await;
    assert_eq!(host.api().get("/_api/workflows/plain/schema").await.refused(404).0, "no_schema");
}

#[tokio::test]
async fn a_start_whose_input_does_not_fit_is_refused_with_the_place() {
    let mut host = host().await;
    let api = host.api();
    let misfit = async |change: fn(&mut Value)| {
        let mut input = order();
        change(&mut input);
        let (code, path, message) = refused(&api, input).await;
        assert_eq!(code, "invalid_input", "{message}");
        assert!(
            message.starts_with("the input does not fit the schema of `order` version 1, at $"),
            "{message}"
        );
        path
    };
    assert_eq!(misfit(|order| order["count"] = json!(0)).await, "$.count");
    assert_eq!(misfit(|order| order["count"] = json!("3")).await, "$.count");
    assert_eq!(misfit(|order| order["sku"] = json!(null)).await, "$.sku");
    assert_eq!(misfit(|order| order["notes"] = json!(["a", 1])).await, "$.notes[1]");
    assert_eq!(misfit(|order| order["until"] = json!("soon")).await, "$.until");
    assert_eq!(misfit(|order| order["payment"] = json!({"kind": "transfer"})).await, "$.payment.iban");
    assert_eq!(misfit(|order| order["payment"]["kind"] = json!("cash")).await, "$.payment.kind");
    assert_eq!(misfit(|order| *order = json!([])).await, "$");
    let (_, path, _) = refused(&api, json!({})).await;
    assert_eq!(path, "$.sku", "a start without an input");
    assert_eq!(api.get("/_api/runs").await.ok()["runs"], json!([]), "nothing was started");

    let run = api.start("order", order()).await;
    assert_eq!(api.settled(&run).await["output"], 3);
    host.kill();
    host.restart().await;
    let (code, path, _) = refused(&host.api(), json!({"sku": 1})).await;
    assert_eq!((code.as_str(), path), ("invalid_input", json!("$.sku")), "also after a restart");
}

#[tokio::test]
async fn a_large_input_is_checked_too() {
    let host = host().await;
    let mut input = order();
    input["notes"] = json!(vec!["please ring twice"; 20_000]);
    let run = host.api().start("order", input.clone()).await;
    assert_eq!(host.api().settled(&run).await["output"], 3);
    input["notes"][19_999] = json!(false);
    assert_eq!(refused(&host.api(), input).await.1, "$.notes[19999]");
}

#[tokio::test]
async fn the_run_of_a_key_is_found_whatever_the_schema_says_by_then() {
    let host = host().await;
    let api = host.api();
    let start = json!({"input": order(), "key": "k"});
    let run = api.start_acknowledged("order", &start).await;
    let again = api.try_start("order", &start).await.ok();
    assert_eq!((&again["run_id"], again["existing"].is_object()), (&json!(run), true));
    let wrong = api.try_start("order", &json!({"input": 1, "key": "k"})).await;
    assert_eq!(wrong.refused(409).0, "key_reused");
    let wrong = api.try_start("order", &json!({"input": 1, "key": "other"})).await;
    assert_eq!(wrong.refused(400).0, "invalid_input");
}

#[tokio::test]
async fn a_child_whose_input_does_not_fit_fails_its_call_also_in_a_replay() {
    let mut host = host().await;
    let inputs = json!([order(), {"sku": "tea"}, 7]);
    let run = host.api().start("orders", inputs).await;
    let record = host.api().settled(&run).await;
    assert_eq!(record["output"][0], 3, "{record:#}");
    assert_eq!(record["output"][1]["kind"], "invalid-input");
    let message = record["output"][1]["message"].as_str().unwrap();
    assert!(message.contains("at $.payment: the member is required"), "{message}");
    assert_eq!(record["output"][2]["kind"], "invalid-input");
    // Of the three, one was started.
    let runs = host.api().get("/_api/runs").await.ok();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
    host.kill();
    host.restart().await;
    assert_eq!(host.api().record(&run).await["output"], record["output"]);
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_refuses_the_component() {
    let host = Host::start().await;
    let api = host.api();
    let refused = async |schema: &str| {
        let (code, message) =
            api.upload(&components::exporting_schema("attack", 1, schema)).await.refused(422);
        assert_eq!(code, "invalid_component");
        message
    };
    let starts = "the schema of the input of `attack` version 1 cannot be used: ";
    let remote = refused(r#"{"properties":{"a":{"$ref":"http://169.254.169.254/"}}}"#).await;
    assert!(remote.starts_with(starts) && remote.contains("#/properties/a/$ref"), "{remote}");
    assert!(refused(&format!("\"{}\"", "a".repeat(70_000))).await.contains("the most is 65536"));
    assert!(refused(r#"{"pattern":"^(a+)+\\1$"}"#).await.contains("linear time"));
    assert!(refused(r##"{"$ref":"#"}"##).await.contains("leads to itself"));
    assert!(refused("{").await.contains("it is not JSON"));
    let (_, message) = api.upload(&components::exporting_schema("other", 1, "true")).await.refused(422);
    assert!(
        message.contains("version 1 of workflow `other`, which the component does not have"),
        "{message}"
    );
    assert_eq!(api.get("/_api/workflows").await.ok()["workflows"], json!([]));
}

#[tokio::test]
async fn a_hostile_schema_delays_nobody() {
    let host = host().await;
    let api = host.api();
    // Forty levels that double the alternatives of a value: a trillion checks, if nobody counted them.
    let mut levels: Vec<String> = (0..40)
        .map(|at| {
            format!(
                r##""{at}":{{"anyOf":[{{"$ref":"#/d/{next}"}},{{"$ref":"#/d/{next}"}}]}}"##,
                next = at + 1
            )
        })
        .collect();
    levels.push(r#""40":{"type":"string"}"#.to_owned());
    let schema = format!(r##"{{"$ref":"#/d/0","d":{{{}}}}}"##, levels.join(","));
    api.deploy(&components::exporting_schema("attack", 1, &schema)).await;
    let attack = async |input: Value| api.try_start("attack", &json!({"input": input})).await;
    let (code, message) = attack(json!(1)).await.refused(400);
    assert!(code == "invalid_input" && message.contains("given up"), "{message}");
    // Beside large inputs of the attacker, others start.
    let attacks = futures::future::join_all((0..4).map(|_| attack(json!(vec![1; 100_000]))));
    let others = async {
        for _ in 0..20 {
            let run = api.start("order", order()).await;
            assert_eq!(api.settled(&run).await["output"], 3);
        }
    };
    let (attacks, ()) = tokio::join!(attacks, others);
    for refused in attacks {
        assert_eq!(refused.refused(400).0, "invalid_input");
    }
}

#[tokio::test]
async fn a_check_that_needs_too_many_steps_is_refused_and_says_what_to_do() {
    let host = host().await;
    let api = host.api();
    // More than a million passes over the members of an input, none of which has the name.
    let pass = json!({"allOf": vec![json!({"properties": {"zz": true}}); 1_000]});
    let passes = json!({"$defs": {"l": pass}, "allOf": vec![json!({"$ref": "#/$defs/l"}); 1_200]});
    api.deploy(&components::exporting_schema("attack", 1, &passes.to_string())).await;
    for (members, steps) in [(500, "needs more than"), (90_000, "needs more than 10000000 steps")] {
        let input: serde_json::Map<_, _> = (0..members).map(|at| (at.to_string(), json!(0))).collect();
        let start = api.try_start("attack", &json!({"input": input})).await;
        let (code, message) = start.refused(400);
        let begin = "the input cannot be checked against the schema of `attack` version 1, at $";
        assert!(code == "invalid_input" && message.starts_with(begin), "{code}: {message}");
        assert!(message.contains(steps) && message.contains("send a smaller input"), "{message}");
    }
    let run = api.start("order", order()).await;
    assert_eq!(api.settled(&run).await["output"], 3);
}

#[tokio::test]
async fn the_document_describes_the_schema_and_its_errors() {
    let host = Host::start().await;
    let document = host.api().get("/_api/openapi.json").await.ok();
    let responses = &document["paths"]["/_api/workflows/{name}/schema"]["get"]["responses"];
    assert!(responses["200"]["content"]["application/json"].is_object(), "{responses:#}");
    let detail = &document["components"]["schemas"]["ErrorDetail"]["properties"];
    assert!(detail["path"].is_object(), "{detail:#}");
}
