//! Durations and counts at the limits of their ranges.

use crate::bindings::forge::workflow::http::{self, Request};
use crate::bindings::forge::workflow::step::{self, Verdict};
use crate::bindings::forge::workflow::{calls, time};
use crate::{Attack, BODY, Options, Outcome, begin, done, failure, options, retrying};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("sleep_forever", sleep_forever),
    ("deadline_forever", deadline_forever),
    ("retry_in_eternity", retry_in_eternity),
    ("retry_never", retry_never),
    ("sleep_not_at_all", sleep_not_at_all),
    ("timeout_forever", |url| request(url, u64::MAX)),
    ("timeout_at_once", |url| request(url, 0)),
];

fn sleep_forever(_: &str) -> Outcome {
    time::sleep(BODY, u64::MAX);
    calls::next();
    done()
}

fn deadline_forever(_: &str) -> Outcome {
    let scope = begin(BODY, "limited", Options { timeout: Some(u64::MAX), ..options() });
    time::deadline(scope, u64::MAX);
    calls::next();
    done()
}

fn retry_in_eternity(_: &str) -> Outcome {
    step::fail(begin(BODY, "later", retrying(u32::MAX, u64::MAX)), &failure("not now"));
    calls::next();
    done()
}

fn retry_never(_: &str) -> Outcome {
    match step::fail(begin(BODY, "never", retrying(0, 0)), &failure("no attempts at all")) {
        Verdict::Final(failure) => Err(failure),
        Verdict::Retry(_) => done(),
    }
}

fn sleep_not_at_all(_: &str) -> Outcome {
    time::sleep(BODY, 0);
    calls::next();
    done()
}

fn request(url: &str, timeout: u64) -> Outcome {
    let call = http::send(
        BODY,
        &Request {
            method: "POST".to_owned(),
            url: format!("{url}/effects/timed"),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Some(timeout),
            at_most_once: false,
        },
    );
    calls::next();
    http::take(call).map(|response| response.status.to_string())
}
