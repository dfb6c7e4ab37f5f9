use std::borrow::Cow;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;

use super::SecretError;
use super::decode::{Encoding, View};
use super::patterns::Pattern;

/// How often an encoding is read that a text is in several times, as JSON in a string of JSON is.
const NESTED: usize = 2;

/// Bytes by which marks may make an answer longer; further ones do not name the secret, and are no longer than what
/// they replace. Otherwise an answer of short secrets would be many times as large as an answer may be.
const GROWTH: usize = 64 << 10;

/// What is as long as the shortest value.
const NAMELESS: &str = "[secret]";

/// Looks for secrets.
pub(super) struct Redactor {
    automaton: NFA,
    start: StateID,
    /// By the automaton's number of the pattern.
    patterns: Vec<Known>,
    names: Vec<String>,
    /// In which a value could be.
    encodings: Vec<Encoding>,
}

/// What is to be known of a pattern that was found.
struct Known {
    /// The index of its name.
    secret: usize,
    before: bool,
    after: bool,
}

/// Where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: usize,
    end: usize,
    /// Its longest part that is one secret.
    longest: usize,
    /// The index of that secret's name.
    secret: usize,
}

impl Redactor {
    /// Prepares to look for values, which have names.
    pub(super) fn new<'v>(values: impl Iterator<Item = (&'v str, &'v str)>) -> Result<Self, SecretError> {
        let (mut names, mut bytes, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        let mut encodings = vec![Encoding::Json, Encoding::Percent, Encoding::Html];
        for (name, value) in values {
            for pattern in Pattern::of(value) {
                patterns.push(Known { secret: names.len(), before: pattern.before, after: pattern.after });
                bytes.push(pattern.bytes);
            }
            names.push(name.to_owned());
            // Without one, a form has no other form than a URL.
            if value.contains(' ') && !encodings.contains(&Encoding::Form) {
                encodings.push(Encoding::Form);
            }
        }
        let automaton = NFA::new(bytes).map_err(|error| SecretError::Search(error.to_string()))?;
        let start =
            automaton.start_state(Anchored::No).map_err(|error| SecretError::Search(error.to_string()))?;
        Ok(Self { automaton, start, patterns, names, encodings })
    }

    /// The names of the secrets that are in it.
    pub(super) fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let spans = self.spans(bytes).into_iter();
        spans.filter_map(|span| self.names.get(span.secret)).map(String::as_str).collect()
    }

    /// Puts marks in the place of secrets.
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

    /// Where secrets are, in order and apart from each other.
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

    /// All places where a pattern is, also where they overlap. It takes as long for every text of the same length,
    /// whatever the secrets are: of those that end at one byte, only the longest is looked at.
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

/// Adds a span that ends or begins after those that are there. Overlapping ones become one.
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
