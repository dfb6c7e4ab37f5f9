//! Searches for secrets and redacts them.

use std::borrow::Cow;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;

use super::SecretError;
use super::escapes::Escapes;
use super::runs::{BASE64, HEX};
use super::view::View;

/// The number of layers of encodings that are decoded, such as base64 of a URL in a JSON string.
const NESTED: usize = 3;

/// The minimum length of a value without its escapes that is searched for, in bytes. Shorter texts occur by chance.
const SHORTEST_UNESCAPED: usize = 6;

/// The maximum number of bytes to search for each byte of an answer, with all that it may be decoded to. Binary data in
/// base64 takes ten. Only texts that are made for that purpose take more.
const MOST_SEARCHED: usize = 40;

/// The maximum number of bytes to search for a short answer.
const LEAST_SEARCHED: usize = 256 << 10;

/// The maximum bytes by which marks make an answer longer. Later marks do not name the secret and are no longer than
/// the shortest value; otherwise an answer full of short values could grow to many times the limit on answers.
const GROWTH: usize = 64 << 10;

/// The mark without a name, which is as long as the shortest value.
const NAMELESS: &str = "[secret]";

/// The error of a text that stands for too many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has more encodings in encodings than are searched for secrets")]
pub(crate) struct Entangled;

/// The bytes that a search examines.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
    done: u64,
}

impl Work {
    /// Returns the work that an answer of this length may take.
    pub(super) fn for_answer(length: usize) -> Self {
        Self { left: length.saturating_mul(MOST_SEARCHED).max(LEAST_SEARCHED), done: 0 }
    }

    /// Returns the number of bytes that were examined.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    fn examine(&mut self, bytes: usize) -> Result<(), Entangled> {
        self.left = self.left.checked_sub(bytes).ok_or(Entangled)?;
        self.done += bytes as u64;
        Ok(())
    }
}

/// The search for some secrets of a tenant.
pub(super) struct Redactor {
    automaton: NFA,
    start: StateID,
    /// The index of the name of the secret that each pattern belongs to.
    secrets: Vec<usize>,
    names: Vec<String>,
    /// The escapes in which a value can occur.
    escapes: Vec<Escapes>,
}

/// A range of bytes that contains a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: usize,
    end: usize,
    /// The length of the longest secret in the range.
    longest: usize,
    /// The index of the name of that secret.
    secret: usize,
}

impl Redactor {
    /// Prepares the search for pairs of a name and a value.
    pub(super) fn new<'v>(values: impl Iterator<Item = (&'v str, &'v str)>) -> Result<Self, SecretError> {
        let (mut names, mut patterns, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
        let mut escapes = vec![Escapes::ALL];
        for (name, value) in values {
            for pattern in spellings(value) {
                secrets.push(names.len());
                patterns.push(pattern);
            }
            names.push(name.to_owned());
            // Without spaces, forms are encoded as URLs are.
            if value.contains(' ') && escapes.len() == 1 {
                escapes.push(Escapes::ALL_IN_FORMS);
            }
        }
        let automaton = NFA::new(patterns).map_err(|error| SecretError::Search(error.to_string()))?;
        let start =
            automaton.start_state(Anchored::No).map_err(|error| SecretError::Search(error.to_string()))?;
        Ok(Self { automaton, start, secrets, names, escapes })
    }

    /// Returns the names of the secrets in a text.
    pub(super) fn found(&self, bytes: &[u8], work: &mut Work) -> Result<Vec<&str>, Entangled> {
        let spans = self.spans(bytes, work)?.into_iter();
        Ok(spans.filter_map(|span| self.names.get(span.secret)).map(String::as_str).collect())
    }

