//! Texts: rules, networks, and what the journal has of requests and answers.

use std::net::Ipv4Addr;

use forge_host::config::Database;
use forge_host::egress::{Network, Rule};
use forge_host::journal::http::{HttpRequest, HttpResponse};
use proptest::prelude::*;

use crate::fuzz;

/// Texts that come near to being rules.
fn rule() -> impl Strategy<Value = String> {
    let scheme = prop_oneof!["http://", "https://", "HTTP://", "ftp://", "//", ""];
    let label = prop_oneof!["[a-z0-9-]{0,12}", Just("*".to_owned()), Just("münchen".to_owned()), "\\PC{0,4}"];
    let host = prop_oneof![
        proptest::collection::vec(label, 0..5).prop_map(|labels| labels.join(".")),
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).to_string()),
        "\\[[0-9a-f:.%]{0,20}\\]",
        "0x[0-9a-f]{0,8}",
    ];
    let rest = prop_oneof!["", ":[0-9]{0,6}", ":[0-9]{1,5}/", "/\\PC{0,5}", "\\?[a-z]*", "@[a-z]*"];
    let near = (scheme, host, rest).prop_map(|(scheme, host, rest)| format!("{scheme}{host}{rest}"));
    prop_oneof![4 => near, 1 => "\\PC{0,40}", 1 => any::<String>()]
}

#[test]
fn a_rule_is_refused_or_shown_as_a_text_that_is_the_same_rule() {
    fuzz(20_000, rule(), |text| {
        if let Ok(rule) = text.parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule), "{}", text);
        }
        Ok(())
    });
}

#[test]
fn a_network_is_refused_or_has_the_address_that_it_is_named_by() {
    let network = prop_oneof![
        (any::<u32>(), 0_u32..200).prop_map(|(bits, length)| format!("{}/{length}", Ipv4Addr::from(bits))),
        (any::<u128>(), 0_u32..200)
            .prop_map(|(bits, length)| { format!("{}/{length}", std::net::Ipv6Addr::from(bits)) }),
        "[0-9a-f:./]{0,30}",
        any::<String>(),
    ];
    fuzz(20_000, network, |text| {
        if let Ok(network) = text.parse::<Network>()
            && let Ok(address) = text.split('/').next().unwrap_or_default().parse()
        {
            prop_assert!(network.contains(address), "{}", text);
        }
        Ok(())
    });
}

/// Fields of requests and answers, and one of neither.
const FIELDS: &[&str] =
    &["method", "url", "headers", "body", "body_base64", "timeout_ms", "at_most_once", "status", "other"];

/// JSON documents that come near to being requests and answers.
fn message() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<String>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just(serde_json::json!([["a", "b"], ["c", "d"]])),
        Just(serde_json::json!([["a"], 1])),
        (100_u16..600).prop_map(serde_json::Value::from),
    ];
    let name = proptest::sample::select(FIELDS).prop_map(str::to_owned);
    let document = proptest::collection::btree_map(name, value, 0..9)
        .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect()).to_string());
    prop_oneof![6 => document, 1 => any::<String>(), 1 => "[\\[{\":,0-9a-z]{0,40}"]
}

#[test]
fn a_message_of_the_journal_is_refused_or_written_as_it_was_read() {
    fuzz(20_000, message(), |text| {
        if let Ok(request) = HttpRequest::from_json(&text) {
            prop_assert_eq!(HttpRequest::from_json(&request.to_json().unwrap()), Ok(request.clone()));
            request.body.into_bytes();
        }
        if let Ok(answer) = HttpResponse::from_json(&text) {
            prop_assert_eq!(HttpResponse::from_json(&answer.to_json().unwrap()), Ok(answer.clone()));
            answer.body.into_bytes();
        }
        Ok(())
    });
}

#[test]
fn whatever_the_bytes_of_a_body_are_they_come_back() {
    fuzz(5_000, any::<Vec<u8>>(), |bytes| {
        let answer = HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: bytes.clone().into(),
            resent: false,
            searched: 0,
        };
        let read = HttpResponse::from_json(&answer.to_json().unwrap());
        prop_assert_eq!(read.unwrap().body.into_bytes(), bytes);
        Ok(())
    });
}

#[test]
fn a_database_is_refused_or_shown_without_its_password() {
    let url = prop_oneof![
        "postgres(ql)?://[a-z]{0,4}:s3cret@[a-z\\[\\]:0-9/?=&%]{0,20}",
        "sqlite:[a-z/:.]{0,20}",
        any::<String>(),
    ];
    fuzz(5_000, url, |text| {
        if let Ok(database) = text.parse::<Database>() {
            prop_assert!(!database.to_string().contains("s3cret"), "{}", text);
            prop_assert!(!format!("{database:?}").contains("s3cret"), "{}", text);
        }
        Ok(())
    });
}
