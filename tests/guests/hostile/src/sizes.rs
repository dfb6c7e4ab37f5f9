//! Arguments and results that are too large.

use crate::bindings::forge::workflow::http::{self, Request};
use crate::bindings::forge::workflow::run::{self, LogLevel, log};
use crate::bindings::forge::workflow::types::Failure;
use crate::bindings::forge::workflow::{calls, step};
use crate::{Attack, BODY, Outcome, begin, done, failure, options};

const MIB: usize = 1 << 20;

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("log_a_megabyte", log_a_megabyte),
    ("log_too_much", log_too_much),
    ("name_too_long", name_too_long),
    ("name_empty", name_empty),
    ("result_too_large", result_too_large),
    ("output_too_large", output_too_large),
    ("request_too_large", request_too_large),
    ("url_too_long", url_too_long),
    ("headers_too_many", headers_too_many),
    ("panic_too_long", panic_too_long),
    ("failure_too_long", failure_too_long),
    ("step_failure_too_long", step_failure_too_long),
];

fn log_a_megabyte(_: &str) -> Outcome {
    log(BODY, LogLevel::Info, &"l".repeat(MIB));
    done()
}

fn log_too_much(_: &str) -> Outcome {
    log(BODY, LogLevel::Info, &"l".repeat(8 * MIB));
    done()
}

fn name_too_long(_: &str) -> Outcome {
    begin(BODY, &"n".repeat(256), options());
    done()
}

fn name_empty(_: &str) -> Outcome {
    step::enter(BODY, "");
    done()
}

fn result_too_large(_: &str) -> Outcome {
    let scope = begin(BODY, "large", options());
    step::complete(scope, &format!("\"{}\"", "r".repeat(MIB)));
    done()
}

fn output_too_large(_: &str) -> Outcome {
    Ok(format!("\"{}\"", "o".repeat(MIB)))
}

fn request(url: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        url: format!("{url}/effects/hostile"),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
        at_most_once: false,
    }
}

fn request_too_large(url: &str) -> Outcome {
    send(&Request { body: vec![0xff; MIB], ..request(url) })
}

fn url_too_long(url: &str) -> Outcome {
    send(&Request { url: format!("{url}/{}", "u".repeat(100_000)), ..request(url) })
}

/// More headers than an HTTP header map can hold.
fn headers_too_many(url: &str) -> Outcome {
    let headers = (0..40_000).map(|number| (format!("h{number}"), String::new())).collect();
    send(&Request { headers, ..request(url) })
}

/// Sends a request and returns its failure.
fn send(request: &Request) -> Outcome {
    let call = http::send(BODY, request);
    calls::next();
    http::take(call).map(|_| "null".to_owned())
}

fn panic_too_long(_: &str) -> Outcome {
    run::panicked(&"p".repeat(MIB));
    core::arch::wasm32::unreachable()
}

fn failure_too_long(_: &str) -> Outcome {
    Err(Failure { kind: "k".repeat(MIB), message: "m".repeat(MIB), retryable: false })
}

fn step_failure_too_long(_: &str) -> Outcome {
    let scope = begin(BODY, "fails", options());
    step::fail(scope, &failure(&"m".repeat(MIB)));
    done()
}