    /// Replaces secrets by marks.
    pub(super) fn redact<'b>(&self, bytes: &'b [u8], work: &mut Work) -> Result<Cow<'b, [u8]>, Entangled> {
        let spans = self.spans(bytes, work)?;
        if spans.is_empty() {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for span in spans {
            out.extend_from_slice(bytes.get(done..span.start).unwrap_or_default());
            done = span.end;
            match self.names.get(span.secret) {
                Some(name) if out.len() < done + GROWTH => {
                    out.extend_from_slice(format!("[secret:{name}]").as_bytes());
                }
                _ => out.extend_from_slice(NAMELESS.as_bytes()),
            }
        }
        out.extend_from_slice(bytes.get(done..).unwrap_or_default());
        Ok(Cow::Owned(out))
    }

    /// Returns the ranges of secrets, ordered and without overlap.
    fn spans(&self, bytes: &[u8], work: &mut Work) -> Result<Vec<Span>, Entangled> {
        let mut found = Vec::new();
        let sent = View::sent(bytes);
        self.search_view(&sent, &mut found, work)?;
        let kinds = Escapes::KINDS.into_iter().filter(|kind| kind.is_in(bytes));
        let kinds: Vec<Escapes> = kinds.collect();
        // What looks like an escape may be a part of the value, with what follows it. A text with one kind has
        // no other views than those above.
        for kind in kinds.iter().filter(|_| kinds.len() > 1) {
            self.search_kind(&sent, *kind, &mut found, work)?;
        }
        found.sort_unstable();
        let mut spans = Vec::with_capacity(found.len());
        found.into_iter().for_each(|span| add(&mut spans, span));
        Ok(spans)
    }

    /// Adds the ranges of secrets in a view.
    fn search_here(&self, view: &View<'_>, found: &mut Vec<Span>, work: &mut Work) -> Result<(), Entangled> {
        work.examine(view.bytes.len())?;
        found.extend(self.search(&view.bytes).into_iter().map(|span| {
            let range = view.origin(span.start..span.end);
            Span { start: range.start, end: range.end, ..span }
        }));
        Ok(())
    }

    /// Adds the ranges of secrets in what a view is decoded to by one kind of escapes, once or more often.
    fn search_kind(
        &self,
        view: &View<'_>,
        kind: Escapes,
        found: &mut Vec<Span>,
        work: &mut Work,
    ) -> Result<(), Entangled> {
        match view.unescaped(kind).filter(|_| view.depth() < NESTED) {
            Some(unescaped) => {
                self.search_here(&unescaped, found, work)?;
                self.search_kind(&unescaped, kind, found, work)
            }
            None => Ok(()),
        }
    }

    /// Adds the ranges of secrets in a view, and in all that it can be decoded to.
    fn search_view(&self, view: &View<'_>, found: &mut Vec<Span>, work: &mut Work) -> Result<(), Entangled> {
        self.search_here(view, found, work)?;
        if view.depth() == NESTED {
            return Ok(());
        }
        for escapes in &self.escapes {
            if let Some(unescaped) = view.unescaped(*escapes) {
                self.search_view(&unescaped, found, work)?;
            }
        }
        for alphabet in [&BASE64, &HEX] {
            for shift in 0..alphabet.period {
                let Some(decoded) = view.decoded(alphabet, shift) else { break };
                self.search_view(&decoded, found, work)?;
            }
        }
        Ok(())
    }

    /// Returns all matches of a pattern, including overlapping ones. The time depends only on the length of the text:
    /// of the matches that end at one byte, only the longest is examined.
    fn search(&self, bytes: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut state = self.start;
        for (at, byte) in bytes.iter().enumerate() {
            state = self.automaton.next_state(Anchored::No, state, *byte);
            if !self.automaton.is_special(state) || !self.automaton.is_match(state) {
                continue;
            }
            let pattern = self.automaton.match_pattern(state, 0);
            let Some(secret) = self.secrets.get(pattern.as_usize()) else { continue };
            let longest = self.automaton.pattern_len(pattern);
            add(&mut spans, Span { start: at + 1 - longest, end: at + 1, longest, secret: *secret });
        }
        spans
    }
}

/// Returns a value as it is searched for: as it is, in lower case (as the name of a header is), and without escapes of its
/// own, which decoding a text removes, too.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let mut spellings = vec![value.as_bytes().to_vec()];
    let lower = value.to_ascii_lowercase();
    if lower != value {
        spellings.push(lower.into_bytes());
    }
    let mut unescaped = value.as_bytes().to_vec();
    for _ in 0..NESTED {
        let Some((next, _)) = Escapes::ALL.decode(&unescaped) else { break };
        if next.len() < SHORTEST_UNESCAPED {
            break;
        }
        spellings.push(next.clone());
        unescaped = next;
    }
    spellings
}

/// Adds a span in order of its start or end, and merges it with those that it overlaps.
fn add(spans: &mut Vec<Span>, mut span: Span) {
    while let Some(last) = spans.pop_if(|last| last.end > span.start) {
        let (longest, secret) = if last.longest >= span.longest {
            (last.longest, last.secret)
        } else {
            (span.longest, span.secret)
        };
        span = Span { start: last.start.min(span.start), end: last.end.max(span.end), longest, secret };
    }
    spans.push(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_stands_for_very_many_others_is_not_searched_to_the_end() {
        let redactor = Redactor::new([("K", "a value with spaces")].into_iter()).unwrap();
        // Each escape is decoded with and without those of forms.
        let text = "%25252b+".repeat(100);
        let mut work = Work { left: 2 * text.len(), done: 0 };
        assert!(redactor.redact(text.as_bytes(), &mut work).is_err());
        let mut work = Work::for_answer(text.len());
        assert!(matches!(redactor.redact(text.as_bytes(), &mut work), Ok(Cow::Borrowed(_))));
    }
}
