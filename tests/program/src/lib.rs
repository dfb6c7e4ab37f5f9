//! A language for workflows in tests. The guest `interpreter` executes a program that it gets as its input:
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
use serde_json::Value;

/// The interpreter's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The base URL of the services, without a path.
    pub services: String,
    /// The statements.
    pub body: Block,
}

/// Statements, executed in order until one fails.
pub type Block = Vec<Statement>;

/// A statement. It returns an observation, which is a JSON value. A block returns the list of its
/// observations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// A step of the fluent API.
    Step(Step),
    /// A step of the low-level API: its name and its body.
    Manual(String, Block),
    /// `POST /effects/{name}`. The body has a digest of all earlier observations of the branch, so that a
    /// replay with other observations is nondeterministic.
    Effect(String),
    /// `POST /effects/{name}` with a body of this many bytes.
    Large(String, usize),
    /// `POST /effects/{name}` with this `Idempotency-Key`.
    Keyed(String, String),
    /// `POST /gate/{name}`, which the services answer after the test has opened the gate.
    Gate(String),
    /// The same at most once: a request that was under way in a crash is not sent again.
    GateOnce(String),
    /// `POST /flaky/{times}/{name}`, which fails this many times. Each attempt has a key of its own.
    Flaky(String, u32),
    /// `POST /never`, which is never answered, with a timeout in milliseconds if there is one.
    Never(Option<u64>),
    /// `POST /busy/{name}`, which works until the test has opened the gate, and answers 409 to further requests with the
    /// same key meanwhile. With a timeout in milliseconds if there is one.
    Busy(String, Option<u64>),
    /// `POST /later/{seconds}/{name}`, which answers 429 with `Retry-After` to the first request with a key.
    Later(String, u32),
    /// `GET` this path. An error status is an error.
    Get(String),
    /// `GET` this path with a header: its name and its value.
    GetWith(String, (String, String)),
    /// The payload of the next event with this name. With a timeout in milliseconds if there is one.
    Event(String, Option<u64>),
    /// The payloads of the events with this name that are there.
    EventsThatAreThere(String),
    /// Sends an event to a run: its id, or `self`; the name, the payload, and the key if there is one.
    Send(String, String, Value, Option<String>),
    /// The output of an attached child that executes this block, with the run's services.
    Child(Block),
    /// The output of an attached child: its workflow, its input, its timeout in milliseconds.
    ChildOf(String, Value, Option<u64>),
    /// The outputs of this many children that execute this block at once.
    Children(u32, Block),
    /// Starts an attached child that executes the first block, executes the second, and drops the child's handle.
    DropChild(Block, Block),
    /// Starts an attached child that executes the first block, executes the second, and cancels the child.
    CancelChild(Block, Block),
    /// Starts a detached run that executes this block. The observation is `drawn:` and its id.
    Detach(Block),
    /// Adds one to the number under a key of the tenant's store.
    Increment(String),
    /// The value of a key of the tenant's store.
    Stored(String),
    /// Stores a value in the tenant's store.
    Store(String, Value),
    /// The caller that started the run.
    Auth,
    /// A durable timer. In milliseconds.
    Sleep(u64),
    /// A random UUID, a random number and the workflow's time.
    Draw,
    /// `POST /effects/{name}` with random values: `uuid`, `number`, and the UUID `fresh` of the attempt.
    Token(String),
    /// Whether the step with this name is completed.
    Lookup(String),
    /// All blocks in parallel, to the end of each. Fails with the failure of the first one in order.
    Join(Vec<Block>),
    /// All blocks in parallel, until one ends. The others are dropped.
    Race(Vec<Block>),
    /// The block this many times.
    Repeat(u32, Block),
    /// The block. If it fails, the observation is the failure, and the program continues.
    Try(Block),
    /// A line in the log of the run, at info.
    Log(String),
    /// Publishes a value under a name.
    Publish(String, Value),
    /// Sets a tag of the run.
    Tag(String, String),
    /// Fails.
    Fail(Failure),
    /// Panics with this message.
    Panic(String),
    /// Computes for ever.
    Spin,
    /// Allocates memory for ever.
    Hoard,
    /// Runs the compensations of all completed steps.
    Compensate,
}

/// A step of the fluent API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The name.
    pub name: String,
    /// The code. The step's result is the list of observations.
    pub body: Block,
    /// The timeout in milliseconds.
    pub timeout: Option<u64>,
    /// The number of attempts, and the wait before the second in milliseconds.
    pub retry: Option<(u32, u64)>,
    /// Whether the program continues if the step fails.
    pub optional: bool,
    /// The compensation handler.
    pub undo: Option<Block>,
}

/// The failure of a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The message.
    pub message: String,
    /// The kind of failure. `None` for an error without a kind.
    pub kind: Option<String>,
    /// Whether a retry policy may make another attempt.
    pub retryable: bool,
}

/// Returns a [`Block`] of values that convert to [`Statement`].
#[macro_export]
macro_rules! block {
    ($($statement:expr),* $(,)?) => { ::std::vec![$($crate::Statement::from($statement)),*] };
}

/// Returns a step.
pub fn step(name: impl Into<String>, body: Block) -> Step {
    Step { name: name.into(), body, timeout: None, retry: None, optional: false, undo: None }
}

/// Returns a step with an effect of the same name, and a compensation with the effect `undo-{name}`.
pub fn reversible(name: &str) -> Step {
    step(name, block![effect(name)]).undo(block![effect(format!("undo-{name}"))])
}

/// Returns a [`Statement::Effect`].
pub fn effect(name: impl Into<String>) -> Statement {
    Statement::Effect(name.into())
}

/// Returns a [`Statement::Gate`].
pub fn gate(name: impl Into<String>) -> Statement {
    Statement::Gate(name.into())
}

/// Returns a retryable failure.
pub fn fail(message: impl Into<String>) -> Statement {
    Statement::Fail(Failure { message: message.into(), kind: None, retryable: true })
}

/// Returns a failure that is not retryable.
pub fn fail_for_good(message: impl Into<String>) -> Statement {
    Statement::Fail(Failure { message: message.into(), kind: Some("hopeless".to_owned()), retryable: false })
}

impl Step {
    /// Sets the timeout of each attempt.
    pub fn timeout(self, milliseconds: u64) -> Self {
        Self { timeout: Some(milliseconds), ..self }
    }

    /// Sets the number of attempts, and the wait before the second in milliseconds.
    pub fn retry(self, attempts: u32, backoff: u64) -> Self {
        Self { retry: Some((attempts, backoff)), ..self }
    }

    /// Lets the program continue if the step fails.
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Sets the compensation handler.
    pub fn undo(self, undo: Block) -> Self {
        Self { undo: Some(undo), ..self }
    }
}

impl From<Step> for Statement {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}
