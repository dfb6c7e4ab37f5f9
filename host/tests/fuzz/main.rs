//! What comes from outside, in random forms: nothing of it may panic, whatever it is.
//!
//! Each target takes a second or two, with the same cases each time. To look further, with other cases:
//!
//! ```sh
//! FORGE_FUZZ_CASES=1000000 FORGE_FUZZ_SEED=1 cargo test --release -p forge-host fuzz
//! ```
//!
//! The target for journals is in `src/journal/fuzz`, because sessions are not public.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bodies;
mod texts;
mod uploads;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};

/// Runs a target on so many cases, unless the environment says how many.
fn fuzz<S: Strategy>(cases: u32, input: S, target: impl Fn(S::Value) -> TestCaseResult) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("it is a number"));
    let cases = number("FORGE_FUZZ_CASES").and_then(|cases| cases.try_into().ok()).unwrap_or(cases);
    let rng_seed = RngSeed::Fixed(number("FORGE_FUZZ_SEED").unwrap_or_default());
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(&input, target) {
        panic!("{error}");
    }
}
