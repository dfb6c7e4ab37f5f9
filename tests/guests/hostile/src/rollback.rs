//! Attacks on the rollback.

use crate::bindings::forge::workflow::step::{Entry, Options, Verdict};
use crate::bindings::forge::workflow::types::Flow;
use crate::bindings::forge::workflow::{calls, compensate, run, step, time};
use crate::{Attack, BODY, Outcome, begin, done, failure, options};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("spin_in_handler", |_| {
        handler(|_| {
            loop {
                std::hint::black_box(());
            }
        })
    }),
    ("panic_in_handler", |_| {
        handler(|_| {
            run::panicked("the handler panics");
            core::arch::wasm32::unreachable()
        })
    }),
    ("flood_in_handler", |_| {
        handler(|scope| {
            loop {
                time::workflow_time(scope);
            }
        })
    }),
    ("flood_timers_in_handler", |_| {
        handler(|scope| {
            loop {
                time::sleep(scope, 0);
                calls::next();
            }
        })
    }),
    ("flood_retries_in_handler", |_| {
        handler(|scope| {
            compensate::fail(scope, &failure("never"));
        })
    }),
    ("panic_before_every_handler", panic_before_every_handler),
    ("panic_in_every_replay", panic_in_every_replay),
    ("leave_handlers_out", leave_handlers_out),
    ("go_on_while_unwinding", go_on_while_unwinding),
    ("spin_when_cancelled", spin_when_cancelled),
    ("panic_when_cancelled", panic_when_cancelled),
    ("compensate_twice", compensate_twice),
];

/// Completes a step with a compensation, or finds it completed. Returns its id, and whether to unwind.
fn compensable(name: &str) -> (u64, Flow) {
    match step::begin(BODY, name, Options { compensable: true, ..options() }) {
        Entry::Execute(scope) => {
            let receipt = step::complete(scope, "1");
            (receipt.step, receipt.flow)
        }
        Entry::Completed(completed) => (completed.step, completed.flow),
        other => panic!("the step is {other:?}"),
    }
}

/// Completes a step with a compensation, after which the workflow fails.
fn unwinding(name: &str) -> u64 {
    let (step, flow) = compensable(name);
    if flow == Flow::GoOn {
        compensate::unwind(&failure("on purpose"));
    }
    step
}

/// Fails after a step whose compensation handler is `attack`.
fn handler(attack: impl Fn(u64)) -> Outcome {
    let step = unwinding("step");
    let mut entry = compensate::begin(step);
    loop {
        match entry {
            Entry::Execute(scope) => {
                attack(scope);
                return Err(failure("the handler has ended"));
            }
            Entry::Parked(call) => {
                calls::next();
                entry = compensate::resume(call);
            }
            Entry::Completed(_) | Entry::Failed(_) => return Err(failure("the handler had ended")),
        }
    }
}

/// Traps after the compensation began. In a replay, `begin` panics because the step has completed.
fn panic_before_every_handler(_: &str) -> Outcome {
    let step = begin(BODY, "step", Options { compensable: true, ..options() });
    let step = step::complete(step, "1").step;
    compensate::unwind(&failure("on purpose"));
    compensate::begin(step);
    core::arch::wasm32::unreachable()
}

/// Fails after a compensable step. In a replay, `begin` panics because the step has completed.
fn panic_in_every_replay(_: &str) -> Outcome {
    let step = begin(BODY, "step", Options { compensable: true, ..options() });
    step::complete(step, "1");
    Err(failure("on purpose"))
}

fn leave_handlers_out(_: &str) -> Outcome {
    compensable("step");
    Err(failure("on purpose"))
}

/// Continues with steps, timers and readings of the time while it unwinds, and returns a result.
fn go_on_while_unwinding(_: &str) -> Outcome {
    unwinding("step");
    for _ in 0..1_000 {
        time::workflow_time(BODY);
        calls::cancel(time::sleep(BODY, 0));
        match step::begin(BODY, "further", options()) {
            Entry::Execute(scope) => drop(step::complete(scope, "1")),
            Entry::Parked(call) => calls::cancel(call),
            Entry::Completed(_) | Entry::Failed(_) => {}
        }
    }
    done()
}

/// Waits for a timer. Returns `true` if the run was cancelled.
fn until_cancelled() -> bool {
    time::sleep(BODY, 3_600_000);
    calls::next().is_none()
}

fn spin_when_cancelled(_: &str) -> Outcome {
    compensable("step");
    while until_cancelled() {}
    done()
}

fn panic_when_cancelled(_: &str) -> Outcome {
    compensable("step");
    if until_cancelled() {
        run::panicked("not now");
        core::arch::wasm32::unreachable();
    }
    done()
}

fn compensate_twice(_: &str) -> Outcome {
    let step = unwinding("step");
    for _ in 0..2 {
        match compensate::begin(step) {
            Entry::Execute(scope) => compensate::complete(scope),
            Entry::Completed(_) => return Err(failure("it is compensated already")),
            Entry::Failed(failure) => return Err(failure),
            Entry::Parked(call) => {
                let Verdict::Final(_) = compensate::fail(call, &failure("whatever")) else { return done() };
            }
        }
    }
    done()
}
