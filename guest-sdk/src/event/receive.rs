//! Receiving an event.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::host;
use crate::call;
use crate::error::{Error, Failure, Result, short_type_name};
use crate::timestamp::millis;

/// A receiver of one event. [`recv`](EventReceiver::recv) waits for the event,
/// [`try_recv`](EventReceiver::try_recv) does not.
#[derive(Debug)]
#[must_use = "no event is received until `.recv().await` or `.try_recv().await`"]
pub struct EventReceiver {
    name: String,
    timeout: Option<Duration>,
}

impl EventReceiver {
    pub(super) fn new(name: String) -> Self {
        EventReceiver { name, timeout: None }
    }

    /// Sets the time after which [`recv`](Self::recv) fails with kind `timeout`. An event that comes later is
    /// kept for the next call.
    pub fn timeout(self, timeout: Duration) -> Self {
        EventReceiver { timeout: Some(timeout), ..self }
    }

    /// Waits for the next event and returns its payload. Each event is received once. Several calls that wait
    /// for events of one name get them in the order of the calls.
    ///
    /// If this future is dropped before an event came, the event is kept for the next call.
    ///
    /// # Errors
    /// Returns a [`Failure`] of kind `timeout` if no event came in time, and of kind `invalid-input` if the
    /// payload does not deserialise as `T`, or the name is longer than 255 bytes or has control characters.
    /// An event with such a payload is received: the next call gets the next event.
    pub async fn recv<T: DeserializeOwned>(self) -> Result<T> {
        let payload = self.receive(self.timeout.map(millis)).await.map_err(Error::new)?;
        self.read(&payload)
    }

    /// Returns the payload of an event that is there, or `None`. It does not wait, whatever the timeout.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// #[forge::workflow]
    /// async fn total(ctx: &WorkflowContext, _input: ()) -> Result<u32> {
    ///     ctx.event("closed").recv::<()>().await?;
    ///     let mut total = 0;
    ///     while let Some(amount) = ctx.event("amount").try_recv::<u32>().await? {
    ///         total += amount;
    ///     }
    ///     Ok(total)
    /// }
    ///
    /// use forge::testing::{TestEvent, TestRun};
    ///
    /// let run = TestRun::new(TotalWorkflow)
    ///     .event(TestEvent::new("amount", 40))
    ///     .event(TestEvent::new("amount", 2))
    ///     .event(TestEvent::new("closed", ()))
    ///     .run(());
    /// assert_eq!(*run.output(), 42);
    /// ```
    ///
    /// # Errors
    /// As [`recv`](Self::recv), without `timeout`.
    pub async fn try_recv<T: DeserializeOwned>(self) -> Result<Option<T>> {
        match self.receive(Some(0)).await {
            Ok(payload) => self.read(&payload).map(Some),
            Err(failure) if failure.is_timeout() => Ok(None),
            Err(failure) => Err(Error::new(failure)),
        }
    }

    async fn receive(&self, timeout: Option<u64>) -> Result<String, Failure> {
        let call = call::perform(|scope| host::receive(scope, &self.name, timeout)).await;
        host::take(call).map_err(Failure::from)
    }

    fn read<T: DeserializeOwned>(&self, payload: &str) -> Result<T> {
        serde_json::from_str(payload).map_err(|error| {
            let (name, expected) = (&self.name, short_type_name::<T>());
            let message = format!("the payload of event `{name}` is not a `{expected}`: {error}");
            Failure::new(Failure::INVALID_INPUT, message).not_retryable().into()
        })
    }
}
