//! Redaction finds a value in every form in which servers commonly return it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::{Secret, SecretValue, Secrets, check_value};

fn secrets(values: &[(&str, &str)]) -> Secrets {
    let secret = |value: &str| Secret { value: SecretValue::new(value).unwrap(), hosts: Vec::new() };
    let by_name: BTreeMap<String, Secret> =
        values.iter().map(|(name, value)| ((*name).to_owned(), secret(value))).collect();
    Secrets::new(by_name).unwrap()
}

fn redacted(secrets: &Secrets, text: &str) -> String {
    String::from_utf8(secrets.redact(text.as_bytes()).into_owned()).unwrap()
}

fn json_string(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Returns a value in the encodings that do not depend on the surrounding text.
fn texts(value: &str) -> Vec<(&'static str, String)> {
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let json = json_string(value);
    let numbers = value.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
    vec![
        ("plain", value.to_owned()),
        ("json with slashes", json.replace('/', "\\/")),
        ("json for html", json.replace('<', "\\u003c").replace('&', "\\u0026").replace('+', "\\u002B")),
        ("json in json", json_string(&json)),
        ("json", json),
        ("numbers", numbers),
        ("percent twice", utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string()),
        ("percent in lower case", percent.replace("%2F", "%2f").replace("%3D", "%3d").replace("%2B", "%2b")),
        ("percent", percent),
        ("form", form),
        ("html", html(value)),
        ("html with numbers", value.bytes().map(|byte| format!("&#{byte};")).collect()),
    ]
}

/// Returns a text in one of the encodings.
fn encoded(encoding: usize, text: &str) -> String {
    match encoding {
        0 => json_string(text),
        1 => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        2 => html(text),
        3 => STANDARD.encode(text),
        4 => URL_SAFE_NO_PAD.encode(text),
        // As MIME has it.
        5 => STANDARD
            .encode(text)
            .as_bytes()
            .chunks(76)
            .map(|line| str::from_utf8(line).unwrap())
            .collect::<Vec<_>>()
            .join("\r\n"),
        6 => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        _ => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
    }
}

fn values() -> impl Strategy<Value = String> {
    "[ -~\t]{8,60}".prop_filter("a value that is valid", |value| check_value(value).is_ok())
}

proptest! {
    #[test]
    fn nothing_of_a_value_remains_in_a_text(value in values(), before in "[0-9a-z:,{}]{0,9}", after in "[0-9a-z:,{}]{0,9}") {
        let secrets = secrets(&[("K", &value), ("OTHER", "another-secret")]);
        for (form, text) in texts(&value) {
            let found = redacted(&secrets, &format!("{before}{text}{after} another-secret"));
            prop_assert_eq!(found, format!("{before}[secret:K]{after} [secret:OTHER]"), "{}", form);
        }
    }

    #[test]
    fn nothing_of_a_value_remains_in_base64(value in values(), before in "[0-9a-z:]{0,9}", after in "[0-9a-z:]{0,9}") {
        let secrets = secrets(&[("K", &value)]);
        let text = format!("{before}{value}{after}");
        let first = before.len() * 8 / 6;
        let end = ((before.len() + value.len()) * 8).div_ceil(6);
        for base64 in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            let encoded = base64.encode(&text);
            let expected = format!("{}[secret:K]{}", &encoded[..first], &encoded[end..]);
            prop_assert_eq!(redacted(&secrets, &encoded), expected.as_str());
            // As PHP writes it, and in a URL.
            let escaped = redacted(&secrets, &encoded.replace('/', "\\/"));
            prop_assert_eq!(escaped.replace("\\/", "/"), expected.as_str());
            let escaped = redacted(&secrets, &utf8_percent_encode(&encoded, NON_ALPHANUMERIC).to_string());
            prop_assert!(escaped.contains("[secret:K]"), "{}", escaped);
        }
    }

    #[test]
    fn nothing_of_a_value_remains_in_three_encodings(value in values(), layers in proptest::collection::vec(0..8_usize, 0..4), before in "[0-9a-z:, ]{0,9}", after in "[0-9a-z:, ]{0,9}") {
        // A value with escapes of its own is decoded with the text.
        let value = value.replace(['\\', '%', '&'], "-");
        let secrets = secrets(&[("K", &value)]);
        let text = format!("{before}{value}{after}");
        let encoded = layers.iter().fold(text.clone(), |text, layer| encoded(*layer, &text));
        let found = redacted(&secrets, &encoded);
        prop_assert!(found.contains("[secret:K]"), "{:?} {}", layers, encoded);
        prop_assert!(!found.contains(&value));
    }

    #[test]
    fn what_has_no_secret_stays_as_it_is(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let secrets = secrets(&[("K", "a-value-that-is-not-there"), ("L", "with a space")]);
        prop_assert!(matches!(secrets.redact(&bytes), Cow::Borrowed(_)));
    }

    #[test]
    fn many_secrets_that_overlap_leave_nothing_of_any(text in "[ab]{0,200}", values in proptest::collection::btree_set("[ab]{8,12}", 1..8)) {
        let names: Vec<String> = (0..values.len()).map(|number| format!("K{number}")).collect();
        let pairs: Vec<(&str, &str)> =
            names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut is_secret = vec![false; text.len()];
        for value in &values {
            for at in 0..text.len().saturating_sub(value.len() - 1) {
                if text[at..].starts_with(value.as_str()) {
                    is_secret[at..at + value.len()].fill(true);
                }
            }
        }
        let rest: String = text.chars().zip(&is_secret).filter(|(_, secret)| !**secret).map(|(letter, _)| letter).collect();
        let found = redacted(&secrets(&pairs), &text);
        let without_marks: String = found.split(']').map(|part| part.split('[').next().unwrap()).collect();
        prop_assert_eq!(without_marks, rest);
    }
}

