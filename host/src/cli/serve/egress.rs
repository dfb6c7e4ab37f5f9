//! Which servers workflows may reach. What the flags mean is in [`Policy`].

use forge_egress::{Network, Policy, Rule};

/// Flags that change [`Policy::open`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Servers that workflows may reach")]
#[group(skip)]
pub(super) struct Args {
    /// A server, as SCHEME://HOST[:PORT], or all below a domain, as https://*.example.com. Others may not be
    /// reached, nor may addresses that are not public [default: every server].
    #[arg(long, value_name = "RULE", env = "FORGE_EGRESS", value_delimiter = ',')]
    egress: Option<Vec<Rule>>,
    /// A network that may be reached although it is not public, such as 10.0.0.0/8, by servers that --egress names.
    #[arg(
        long,
        value_name = "NETWORK",
        env = "FORGE_EGRESS_PRIVATE",
        value_delimiter = ',',
        requires = "egress"
    )]
    egress_private: Vec<Network>,
    /// No server may be reached.
    #[arg(long, env = "FORGE_NO_EGRESS", conflicts_with = "egress")]
    no_egress: bool,
}

impl Args {
    /// The policy that they say.
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
    fn without_a_rule_everything_may_be_reached_and_with_one_nothing_else() {
        assert!(policy(&[]).unwrap().is_open());
        let rule = |text: &str| text.parse::<Rule>().unwrap();
        let two =
            policy(&["--egress", "https://a.example,https://*.b.example", "--egress-private", "10.0.0.0/8"]);
        let rules = vec![rule("https://a.example"), rule("https://*.b.example")];
        assert_eq!(two.unwrap(), Policy::only(rules, vec!["10.0.0.0/8".parse().unwrap()]));
        assert_eq!(policy(&["--no-egress"]).unwrap(), Policy::only(Vec::new(), Vec::new()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
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
