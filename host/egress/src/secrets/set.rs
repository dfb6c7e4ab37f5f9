//! The secrets of one tenant: fills them in and redacts them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use url::Url;

use super::redact::{Redactor, Work};
use super::search::{Known, Search};
use super::value::check_name;
use super::{SecretError, SecretValue};
use crate::rules::{Rule, server};
use forge_journal::{Failure, kind};

const BEGIN: &str = "{{secret:";
const END: &str = "}}";

/// The maximum length of a name in a message: a guest can write anything between the braces.
const SHOWN: usize = 64;

/// A secret of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The value that replaces `{{secret:NAME}}`.
    pub value: SecretValue,
    /// The servers that it may be sent to. Without any, it cannot be used.
    pub hosts: Vec<Rule>,
}

/// The maximum length of the URL of a redirect if there are secrets, in bytes: twice what most servers accept. It is searched
/// at once, before anything is sent.
const LONGEST_REDIRECT: usize = 16 << 10;

/// The maximum number of prepared searches of a tenant. Most tenants need one for each of their servers.
const MOST_SEARCHES: usize = 32;

/// The secrets of one tenant by name. The set is immutable: setting a secret creates a new set.
pub struct Secrets {
    by_name: BTreeMap<String, Secret>,
    /// The search for all secrets. `None` if there are none.
    all: Option<Arc<Redactor>>,
    /// The searches for those secrets that some servers know.
    prepared: Mutex<Prepared>,
}

/// The searches that were prepared.
struct Prepared {
    by_secrets: BTreeMap<Known, Arc<Redactor>>,
    /// The bytes of all values in them.
    bytes: usize,
}

impl Secrets {
    /// The maximum size of one tenant's values together, in bytes. The automata
    /// that search for them need about a hundred times this size.
    pub const MOST_BYTES: usize = 128 << 10;

    /// Returns the empty set.
    pub fn none() -> Self {
        let prepared = Prepared { by_secrets: BTreeMap::new(), bytes: 0 };
        Self { by_name: BTreeMap::new(), all: None, prepared: Mutex::new(prepared) }
    }

    /// Creates a set and prepares the search for its values.
    ///
    /// # Errors
    /// [`SecretError::InvalidName`], or [`SecretError::TooMuch`] if the values exceed [`Secrets::MOST_BYTES`].
    pub fn new(by_name: BTreeMap<String, Secret>) -> Result<Self, SecretError> {
        by_name.keys().try_for_each(|name| check_name(name))?;
        let bytes = by_name.values().map(|secret| secret.value.expose().len()).sum();
        if bytes > Self::MOST_BYTES {
            return Err(SecretError::TooMuch { bytes, most: Self::MOST_BYTES });
        }
        let values = by_name.iter().map(|(name, secret)| (name.as_str(), secret.value.expose()));
        let all = if by_name.is_empty() { None } else { Some(Arc::new(Redactor::new(values)?)) };
        Ok(Self { by_name, all, ..Self::none() })
    }

    /// Returns the secrets that the server of a URL may know, because they are bound to it.
    pub(crate) fn known_to(&self, url: &Url) -> Known {
        let known = self.by_name.values().enumerate().filter(|(_, secret)| secret.is_bound_to(url));
        Known(known.map(|(index, _)| index).collect())
    }

    /// Returns the search for these secrets. Returns `None` if there are none.
    ///
    /// # Errors
    /// [`SecretError::Search`], which is a bug.
    pub(crate) fn search(&self, known: &Known) -> Result<Option<Search>, SecretError> {
        let Some(all) = self.all.as_ref().filter(|_| !known.is_empty()) else { return Ok(None) };
        let mut prepared = self.prepared.lock();
        let redactor = match prepared.by_secrets.get(known) {
            Some(redactor) => Arc::clone(redactor),
            None if known.0.len() == self.by_name.len() => Arc::clone(all),
            None => {
                let values = || {
                    let known = self.by_name.iter().enumerate().filter(|(index, _)| known.0.contains(index));
                    known.map(|(_, (name, secret))| (name.as_str(), secret.value.expose()))
                };
                let bytes = prepared.bytes + values().map(|(_, value)| value.len()).sum::<usize>();
                if prepared.by_secrets.len() < MOST_SEARCHES && bytes <= Self::MOST_BYTES {
                    let redactor = Arc::new(Redactor::new(values())?);
                    prepared.by_secrets.insert(known.clone(), Arc::clone(&redactor));
                    prepared.bytes = bytes;
                    redactor
                } else {
                    // The search for all secrets takes longer, and finds the known ones, too.
                    Arc::clone(all)
                }
            }
        };
        Ok(Some(Search::new(redactor)))
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.all.is_none()
    }

