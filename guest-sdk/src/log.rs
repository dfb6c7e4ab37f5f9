//! Logging with `tracing`. The prelude and this module have its macros.
//!
//! The lines of a workflow are kept with its run: `forge runs logs` shows them with their step and attempt. The host's own log
//! gets them, too. A replay writes no line again; code that runs again after a crash may.
//!
//! ```
//! use forge::prelude::*;
//!
//! #[forge::workflow]
//! async fn polite(_ctx: &WorkflowContext, name: String) -> Result<()> {
//!     info!(guests = 1, "hello {name}");
//!     Ok(())
//! }
//! # let run = forge::testing::TestRun::new(PoliteWorkflow).run("mia");
//! # assert_eq!(run.logs[0].message, "hello mia guests=1");
//! ```

pub use tracing::{debug, error, info, trace, warn};

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::host::run::{self, LogLevel};
use crate::scope;

/// `println!` in the body of a workflow: a line at info.
#[doc(hidden)]
#[macro_export]
macro_rules! __println {
    ($($argument:tt)*) => {
        $crate::tracing::info!("{}", ::std::format!($($argument)*))
    };
}

/// `eprintln!` in the body of a workflow: a line at warn.
#[doc(hidden)]
#[macro_export]
macro_rules! __eprintln {
    ($($argument:tt)*) => {
        $crate::tracing::warn!("{}", ::std::format!($($argument)*))
    };
}

/// The subscriber that sends events to the host. Spans are ignored.
#[derive(Debug, Default)]
pub(crate) struct HostLog {
    spans: AtomicU64,
}

impl Subscriber for HostLog {
    // The host filters lines by their level.
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        run::log(scope::current(), level(event.metadata().level()), &line.finish());
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn level(level: &Level) -> LogLevel {
    match *level {
        Level::TRACE => LogLevel::Trace,
        Level::DEBUG => LogLevel::Debug,
        Level::INFO => LogLevel::Info,
        Level::WARN => LogLevel::Warn,
        Level::ERROR => LogLevel::Error,
    }
}

/// A line of the form `message key=value key=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn finish(self) -> String {
        let line = self.message + &self.fields;
        line.trim_start().to_owned()
    }
}

// Writing to a string cannot fail, hence the ignored results.
impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
