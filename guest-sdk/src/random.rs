//! Randomness that is the same on every replay.
//!
//! Each scope has a stream of its own, so that a step that a replay skips takes nothing from the streams of
//! others. A stream is the key stream of ChaCha20: its key is the run's seed, twice, its nonce is the scope.
//! A cipher is used because workflows derive tokens from it: a part of a stream does not reveal the rest.
//!
//! **Changing the streams, or the number of bytes that a function takes, breaks runs under way**: a run that
//! was started before the change and is replayed after it would get other numbers.

use std::collections::BTreeMap;

use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use chacha20::{ChaCha20, Key, Nonce};
use uuid::Uuid;

use crate::{runtime, scope};

/// Fills `dest` from the stream of the current step.
///
/// In a component, `Uuid::new_v4()` and all crates that use `getrandom` are served by this function.
pub fn fill(dest: &mut [u8]) {
    runtime::fill_random(scope::current(), dest);
}

/// Returns a random number: the next eight bytes of the current step's stream.
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

/// Returns a random (version 4) UUID: the next sixteen bytes of the current step's stream.
pub fn uuid() -> Uuid {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// The streams of a run.
pub(crate) struct Streams {
    key: Key,
    by_scope: BTreeMap<u64, ChaCha20>,
}

impl Streams {
    pub(crate) fn new((a, b): (u64, u64)) -> Self {
        let mut key = Key::default();
        for (bytes, word) in key.chunks_exact_mut(8).zip([a, b, a, b]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Streams { key, by_scope: BTreeMap::new() }
    }

    pub(crate) fn fill(&mut self, scope: u64, dest: &mut [u8]) {
        let stream = self.by_scope.entry(scope).or_insert_with(|| {
            let mut nonce = Nonce::default();
            nonce[..8].copy_from_slice(&scope.to_le_bytes());
            ChaCha20::new(&self.key, &nonce)
        });
        // The cipher adds its stream to the text, here zeros. A stream ends after 256 GiB, which the fuel
        // of no run suffices for.
        dest.fill(0);
        stream.apply_keystream(dest);
    }

    pub(crate) fn end(&mut self, scope: u64) {
        self.by_scope.remove(&scope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<const N: usize>(seed: (u64, u64), scope: u64) -> [u8; N] {
        let mut bytes = [1; N];
        Streams::new(seed).fill(scope, &mut bytes);
        bytes
    }

    /// RFC 8439, appendix A.1, test vector 1.
    #[test]
    fn an_all_zero_seed_gives_the_published_key_stream() {
        let published =
            [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28];
        assert_eq!(first((0, 0), 0), published);
    }

    /// The expected bytes are those of another implementation of ChaCha20.
    #[test]
    fn seed_and_scope_give_the_stream_that_they_always_gave() {
        let expected =
            [0x95, 0x1c, 0x4a, 0x30, 0x9c, 0x1b, 0x59, 0x29, 0xc2, 0x96, 0x24, 0xe2, 0xe6, 0xf3, 0xed, 0xcf];
        assert_eq!(first((0x0102_0304_0506_0708, 0x1112_1314_1516_1718), 0x2122_2324_2526_2728), expected);
    }

    #[test]
    fn a_stream_does_not_depend_on_how_it_is_read() {
        let whole: [u8; 200] = first((1, 2), 3);
        let (mut pieces, mut streams) = ([0; 200], Streams::new((1, 2)));
        for piece in pieces.chunks_mut(7) {
            streams.fill(3, piece);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn scopes_have_different_streams() {
        assert_ne!(first::<16>((1, 2), 0), first((1, 2), 1));
    }
}
