//! Searches for secrets and redacts them.

use std::borrow::Cow;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;

use super::SecretError;
use super::decode::{Encoding, View};
use super::patterns::Pattern;

/// The number of times that each encoding is decoded, for nested encodings such as JSON in a JSON string.
const NESTED: usize = 2;

/// The maximum bytes by which marks make an answer longer. Later marks do not name the secret and are no longer than
/// the shortest value; otherwise an answer full of short values could grow to many times the limit on answers.
const GROWTH: usize = 64 << 10;

/// The mark without a name, which is as long as the shortest value.
const NAMELESS: &str = "[secret]";

/// The search for the secrets of one tenant.
pub(super) struct Redactor {
    automaton: NFA,
    start: StateID,
    /// The patterns, by their number in the automaton.
    patterns: Vec<Known>,
    names: Vec<String>,
    /// The encodings in which a value can occur.
    encodings: Vec<Encoding>,
}

/// The properties of a pattern.
struct Known {
    /// The index of the secret's name.
    secret: usize,
    before: bool,
    after: bool,
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
        let (mut names, mut bytes, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        let mut encodings = vec![Encoding::Json, Encoding::Percent, Encoding::Html];
        for (name, value) in values {
            for pattern in Pattern::for_value(value) {
                patterns.push(Known { secret: names.len(), before: pattern.before, after: pattern.after });
                bytes.push(pattern.bytes);
            }
            names.push(name.to_owned());
            // Without spaces, forms are encoded as URLs are.
            if value.contains(' ') && !encodings.contains(&Encoding::Form) {
                encodings.push(Encoding::Form);
            }
        }
        let automaton = NFA::new(bytes).map_err(|error| SecretError::Search(error.to_string()))?;
        let start =
            automaton.start_state(Anchored::No).map_err(|error| SecretError::Search(error.to_string()))?;
        Ok(Self { automaton, start, patterns, names, encodings })
    }

    /// Returns the names of the secrets in a text.
    pub(super) fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let spans = self.spans(bytes).into_iter();
        spans.filter_map(|span| self.names.get(span.secret)).map(String::as_str).collect()
    }

    /// Replaces secrets by marks.
    pub(super) fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let spans = self.spans(bytes);
        if spans.is_empty() {
            return Cow::Borrowed(bytes);
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
        Cow::Owned(out)
    }

    /// Returns the ranges of secrets, ordered and without overlap.
    fn spans(&self, bytes: &[u8]) -> Vec<Span> {
        let mut found = self.search(bytes);
        for encoding in &self.encodings {
            let mut view = View::raw(bytes);
            for _ in 0..NESTED {
                let Ok(decoded) = view.decoded(*encoding) else { break };
                found.extend(self.search(&decoded.bytes).into_iter().map(|span| Span {
                    start: decoded.origin(span.start),
                    end: decoded.origin(span.end),
                    ..span
                }));
                view = decoded;
            }
        }
        found.sort_unstable();
        let mut spans = Vec::with_capacity(found.len());
        found.into_iter().for_each(|span| add(&mut spans, span));
        spans
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
            let Some(known) = self.patterns.get(pattern.as_usize()) else { continue };
            let end = at + 1;
            let start = end - self.automaton.pattern_len(pattern);
            let is_base64 = |at: usize| bytes.get(at).is_some_and(|byte| is_base64(*byte));
            let before = usize::from(known.before && start > 0 && is_base64(start.wrapping_sub(1)));
            let after = usize::from(known.after && is_base64(end));
            let span =
                Span { start: start - before, end: end + after, longest: end - start, secret: known.secret };
            add(&mut spans, span);
        }
        spans
    }
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

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
