use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use forge_journal::WorkflowStatus;
use serde::{Deserialize, Serialize};

/// The word for an age without an end.
const FOREVER: &str = "forever";

/// How long final runs are kept: a list of `STATUS=AGE` and `WORKFLOW:STATUS=AGE`. Without a rule, a run is kept for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Retention {
    /// By workflow and status; a rule without a workflow is for all. An age of `None` is for ever.
    rules: BTreeMap<(Option<String>, WorkflowStatus), Option<Duration>>,
}

/// The error for a rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rule for keeping runs, such as completed=30d, payment:failed=1y or compensated=forever; the statuses are \
     completed, compensated and failed"
)]
pub struct InvalidRetention(String);

impl Retention {
    /// The statuses that a rule can be for.
    pub const STATUSES: [WorkflowStatus; 3] =
        [WorkflowStatus::Completed, WorkflowStatus::Compensated, WorkflowStatus::Failed];

    /// Returns whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns for how long runs of a workflow with this status are kept after their end; `None` is for ever. The rules of
    /// the tenant come before those of the host, and rules for the workflow before those for all.
    pub fn age(host: &Self, tenant: &Self, workflow: &str, status: WorkflowStatus) -> Option<Duration> {
        let rule =
            |of: &Self, workflow: Option<&str>| of.rules.get(&(workflow.map(str::to_owned), status)).copied();
        [(tenant, Some(workflow)), (tenant, None), (host, Some(workflow)), (host, None)]
            .into_iter()
            .find_map(|(of, workflow)| rule(of, workflow))
            .flatten()
    }
}

impl FromStr for Retention {
    type Err = InvalidRetention;

    fn from_str(text: &str) -> Result<Self, InvalidRetention> {
        let rules = text
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
            .map(|rule| parse(rule).ok_or_else(|| InvalidRetention(rule.to_owned())));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }
}

type Rule = ((Option<String>, WorkflowStatus), Option<Duration>);

fn parse(rule: &str) -> Option<Rule> {
    let (of, age) = rule.rsplit_once('=')?;
    let (workflow, status) = match of.rsplit_once(':') {
        Some((workflow, status)) => (Some(workflow.trim().to_owned()), status),
        None => (None, of),
    };
    let status = status.trim().parse().ok().filter(|status| Retention::STATUSES.contains(status))?;
    let age = match age.trim() {
        FOREVER => None,
        age => Some(humantime::parse_duration(age).ok()?),
    };
    (workflow.as_deref() != Some("")).then_some(((workflow, status), age))
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, ((workflow, status), age)) in self.rules.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let workflow = workflow.as_ref().map(|name| format!("{name}:")).unwrap_or_default();
            let age = age.map_or(FOREVER.to_owned(), |age| {
                humantime::format_duration(age).to_string().replace(' ', "")
            });
            write!(f, "{comma}{workflow}{status}={age}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Retention {
    type Error = InvalidRetention;

    fn try_from(text: String) -> Result<Self, InvalidRetention> {
        text.parse()
    }
}

impl From<Retention> for String {
    fn from(retention: Retention) -> Self {
        retention.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn the_most_specific_rule_decides() {
        let host: Retention = "completed=30d, failed=90d, mail:completed=1d".parse().unwrap();
        let tenant: Retention = "completed=7d,payment:completed=forever".parse().unwrap();
        let age = |workflow, status| Retention::age(&host, &tenant, workflow, status);
        assert_eq!(age("payment", WorkflowStatus::Completed), None);
        assert_eq!(age("mail", WorkflowStatus::Completed), Some(7 * DAY), "the tenant's rules come first");
        assert_eq!(age("mail", WorkflowStatus::Failed), Some(90 * DAY));
        assert_eq!(age("mail", WorkflowStatus::Compensated), None, "without a rule, it is kept");
        let none = Retention::default();
        assert_eq!(Retention::age(&host, &none, "mail", WorkflowStatus::Completed), Some(DAY));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["", "completed=30d 12h", "a:b:completed=1h,failed=forever"] {
            let retention: Retention = text.parse().unwrap();
            assert_eq!(retention.to_string().parse(), Ok(retention.clone()), "{retention}");
            let json = serde_json::to_string(&retention).unwrap();
            assert_eq!(serde_json::from_str::<Retention>(&json).unwrap(), retention);
        }
    }

    #[test]
    fn a_wrong_rule_is_named() {
        for wrong in ["completed", "running=1d", "paused=1d", "completed=soon", "=1d", ":completed=1d"] {
            let error = format!("failed=1d,{wrong}").parse::<Retention>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{wrong}`")), "{error}");
        }
    }
}
