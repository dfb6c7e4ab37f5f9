//! Events in tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::Failure;
use crate::test_host::{NEVER, TestHost, json};

/// An event for the run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestEvent {
    /// The name.
    pub name: String,
    /// The payload, as JSON.
    pub payload: String,
    /// The key, if it has one.
    pub key: Option<String>,
    /// The time from the start of the run until the event comes.
    pub after: Duration,
}

impl TestEvent {
    /// Returns an event that is there when the run starts.
    pub fn new(name: &str, payload: impl Serialize) -> Self {
        TestEvent { name: name.to_owned(), payload: json(payload), key: None, after: Duration::ZERO }
    }

    /// Sets the key. Of several events with one name and one key, the run gets the first.
    pub fn key(self, key: &str) -> Self {
        TestEvent { key: Some(key.to_owned()), ..self }
    }

    /// Sets the time from the start of the run until the event comes.
    pub fn after(self, after: Duration) -> Self {
        TestEvent { after, ..self }
    }
}

/// An event that the workflow sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestSentEvent {
    /// The step that sent it, itself or in its compensation. `None` for the workflow's body.
    pub step: Option<String>,
    /// The run that it was sent to.
    pub run_id: Uuid,
    /// The name.
    pub name: String,
    /// The payload, as JSON.
    pub payload: String,
    /// The key that the workflow gave it, if it gave one.
    pub key: Option<String>,
}

impl TestSentEvent {
    /// Returns the payload, deserialised from JSON.
    ///
    /// # Panics
    /// If the payload does not deserialise as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.payload) {
            Ok(value) => value,
            Err(error) => panic!("the payload of event `{}`: {error}", self.name),
        }
    }
}

/// What makes two events one: the run, the name, and the key of the workflow or the path of the call.
type Identity = (Uuid, String, Key);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Given(String),
    Path(String),
}

/// The state of the test host for events.
#[derive(Default)]
pub(crate) struct Events {
    /// The events that the run has not received, by their number.
    pub(crate) inbox: BTreeMap<u64, TestEvent>,
    /// The number of the last event.
    last: u64,
    /// The calls that wait for an event, in their order, with the name.
    waiting: BTreeMap<u64, String>,
    /// The events that the workflow sent.
    pub(crate) sent: Vec<TestSentEvent>,
    known: BTreeSet<Identity>,
    /// The times at which other runs end: then they take no more events.
    ends: BTreeMap<Uuid, u64>,
}

/// The outcome of a call that receives: the event and its number.
struct Received(Result<(u64, TestEvent), Failure>);

/// The outcome of a call that sends.
struct Sent(Result<(), Failure>);

/// Adds an event that comes after its time.
pub(crate) fn schedule(host: &mut TestHost, event: TestEvent) {
    host.schedule(event.after, move |host| {
        let identity = event.key.clone().map(|key| (host.run_id, event.name.clone(), Key::Given(key)));
        if identity.is_none_or(|identity| host.effect::<Events>().known.insert(identity)) {
            arrive(host, event);
        }
    });
}

/// Sets the time at which another run ends.
pub(crate) fn ends_at(host: &mut TestHost, run_id: Uuid, time: u64) {
    host.effect::<Events>().ends.insert(run_id, time);
}

/// Returns the failure of an event to a run that has ended.
fn has_ended(host: &mut TestHost, run_id: Uuid) -> Option<Failure> {
    let now = host.now();
    host.effect::<Events>().ends.get(&run_id).filter(|end| **end <= now)?;
    Some(Failure::permanent(format!("run {run_id} has ended, so it takes no more events")))
}

/// Adds an event to the run's inbox, and gives it to the first call that waits for it.
fn arrive(host: &mut TestHost, event: TestEvent) {
    let events = host.effect::<Events>();
    events.last += 1;
    events.inbox.insert(events.last, event);
    deliver(host);
}

