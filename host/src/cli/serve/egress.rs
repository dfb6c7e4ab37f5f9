//! The flags for the servers that workflows may reach. [`Policy`] explains them.

use forge_egress::{Network, Policy, Rule};

/// Flags that change [`Policy::open`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Servers that workflows may reach")]
#[group(skip)]
pub(super) struct Args {
    /// A server, as SCHEME://HOST[:PORT], or all servers of a domain, as https://*.example.com. Workflows may
    /// reach no other servers and no private addresses [default: every server].
    #[arg(long, value_name = "RULE", env = "FORGE_EGRESS", value_delimiter = ',')]
    egress: Option<Vec<Rule>>,
    /// A private network, such as 10.0.0.0/8, in which the servers that --egress names may be.
    #[arg(
        long,
        value_name = "NETWORK",
        env = "FORGE_EGRESS_PRIVATE",
        value_delimiter = ',',
        requires = "egress"
    )]
    egress_private: Vec<Network>,
    /// Let workflows reach no server.
    #[arg(long, env = "FORGE_NO_EGRESS", conflicts_with = "egress")]
    no_egress: bool,
}

impl Args {
    /// Returns the policy that the flags describe.
    pub(super) fn into_policy(self) -> Policy {
        match self.egress {
            Some(rules) => Policy::only(rules, self.egress_private),
            None if self.no_egress => Policy::only(Vec::new(), Vec::new()),
            None => Policy::open(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        egress: Args,
    }

    fn policy(arguments: &[&str]) -> Result<Policy, clap::Error> {
        Serve::try_parse_from([&["serve"], arguments].concat()).map(|serve| serve.egress.into_policy())
    }

    #[test]
    fn without_rules_every_server_is_allowed_and_with_rules_only_theirs() {
        assert!(policy(&[]).unwrap().is_open());
        let rule = |text: &str| text.parse::<Rule>().unwrap();
        let two =
            policy(&["--egress", "https://a.example,https://*.b.example", "--egress-private", "10.0.0.0/8"]);
        let rules = vec![rule("https://a.example"), rule("https://*.b.example")];
        assert_eq!(two.unwrap(), Policy::only(rules, vec!["10.0.0.0/8".parse().unwrap()]));
        assert_eq!(policy(&["--no-egress"]).unwrap(), Policy::only(Vec::new(), Vec::new()));
    }

    #[test]
    fn contradictory_flags_are_refused() {
        for wrong in [
            &["--egress", "example.com"][..],
            &["--egress-private", "10.0.0.0/8"],
            &["--egress", "https://a", "--egress-private", "ten"],
            &["--egress", "https://a", "--no-egress"],
        ] {
            assert!(policy(wrong).is_err(), "{wrong:?}");
        }
    }
}
