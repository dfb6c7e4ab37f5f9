//! The imports in a native build: a [`TestHost`] of this thread.
//!
//! One module per interface, with the signatures that wit-bindgen gives the real ones.

use std::cell::RefCell;

use crate::testing::host::TestHost;

thread_local! {
    static HOST: RefCell<Option<TestHost>> = const { RefCell::new(None) };
}

/// Makes `host` this thread's until `f` returns or panics, and gives back what became of it.
pub(crate) fn install<R>(host: TestHost, f: impl FnOnce() -> R) -> (R, TestHost) {
    struct Uninstall;
    impl Drop for Uninstall {
        fn drop(&mut self) {
            HOST.take();
        }
    }
    let before = HOST.replace(Some(host));
    assert!(before.is_none(), "a TestRun cannot run inside another one");
    let uninstall = Uninstall;
    let result = f();
    let host = with(|host| std::mem::replace(host, TestHost::idle()));
    drop(uninstall);
    (result, host)
}

fn with<R>(f: impl FnOnce(&mut TestHost) -> R) -> R {
    HOST.with_borrow_mut(|host| {
        let host = host.as_mut();
        f(host
            .expect("a workflow's functions work inside a run only; in a test, use forge::testing::TestRun"))
    })
}

pub(crate) mod run {
    use super::with;
    pub(crate) use crate::host::bindings::forge::workflow::run::*;

    pub(crate) fn info() -> RunInfo {
        with(|host| host.info())
    }

    pub(crate) fn log(scope: Scope, level: LogLevel, message: &str) {
        with(|host| host.log(scope, level, message));
    }
}

pub(crate) mod time {
    use super::with;
    pub(crate) use crate::host::bindings::forge::workflow::time::*;

    pub(crate) fn workflow_time(_: Scope) -> Timestamp {
        with(|host| host.now())
    }

    pub(crate) fn sleep(_: Scope, duration: u64) -> CallId {
        with(|host| host.timer(duration))
    }

    pub(crate) fn deadline(_: Scope, duration: u64) -> CallId {
        with(|host| host.timer(duration))
    }
}

pub(crate) mod step {
    use super::with;
    pub(crate) use crate::host::bindings::forge::workflow::step::*;

    pub(crate) fn begin(_: Scope, name: &str, options: Options) -> Entry {
        with(|host| host.begin(name, options))
    }

    pub(crate) fn resume(call: CallId) -> Entry {
        with(|host| host.resume(call))
    }

    pub(crate) fn complete(scope: Scope, result: &str) -> Receipt {
        with(|host| host.complete(scope, result))
    }

    pub(crate) fn fail(scope: Scope, failure: &Failure) -> Verdict {
        with(|host| host.fail(scope, failure.clone().into()))
    }

    pub(crate) fn abandon(scope: Scope) {
        with(|host| host.abandon(scope));
    }

    pub(crate) fn enter(_: Scope, name: &str) -> Scope {
        with(|host| host.enter(name))
    }

    pub(crate) fn lookup(name: &str) -> Option<State> {
        with(|host| host.lookup(name))
    }
}

pub(crate) mod compensate {
    use super::with;
    pub(crate) use crate::host::bindings::forge::workflow::compensate::*;

    pub(crate) fn unwind(_: &Failure) {}

    pub(crate) fn begin(step: StepId) -> Entry {
        with(|host| host.compensate_begin(step))
    }

    pub(crate) fn resume(call: CallId) -> Entry {
        with(|host| host.resume(call))
    }

    pub(crate) fn complete(scope: Scope) {
        with(|host| host.compensate_complete(scope));
    }

    pub(crate) fn fail(scope: Scope, failure: &Failure) -> Verdict {
        with(|host| host.fail(scope, failure.clone().into()))
    }
}

pub(crate) mod http {
    use super::with;
    pub(crate) use crate::host::bindings::forge::workflow::http::*;

    pub(crate) fn send(scope: Scope, request: &Request) -> CallId {
        // The test's handler may log, which comes back here: it runs while nothing is borrowed.
        let (mut answer, asked) = with(|host| host.http_begin(scope, request));
        let response = answer(&asked);
        with(|host| host.http_submit(request, response, answer))
    }

    pub(crate) fn take(call: CallId) -> Result<Response, Failure> {
        with(|host| host.http_take(call))
    }
}

pub(crate) mod calls {
    use super::with;
    pub(crate) use crate::host::bindings::forge::workflow::calls::*;

    pub(crate) fn next() -> Option<CallId> {
        with(|host| host.next())
    }

    pub(crate) fn cancel(call: CallId) {
        with(|host| host.cancel(call));
    }
}