/// Gives each waiting call the first event of its name.
fn deliver(host: &mut TestHost) {
    let mut waiting = std::mem::take(&mut host.effect::<Events>().waiting);
    waiting.retain(|call, name| {
        if !host.is_under_way(*call) {
            return false;
        }
        let inbox = &mut host.effect::<Events>().inbox;
        let first = inbox.iter().find(|(_, event)| event.name == *name).map(|(number, _)| *number);
        let Some(event) = first.and_then(|number| inbox.remove_entry(&number)) else { return true };
        host.complete(*call, Received(Ok(event)));
        false
    });
    host.effect::<Events>().waiting = waiting;
}

/// Gives back the event of a call that was dropped after the event came and before the workflow saw it.
fn cancelled(host: &mut TestHost, outcome: Received) {
    if let Received(Ok((number, event))) = outcome {
        host.effect::<Events>().inbox.insert(number, event);
        deliver(host);
    }
}

/// Returns why an event cannot have a name or a key, which the real host rejects.
fn refuse(what: &str, text: &str) -> Option<Failure> {
    let why = match text.len() {
        0 | 256.. => format!("it must have 1 to 255 bytes, and has {}", text.len()),
        _ if text.contains(char::is_control) => "it must not have control characters".to_owned(),
        _ => return None,
    };
    Some(
        Failure::new(Failure::INVALID_INPUT, format!("the {what} of an event is refused: {why}"))
            .not_retryable(),
    )
}

/// The host's interface `events`.
pub(super) mod host {
    use std::time::Duration;

    use uuid::Uuid;

    use super::{
        Events, Key, NEVER, Received, Sent, TestEvent, TestSentEvent, arrive, cancelled, deliver, has_ended,
        refuse,
    };
    use crate::bindings::Failure as WireFailure;
    use crate::error::Failure;
    use crate::test_host::with;

    pub(crate) fn receive(scope: u64, name: &str, timeout: Option<u64>) -> u64 {
        with(|host| {
            host.places.next_call(scope);
            if let Some(failure) = refuse("name", name) {
                return host.submit(0, Received(Err(failure)));
            }
            let message = format!("no event `{name}` came in time");
            let late = Received(Err(Failure::new(Failure::TIMEOUT, message)));
            let call = host.submit(timeout.unwrap_or(NEVER), late);
            host.when_cancelled(call, cancelled);
            host.effect::<Events>().waiting.insert(call, name.to_owned());
            // An event that comes at this moment is there before the timeout ends.
            host.happen();
            deliver(host);
            call
        })
    }

    pub(crate) fn take(call: u64) -> Result<String, WireFailure> {
        with(|host| {
            let Received(outcome) = host.take(call);
            let (_, event) = outcome?;
            Ok(event.payload)
        })
    }

    pub(crate) fn send(scope: u64, run_id: &str, name: &str, payload: &str, key: Option<&str>) -> u64 {
        with(|host| {
            let path = host.places.next_call(scope);
            let refused = refuse("name", name).or_else(|| refuse("key", key?));
            let run_id = Uuid::parse_str(run_id).expect("the SDK sends events to ids");
            if let Some(failure) = refused.or_else(|| has_ended(host, run_id)) {
                return host.submit(0, Sent(Err(failure)));
            }
            let own = key.map_or(Key::Path(path), |key| Key::Given(key.to_owned()));
            if host.effect::<Events>().known.insert((run_id, name.to_owned(), own)) {
                let step = host.step_name(scope);
                let (name, payload, key) = (name.to_owned(), payload.to_owned(), key.map(str::to_owned));
                let after = Duration::from_millis(host.elapsed());
                let own = TestEvent { name: name.clone(), payload: payload.clone(), key: key.clone(), after };
                host.effect::<Events>().sent.push(TestSentEvent { step, run_id, name, payload, key });
                if run_id == host.run_id {
                    arrive(host, own);
                }
            }
            host.submit(0, Sent(Ok(())))
        })
    }

    pub(crate) fn sent(call: u64) -> Result<(), WireFailure> {
        let Sent(outcome) = with(|host| host.take(call));
        Ok(outcome?)
    }
}
