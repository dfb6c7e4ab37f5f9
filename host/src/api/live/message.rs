//! The messages of clients.

use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::ApiError;
use crate::executor::live::FollowRun;
use forge_journal::RunId;

/// The id of a subscription to a list, unless the client gives one.
const LIST: &str = "runs";

/// The bytes of the id of a subscription: as many as an idempotency key has.
const LONGEST_ID: usize = 255;

/// A message of a client.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// The credentials, in the first message.
    Token(String),
    /// A subscription with this id.
    Subscribe(String, Target),
    /// The end of a subscription.
    Unsubscribe(String),
}

/// What a client subscribes to.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Run(FollowRun),
    /// A page of runs: the query of a list.
    List(String),
}

/// The fields of all messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    token: Option<String>,
    subscribe: Option<Subscribe>,
    unsubscribe: Option<String>,
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    run: Option<Uuid>,
    runs: Option<Map<String, Value>>,
    since: Option<u64>,
    payloads: Option<bool>,
    logs: Option<bool>,
}

impl Message {
    /// Reads a message.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let fields: Fields = serde_json::from_str(text)
            .map_err(|error| ApiError::invalid_body(format!("the message cannot be read: {error}")))?;
        match fields {
            Fields { token: Some(token), subscribe: None, unsubscribe: None, id: None } => {
                Ok(Self::Token(token))
            }
            Fields { token: None, subscribe: None, unsubscribe: Some(id), id: None } => {
                Ok(Self::Unsubscribe(id))
            }
            Fields { token: None, subscribe: Some(subscribe), unsubscribe: None, id } => {
                let target = subscribe.target()?;
                let id = id.unwrap_or_else(|| target.default_id());
                if id.len() > LONGEST_ID {
                    let message =
                        format!("the id of a subscription has {} bytes; the most is {LONGEST_ID}", id.len());
                    return Err(ApiError::invalid_body(message));
                }
                Ok(Self::Subscribe(id, target))
            }
            _ => Err(ApiError::invalid_body(
                "a message has one of `token`, `subscribe` (with an `id` or without) and `unsubscribe`",
            )),
        }
    }
}

impl Subscribe {
    fn target(self) -> Result<Target, ApiError> {
        match self {
            Self { run: Some(run), runs: None, since, payloads, logs } => {
                let (payloads, logs) = (payloads.unwrap_or(true), logs.unwrap_or_default());
                Ok(Target::Run(FollowRun { run: RunId(run), since, payloads, logs }))
            }
            Self { run: None, runs: Some(filter), since: None, payloads: None, logs: None } => {
                Ok(Target::List(query(filter)))
            }
            _ => Err(ApiError::invalid_body(
                "`subscribe` has either `run`, with `since`, `payloads` and `logs`, or `runs` with the parameters of \
                 `GET /_api/runs`",
            )),
        }
    }
}

impl Target {
    fn default_id(&self) -> String {
        match self {
            Self::Run(follow) => follow.run.to_string(),
            Self::List(_) => LIST.to_owned(),
        }
    }
}

/// Returns parameters as the query that has them. Several values, such as statuses, are separated by commas there.
fn query(parameters: Map<String, Value>) -> String {
    fn text(value: Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Array(values) => Some(values.into_iter().filter_map(text).collect::<Vec<_>>().join(",")),
            value => Some(value.to_string()),
        }
    }
    let pairs = parameters.into_iter().filter_map(|(name, value)| Some((name, text(value)?)));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message {
        Message::read(text).unwrap()
    }

    #[test]
    fn a_message_is_a_token_a_subscription_or_the_end_of_one() {
        let run = "0199d1c4-0000-7000-8000-000000000001";
        let follow = FollowRun { run: run.parse().unwrap(), since: None, payloads: true, logs: false };
        assert_eq!(read(r#"{"token": "t"}"#), Message::Token("t".to_owned()));
        assert_eq!(read(r#"{"unsubscribe": "a"}"#), Message::Unsubscribe("a".to_owned()));
        let message = read(&format!(r#"{{"subscribe": {{"run": "{run}"}}}}"#));
        assert_eq!(message, Message::Subscribe(run.to_owned(), Target::Run(follow)));
        let text = format!(
            r#"{{"subscribe": {{"run": "{run}", "since": 7, "payloads": false, "logs": true}}, "id": "a"}}"#
        );
        let target = Target::Run(FollowRun { since: Some(7), payloads: false, logs: true, ..follow });
        assert_eq!(read(&text), Message::Subscribe("a".to_owned(), target));
    }

    #[test]
    fn the_filter_of_a_list_is_the_query_of_the_api() {
        let message = read(
            r#"{"subscribe": {"runs": {"status": ["failed", "paused"], "limit": 7, "key": "a&b", "cursor": null}}}"#,
        );
        let Message::Subscribe(id, Target::List(query)) = message else { panic!() };
        assert_eq!((&*id, &*query), ("runs", "key=a%26b&limit=7&status=failed%2Cpaused"));
        let filter = crate::api::run_filter(&query).unwrap();
        assert_eq!((filter.limit, filter.statuses.len(), filter.key.as_deref()), (7, 2, Some("a&b")));
    }

    #[test]
    fn other_messages_are_errors() {
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"token": "t", "unsubscribe": "a"}"#,
            r#"{"subscribe": {}}"#,
            r#"{"subscribe": {"run": "7"}}"#,
            r#"{"subscribe": {"runs": {}, "since": 1}}"#,
            r#"{"subscribe": {"runs": {}, "more": 1}}"#,
            r#"{"unsubscribe": "a", "id": "b"}"#,
        ] {
            assert!(Message::read(wrong).is_err(), "{wrong}");
        }
        let long = format!(r#"{{"subscribe": {{"runs": {{}}}}, "id": "{}"}}"#, "x".repeat(256));
        assert!(Message::read(&long).is_err());
    }
}
