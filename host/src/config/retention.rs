use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use forge_journal::WorkflowStatus;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::is_workflow_name;

/// The word for an age without an end.
const FOREVER: &str = "forever";

/// How long final runs are kept: a list of `STATUS=AGE` and `WORKFLOW:STATUS=AGE`. Without a rule, a run is kept for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Retention {
    /// By workflow and status; a rule without a workflow is for all. An age of `None` is for ever.
    rules: BTreeMap<(Option<String>, WorkflowStatus), Option<Duration>>,
}

/// The error for rules that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRetention {
    /// A rule that cannot be read.
    #[error(
        "`{0}` is not a rule for keeping runs, such as completed=30d, payment:failed=1y or compensated=forever; the statuses \
         are completed, compensated and failed"
    )]
    Rule(String),
    /// A rule for a workflow that cannot exist.
    #[error(
        "`{rule}`: no workflow can have the name `{name}`; a rule without a name is for all workflows: {without}"
    )]
    Name {
        /// The rule.
        rule: String,
        /// The name.
        name: String,
        /// The rule for all workflows.
        without: String,
    },
    /// Two rules for the same runs.
    #[error("`{first}` and `{second}` are for the same runs: leave one of them out")]
    Twice {
        /// The first of them.
        first: String,
        /// The other one.
        second: String,
    },
}

impl Retention {
    /// The statuses that a rule can be for.
    pub const STATUSES: [WorkflowStatus; 3] =
        [WorkflowStatus::Completed, WorkflowStatus::Compensated, WorkflowStatus::Failed];

    /// Returns whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reads the rules of a tenant from the database. An earlier version has accepted some that have no effect.
    pub(crate) fn stored<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let rules = |text: String| {
            let rule = |rule| parse(rule).ok_or_else(|| InvalidRetention::Rule(String::from(rule)));
            Ok(Self { rules: split(&text).map(rule).collect::<Result<_, _>>().map_err(D::Error::custom)? })
        };
        text.map(rules).transpose()
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
        let mut rules = BTreeMap::new();
        let mut texts = BTreeMap::new();
        for text in split(text) {
            let (of, age) = parse(text).ok_or_else(|| InvalidRetention::Rule(text.to_owned()))?;
            if let Some(name) = of.0.as_deref().filter(|name| !is_workflow_name(name)) {
                let (name, rule) = (name.to_owned(), text.to_owned());
                let without = text.rsplit_once(':').map_or(text, |(_, without)| without).to_owned();
                return Err(InvalidRetention::Name { rule, name, without });
            }
            if let Some(first) = texts.insert(of.clone(), text) {
                let (first, second) = (first.to_owned(), text.to_owned());
                return Err(InvalidRetention::Twice { first, second });
            }
            rules.insert(of, age);
        }
        Ok(Self { rules })
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|rule| !rule.is_empty())
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
        for text in ["", "completed=30d 12h", "a.b:completed=1h,failed=forever"] {
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

    #[test]
    fn rules_that_have_no_effect_are_refused() {
        let error = |text: &str| text.parse::<Retention>().unwrap_err().to_string();
        for wrong in ["*:completed=1d", "a:b:completed=1d", "1st:completed=1d"] {
            let error = error(wrong);
            assert!(
                error.contains("no workflow can have the name") && error.ends_with("completed=1d"),
                "{error}"
            );
        }
        for (first, second) in [
            ("completed=1d", "completed=1d"),
            ("completed=1d", "completed = forever"),
            ("mail:failed=1d", "mail:failed=2d"),
        ] {
            let error = error(&format!("{first},compensated=1d,{second}"));
            assert_eq!(
                error,
                format!("`{first}` and `{second}` are for the same runs: leave one of them out")
            );
        }
    }

    #[test]
    fn stored_rules_that_are_refused_today_are_read() {
        #[derive(Deserialize)]
        struct Stored {
            #[serde(default, deserialize_with = "Retention::stored")]
            retention: Option<Retention>,
        }
        let read =
            |text| serde_json::from_str::<Stored>(text).unwrap().retention.map(|rules| rules.to_string());
        assert_eq!(read(r#"{"retention":"*:completed=1h"}"#).as_deref(), Some("*:completed=1h"));
        assert_eq!(read("{}"), None);
    }
}
