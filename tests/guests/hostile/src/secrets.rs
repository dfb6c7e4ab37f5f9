//! Secrets, which a workflow may send but not read.

use crate::bindings::forge::workflow::calls;
use crate::bindings::forge::workflow::http::{self, Request};
use crate::{Attack, BODY, Outcome, failure};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[("look_for_a_secret", look_for_a_secret)];

/// The text with which the host replaces the secret, in reverse.
const MARK: &str = "]YEK_EPIRTS:terces[";

/// Sends a secret to a server that echoes it, then searches its own memory for it. The input is the server's URL
/// and the secret in reverse, so that the search does not find the input. The output is the number of places with
/// the secret, and of those with its replacement.
fn look_for_a_secret(input: &str) -> Outcome {
    let (url, secret) = input.split_once(' ').ok_or_else(|| failure("the input is a URL and a secret"))?;
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

/// Counts the places in memory with a text that is given in reverse.
fn found(reversed: &str) -> usize {
    let end = core::arch::wasm32::memory_size(0) << 16;
    // SAFETY: the address is in the memory of this instance, which has one thread.
    let byte = |address: usize| unsafe { core::ptr::read_volatile(address as *const u8) };
    let is_here =
        |start: &usize| reversed.bytes().rev().enumerate().all(|(offset, it)| byte(start + offset) == it);
    (1..end - reversed.len()).filter(is_here).count()
}
