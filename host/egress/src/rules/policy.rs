//! Rules for servers, and the policy that consists of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::address::{Network, not_public};

/// The servers and addresses that a tenant's workflows may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Open,
    Only { rules: Vec<Rule>, private: Vec<Network> },
}

/// A rule that names servers: `https://api.example.com`, `http://shop.example.com:8080`, `https://*.example.com` (all
/// names below the domain, without the domain itself), `http://10.0.0.5:8080`. The default port is that of the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    https: bool,
    host: Pattern,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Name(String),
    Below(String),
    Address(IpAddr),
}

/// The error of a text that is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rule for servers ({why}): write SCHEME://HOST[:PORT], for example https://*.example.com"
)]
pub struct InvalidRule {
    /// The text.
    pub text: String,
    /// The reason why it is not a rule.
    pub why: &'static str,
}

/// The error of a server or address that the policy does not permit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(String);

impl Policy {
    /// Returns the policy that permits everything, including private addresses. It is for hosts on which only the owner
    /// deploys.
    pub const fn open() -> Self {
        Self(Kind::Open)
    }

    /// Returns the policy that permits the servers that a rule names, at addresses of the public internet, in the
    /// `private` networks, or written in a rule.
    pub const fn only(rules: Vec<Rule>, private: Vec<Network>) -> Self {
        Self(Kind::Only { rules, private })
    }

    /// Returns whether everything is permitted.
    pub fn is_open(&self) -> bool {
        self.0 == Kind::Open
    }

    /// Checks the server that a URL names.
    pub(crate) fn permit_url(&self, url: &Url) -> Result<(), Denied> {
        let Kind::Only { rules, .. } = &self.0 else { return Ok(()) };
        if rules.iter().any(|rule| rule.names(url)) {
            return Ok(());
        }
        let server = server(url);
        Err(Denied(if rules.is_empty() {
            format!(
                "{server} may not be reached: no server may. {}",
                set_with("Those that may are", "egress")
            )
        } else {
            let rules: Vec<String> = rules.iter().map(Rule::to_string).collect();
            let (rules, set) = (rules.join(", "), set_with("All rules are", "egress"));
            format!("{server} may not be reached: none of the rules names it ({rules}). {set}")
        }))
    }

    /// Checks an address to which `host` has resolved.
    pub(crate) fn permit_address(&self, host: &str, address: IpAddr) -> Result<(), Denied> {
        let Kind::Only { rules, private } = &self.0 else { return Ok(()) };
        let canonical = address.to_canonical();
        let named =
            |rule: &Rule| matches!(rule.host, Pattern::Address(named) if named.to_canonical() == canonical);
        // A rule with an address permits URLs with that address, and no name that resolves to it.
        let is_literal = host.parse() == Ok(address);
        if is_literal && rules.iter().any(named) || private.iter().any(|network| network.contains(canonical))
        {
            return Ok(());
        }
        match not_public(address) {
            None => Ok(()),
            Some(why) => Err(Denied(format!(
                "{host} may not be reached: its address {address} is {why}. {}",
                set_with(
                    "All networks that may be reached although they are not public are",
                    "egress-private"
                )
            ))),
        }
    }
}

/// Returns the sentence that says how an operator changes the policy.
fn set_with(what: &str, flag: &str) -> String {
    format!(
        "{what} set with `forge tenants set NAME --{flag}`; for the tenant `default` also with `forge serve --{flag}`, \
         unless it has rules of its own"
    )
}

/// Returns the server of a URL for messages: `https://api.example.com:443`.
pub(crate) fn server(url: &Url) -> String {
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    format!("{scheme}://{host}:{}", url.port_or_known_default().unwrap_or_default())
}

impl Rule {
    /// Returns whether this rule names the server of a URL.
    pub fn names(&self, url: &Url) -> bool {
        let scheme = if self.https { "https" } else { "http" };
        if url.scheme() != scheme || url.port_or_known_default() != Some(self.port) {
            return false;
        }
        match (&self.host, url.host()) {
            (Pattern::Name(name), Some(Host::Domain(host))) => host_name(host) == name,
            (Pattern::Below(domain), Some(Host::Domain(host))) => {
                let below =
                    host_name(host).strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
                below.is_some_and(|rest| !rest.is_empty())
            }
            (Pattern::Address(address), Some(Host::Ipv4(host))) => address.to_canonical() == IpAddr::V4(host),
            (Pattern::Address(address), Some(Host::Ipv6(host))) => {
                address.to_canonical() == IpAddr::V6(host).to_canonical()
            }
            _ => false,
        }
    }
}

