//! Requests that may have arrived although no answer came, and requests that certainly did not: the first are named, the
//! others are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_postgres::Server;
use forge_tests::program::{Block, Statement, block, effect, fail, step};
use forge_tests::raw_service::{Arrived, RawService, Reply, response};
use forge_tests::{Api, Host, HostBuilder, component};
use serde_json::Value;

const PAY: &str = "/effects/pay";

async fn deployed(host: HostBuilder) -> Host {
    let host = host.flag(["--compensation-backoff", "20ms"]).flag(["--compensation-attempts", "3"]);
    let host = host.start().await;
    host.api().deploy(&component("interpreter")).await;
    host
}

fn in_doubt(record: &Value) -> Vec<&str> {
    record["in_doubt"].as_array().into_iter().flatten().map(|effect| effect.as_str().unwrap()).collect()
}

/// A request in a step, and the same request in a compensation: the programs, and the step that is named.
fn in_step_and_compensation(pay: &Statement) -> [(Block, &'static str); 2] {
    let undo = step("order", block![effect("order")]).undo(block![pay.clone()]);
    [(block![step("charge", block![pay.clone()])], "`charge`: "), (block![undo, fail("no")], "`order`: ")]
}

/// A service that answers all requests but `pay` with 200.
async fn service(mut pay: impl FnMut(&Arrived) -> Reply + Send + 'static) -> RawService {
    RawService::start(move |request| match request.path.as_str() {
        PAY => pay(request),
        _ => response(200, "{}"),
    })
    .await
}

/// Runs a program and returns its record.
async fn run(api: &Api, service: &RawService, body: Block) -> Value {
    let run = api.start("program", service.program(body)).await;
    api.settled(&run).await
}

/// Checks that one request is named, with this text.
#[track_caller]
fn names(record: &Value, step: &str, why: &str) {
    let [doubt] = in_doubt(record)[..] else { panic!("{record:#}") };
    assert!(doubt.starts_with(step) && doubt.contains("POST http://") && doubt.contains(why), "{doubt}");
    let error = record["error"].as_str().unwrap_or_default();
    assert!(record["status"] == "completed" || error.contains(doubt), "{record:#}");
}

#[tokio::test]
async fn a_request_whose_connection_broke_is_named_in_steps_and_compensations() {
    let host = deployed(Host::builder()).await;
    for (body, step) in in_step_and_compensation(&effect("pay")) {
        let service = service(|_| Reply::Close).await;
        let record = run(&host.api(), &service, body).await;
        assert_eq!(record["status"], "failed", "{record:#}");
        names(&record, step, "may have arrived: no answer came");
    }
}

#[tokio::test]
async fn a_request_that_was_refused_before_anything_was_sent_is_not_named() {
    let host = deployed(Host::builder()).await;
    for (body, _) in in_step_and_compensation(&effect("pay")) {
        let closed = RawService::start(|_| Reply::Close).await.program(body);
        let run = host.api().start("program", closed).await;
        let record = host.api().settled(&run).await;
        assert_eq!((record["status"].as_str(), in_doubt(&record).len()), (Some("failed"), 0), "{record:#}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_named_unless_it_rejects_the_request() {
    let host = deployed(Host::builder()).await;
    for (status, is_named) in [(200, true), (500, true), (422, false)] {
        let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: 100\r\n\r\n{{");
        let service = service(move |_| Reply::Last(head.clone())).await;
        let record = run(&host.api(), &service, block![step("charge", block![effect("pay")])]).await;
        assert_eq!(record["status"], "failed", "{record:#}");
        match is_named {
            true => names(&record, "`charge`: ", "was answered, and the answer could not be kept"),
            false => assert!(in_doubt(&record).is_empty(), "{record:#}"),
        }
    }
}

#[tokio::test]
async fn a_request_that_is_answered_with_conflicts_until_its_attempts_end_is_named_once() {
    // Shorter than the wait before the host itself sends a request again.
    let host = deployed(Host::builder().flag(["--http-timeout", "500ms"])).await;
    let busy = |first: Reply| {
        move |request: &Arrived| if request.earlier == 0 { first.clone() } else { response(409, "{}") }
    };
    let retried = block![step("charge", block![effect("pay")]).retry(3, 10)];
    let [_, compensated] = in_step_and_compensation(&effect("pay"));
    for (body, name) in [(retried, "`charge`: "), compensated] {
        // The first may have been performed behind a gateway that gave up, too.
        for first in [Reply::Close, response(504, "{}")] {
            let service = service(busy(first)).await;
            let record = run(&host.api(), &service, body.clone()).await;
            assert_eq!(record["status"], "failed", "{record:#}");
            assert!(service.arrived(PAY).len() >= 3);
            names(&record, name, "it was sent before, and the last answer is 409");
        }
    }
}

#[tokio::test]
async fn a_first_conflict_and_a_last_success_leave_nothing_in_doubt() {
    let host = deployed(Host::builder()).await;
    let conflicts = service(|_| response(409, "{}")).await;
    let retried = || block![step("charge", block![effect("pay")]).retry(3, 10)];
    let record = run(&host.api(), &conflicts, retried()).await;
    assert_eq!((conflicts.arrived(PAY).len(), in_doubt(&record).len()), (1, 0), "{record:#}");

    let answers = [Reply::Close, response(409, "{}"), response(200, "{}")];
    let succeeds = service(move |request| answers[request.earlier].clone()).await;
    let record = run(&host.api(), &succeeds, retried()).await;
    assert_eq!((record["status"].as_str(), in_doubt(&record).len()), (Some("completed"), 0), "{record:#}");
}

#[tokio::test]
async fn a_server_error_says_nothing_of_an_attempt_before_it() {
    let host = deployed(Host::builder()).await;
    let service =
        service(|request| if request.earlier == 0 { Reply::Close } else { response(503, "{}") }).await;
    let retried = block![step("charge", block![effect("pay")]).retry(2, 10)];
    let record = run(&host.api(), &service, retried).await;
    names(&record, "`charge`: ", "may have arrived: no answer came");
}

#[tokio::test]
async fn a_request_with_a_key_of_its_own_is_settled_by_a_later_call_with_that_key() {
    let host = deployed(Host::builder()).await;
    let keyed = || Statement::Keyed("pay".to_owned(), "order-7".to_owned());
    let service =
        service(|request| if request.earlier == 0 { Reply::Close } else { response(200, "{}") }).await;
    let body = block![Statement::Try(block![step("charge", block![keyed()])]), keyed()];
    let record = run(&host.api(), &service, body).await;
    assert_eq!((record["status"].as_str(), in_doubt(&record).len()), (Some("completed"), 0), "{record:#}");
}

#[tokio::test]
async fn a_request_that_was_under_way_at_a_kill_and_is_refused_afterwards_is_named() {
    for (body, name) in in_step_and_compensation(&effect("pay")) {
        let mut host = deployed(Host::builder()).await;
        let service = service(|_| Reply::Never).await;
        let run = host.api().start("program", service.program(body)).await;
        service.until_arrived(PAY, 1).await;
        host.kill();
        drop(service);
        host.restart().await;
        let record = host.api().settled(&run).await;
        assert_eq!(record["status"], "failed", "{record:#}");
        names(&record, name, "may have arrived: no answer came");
    }
}

#[tokio::test]
async fn a_conflict_after_egress_has_sent_a_request_again_is_not_final_without_a_retry_policy() {
    let host = deployed(Host::builder()).await;
    for (body, _) in in_step_and_compensation(&effect("pay")) {
        let answers = [Reply::Close, response(409, "{}"), response(200, "{}")];
        let service = service(move |request| answers[request.earlier].clone()).await;
        // This leaves a connection that is kept, on which the first request is lost.
        let warm = run(&host.api(), &service, block![effect("warm")]).await;
        assert_eq!(warm["status"], "completed", "{warm:#}");
        let record = run(&host.api(), &service, body).await;
        let arrived = service.arrived(PAY);
        assert_eq!(arrived.len(), 3, "{arrived:?}");
        assert!(arrived.iter().all(|request| request.key == arrived[0].key), "{arrived:?}");
        assert!(["completed", "compensated"].contains(&record["status"].as_str().unwrap()), "{record:#}");
        assert!(in_doubt(&record).is_empty(), "{record:#}");
    }
}

#[tokio::test]
async fn a_conflict_that_lasts_as_long_as_the_request_may_take_is_named_as_in_progress() {
    let host = deployed(Host::builder().flag(["--http-timeout", "1500ms"])).await;
    for (body, name) in in_step_and_compensation(&effect("pay")) {
        let service =
            service(|request| if request.earlier == 0 { Reply::Close } else { response(409, "{}") }).await;
        run(&host.api(), &service, block![effect("warm")]).await;
        let record = run(&host.api(), &service, body).await;
        assert_eq!(record["status"], "failed", "{record:#}");
        names(&record, name, "it was sent before, and the last answer is 409");
        assert!(record["error"].as_str().unwrap().contains("may still be in progress"), "{record:#}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_says_that_the_effect_stands() {
    let host = deployed(Host::builder()).await;
    for (body, name) in in_step_and_compensation(&effect("pay")) {
        let large = format!("HTTP/1.1 200 OK\r\n{}content-length: 2\r\n\r\n{{}}", "a: b\r\n".repeat(1_100));
        let service = service(move |_| Reply::Bytes(large.clone())).await;
        let record = run(&host.api(), &service, body).await;
        names(&record, name, "was answered, and the answer could not be kept");
        assert!(record["error"].as_str().unwrap().contains("its effect stands"), "{record:#}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_the_json_of_an_answer_is_skipped() {
    let host = deployed(Host::builder()).await;
    for (body, _) in in_step_and_compensation(&effect("pay")) {
        let service = service(|_| response(200, "\u{feff}{\"paid\":true}")).await;
        let record = run(&host.api(), &service, body).await;
        assert!(["completed", "compensated"].contains(&record["status"].as_str().unwrap()), "{record:#}");
    }
}

#[tokio::test]
async fn a_post_that_a_server_has_handled_is_named_if_the_page_behind_its_redirect_is_lost() {
    let host = deployed(Host::builder()).await;
    for (body, name) in in_step_and_compensation(&effect("pay")) {
        let service = RawService::start(|request| match request.path.as_str() {
            PAY => {
                Reply::Last("HTTP/1.1 303 Other\r\nlocation: /paid\r\ncontent-length: 0\r\n\r\n".to_owned())
            }
            "/paid" => Reply::Close,
            _ => response(200, "{}"),
        })
        .await;
        let record = run(&host.api(), &service, body).await;
        names(&record, name, "was answered, and the answer could not be kept");
    }
}

#[tokio::test]
async fn a_request_that_timed_out_before_it_was_sent_is_not_named() {
    let host = deployed(Host::builder().flag(["--http-requests", "1"])).await;
    let service = RawService::start(|_| Reply::Never).await;
    // This one has the only permit.
    host.api().start("program", service.program(block![effect("first")])).await;
    service.until_arrived("/effects/first", 1).await;
    let waits = step("charge", block![Statement::Busy("second".to_owned(), Some(200))]);
    let record = run(&host.api(), &service, block![waits]).await;
    assert_eq!((record["status"].as_str(), record["error_kind"].as_str()), (Some("failed"), Some("timeout")));
    assert!(in_doubt(&record).is_empty() && service.arrived("/busy/second").is_empty(), "{record:#}");
}

#[tokio::test]
async fn a_nested_or_low_level_step_that_lost_its_request_is_named_although_the_run_completes() {
    let host = deployed(Host::builder()).await;
    let tried = |inner: Statement| block![step("outer", block![Statement::Try(block![inner])])];
    let low_level = Statement::Try(block![Statement::Manual("charge".to_owned(), block![effect("pay")])]);
    for body in [tried(step("charge", block![effect("pay")]).into()), block![low_level]] {
        let service = service(|_| Reply::Close).await;
        let record = run(&host.api(), &service, body).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        names(&record, "`charge`: ", "may have arrived: no answer came");
    }
}

#[tokio::test]
async fn a_later_attempt_settles_an_earlier_one_only_if_it_was_answered() {
    let host = deployed(Host::builder()).await;
    for (status, is_named) in [(422, false), (429, true)] {
        let service =
            service(move |request| if request.earlier == 0 { Reply::Close } else { response(status, "{}") });
        let service = service.await;
        let retried = block![step("charge", block![effect("pay")]).retry(2, 10)];
        let record = run(&host.api(), &service, retried).await;
        assert_eq!(
            (service.arrived(PAY).len(), in_doubt(&record).len()),
            (2, usize::from(is_named)),
            "{record:#}"
        );
    }
}

#[tokio::test]
async fn a_lost_request_is_named_after_a_restart_on_both_stores() {
    let server = Server::start(&[]).expect("PostgreSQL can be started");
    let database = server.create_database().unwrap();
    for host in [Host::builder(), Host::builder().database(database)] {
        let mut host = deployed(host).await;
        let service = service(|_| Reply::Close).await;
        let lost = Statement::Try(block![step("charge", block![effect("pay")])]);
        let run = host.api().start("program", service.program(block![lost, Statement::Sleep(1_500)])).await;
        host.api().until_step(&run, "step", "charge", "failed").await;
        host.kill();
        host.restart().await;
        let record = host.api().settled(&run).await;
        assert_eq!(record["status"], "completed", "{record:#}");
        names(&record, "`charge`: ", "may have arrived: no answer came");
    }
}

#[tokio::test]
async fn a_request_that_a_kept_connection_lost_and_that_cannot_be_sent_again_is_named() {
    let host = deployed(Host::builder()).await;
    let (gone, is_gone) = tokio::sync::oneshot::channel::<()>();
    let mut gone = Some(gone);
    let server = service(move |_| {
        // The port is closed before the connection is.
        drop(gone.take());
        Reply::Never
    });
    let server = server.await;
    run(&host.api(), &server, block![effect("warm")]).await;
    let body = block![step("charge", block![effect("pay")])];
    let run = host.api().start("program", server.program(body)).await;
    _ = is_gone.await;
    drop(server);
    let record = host.api().settled(&run).await;
    names(&record, "`charge`: ", "may have arrived: no answer came");
    assert!(record["error"].as_str().unwrap().contains("Connection refused"), "{record:#}");
}
