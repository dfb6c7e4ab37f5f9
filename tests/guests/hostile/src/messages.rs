//! Events and starts of runs that nobody should get, and more of them than anybody takes.

use crate::bindings::forge::workflow::children::{self, Request};
use crate::bindings::forge::workflow::{calls, events, run, time};
use crate::{Attack, BODY, Outcome, done};

const MIB: usize = 1 << 20;

/// A run that no host has.
const NOBODY: &str = "01941f29-7c00-7000-8000-000000000001";

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("event_without_a_name", |_| receive("")),
    ("event_with_a_long_name", |_| receive(&"n".repeat(10 << 10))),
    ("event_with_a_nul_in_its_name", |_| receive("a\0b")),
    ("send_without_a_name", |_| send_to_itself("", "1", None)),
    ("send_with_a_long_key", |_| send_to_itself("e", "1", Some(&"k".repeat(10 << 10)))),
    ("send_with_a_nul_in_its_key", |_| send_to_itself("e", "1", Some("\0"))),
    ("send_too_much", |_| send_to_itself("e", &format!("\"{}\"", "p".repeat(MIB)), None)),
    ("send_what_is_no_json", |_| send_to_itself("e", "{\"a\": ", None)),
    ("send_what_is_too_deep", |_| send_to_itself("e", &("[".repeat(100_000) + &"]".repeat(100_000)), None)),
    ("send_half_a_character", |_| send_to_itself("e", r#""\ud800""#, None)),
    ("send_to_a_path", |_| send("../../etc/passwd", "e", "1", None)),
    ("send_to_nobody", |_| send(NOBODY, "e", "1", None)),
    ("take_an_event_of_nothing", |_| ended(|| events::take(4_711))),
    ("take_an_event_of_a_timer", take_an_event_of_a_timer),
    ("receive_for_ever_at_once", receive_for_ever_at_once),
    ("flood_itself_with_events", flood_itself_with_events),
    ("start_nothing", |_| start("no_such_workflow", "{}")),
    ("start_without_a_name", |_| start("", "{}")),
    ("start_with_a_long_name", |_| start(&"w".repeat(10 << 10), "{}")),
    ("start_with_too_much", |_| start("start_nothing", &format!("\"{}\"", "i".repeat(MIB)))),
    ("start_with_no_json", |_| start("start_nothing", "nothing")),
    ("cancel_a_path", |_| cancel("..")),
    ("cancel_nobody", |_| cancel(NOBODY)),
    ("cancel_itself", |_| cancel(&run::info().run_id)),
    ("start_what_fails", |_| start("start_nothing", "\"\"")),
    ("start_itself", |_| start("start_itself", "\"\"")),
];

fn ended<T>(attack: impl FnOnce() -> T) -> Outcome {
    attack();
    done()
}

/// Waits for an event and returns why there is none.
fn receive(name: &str) -> Outcome {
    let call = events::receive(BODY, name, Some(3_600_000));
    calls::next();
    events::take(call)
}

fn send(run_id: &str, name: &str, payload: &str, key: Option<&str>) -> Outcome {
    let call = events::send(BODY, run_id, name, payload, key);
    calls::next();
    events::sent(call).and_then(|()| done())
}

fn send_to_itself(name: &str, payload: &str, key: Option<&str>) -> Outcome {
    send(&run::info().run_id, name, payload, key)
}

fn take_an_event_of_a_timer(_: &str) -> Outcome {
    let call = time::sleep(BODY, 1);
    calls::next();
    ended(|| events::take(call))
}

/// Waits for no time, again and again.
fn receive_for_ever_at_once(_: &str) -> Outcome {
    loop {
        let call = events::receive(BODY, "nothing", Some(0));
        calls::next();
        let _ = events::take(call);
    }
}

fn flood_itself_with_events(_: &str) -> Outcome {
    time::sleep(BODY, 1);
    calls::next();
    loop {
        send_to_itself("flood", "1", None)?;
    }
}

fn start(workflow: &str, input: &str) -> Outcome {
    let request =
        Request { workflow: workflow.to_owned(), input: input.to_owned(), version: None, timeout: None };
    let call = children::start(BODY, &request).call;
    calls::next();
    children::outcome(call)
}

fn cancel(run_id: &str) -> Outcome {
    let call = children::cancel(BODY, run_id);
    calls::next();
    children::cancelled(call).and_then(|()| done())
}
