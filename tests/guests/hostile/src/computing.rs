//! Computing time and memory.

use std::hint::black_box;

use crate::bindings::forge::workflow::run::log;
use crate::bindings::forge::workflow::{run, time};
use crate::{Attack, BODY, Outcome, begin, done, options};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("spin", spin),
    ("spin_in_step", spin_in_step),
    ("recurse", recurse),
    ("hoard", hoard),
    ("grow_by_nothing", grow_by_nothing),
    ("fill", fill),
];

fn spin(_: &str) -> Outcome {
    loop {
        black_box(());
    }
}

fn spin_in_step(input: &str) -> Outcome {
    begin(BODY, "around", options());
    spin(input)
}

fn recurse(_: &str) -> Outcome {
    #[inline(never)]
    #[allow(unconditional_recursion, reason = "that is the attack")]
    fn deeper(depth: u64) -> u64 {
        black_box(deeper(black_box(depth + 1))) + 1
    }
    log(BODY, run::LogLevel::Info, &deeper(0).to_string());
    done()
}

fn hoard(_: &str) -> Outcome {
    loop {
        core::arch::wasm32::memory_grow::<0>(black_box(16));
    }
}

/// Each round is a call of the runtime.
fn grow_by_nothing(_: &str) -> Outcome {
    loop {
        core::arch::wasm32::memory_grow::<0>(black_box(0));
    }
}

/// Each round fills 1 MiB with one instruction.
fn fill(_: &str) -> Outcome {
    time::workflow_time(BODY);
    let mut block = vec![0_u8; 1 << 20];
    loop {
        black_box(&mut block).fill(black_box(1));
    }
}
