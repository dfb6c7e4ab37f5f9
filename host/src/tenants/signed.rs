//! Signed tokens: what a browser presents instead of an API key.
//!
//! A token states what its bearer may do, and is signed with a secret that all nodes of the installation have. Nothing is
//! stored for it. It acts for the API key that made it, and is valid no longer than that key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use forge_journal::RunId;
use forge_store::directory::SigningSecret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::TenantError;
use forge_clock as clock;

/// The prefixes of tokens, by which people and scanners for leaked secrets recognise them. No id of an API key is such a word.
const RUN: &str = "forge_run_";
const SESSION: &str = "forge_session_";

/// The longest token that is read. Longer ones were not made here: the longest has a tenant's name of 63 bytes.
const LONGEST: usize = 1 << 10;

/// The size of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// What a token states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The id of the API key that made it; `None` on a host without API keys.
    pub(super) key: Option<String>,
    /// When it expires.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(super) expires_at: DateTime<Utc>,
    pub(super) scope: Scope,
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// Reading one run.
    Run { tenant: String, run: RunId, payloads: bool },
    /// A session of a browser, which does what the API key may.
    Session { csrf: String },
}

impl Scope {
    fn prefix(&self) -> &'static str {
        match self {
            Self::Run { .. } => RUN,
            Self::Session { .. } => SESSION,
        }
    }
}

/// Returns whether a text has the form of a run token.
pub(crate) fn is_run_token(text: &str) -> bool {
    text.starts_with(RUN)
}

/// Signs tokens and checks their signatures.
pub(super) struct Signer(Zeroizing<SigningSecret>);

impl Signer {
    pub(super) fn new(secret: SigningSecret) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// Returns the token with these claims.
    pub(super) fn sign(&self, claims: &Claims) -> Result<String, TenantError> {
        let (prefix, claims) = (claims.scope.prefix(), URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?));
        let signature = URL_SAFE_NO_PAD.encode(self.mac(prefix, &claims).finalize().into_bytes());
        Ok(format!("{prefix}{claims}.{signature}"))
    }

    /// Returns the claims of a token that was signed here and has not expired.
    pub(super) fn open(&self, token: &str) -> Option<Claims> {
        let prefix = [RUN, SESSION].into_iter().find(|prefix| token.starts_with(prefix))?;
        if token.len() > LONGEST {
            return None;
        }
        let (claims, signature) = token.strip_prefix(prefix)?.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(prefix, claims).verify_slice(&signature).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        (claims.scope.prefix() == prefix && clock::now().to_datetime() < claims.expires_at).then_some(claims)
    }

    /// No prefix is the begin of another one, so no two tokens have the same text.
    fn mac(&self, prefix: &str, claims: &str) -> Hmac<Sha256> {
        // A key that is shorter than a block is filled up with zeros.
        let mut block = Zeroizing::new([0; BLOCK]);
        block[..self.0.len()].copy_from_slice(&*self.0);
        Hmac::new((&*block).into()).chain_update(prefix).chain_update(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(scope: Scope) -> Claims {
        Claims {
            key: Some("0123456789ab".to_owned()),
            expires_at: clock::now().plus(60_000).to_datetime(),
            scope,
        }
    }

    fn of_run() -> Claims {
        claims(Scope::Run { tenant: "acme".to_owned(), run: clock::new_run_id(), payloads: true })
    }

    #[test]
    fn a_token_says_what_was_signed_and_another_secret_does_not_open_it() {
        let (signer, other) = (Signer::new([1; 32]), Signer::new([2; 32]));
        for claims in [of_run(), claims(Scope::Session { csrf: "c".to_owned() })] {
            let token = signer.sign(&claims).unwrap();
            assert_eq!(signer.open(&token), Some(claims));
            assert_eq!(other.open(&token), None);
        }
        assert!(is_run_token(&signer.sign(&of_run()).unwrap()));
    }

    #[test]
    fn a_token_of_which_anything_was_changed_or_cut_is_none() {
        let signer = Signer::new([1; 32]);
        let token = signer.sign(&of_run()).unwrap();
        for end in 0..token.len() {
            assert_eq!(signer.open(&token[..end]), None, "{end}");
        }
        for place in 0..token.len() {
            let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
            let mut changed = token.clone();
            changed.replace_range(place..=place, other);
            assert_eq!(signer.open(&changed), None, "{place}: {changed}");
        }
        let unsigned = token.split_once('.').unwrap().0;
        for wrong in [&token.replace(RUN, SESSION), unsigned, &format!("{unsigned}."), &format!("{token}A")] {
            assert_eq!(signer.open(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_that_has_expired_is_none() {
        let signer = Signer::new([1; 32]);
        let expired = Claims { expires_at: clock::now().to_datetime(), ..of_run() };
        assert_eq!(signer.open(&signer.sign(&expired).unwrap()), None);
    }
}