    /// Returns whether both sets have the same secrets, with the same values, for the same servers.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.by_name == other.by_name
    }

    /// Returns the names of the secrets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Replaces each `{{secret:NAME}}` in the value of a header that is sent to this URL. Returns `None` if there is no
    /// placeholder. Values are not searched for placeholders. URLs and bodies are never filled in: logs and messages
    /// contain them.
    ///
    /// # Errors
    /// A permanent failure of kind [`kind::DENIED`] if there is no such secret or it is not bound to the server, and
    /// of kind [`kind::LIMIT`] if the result has more than `most` bytes. Neither contains a value.
    pub fn fill(&self, url: &Url, value: &str, most: usize) -> Result<Option<String>, Failure> {
        let Some((before, mut rest)) = value.split_once(BEGIN) else { return Ok(None) };
        let mut filled = before.to_owned();
        loop {
            let Some((name, after)) = rest.split_once(END) else {
                let message = format!("a header has `{BEGIN}` without `{END}` after it");
                return Err(Failure::permanent(kind::DENIED, message));
            };
            filled.push_str(self.permitted(name, url)?.value.expose());
            let (text, next) = match after.split_once(BEGIN) {
                Some((text, next)) => (text, Some(next)),
                None => (after, None),
            };
            filled.push_str(text);
            if filled.len() > most {
                let message =
                    format!("the headers have more than {most} bytes with the secrets that they name");
                return Err(Failure::permanent(kind::LIMIT, message));
            }
            match next {
                Some(next) => rest = next,
                None => return Ok(Some(filled)),
            }
        }
    }

    fn permitted(&self, name: &str, url: &Url) -> Result<&Secret, Failure> {
        let denied = |message: String| Err(Failure::permanent(kind::DENIED, message));
        let Some(secret) = self.by_name.get(name) else {
            let shown: String = name.chars().take(SHOWN).collect();
            return denied(format!("there is no secret `{shown}` (`forge secrets set` sets one)"));
        };
        if secret.is_bound_to(url) {
            return Ok(secret);
        }
        let server = server(url);
        if secret.hosts.is_empty() {
            return denied(format!(
                "the secret `{name}` may not be sent to {server}: it is bound to no server"
            ));
        }
        let hosts: Vec<String> = secret.hosts.iter().map(Rule::to_string).collect();
        let hosts = hosts.join(", ");
        denied(format!("the secret `{name}` may not be sent to {server}: it is bound to others ({hosts})"))
    }

    /// Checks the URL of a redirect: a server that knows a secret must not pass it on to another server in a URL.
    pub(crate) fn permit_redirect(&self, url: &Url) -> Result<(), Failure> {
        let Some(redactor) = &self.all else { return Ok(()) };
        let url_bytes = url.as_str().as_bytes();
        if url_bytes.len() > LONGEST_REDIRECT {
            let message = format!(
                "a redirect leads to a URL of {} bytes; the most that is searched for secrets is {LONGEST_REDIRECT}",
                url_bytes.len()
            );
            return Err(Failure::permanent(kind::LIMIT, message));
        }
        let found = redactor.found(url_bytes, &mut Work::for_answer(url_bytes.len()));
        let found = found
            .map_err(|error| Failure::permanent(kind::DENIED, format!("the URL of a redirect: {error}")))?;
        found.into_iter().try_for_each(|name| self.permitted(name, url).map(|_| ()))
    }

    /// Replaces each value by `[secret:NAME]`. It finds values in plain text, escaped for JSON, URLs, forms and HTML, in
    /// base64 and in hexadecimal digits, alone or as part of longer text, in up to three encodings one in the other. A text
    /// that has too many encodings in encodings is replaced as a whole.
    ///
    /// It protects against servers that reveal a value by accident, for example in an error that quotes the request. A
    /// server can always encode a value in a form that is not searched for.
    pub fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let Some(redactor) = &self.all else { return Cow::Borrowed(bytes) };
        let redacted = redactor.redact(bytes, &mut Work::for_answer(bytes.len()));
        redacted.unwrap_or_else(|error| Cow::Owned(format!("[a text was removed: {error}]").into_bytes()))
    }

    /// Replaces each value in a text, as [`Secrets::redact`] does.
    pub fn redact_text(&self, text: String) -> String {
        match self.redact(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

impl Secret {
    fn is_bound_to(&self, url: &Url) -> bool {
        self.hosts.iter().any(|rule| rule.names(url))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 100;

    fn secrets() -> Secrets {
        let secret = |value: &str, hosts: &[&str]| Secret {
            value: SecretValue::new(value).unwrap(),
            hosts: hosts.iter().map(|rule| rule.parse().unwrap()).collect(),
        };
        let secrets = [
            ("ONE", secret("value-of-one", &["https://a.example", "http://*.b.example:81"])),
            ("TWO", secret("{{secret:ONE}}", &["https://a.example"])),
            ("UNBOUND", secret("value-of-unbound", &[])),
        ];
        Secrets::new(secrets.map(|(name, secret)| (name.to_owned(), secret)).into()).unwrap()
    }

    fn fill(url: &str, value: &str) -> Result<Option<String>, Failure> {
        secrets().fill(&Url::parse(url).unwrap(), value, MOST)
    }

    #[test]
    fn a_place_for_a_secret_is_filled_wherever_it_is_in_a_value() {
        for (value, filled) in [
            ("{{secret:ONE}}", "value-of-one"),
            ("Bearer {{secret:ONE}}", "Bearer value-of-one"),
            ("<{{secret:ONE}}, {{secret:ONE}}>", "<value-of-one, value-of-one>"),
            ("{{{secret:ONE}}}", "{value-of-one}"),
            ("{{secret:TWO}}", "{{secret:ONE}}"),
        ] {
            assert_eq!(fill("https://a.example/x", value), Ok(Some(filled.to_owned())), "{value}");
        }
        for value in ["", "plain", "{{secret}}", "{secret:ONE}", "{{ secret:ONE}}", "{{SECRET:ONE}}"] {
            assert_eq!(fill("https://a.example/x", value), Ok(None), "{value}");
        }
        assert_eq!(Secrets::none().fill(&Url::parse("http://a/").unwrap(), "plain", MOST), Ok(None));
    }

    #[test]
    fn a_secret_goes_to_the_servers_that_it_is_bound_to() {
        assert!(fill("http://x.b.example:81/", "{{secret:ONE}}").is_ok());
        for url in
            ["http://a.example/", "https://a.example:444/", "https://b.a.example/", "http://b.example:81/"]
        {
            let failure = fill(url, "{{secret:ONE}}").unwrap_err();
            assert_eq!((failure.kind.as_str(), failure.retryable), (kind::DENIED, false));
            let expected = format!(
                "the secret `ONE` may not be sent to {}: it is bound to others (https://a.example, \
                 http://*.b.example:81)",
                server(&Url::parse(url).unwrap())
            );
            assert_eq!(failure.message, expected);
        }
        let unbound = fill("https://a.example/", "{{secret:UNBOUND}}").unwrap_err();
        assert!(unbound.message.ends_with("https://a.example:443: it is bound to no server"), "{unbound}");
    }

    #[test]
    fn what_names_no_secret_is_denied() {
        for (value, why) in [
            ("{{secret:THREE}}", "there is no secret `THREE`"),
            ("{{secret:one}}", "there is no secret `one`"),
            ("{{secret: ONE }}", "there is no secret ` ONE `"),
            ("{{secret:}}", "there is no secret ``"),
            ("{{secret:ONE}} {{secret:ONE", "without `}}`"),
        ] {
            for secrets in [secrets(), Secrets::none()] {
                let url = Url::parse("https://a.example/").unwrap();
                let failure = secrets.fill(&url, value, MOST).unwrap_err();
                assert_eq!((failure.kind.as_str(), failure.retryable), (kind::DENIED, false));
                assert!(secrets.is_empty() || failure.message.contains(why), "{failure}");
            }
        }
    }

    #[test]
    fn many_places_for_a_secret_do_not_make_a_header_as_long_as_they_want() {
        let failure = fill("https://a.example/", &"{{secret:ONE}}".repeat(9)).unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.retryable), (kind::LIMIT, false));
    }

    #[test]
    fn a_redirect_does_not_carry_a_secret_elsewhere() {
        let secrets = secrets();
        let permit = |url: &str| secrets.permit_redirect(&Url::parse(url).unwrap());
        assert!(permit("https://evil.example/?a=b").is_ok());
        assert!(permit("https://a.example/?key=value-of-one").is_ok(), "it knows it");
        for url in ["https://evil.example/?key=value-of-one", "https://evil.example/%76alue-of-one"] {
            assert_eq!(permit(url).unwrap_err().kind, kind::DENIED, "{url}");
        }
    }

    #[test]
    fn a_set_has_names_that_can_be_written_and_no_more_than_can_be_looked_for() {
        let one = |name: &str, len: usize| {
            let secret = Secret { value: SecretValue::new("x".repeat(len)).unwrap(), hosts: Vec::new() };
            (name.to_owned(), secret)
        };
        assert!(matches!(Secrets::new([one("a b", 8)].into()), Err(SecretError::InvalidName(_))));
        let most = 64 << 10;
        assert!(Secrets::new([one("a", most), one("b", most)].into()).is_ok());
        let many = Secrets::new([one("a", most), one("b", most), one("c", 8)].into());
        assert!(matches!(many, Err(SecretError::TooMuch { .. })));
        assert_eq!(format!("{:?}", secrets()), r#"{"ONE", "TWO", "UNBOUND"}"#);
    }
}
