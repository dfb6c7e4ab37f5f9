//! Imports that answer as a host with an empty journal would, and keep nothing. Enough for workflows of
//! steps that wait for nothing.

use wasmtime::{Error, Result};

use super::bindings::forge::workflow::{calls, compensate, http, run, step, time, types};

/// Counts steps, so that each has a scope of its own.
#[derive(Debug, Default)]
pub(super) struct Imports {
    steps: u64,
}

fn not_here<T>(what: &str) -> Result<T> {
    Err(Error::msg(format!("{what} is not there without a host")))
}

impl types::Host for Imports {}

impl run::Host for Imports {
    fn info(&mut self) -> Result<run::RunInfo> {
        Ok(run::RunInfo {
            run_id: "01a20694-8ff8-7748-89c8-fa96129b4a72".to_owned(),
            workflow: "pure_steps".to_owned(),
            version: 1,
            started_at: 0,
            auth: "{}".to_owned(),
            seed: (1, 2),
        })
    }

    fn log(&mut self, _: types::Scope, _: run::LogLevel, _: String) -> Result<()> {
        Ok(())
    }

    fn panicked(&mut self, message: String) -> Result<()> {
        Err(Error::msg(message))
    }
}

impl time::Host for Imports {
    fn workflow_time(&mut self, _: types::Scope) -> Result<types::Timestamp> {
        Ok(0)
    }

    fn sleep(&mut self, _: types::Scope, _: u64) -> Result<types::CallId> {
        not_here("a timer")
    }

    fn deadline(&mut self, _: types::Scope, _: u64) -> Result<types::CallId> {
        not_here("a timer")
    }
}

impl step::Host for Imports {
    fn begin(&mut self, _: types::Scope, _: String, _: step::Options) -> Result<step::Entry> {
        self.steps += 1;
        Ok(step::Entry::Execute(self.steps << 16 | 1))
    }

    fn resume(&mut self, _: types::CallId) -> Result<step::Entry> {
        not_here("a parked step")
    }

    fn complete(&mut self, _: types::Scope, _: types::Json) -> Result<step::Receipt> {
        Ok(step::Receipt { step: self.steps, order: self.steps, flow: types::Flow::GoOn })
    }

    fn fail(&mut self, _: types::Scope, failure: types::Failure) -> Result<step::Verdict> {
        Ok(step::Verdict::Final(failure))
    }

    fn abandon(&mut self, _: types::Scope) -> Result<()> {
        Ok(())
    }

    fn enter(&mut self, _: types::Scope, _: String) -> Result<types::Scope> {
        not_here("a low-level step")
    }

    fn lookup(&mut self, _: String) -> Result<Option<step::State>> {
        Ok(None)
    }
}

impl compensate::Host for Imports {
    fn unwind(&mut self, _: types::Failure) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self, _: types::StepId) -> Result<step::Entry> {
        not_here("a compensation")
    }

    fn resume(&mut self, _: types::CallId) -> Result<step::Entry> {
        not_here("a compensation")
    }

    fn complete(&mut self, _: types::Scope) -> Result<()> {
        not_here("a compensation")
    }

    fn fail(&mut self, _: types::Scope, _: types::Failure) -> Result<step::Verdict> {
        not_here("a compensation")
    }
}

impl http::Host for Imports {
    fn send(&mut self, _: types::Scope, _: http::Request) -> Result<types::CallId> {
        not_here("HTTP")
    }

    fn take(&mut self, _: types::CallId) -> Result<Result<http::Response, types::Failure>> {
        not_here("HTTP")
    }
}

impl calls::Host for Imports {
    fn next(&mut self) -> Result<Option<types::CallId>> {
        not_here("waiting")
    }

    fn cancel(&mut self, _: types::CallId) -> Result<()> {
        Ok(())
    }
}
