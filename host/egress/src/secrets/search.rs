//! The search of one answer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::redact::{Entangled, Redactor, Work};

/// The secrets that the servers of a request may know: the secrets that are bound to these servers. A request can send no
/// others.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Known(pub(super) BTreeSet<usize>);

impl Known {
    /// Returns whether there is nothing to search for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the secrets that another server knows.
    pub(crate) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// The search of one answer for secrets. Its work is limited, because a text can be made that stands for very many others.
pub(crate) struct Search {
    redactor: Arc<Redactor>,
    work: Work,
}

impl Search {
    pub(super) fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, work: Work::for_answer(0) }
    }

    /// Sets the length of the answer, which decides on how much work is permitted.
    pub(crate) fn of_length(self, length: usize) -> Self {
        Self { work: Work::for_answer(length), ..self }
    }

    /// Returns a body with marks in place of secrets.
    ///
    /// # Errors
    /// [`Entangled`] if the search would take too much work.
    pub(crate) fn redact(&mut self, body: Vec<u8>) -> Result<Vec<u8>, Entangled> {
        Ok(match self.redactor.redact(&body, &mut self.work)? {
            Cow::Borrowed(_) => body,
            Cow::Owned(redacted) => redacted,
        })
    }

    /// Returns a text with marks in place of secrets.
    ///
    /// # Errors
    /// As [`Search::redact`].
    pub(crate) fn redact_text(&mut self, text: String) -> Result<String, Entangled> {
        Ok(match self.redactor.redact(text.as_bytes(), &mut self.work)? {
            Cow::Borrowed(_) => text,
            Cow::Owned(redacted) => String::from_utf8_lossy(&redacted).into_owned(),
        })
    }

    /// Returns the number of bytes that were examined: those of the answer, and of all that it may be decoded to.
    pub(crate) fn examined(&self) -> u64 {
        self.work.done()
    }
}