/// Returns a name without the dot at its end, which does not change its meaning.
fn host_name(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |why| InvalidRule { text: text.to_owned(), why };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("it has no scheme"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("its scheme is neither http nor https")),
        };
        let (below, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        if rest.contains('*') {
            return Err(invalid(
                "`*.` can only be at its beginning, and stands for all names below a domain",
            ));
        }
        // Parse as the URL of a request is parsed, so that both have the same form.
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|_| invalid("it is not the beginning of a URL"))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || rest.ends_with('/') || !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has more than a scheme, a host and a port"));
        }
        let host = match url.host() {
            Some(Host::Domain(domain)) if host_name(domain).is_empty() => {
                return Err(invalid("it has no host"));
            }
            Some(Host::Domain(domain)) if below => Pattern::Below(host_name(domain).to_owned()),
            Some(Host::Domain(domain)) => Pattern::Name(host_name(domain).to_owned()),
            Some(_) if below => return Err(invalid("there are no names below an address")),
            Some(Host::Ipv4(address)) => Pattern::Address(address.into()),
            Some(Host::Ipv6(address)) => Pattern::Address(address.into()),
            None => return Err(invalid("it has no host")),
        };
        let port = url.port_or_known_default().ok_or_else(|| invalid("it has no port"))?;
        Ok(Self { https, host, port })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, own) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://")?;
        match &self.host {
            Pattern::Name(name) => write!(f, "{name}")?,
            Pattern::Below(domain) => write!(f, "*.{domain}")?,
            Pattern::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Pattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        if self.port == own { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str], private: &[&str]) -> Policy {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        Policy::only(rules, private.iter().map(|network| network.parse().unwrap()).collect())
    }

    fn permits(policy: &Policy, url: &str) -> bool {
        policy.permit_url(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn a_rule_names_a_scheme_a_host_and_a_port() {
        let policy = policy(&["https://api.example.com", "http://shop.example.com:8080"], &[]);
        for url in [
            "https://api.example.com/a?b",
            "https://API.example.com:443/",
            "https://api.example.com./",
            "http://shop.example.com:8080",
        ] {
            assert!(permits(&policy, url), "{url}");
        }
        for url in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://example.com/",
            "https://x.api.example.com/",
            "https://api.example.com.evil.org/",
            "http://shop.example.com/",
            "https://user@evil.org/api.example.com",
            "https://api.example.com..evil.org/",
            "https://evil.org#api.example.com",
        ] {
            assert!(!permits(&policy, url), "{url}");
        }
    }

    #[test]
    fn a_star_stands_for_all_names_below_a_domain() {
        let policy = policy(&["https://*.example.com"], &[]);
        assert!(permits(&policy, "https://a.example.com/") && permits(&policy, "https://a.b.example.com./"));
        for url in [
            "https://example.com/",
            "https://.example.com/",
            "https://badexample.com/",
            "https://a.example.com.org/",
        ] {
            assert!(Url::parse(url).is_err() || !permits(&policy, url), "{url}");
        }
    }

    #[test]
    fn nothing_is_permitted_by_default_and_the_message_says_what_is() {
        let none =
            policy(&[], &[]).permit_url(&Url::parse("http://a.example/").unwrap()).unwrap_err().to_string();
        assert!(none.contains("http://a.example:80 may not be reached: no server may"), "{none}");
        let some = policy(&["https://*.b.example", "http://[::1]:81"], &[]);
        let some = some.permit_url(&Url::parse("http://a.example/").unwrap()).unwrap_err().to_string();
        assert!(some.contains("(https://*.b.example, http://[::1]:81)"), "{some}");
    }

    #[test]
    fn an_address_is_permitted_if_it_is_public_or_named() {
        let policy = policy(&["http://10.0.0.5:8080", "https://a.example"], &["192.168.0.0/16"]);
        let permits = |address: &str| policy.permit_address("a.example", address.parse().unwrap()).is_ok();
        assert!(policy.permit_address("10.0.0.5", "10.0.0.5".parse().unwrap()).is_ok());
        for address in ["1.1.1.1", "192.168.3.4", "::ffff:192.168.3.4", "2606:4700::1111"] {
            assert!(permits(address), "{address}");
        }
        for address in [
            "10.0.0.5",
            "10.0.0.6",
            "127.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::192.168.3.4",
        ] {
            assert!(!permits(address), "{address}");
        }
        let why =
            policy.permit_address("a.example", "169.254.169.254".parse().unwrap()).unwrap_err().to_string();
        assert!(
            why.contains("a.example") && why.contains("metadata") && why.contains("--egress-private"),
            "{why}"
        );
        assert!(Policy::open().permit_address("a", "127.0.0.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn an_address_has_many_forms_and_is_one_server() {
        let policy = policy(&["http://127.0.0.1:8080"], &[]);
        for url in [
            "http://127.1:8080/",
            "http://2130706433:8080/",
            "http://0x7f000001:8080/",
            "http://0177.0.0.1:8080/",
        ] {
            assert!(permits(&policy, url), "{url} is written as the rule is");
        }
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (wrong, why) in [
            ("example.com", "no scheme"),
            ("ftp://example.com", "neither"),
            ("https://", "beginning of a URL"),
            ("https://a/b", "more than"),
            ("https://a/", "more than"),
            ("https://u:p@a", "more than"),
            ("https://*", "`*.`"),
            ("https://a.*.com", "`*.`"),
            ("https://*..", "no host"),
            ("http:///.", "no host"),
            ("https://*.*.com", "`*.`"),
            ("https://*.10.0.0.1", "below an address"),
            ("https://a:99999", "beginning of a URL"),
            ("https://a?b", "more than"),
        ] {
            let error = wrong.parse::<Rule>().unwrap_err();
            assert!(error.why.contains(why), "{wrong}: {error}");
        }
        for right in
            ["https://example.com", "http://*.example.com:8080", "http://[::1]:81", "https://münchen.example"]
        {
            let rule: Rule = right.parse().unwrap();
            assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        }
    }
}
