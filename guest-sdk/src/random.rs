//! Randomness that a replay sees again.
//!
//! Every scope has a stream of its own, so that a step that a replay skips takes nothing from the
//! streams of others. A stream is ChaCha20 in its original form (64-bit counter, 64-bit nonce,
//! 128-bit key): the key is the run's seed, the two halves in little-endian order, the nonce is the
//! scope, the counter starts at zero. A cipher and not a plain generator, because workflows make
//! tokens of it: whoever sees some must not be able to compute the others.
//!
//! **This must never change**, nor how many bytes each function takes: a run that was started
//! before an update of the SDK and is replayed by a module rebuilt after it would differ.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{runtime, scope};

/// Fills `dest` from the stream of the current step.
///
/// In a component, `Uuid::new_v4()` and every crate that uses `getrandom` are served by this.
pub fn fill(dest: &mut [u8]) {
    runtime::fill_random(scope::current(), dest);
}

/// A random number: the next eight bytes of the current step's stream.
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
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A random (version 4) UUID: the next sixteen bytes of the current step's stream.
pub fn uuid() -> Uuid {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The streams of a run.
#[derive(Debug)]
pub(crate) struct Streams {
    seed: (u64, u64),
    by_scope: BTreeMap<u64, Stream>,
}

impl Streams {
    pub(crate) fn new(seed: (u64, u64)) -> Self {
        Streams { seed, by_scope: BTreeMap::new() }
    }

    pub(crate) fn fill(&mut self, scope: u64, dest: &mut [u8]) {
        let stream = self.by_scope.entry(scope).or_insert_with(|| Stream::new(self.seed, scope));
        stream.fill(dest);
    }

    pub(crate) fn end(&mut self, scope: u64) {
        self.by_scope.remove(&scope);
    }
}

const BLOCK: usize = 64;

#[derive(Debug)]
struct Stream {
    /// ChaCha's initial state; its counter is that of the next block.
    state: [u32; 16],
    block: [u8; BLOCK],
    /// How much of `block` is used up.
    used: usize,
}

impl Stream {
    fn new((a, b): (u64, u64), nonce: u64) -> Self {
        let [a0, a1, b0, b1, n0, n1] =
            [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32, nonce as u32, (nonce >> 32) as u32];
        // The constants spell "expand 16-byte k"; a 128-bit key is put in twice.
        #[rustfmt::skip]
        let state = [
            0x6170_7865, 0x3120_646e, 0x7962_2d36, 0x6b20_6574,
            a0, a1, b0, b1,
            a0, a1, b0, b1,
            0, 0, n0, n1,
        ];
        Stream { state, block: [0; BLOCK], used: BLOCK }
    }

    fn fill(&mut self, dest: &mut [u8]) {
        for byte in dest {
            if self.used == BLOCK {
                self.block = chacha20(&self.state);
                self.used = 0;
                let (counter, carry) = self.state[12].overflowing_add(1);
                self.state[12] = counter;
                self.state[13] = self.state[13].wrapping_add(carry.into());
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }
}

/// ChaCha20's block function (RFC 8439, section 2.3).
fn chacha20(initial: &[u32; 16]) -> [u8; BLOCK] {
    let mut s = *initial;
    for _ in 0..10 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter_round(&mut s, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter_round(&mut s, a, b, c, d);
        }
    }
    let mut block = [0; BLOCK];
    for ((bytes, word), start) in block.chunks_exact_mut(4).zip(s).zip(initial) {
        bytes.copy_from_slice(&word.wrapping_add(*start).to_le_bytes());
    }
    block
}

fn quarter_round(s: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (left, right) in [(16, 12), (8, 7)] {
        s[a] = s[a].wrapping_add(s[b]);
        s[d] = (s[d] ^ s[a]).rotate_left(left);
        s[c] = s[c].wrapping_add(s[d]);
        s[b] = (s[b] ^ s[c]).rotate_left(right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, section 2.3.2.
    #[test]
    fn the_block_function_is_chacha20() {
        let mut state =
            [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        for (at, word) in state[4..12].iter_mut().enumerate() {
            let first = 4 * at as u8;
            *word = u32::from_le_bytes([first, first + 1, first + 2, first + 3]);
        }
        state[13] = 0x0900_0000;
        state[14] = 0x4a00_0000;
        let block = chacha20(&state);
        assert_eq!(block[..8], [0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15]);
        assert_eq!(block[60..], [0xa2, 0x50, 0x3c, 0x4e]);
    }

    /// draft-strombergson-chacha-test-vectors, TC1, 128-bit key, 20 rounds.
    #[test]
    fn an_all_zero_seed_gives_the_published_key_stream() {
        let mut stream = Stream::new((0, 0), 0);
        let mut bytes = [0; 16];
        stream.fill(&mut bytes);
        assert_eq!(
            bytes,
            [0x89, 0x67, 0x09, 0x52, 0x60, 0x83, 0x64, 0xfd, 0x00, 0xb2, 0xf9, 0x09, 0x36, 0xf0, 0x31, 0xc8]
        );
    }

    #[test]
    fn a_stream_does_not_depend_on_how_it_is_read() {
        let (mut whole, mut pieces) = ([0; 200], [0; 200]);
        Stream::new((1, 2), 3).fill(&mut whole);
        let mut stream = Stream::new((1, 2), 3);
        for piece in pieces.chunks_mut(7) {
            stream.fill(piece);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn scopes_have_different_streams() {
        let mut streams = Streams::new((1, 2));
        let (mut a, mut b) = ([0; 16], [0; 16]);
        streams.fill(0, &mut a);
        streams.fill(1, &mut b);
        assert_ne!(a, b);
    }
}
