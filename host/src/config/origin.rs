use std::fmt;
use std::str::FromStr;

use url::Url;

/// The origin of web pages: `https://app.example.com`, or with a port, `http://localhost:5173`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// The error of a text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the origin of web pages, such as https://app.example.com or http://localhost:5173: give the scheme, the name \
     and the port, without a path"
)]
pub struct InvalidOrigin(String);

impl Origin {
    /// Returns the origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let url = Url::parse(text).map_err(|_| invalid())?;
        let origin = url.origin().ascii_serialization();
        // Everything else that a URL may have is not part of an origin.
        let rest = url.as_str().strip_prefix(&origin);
        if matches!(url.scheme(), "http" | "https") && matches!(rest, Some("" | "/")) {
            Ok(Self(origin))
        } else {
            Err(invalid())
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for (text, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://APP.example.com:443/", "https://app.example.com"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), origin);
        }
        for wrong in [
            "*",
            "null",
            "",
            "app.example.com",
            "localhost:5173",
            "https://a.example/path",
            "https://a.example?x",
            "https://user@a.example",
            "https://*.a.example/x",
            "file:///a",
            "ftp://a.example",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
