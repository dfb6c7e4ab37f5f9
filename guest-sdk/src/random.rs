//! Randomness that is the same on every replay, and in every attempt of a step.
//!
//! A further attempt of a step reads the same stream again, because it sends its requests with the same
//! idempotency keys: a service that gets the same key with another body refuses the request, or answers for
//! another body. The functions whose names begin with `fresh` give other values in each attempt.

use uuid::Uuid;

use crate::streams::Stream;
use crate::{runtime, scope};

/// Fills `dest` from the stream of the current step. Each attempt of the step gets the same bytes.
///
/// In a component, `Uuid::new_v4()` and all crates that use `getrandom` are served by this function.
pub fn fill(dest: &mut [u8]) {
    runtime::fill_random(scope::stream(), dest);
}

/// Returns a random number: the next eight bytes of the current step's stream. Each attempt of the step gets
/// the same numbers.
///
/// ```
/// # use forge::prelude::*;
/// # #[forge::workflow]
/// # async fn dice(_ctx: &WorkflowContext, _input: ()) -> Result<u64> {
/// let dice = forge::random::u64() % 6 + 1;
/// # Ok(dice)
/// # }
/// # let run = forge::testing::TestRun::new(DiceWorkflow);
/// # assert!((1..=6).contains(run.run(()).output()));
/// ```
pub fn u64() -> u64 {
    number(fill)
}

/// Returns a random (version 4) UUID: the next sixteen bytes of the current step's stream. Each attempt of the
/// step gets the same UUIDs.
pub fn uuid() -> Uuid {
    identifier(fill)
}

/// Fills `dest` from a stream of the current attempt. Another attempt of the step gets other bytes; a replay of
/// this attempt gets the same.
pub fn fresh_fill(dest: &mut [u8]) {
    runtime::fill_random(Stream::Scope(scope::current()), dest);
}

/// Returns a random number that differs from attempt to attempt. See [`fresh_fill`].
pub fn fresh_u64() -> u64 {
    number(fresh_fill)
}

/// Returns a random (version 4) UUID that differs from attempt to attempt. See [`fresh_fill`].
pub fn fresh_uuid() -> Uuid {
    identifier(fresh_fill)
}

fn number(fill: fn(&mut [u8])) -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn identifier(fill: fn(&mut [u8])) -> Uuid {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
