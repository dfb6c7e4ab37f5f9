//! `forge_logs`: one row per line that a workflow has logged.

use std::sync::Arc;

use forge_journal::{LogLevel, LogLine, Scope, Timestamp};
use strum::VariantArray as _;

use super::{Access, Column, Decoded, Role, borrowed, columns, number, optional, required, time};

pub(crate) const TABLE: &str = "forge_logs";

columns! {
    line: LogLine, value;
    // Column       Type    Role   What is written                        => What is read
    at              Integer Fixed: Some(line.at.0)                        => line.at = time(value)?;
    level           Integer Fixed: Some(severity(line.level))             => line.level = level(required(value)?)?;
    scope_step      Integer Fixed: Some(line.scope.step.cast_signed())    => line.scope.step = required(value)?.cast_unsigned();
    scope_attempt   Integer Fixed: Some(line.scope.attempt.into())        => line.scope.attempt = number(required(value)?)?;
    step            Text    Fixed: optional(&line.step)                   => line.step = value.map(Into::into);
    message         Text    Fixed: borrowed(&line.message)                => line.message = required(value)?.into();
    revision        Integer Fixed: Some(line.revision.cast_signed())      => line.revision = required(value)?.cast_unsigned();
}

/// Returns a line at this position whose columns are still to be read.
pub(crate) fn blank(seq: u64) -> LogLine {
    LogLine {
        seq,
        at: Timestamp::NOW,
        level: LogLevel::Trace,
        scope: Scope::BODY,
        step: None,
        message: Arc::default(),
        revision: 0,
    }
}

/// Returns the number that stands for a level. More severe levels have higher ones.
pub(crate) fn severity(level: LogLevel) -> i64 {
    level as i64
}

fn level(severity: i64) -> Decoded<LogLevel> {
    let found = usize::try_from(severity).ok().and_then(|place| LogLevel::VARIANTS.get(place));
    found.copied().ok_or_else(|| format!("{severity} is no log level that this version of Forge knows"))
}
