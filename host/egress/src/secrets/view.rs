//! A text as it was sent, or a part of it after some layers of encodings were decoded.

use std::borrow::Cow;
use std::ops::Range;

use super::escapes::{Escapes, Jump};
use super::runs::{Alphabet, Runs};

/// A text and the text that it was decoded from.
pub(super) struct View<'v> {
    pub(super) bytes: Cow<'v, [u8]>,
    encoded: Option<(&'v View<'v>, Layer)>,
}

/// What was decoded.
enum Layer {
    /// Escapes, by the positions after them.
    Escapes(Vec<Jump>),
    /// Runs of characters of an alphabet, such as base64.
    Runs(Runs),
}

impl<'v> View<'v> {
    /// Returns the view of a text as it was sent.
    pub(super) fn sent(bytes: &'v [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), encoded: None }
    }

    /// Returns the number of layers that were decoded.
    pub(super) fn depth(&self) -> usize {
        self.encoded.as_ref().map_or(0, |(parent, _)| parent.depth() + 1)
    }

    /// Decodes the escapes. Returns `None` if there are none.
    pub(super) fn unescaped(&'v self, escapes: Escapes) -> Option<Self> {
        let (bytes, jumps) = escapes.decode(&self.bytes)?;
        Some(Self { bytes: Cow::Owned(bytes), encoded: Some((self, Layer::Escapes(jumps))) })
    }

    /// Decodes the runs of an alphabet from their character number `shift`. Returns `None` if there are none.
    pub(super) fn decoded(&'v self, alphabet: &Alphabet, shift: usize) -> Option<Self> {
        let (bytes, runs) = alphabet.decode(&self.bytes, shift)?;
        Some(Self { bytes: Cow::Owned(bytes), encoded: Some((self, Layer::Runs(runs))) })
    }

    /// Returns the range of the sent text that a range of this view was decoded from. It is not empty.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        match &self.encoded {
            None => range,
            Some((parent, Layer::Escapes(jumps))) => {
                let before = |position| Jump::origin(jumps, position);
                parent.origin(before(range.start)..before(range.end))
            }
            Some((parent, Layer::Runs(runs))) => parent.origin(runs.origin(range)),
        }
    }
}
