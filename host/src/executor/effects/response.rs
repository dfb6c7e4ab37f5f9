//! A response that a person gives for a request in doubt. It must be one that a server could have sent.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forge_journal::http::HttpResponse;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// The status codes of a response. Those below 200 announce another response.
const STATUS: RangeInclusive<u64> = 200..=999;

/// The fields of a response.
const FIELDS: [&str; 4] = ["status", "headers", "body", "body_base64"];

/// Returns the response.
///
/// # Errors
/// What is wrong, and with which field.
pub(super) fn given(text: &str) -> Result<HttpResponse, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("it is not a response: {error}"))?;
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("`{unknown}` is no field of a response; there are: {}", FIELDS.join(", ")));
    }
    let status = fields.get("status").unwrap_or(&Value::Null);
    if !status.as_u64().is_some_and(|status| STATUS.contains(&status)) {
        let (first, last) = (STATUS.start(), STATUS.end());
        return Err(format!(
            "`status` is {status}, and that of a response is a number from {first} to {last}"
        ));
    }
    let mut response = HttpResponse::from_json(text)?;
    for (place, (name, value)) in response.headers.iter_mut().enumerate() {
        // The journal has names in lower case.
        *name = match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => name.as_str().to_owned(),
            Err(_) => return Err(format!("`headers[{place}]`: {name:?} cannot be the name of a header")),
        };
        if HeaderValue::from_bytes(value.as_bytes()).is_err() {
            return Err(format!("`headers[{place}]`: {value:?} cannot be the value of the header {name}"));
        }
    }
    if fields.contains_key("body") && fields.contains_key("body_base64") {
        return Err("it has both `body` and `body_base64`: leave one of them out".to_owned());
    }
    if let Some(Value::String(base64)) = fields.get("body_base64")
        && let Err(error) = STANDARD.decode(base64)
    {
        return Err(format!("`body_base64` is not base64: {error}"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_one_that_a_server_could_have_sent() {
        let good = r#"{"status":201,"headers":[["Content-Type","text/plain"],["x","\u00e4"]],"body":"paid"}"#;
        let response = given(good).unwrap();
        assert_eq!(response.headers[0], ("content-type".to_owned(), "text/plain".to_owned()));
        for (wrong, field) in [
            (r#"{"status":42}"#, "`status` is 42"),
            (r#"{"status":101}"#, "`status` is 101"),
            (r#"{"status":1000}"#, "`status` is 1000"),
            (r#"{"status":70000}"#, "`status` is 70000"),
            (r#"{"body":""}"#, "`status` is null"),
            (r#"{"status":200,"headers":[["a","b"],["a b","c"]]}"#, "`headers[1]`: \"a b\""),
            (r#"{"status":200,"headers":[["","c"]]}"#, "`headers[0]`"),
            (r#"{"status":200,"headers":[["a","b\r\nc: d"]]}"#, "`headers[0]`"),
            (r#"{"status":200,"body_base64":"%"}"#, "`body_base64`"),
            (r#"{"status":200,"body_base64":"","body":""}"#, "`body` and `body_base64`"),
            (r#"{"status":200,"bodyy":""}"#, "`bodyy`"),
            (r#""paid""#, "it is not a response"),
        ] {
            let error = given(wrong).unwrap_err();
            assert!(error.contains(field), "{wrong}: {error}");
        }
    }
}
