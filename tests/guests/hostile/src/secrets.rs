//! What a workflow may use and not have.

use crate::bindings::forge::workflow::calls;
use crate::bindings::forge::workflow::http::{self, Request};
use crate::{Attack, BODY, Outcome, failure};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("look_for_a_secret", look_for_a_secret)];

/// What the host puts in the place of the secret, in reverse.
const MARK: &str = "]YEK_EPIRTS:terces[";

/// Sends a secret to a server that answers with what it got, and searches all of its own memory for it. The input is the
/// server's address, and the secret in reverse, so that it is not found because the workflow was told. The output
/// is how often it is there, and how often what stands in its place is.
fn look_for_a_secret(input: &str) -> Outcome {
    let (url, secret) = input.split_once(' ').ok_or_else(|| failure("where, and what?"))?;
    let request = Request {
        method: "GET".to_owned(),
        url: format!("{url}/headers"),
        headers: vec![("x-test".to_owned(), "Bearer {{secret:STRIPE_KEY}}".to_owned())],
        body: Vec::new(),
        timeout: None,
        at_most_once: false,
    };
    let call = http::send(BODY, &request);
    calls::next();
    let answer = http::take(call)?;
    let output = format!("[{}, {}]", found(secret), found(MARK));
    drop(answer);
    Ok(output)
}

/// How often a text is in memory that is given in reverse.
fn found(reversed: &str) -> usize {
    let end = core::arch::wasm32::memory_size(0) << 16;
    // SAFETY: it is memory of this instance, in which nothing else runs.
    let byte = |address: usize| unsafe { core::ptr::read_volatile(address as *const u8) };
    let is_here =
        |start: &usize| reversed.bytes().rev().enumerate().all(|(offset, it)| byte(start + offset) == it);
    (1..end - reversed.len()).filter(is_here).count()
}
