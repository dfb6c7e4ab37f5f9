//! Endless repetitions of one call.

use crate::bindings::forge::workflow::http::{self, Request};
use crate::bindings::forge::workflow::run::{self, LogLevel, log};
use crate::bindings::forge::workflow::step::{self, Entry, Verdict};
use crate::bindings::forge::workflow::{calls, time};
use crate::{Attack, BODY, Outcome, begin, failure, options, retrying};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("flood_info", |_| forever(|_| run::info())),
    ("flood_log", |_| forever(|_| log(BODY, LogLevel::Info, "again"))),
    ("flood_lookup", |_| forever(|_| step::lookup("nothing"))),
    ("flood_cancel", |_| forever(|round| calls::cancel(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)))),
    ("flood_panicked", |_| forever(|_| run::panicked("not really"))),
    ("flood_time", |_| forever(|_| time::workflow_time(BODY))),
    ("flood_begin", |_| forever(|_| begin(BODY, "begun", options()))),
    ("flood_enter", |_| forever(|_| step::enter(BODY, "entered"))),
    ("flood_steps", |_| forever(|_| step::complete(begin(BODY, "s", options()), "1"))),
    ("flood_abandon", |_| forever(|_| step::abandon(begin(BODY, "dropped", options())))),
    ("flood_timers", |_| forever(|_| time::sleep(BODY, 3_600_000))),
    ("flood_cancelled_timers", |_| forever(|_| calls::cancel(time::sleep(BODY, 3_600_000)))),
    ("flood_short_timers", |_| {
        forever(|_| {
            time::sleep(BODY, 0);
            calls::next();
        })
    }),
    ("flood_requests", flood_requests),
    ("flood_nested", flood_nested),
    ("flood_attempts", flood_attempts),
];

fn forever<T>(attack: impl Fn(u64) -> T) -> Outcome {
    for round in 0.. {
        attack(round);
    }
    unreachable!("it never ends")
}

/// The guest never waits, so the host must not send any request.
fn flood_requests(url: &str) -> Outcome {
    let request = Request {
        method: "POST".to_owned(),
        url: format!("{url}/effects/flood"),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
        at_most_once: false,
    };
    forever(|_| http::send(BODY, &request))
}

/// Each step is nested in the previous one.
fn flood_nested(_: &str) -> Outcome {
    let mut scope = BODY;
    loop {
        scope = begin(scope, "nested", options());
    }
}

/// One step with the largest number of attempts and no waits.
fn flood_attempts(_: &str) -> Outcome {
    let mut scope = begin(BODY, "again", retrying(u32::MAX, 0));
    loop {
        let Verdict::Retry(call) = step::fail(scope, &failure("again")) else {
            return Err(failure("the step's attempts have ended"));
        };
        calls::next();
        let Entry::Execute(next) = step::resume(call) else { return Err(failure("it does not go on")) };
        scope = next;
    }
}
