//! The language of the interpreter: programs that do whatever a workflow can do.
//!
//! The tests write programs, the guest `interpreter` takes one as its input and executes it:
//!
//! ```
//! use program::{block, effect, fail, step};
//!
//! let order = block![
//!     step("reserve", block![effect("reserve")]).undo(block![effect("release")]),
//!     step("charge", block![effect("charge")]).timeout(30_000),
//!     fail("the shop is closed"),
//! ];
//! # assert_eq!(order.len(), 3);
//! ```

use serde::{Deserialize, Serialize};

/// The interpreter's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Where the services are, as a URL without a path.
    pub services: String,
    /// What to do.
    pub body: Block,
}

/// Statements, executed in order until one fails.
pub type Block = Vec<Statement>;

/// What a program can do. Every statement results in an observation, a JSON value; a block results
/// in the list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// A step of the fluent API.
    Step(Step),
    /// A step of the low-level API: its name and its body.
    Manual(String, Block),
    /// `POST /effects/{name}`. The body carries a digest of all that the branch has seen so far, so
    /// that a replay which saw anything else is caught.
    Effect(String),
    /// `POST /gate/{name}`, which the services answer once the test has opened the gate.
    Gate(String),
    /// `POST /flaky/{times}/{name}`, which fails so many times. Each attempt has a key of its own.
    Flaky(String, u32),
    /// `POST /never`, which is never answered, with a timeout in milliseconds if there is one.
    Never(Option<u64>),
    /// `GET` this path. An error status is an error.
    Get(String),
    /// `GET` this path with this header, its name and its value.
    GetWith(String, (String, String)),
    /// Who started the run.
    Auth,
    /// A durable timer, in milliseconds.
    Sleep(u64),
    /// A random UUID, a random number and the workflow's time.
    Draw,
    /// Whether the step with this name is completed.
    Lookup(String),
    /// All blocks at once, to the end of each. Fails with the failure of the first one in order.
    Join(Vec<Block>),
    /// All blocks at once, until one ends; the others are dropped.
    Race(Vec<Block>),
    /// The block so many times.
    Repeat(u32, Block),
    /// The block; if it fails, the failure is observed and the program goes on.
    Try(Block),
    /// A line in the host's log.
    Log(String),
    /// Fails.
    Fail(Failure),
    /// Panics with this message.
    Panic(String),
    /// Computes without end.
    Spin,
    /// Takes memory without end.
    Hoard,
    /// Runs the compensations of all steps so far.
    Compensate,
}

/// A step of the fluent API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// What it does. Its result is the list of observations.
    pub body: Block,
    /// Its timeout in milliseconds.
    pub timeout: Option<u64>,
    /// How often it is tried, and how many milliseconds the second attempt waits.
    pub retry: Option<(u32, u64)>,
    /// Whether the program goes on if it fails.
    pub optional: bool,
    /// Its compensation handler.
    pub undo: Option<Block>,
}

/// What a program fails with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub message: String,
    /// A word for what kind of failure it is; without one it is an ordinary error.
    pub kind: Option<String>,
    /// Whether trying again may help.
    pub retryable: bool,
}

/// A [`Block`] of whatever can be made a [`Statement`].
#[macro_export]
macro_rules! block {
    ($($statement:expr),* $(,)?) => { ::std::vec![$($crate::Statement::from($statement)),*] };
}

/// A step that does this.
pub fn step(name: impl Into<String>, body: Block) -> Step {
    Step { name: name.into(), body, timeout: None, retry: None, optional: false, undo: None }
}

/// A step with one effect of the same name, and another that undoes it: `undo-{name}`.
pub fn reversible(name: &str) -> Step {
    step(name, block![effect(name)]).undo(block![effect(format!("undo-{name}"))])
}

/// [`Statement::Effect`].
pub fn effect(name: impl Into<String>) -> Statement {
    Statement::Effect(name.into())
}

/// [`Statement::Gate`].
pub fn gate(name: impl Into<String>) -> Statement {
    Statement::Gate(name.into())
}

/// A failure that trying again may mend.
pub fn fail(message: impl Into<String>) -> Statement {
    Statement::Fail(Failure { message: message.into(), kind: None, retryable: true })
}

/// A failure that stays one.
pub fn fail_for_good(message: impl Into<String>) -> Statement {
    Statement::Fail(Failure { message: message.into(), kind: Some("hopeless".to_owned()), retryable: false })
}

impl Step {
    /// Gives each attempt so many milliseconds.
    pub fn timeout(self, milliseconds: u64) -> Self {
        Self { timeout: Some(milliseconds), ..self }
    }

    /// Tries so often, the second time after so many milliseconds.
    pub fn retry(self, attempts: u32, backoff: u64) -> Self {
        Self { retry: Some((attempts, backoff)), ..self }
    }

    /// Lets it fail.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Says how to undo it.
    pub fn undo(self, undo: Block) -> Self {
        Self { undo: Some(undo), ..self }
    }
}

impl From<Step> for Statement {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}
