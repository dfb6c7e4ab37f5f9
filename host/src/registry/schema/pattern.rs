//! Regular expressions in schemas, which take linear time.

use regex::{Regex, RegexBuilder};

/// The maximum size of a compiled expression, in bytes. Expressions for names, numbers and addresses need one to ten KiB.
const MOST_SIZE: usize = 64 << 10;

/// The smallest size that is told from larger ones, in bytes: that of one letter.
const LEAST_SIZE: usize = 128;

/// The memory for states that an expression computes while it is matched, in bytes.
const STATES: usize = 64 << 10;

/// The depth of groups within groups.
const GROUPS: u32 = 100;

/// A regular expression with its size.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The bytes of the compiled expression, at most twice as many as it has.
    pub(super) size: usize,
}

impl Pattern {
    /// Compiles an expression. Returns the error for the author of the schema.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut size = LEAST_SIZE;
        loop {
            let mut builder = RegexBuilder::new(text);
            match builder.size_limit(size).dfa_size_limit(STATES).nest_limit(GROUPS).build() {
                Ok(regex) => {
                    return Ok(Self { regex, size });
                }
                // The size of a compiled expression is only told by whether it fits.
                Err(regex::Error::CompiledTooBig(_)) if size < MOST_SIZE => size *= 2,
                Err(regex::Error::CompiledTooBig(_)) => {
                    return Err(format!(
                        "is larger than {} KiB when it is compiled: use smaller repetitions, or `[0-9A-Za-z_]` instead of `\\w`",
                        MOST_SIZE >> 10
                    ));
                }
                Err(error) => {
                    return Err(format!(
                        "is no regular expression that takes linear time, without look-around and backreferences: {error}"
                    ));
                }
            }
        }
    }

    /// The bytes of memory that the expression takes, roughly.
    pub(super) fn memory(&self) -> usize {
        self.size + STATES
    }

    /// Returns whether the expression occurs in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns the expression.
    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}
