//! The random streams of a run.
//!
//! Each step has a stream of its own, so that a step that a replay skips takes nothing from the streams of
//! others. A stream is a key stream of ChaCha20, whose key is the run's seed, twice. A cipher is used because
//! workflows derive tokens from it: a part of a stream does not reveal the rest.
//!
//! **Changing the streams, or the number of bytes that a function takes, breaks runs under way**: a run that
//! was started before the change and is replayed after it would get other numbers.

use std::collections::BTreeMap;

use chacha20::cipher::{KeyIvInit as _, StreamCipher as _, StreamCipherSeek as _};
use chacha20::{ChaCha20, Key, Nonce};

/// What a stream belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    /// The scope with this number: the body, a low-level step, or one attempt of a step or compensation.
    Scope(u64),
    /// The step or compensation with this id, in all of its attempts. [`Streams::derive`] derives the id.
    Place(u64),
}

/// The place of a step: the step that contains it, and its number among the steps begun there. It is the same
/// in each attempt of the steps around it, as the step's part of idempotency keys is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The stream of the step that contains it, or of the body.
    pub(crate) parent: Stream,
    /// The number, from 1.
    pub(crate) number: u64,
}

impl Place {
    /// The number that stands for the compensation of a step.
    const COMPENSATION: u64 = 0;

    /// Returns the place of the compensation of the step that has this stream.
    pub(crate) fn compensation(step: Stream) -> Place {
        Place { parent: step, number: Place::COMPENSATION }
    }
}

/// The streams of a run.
pub(crate) struct Streams {
    key: Key,
    open: BTreeMap<Stream, ChaCha20>,
}

impl Streams {
    pub(crate) fn new((a, b): (u64, u64)) -> Self {
        let mut key = Key::default();
        for (bytes, word) in key.chunks_exact_mut(8).zip([a, b, a, b]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Streams { key, open: BTreeMap::new() }
    }

    pub(crate) fn fill(&mut self, stream: Stream, dest: &mut [u8]) {
        let key = &self.key;
        let stream = self.open.entry(stream).or_insert_with(|| match stream {
            Stream::Scope(scope) => cipher(key, scope, 0),
            Stream::Place(id) => cipher(key, id, 1),
        });
        // The cipher adds its stream to the text, here zeros. A stream ends after 256 GiB, which the fuel
        // of no run suffices for.
        dest.fill(0);
        stream.apply_keystream(dest);
    }

    /// Derives the stream of a place from that of the step around it.
    pub(crate) fn derive(&self, Place { parent, number }: Place) -> Stream {
        let mut ids = match parent {
            Stream::Scope(scope) => cipher(&self.key, scope, 2),
            Stream::Place(id) => cipher(&self.key, id, 3),
        };
        let mut id = [0; 8];
        // The number of steps is far from the end of the stream.
        ids.seek(number * 8);
        ids.apply_keystream(&mut id);
        Stream::Place(u64::from_le_bytes(id))
    }

    pub(crate) fn end(&mut self, stream: Stream) {
        self.open.remove(&stream);
    }
}

/// Returns a key stream. `purpose` separates streams whose ids may be the same.
fn cipher(key: &Key, id: u64, purpose: u8) -> ChaCha20 {
    let mut nonce = Nonce::default();
    nonce[..8].copy_from_slice(&id.to_le_bytes());
    nonce[8] = purpose;
    ChaCha20::new(key, &nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<const N: usize>(seed: (u64, u64), scope: u64) -> [u8; N] {
        let mut bytes = [1; N];
        Streams::new(seed).fill(Stream::Scope(scope), &mut bytes);
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
            streams.fill(Stream::Scope(3), piece);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn scopes_have_different_streams() {
        assert_ne!(first::<16>((1, 2), 0), first((1, 2), 1));
    }

    /// The values are those of the first version that had places.
    #[test]
    fn a_place_gives_the_stream_that_it_always_gave() {
        let streams = Streams::new((0x0102_0304_0506_0708, 0x1112_1314_1516_1718));
        let step = streams.derive(Place { parent: Stream::Scope(0), number: 1 });
        let nested = streams.derive(Place { parent: step, number: 2 });
        let compensation = streams.derive(Place { parent: step, number: 0 });
        let ids = [step, nested, compensation].map(|stream| match stream {
            Stream::Place(id) => id,
            Stream::Scope(_) => panic!("a place has a stream of its own"),
        });
        assert_eq!(ids, [8_504_638_740_151_827_858, 3_768_431_675_868_223_478, 8_660_034_180_895_662_121]);
    }
}
