//! The context: identity of the run, time, randomness, logs and HTTP.

use forge::prelude::*;
use forge::testing::{TestResponse, TestRun};

#[forge::workflow]
#[name = "who.am-i"]
#[version = 7]
#[timeout = "1h30m"]
#[deprecated]
async fn who(ctx: &WorkflowContext, _input: ()) -> Result<serde_json::Value> {
    let ctx = ctx.clone();
    Ok(json!({
        "run": ctx.run_id, "name": ctx.workflow_name, "version": ctx.version,
        "started": ctx.started_at, "subject": ctx.auth.subject, "admin": ctx.auth.has_role("admin"),
    }))
}

#[test]
fn the_context_has_the_identity_of_the_run() {
    let auth =
        AuthContext { subject: Some("mia".into()), roles: vec!["admin".into()], ..AuthContext::default() };
    let run = TestRun::new(WhoWorkflow)
        .auth(auth)
        .run_id(Uuid::from_u128(7))
        .started_at("2030-02-03T04:05:06Z".parse().unwrap())
        .run(());
    assert_eq!(
        *run.output(),
        json!({
            "run": "00000000-0000-0000-0000-000000000007", "name": "who.am-i", "version": 7,
            "started": "2030-02-03T04:05:06Z", "subject": "mia", "admin": true,
        })
    );
}

#[test]
fn attributes_make_the_info() {
    let expected =
        WorkflowInfo { name: "who.am-i", version: 7, timeout: Duration::from_secs(5400), deprecated: true };
    assert_eq!(WhoWorkflow::INFO, expected);
    let WorkflowInfo { name, version, timeout, deprecated } = ClockWorkflow::INFO;
    assert_eq!((name, version, timeout, deprecated), ("clock", 1, Duration::from_secs(86400), false));
}

#[forge::workflow]
async fn clock(ctx: &WorkflowContext, _input: ()) -> Result<(DateTime<Utc>, Duration)> {
    ctx.sleep(Duration::from_secs(90)).await;
    Ok((ctx.workflow_time(), ctx.elapsed()))
}

#[test]
fn time_passes_while_everything_waits() {
    let run = TestRun::new(ClockWorkflow).run(());
    assert_eq!(*run.output(), ("2025-01-01T00:01:30Z".parse().unwrap(), Duration::from_secs(90)));
}

#[forge::workflow]
async fn dice(ctx: &WorkflowContext, _input: ()) -> Result<Vec<u64>> {
    let inside = ctx.step("roll", || async { Ok((ctx.random(), forge::random::u64())) }).run().await?;
    Ok(vec![inside.0, inside.1, ctx.random(), ctx.uuid().as_u64_pair().0])
}

#[test]
fn randomness_follows_the_seed_and_the_scope() {
    let roll = |seed| TestRun::new(DiceWorkflow).seed(seed).run(()).result.unwrap();
    let mut numbers = [roll(1), roll(2)].concat();
    assert_eq!(roll(1), roll(1));
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 8, "two numbers are the same");
}

#[test]
fn a_skipped_step_takes_nothing_from_the_bodys_stream() {
    let live = TestRun::new(DiceWorkflow).run(()).result.unwrap();
    let resumed =
        TestRun::new(DiceWorkflow).complete_step("roll", (live[0], live[1])).run(()).result.unwrap();
    assert_eq!(live, resumed);
}

#[forge::workflow]
async fn talk(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    tracing::info!("in the body");
    let step = ctx.step("speak", || async {
        let _span = tracing::info_span!("span", ignored = 1).entered();
        forge::log::error!(order = 7, who = "mia", "cannot {}", "undo");
        tracing::debug!(only = ?Some("fields"));
        Ok(())
    });
    step.run().await
}

#[test]
fn log_lines_carry_their_step_level_and_fields() {
    let run = TestRun::new(TalkWorkflow).run(());
    let lines: Vec<_> =
        run.logs.iter().map(|log| (log.step.as_deref(), log.level, log.message.as_str())).collect();
    assert_eq!(
        lines,
        [
            (None, "info", "in the body"),
            (Some("speak"), "error", "cannot undo order=7 who=mia"),
            (Some("speak"), "debug", "only=Some(\"fields\")"),
        ]
    );
}

#[forge::workflow]
async fn ask(ctx: &WorkflowContext, url: String) -> Result<String> {
    let request = ctx.http().patch(url).query("q", "a b").bearer_auth("t0ken").header("X-Order", "7");
    let response = request.idempotency_key(ctx.run_id.to_string()).json(&json!({"a": 1})).await?;
    assert_eq!(response.status(), 404);
    assert_eq!((response.header("Content-Type"), response.headers().count()), (Some("text/plain"), 1));
    response.text()
}

#[test]
fn a_request_is_sent_as_built_and_an_error_status_is_a_response() {
    let run = TestRun::new(AskWorkflow).http(|_| TestResponse::text(404, "not here")).run("http://x/a");
    assert_eq!(run.output(), "not here");
    let request = &run.requests[0];
    assert_eq!((request.method.as_str(), request.url.as_str()), ("PATCH", "http://x/a?q=a%20b"));
    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(request.header("x-order"), Some("7"));
    assert_eq!(request.header("idempotency-key"), Some("01941f29-7c00-7000-8000-000000000001"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.json::<serde_json::Value>(), json!({"a": 1}));
}

#[forge::workflow]
async fn impatient(_ctx: &WorkflowContext, _input: ()) -> Result<u16> {
    let response = forge::http::get("http://slow").timeout(Duration::from_millis(250)).send().await?;
    Ok(response.status().as_u16())
}

#[test]
fn a_request_without_a_response_fails() {
    let slow = |_: &_| TestResponse::status(200).after(Duration::from_secs(1));
    let run = TestRun::new(ImpatientWorkflow).http(slow).run(());
    assert_eq!((run.failure().is_timeout(), run.elapsed), (true, Duration::from_millis(250)));
    let run = TestRun::new(ImpatientWorkflow).run(());
    assert_eq!(run.failure().message, "GET http://slow: no response; set one with TestRun::http");
}

#[forge::workflow]
async fn mistaken(_ctx: &WorkflowContext, _input: ()) -> Result<()> {
    forge::http::get("http://x").header("a", "b\nc").send().await?;
    Ok(())
}

#[test]
fn a_mistake_in_a_request_is_reported_by_send_without_showing_the_value() {
    let run = TestRun::new(MistakenWorkflow).run(());
    let message = "GET http://x: the value of header `a` has characters that headers cannot have";
    assert_eq!(run.failure(), &Failure::permanent(message));
    assert!(run.requests.is_empty());
}

#[test]
#[should_panic = "use forge::testing::TestRun"]
fn outside_of_a_run_the_functions_say_what_to_do() {
    forge::random::u64();
    let _ = forge::time::workflow_time();
}

// Names that the macro uses, too: they collide if its hygiene fails.
#[forge::workflow]
async fn input(ctx: &WorkflowContext, r#type: u8) -> Result<u8> {
    let _ = ctx;
    Ok(r#type)
}

#[forge::workflow]
async fn r#match(_: &WorkflowContext, (a, b): (u8, u8)) -> Result<u8> {
    Ok(a + b)
}

#[test]
fn arguments_may_have_any_name_or_pattern() {
    assert_eq!(*TestRun::new(InputWorkflow).run(1).output(), 1);
    assert_eq!(*TestRun::new(MatchWorkflow).run((1, 2)).output(), 3);
    assert_eq!(MatchWorkflow::INFO.name, "match");
}
