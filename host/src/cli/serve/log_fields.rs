//! The texts in the log: an event is one line, whatever its message and fields contain.

use std::io;

use anstyle::Style;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use super::log_writer::LogWriter;
use crate::cli::printable::Printable;

/// The prefix of the fields that `tracing-log` adds to the events of other crates. They repeat what the line has.
const REPEATED: &str = "log.";

/// Returns the form of the fields of an event in the text log. Names and messages of guests and errors of servers are
/// among them.
pub(super) fn printable() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    format::debug_fn(|writer: &mut Writer<'_>, field: &tracing::field::Field, value| {
        let value = format!("{value:?}");
        let value = Printable::line(&value);
        match field.name() {
            "message" => write!(writer, "{value}"),
            name if name.starts_with(REPEATED) => Ok(()),
            name if writer.has_ansi_escapes() => {
                let (italic, faint) = (Style::new().italic(), Style::new().dimmed());
                write!(writer, "{italic}{name}{italic:#}{faint}={faint:#}{value}")
            }
            name => write!(writer, "{name}={value}"),
        }
    })
    .delimited(" ")
}

/// A writer of the JSON log, with JSON's escapes in place of characters that are not printable.
#[derive(Clone)]
pub(super) struct PrintableJson(pub(super) LogWriter);

impl io::Write for PrintableJson {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(Printable::json(&text).to_string().as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<'w> MakeWriter<'w> for PrintableJson {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
