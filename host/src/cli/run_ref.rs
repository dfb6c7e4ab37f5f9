//! The run that a command names: by its id, by the beginning of its id, or as `last`.

use std::str::FromStr;

use super::CliError;
use super::client::Client;
use super::printable::Printable;
use crate::executor::RunSummary;
use forge_journal::{InvalidPrefix, RunId, RunIdPrefix};

/// The most runs that an ambiguous prefix lists.
const CANDIDATES: usize = 10;

/// The run that a command names.
#[derive(Debug, Clone)]
pub(super) enum RunRef {
    /// The run with this id.
    Id(RunId),
    /// The one run whose id begins like this.
    Prefix(String),
    /// The run of the tenant that was started last.
    Last,
}

impl FromStr for RunRef {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        if text == "last" {
            return Ok(Self::Last);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        // Checked here, so that it is an error of the command line.
        text.parse::<RunIdPrefix>().map(|_| Self::Prefix(text.to_owned()))
    }
}

impl Client {
    /// Returns the id of the run that a command names.
    pub(super) async fn find(&self, run: &RunRef) -> Result<RunId, CliError> {
        match run {
            RunRef::Id(id) => Ok(*id),
            RunRef::Last => {
                let page = self.runs(&[("limit", Some(1.to_string()))]).await?;
                let none = || CliError::NoSuchRun("there is no run yet; `forge start` starts one".to_owned());
                page.runs.first().map(|run| RunId(run.id)).ok_or_else(none)
            }
            RunRef::Prefix(text) => {
                let limit = (CANDIDATES + 1).to_string();
                let page = self.runs(&[("id_prefix", Some(text.clone())), ("limit", Some(limit))]).await?;
                match page.runs.as_slice() {
                    [] => Err(CliError::NoSuchRun(format!(
                        "there is no run whose id begins with `{text}`; `forge runs` lists the runs that exist"
                    ))),
                    [run] => Ok(RunId(run.id)),
                    runs => Err(CliError::AmbiguousRun(ambiguous(text, runs))),
                }
            }
        }
    }
}

/// Says that the ids of several runs begin with a text, and which.
fn ambiguous(text: &str, runs: &[RunSummary]) -> String {
    let line = |run: &RunSummary| {
        format!("\n{}  {} v{}  {}", run.id, Printable::line(&run.workflow_name), run.version, run.status)
    };
    let listed: String = runs.iter().take(CANDIDATES).map(line).collect();
    let more = if runs.len() > CANDIDATES { "\nand others" } else { "" };
    format!("the ids of several runs begin with `{text}`: give more of it{listed}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_id_its_beginning_or_as_the_last_one() {
        let id = "0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10";
        assert!(matches!(id.parse(), Ok(RunRef::Id(found)) if found.to_string() == id));
        assert!(matches!("0199d1c4-7".parse(), Ok(RunRef::Prefix(text)) if text == "0199d1c4-7"));
        assert!(matches!("last".parse(), Ok(RunRef::Last)));
        for wrong in ["", "latest", "0199", "0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a100"] {
            assert!(wrong.parse::<RunRef>().is_err(), "{wrong}");
        }
    }
}
