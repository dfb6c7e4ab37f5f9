//! Requests that wait for a run.

use std::time::Duration;

use serde::Deserialize;

use super::{Api, ApiError};
use crate::executor::{ExecutorError, WorkflowRecord};
use crate::tenants::Caller;
use forge_journal::RunId;

/// The longest time that a request may wait. Proxies close connections that are silent for longer.
pub const MAX_WAIT: Duration = Duration::from_secs(300);

/// The time to wait for a run.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Wait until the run is final or paused, for at most this number of seconds. Fractions are allowed.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 300, example = 30)]
    wait: Option<String>,
}

impl WaitQuery {
    /// Returns the time to wait, if any.
    pub(super) fn duration(&self) -> Result<Option<Duration>, ApiError> {
        let Some(wait) = &self.wait else { return Ok(None) };
        let seconds = wait.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match seconds.filter(|seconds| *seconds <= MAX_WAIT) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(ApiError::invalid_parameter(format!(
                "`wait` must be a number of seconds from 0 to {}, not `{wait}`",
                MAX_WAIT.as_secs()
            ))),
        }
    }
}

impl Api {
    /// Returns the run once it is final or paused, or as it is after `at_most` or when the host stops.
    pub(super) async fn wait(
        &self,
        caller: &Caller,
        run: RunId,
        at_most: Duration,
    ) -> Result<WorkflowRecord, ExecutorError> {
        self.executor(caller).wait_until(run, self.patience(at_most)).await
    }

    /// Completes after `at_most`, or when the host stops.
    pub(super) async fn patience(&self, at_most: Duration) {
        tokio::select! {
            () = tokio::time::sleep(at_most) => {}
            () = self.closing.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(wait: &str) -> Option<Duration> {
        WaitQuery { wait: Some(wait.to_owned()) }.duration().ok().flatten()
    }

    #[test]
    fn a_wait_is_from_0_to_300_seconds() {
        assert_eq!(WaitQuery::default().duration().unwrap(), None);
        assert_eq!(duration("0"), Some(Duration::ZERO));
        assert_eq!(duration("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(duration("300"), Some(MAX_WAIT));
        for wrong in ["300.001", "-1", "inf", "NaN", "5s", ""] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
