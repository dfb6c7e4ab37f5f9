//! Calls that violate the contract of the interface: invalid scopes, calls and texts.

use crate::bindings::forge::workflow::{calls, compensate, http, step, time};
use crate::{Attack, BODY, Outcome, begin, done, failure, options};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("complete_the_body", |_| ended(|| step::complete(BODY, "1"))),
    ("complete_what_never_began", |_| ended(|| step::complete(7 << 16 | 1, "1"))),
    ("complete_the_last_scope", |_| ended(|| step::complete(u64::MAX, "1"))),
    ("complete_twice", complete_twice),
    ("complete_another_attempt", complete_another_attempt),
    ("fail_what_never_began", |_| ended(|| step::fail(3 << 16 | 1, &failure("?")))),
    ("fail_what_completed", fail_what_completed),
    ("abandon_the_body", |_| ended(|| step::abandon(BODY))),
    ("call_in_an_ended_scope", call_in_an_ended_scope),
    ("call_in_a_foreign_scope", |_| ended(|| time::sleep(99 << 16 | 1, 1))),
    ("resume_nothing", |_| ended(|| step::resume(4_711))),
    ("resume_a_timer", |_| ended(|| step::resume(time::sleep(BODY, 1)))),
    ("take_nothing", |_| ended(|| http::take(u64::MAX))),
    ("take_a_timer", take_a_timer),
    ("wait_for_nothing", |_| ended(calls::next)),
    ("wait_for_what_was_cancelled", wait_for_what_was_cancelled),
    ("compensate_nothing", |_| ended(|| compensate::begin(1))),
    ("compensate_what_has_no_handler", compensate_what_has_no_handler),
    ("complete_no_compensation", |_| ended(|| compensate::complete(5 << 16 | 1))),
    ("unwind_twice", unwind_twice),
    ("result_that_is_no_json", |_| result("{\"a\": ")),
    ("result_that_is_two", |_| result("1 2")),
    ("result_that_is_too_deep", |_| result(&"[".repeat(100_000))),
    ("output_that_is_no_json", |_| Ok("done".to_owned())),
    ("output_that_is_empty", |_| Ok(String::new())),
    ("deadline_twice", deadline_twice),
];

fn ended<T>(attack: impl FnOnce() -> T) -> Outcome {
    attack();
    done()
}

fn result(text: &str) -> Outcome {
    step::complete(begin(BODY, "lies", options()), text);
    done()
}

fn complete_twice(_: &str) -> Outcome {
    let scope = begin(BODY, "twice", options());
    step::complete(scope, "1");
    step::complete(scope, "2");
    done()
}

fn complete_another_attempt(_: &str) -> Outcome {
    let scope = begin(BODY, "attempt", options());
    step::complete(scope + 1, "1");
    done()
}

fn fail_what_completed(_: &str) -> Outcome {
    let scope = begin(BODY, "completed", options());
    step::complete(scope, "1");
    step::fail(scope, &failure("on second thoughts"));
    done()
}

fn call_in_an_ended_scope(_: &str) -> Outcome {
    let scope = begin(BODY, "ended", options());
    step::complete(scope, "1");
    time::workflow_time(scope);
    done()
}

fn take_a_timer(_: &str) -> Outcome {
    let call = time::sleep(BODY, 1);
    calls::next();
    let _ = http::take(call);
    done()
}

fn wait_for_what_was_cancelled(_: &str) -> Outcome {
    let call = time::sleep(BODY, 1);
    calls::cancel(call);
    calls::cancel(call);
    calls::next();
    done()
}

fn compensate_what_has_no_handler(_: &str) -> Outcome {
    let receipt = step::complete(begin(BODY, "plain", options()), "1");
    compensate::begin(receipt.step);
    done()
}

fn unwind_twice(_: &str) -> Outcome {
    compensate::unwind(&failure("once"));
    compensate::unwind(&failure("twice"));
    done()
}

fn deadline_twice(_: &str) -> Outcome {
    let scope = begin(BODY, "limited", options());
    time::deadline(scope, 1_000);
    time::deadline(scope, 2_000);
    done()
}