#[test]
fn an_answer_names_the_secrets_that_were_in_it() {
    let secrets = secrets(&[("KEY", "abcdefgh"), ("LONG", "abcdefghijkl"), ("QUOTED", "a\"b\\c/d e")]);
    for (text, expected) in [
        ("abcdefgh abcdefghijkl!", "[secret:KEY] [secret:LONG]!"),
        ("abcdefghabcdefgh", "[secret:KEY][secret:KEY]"),
        ("abcdefgabcdefg", "abcdefgabcdefg"),
        (r#"{"echo":"a\"b\\c\/d e"}"#, r#"{"echo":"[secret:QUOTED]"}"#),
        ("key=a%22b%5Cc%2fd+e&x=+", "key=[secret:QUOTED]&x=+"),
        ("<p>a&quot;b\\c/d e</p>", "<p>[secret:QUOTED]</p>"),
        // `user:abcdefgh`
        ("Basic dXNlcjphYmNkZWZnaA==", "Basic dXNlcj[secret:KEY]=="),
    ] {
        assert_eq!(redacted(&secrets, text), expected);
    }
    let binary = [&[0xff, 0][..], b"abcdefgh", &[0xfe]].concat();
    assert_eq!(&*secrets.redact(&binary), b"\xff\0[secret:KEY]\xfe");
}

#[test]
fn a_value_is_found_in_base64_of_a_url_of_hexadecimal_digits_and_in_lines() {
    let long = format!("{}end", "a long one, ".repeat(20));
    let secrets = secrets(&[("KEY", "sk_live_AbCdEfGh"), ("LONG", &long)]);
    let hex = encoded(6, "<sk_live_AbCdEfGh>").replace('6', "%36");
    let text = format!("echo={}.", encoded(3, &format!("https://a.example/?key={hex}&b=c")));
    let found = redacted(&secrets, &text);
    assert!(found.starts_with("echo=aHR0cHM6") && found.contains("[secret:KEY]"), "{found}");
    let lines = redacted(&secrets, &format!("To: a\r\n\r\n{}\r\n.", encoded(5, &long)));
    assert_eq!(lines, "To: a\r\n\r\n[secret:LONG]\r\n.");
    // Names of headers are in lower case.
    assert_eq!(redacted(&secrets, "x-sk_live_abcdefgh"), "x-[secret:KEY]");
}

#[test]
fn only_the_secrets_that_a_server_knows_are_searched_for() {
    let secret = |value: &str, host: &str| {
        let hosts = vec![host.parse().unwrap()];
        Secret { value: SecretValue::new(value).unwrap(), hosts }
    };
    let by_name = [
        ("A".to_owned(), secret("value-of-a", "https://*.a.example")),
        ("B".to_owned(), secret("value-of-b", "https://x.a.example")),
        ("C".to_owned(), secret("value-of-c", "https://c.example")),
    ];
    let secrets = Secrets::new(by_name.into()).unwrap();
    let text = "value-of-a value-of-b value-of-c";
    for (urls, expected) in [
        (&["https://x.a.example/"][..], "[secret:A] [secret:B] value-of-c"),
        (&["https://y.a.example/"], "[secret:A] value-of-b value-of-c"),
        (&["https://y.a.example/", "https://c.example/"], "[secret:A] value-of-b [secret:C]"),
    ] {
        let mut known = super::Known::default();
        urls.iter().for_each(|url| known.add(secrets.known_to(&url.parse().unwrap())));
        let mut search = secrets.search(&known).unwrap().unwrap();
        assert_eq!(search.redact_text(text.to_owned()).unwrap(), expected);
        assert!(search.examined() >= text.len() as u64);
    }
    let nobody = secrets.known_to(&"https://evil.example/".parse().unwrap());
    assert!(nobody.is_empty() && secrets.search(&nobody).unwrap().is_none());
}

#[test]
fn an_answer_of_secrets_alone_does_not_become_many_times_as_long() {
    let name = "N".repeat(64);
    let secrets = secrets(&[(&name, "abcdefgh")]);
    let text = "abcdefgh".repeat(100_000);
    let found = redacted(&secrets, &text);
    assert!(found.len() < text.len() + (66 << 10) && !found.contains("abcdefgh"));
    assert!(found.starts_with(&format!("[secret:{name}]")) && found.ends_with("[secret]"));
}

#[test]
fn secrets_that_are_alike_take_no_longer_than_others() {
    // Were each place compared with each value, this would be 10^11 comparisons.
    let values: Vec<(String, String)> =
        (0..16).map(|number| (format!("K{number}"), format!("{}b", "a".repeat(4_000 + number)))).collect();
    let pairs: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let secrets = secrets(&pairs);
    let text = "a".repeat(2 << 20);
    assert!(matches!(secrets.redact(text.as_bytes()), Cow::Borrowed(_)));
}
