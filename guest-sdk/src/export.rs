//! Making a component of workflows: the two exports of `wit/workflow.wit`.

use serde_json::to_string;

use crate::error::{Failure, short_type_name};
use crate::workflow::{ForgeWorkflow, WorkflowInfo};
use crate::{WorkflowContext, executor, host, runtime, saga};

/// Makes a component of these workflows. Once per crate, in its root:
///
/// ```
/// use forge::prelude::*;
///
/// #[forge::workflow]
/// async fn greet(_ctx: &WorkflowContext, name: String) -> Result<String> {
///     Ok(format!("hello {name}"))
/// }
///
/// #[forge::workflow]
/// #[name = "greet"]
/// #[version = 2]
/// async fn greet_loudly(_ctx: &WorkflowContext, name: String) -> Result<String> {
///     Ok(format!("HELLO {name}!"))
/// }
///
/// forge::export!(GreetWorkflow, GreetLoudlyWorkflow);
/// # fn main() {}
/// ```
///
/// In a native build it only checks its arguments.
#[macro_export]
macro_rules! export {
    ($($workflow:path),+ $(,)?) => {
        const _: () = {
            const WORKFLOWS: &[$crate::WorkflowInfo] =
                &[$(<$workflow as $crate::ForgeWorkflow>::INFO),+];
            assert!(
                $crate::__private::all_differ(WORKFLOWS),
                "two of these workflows have the same name and version: give one another #[version]"
            );

            #[cfg(target_arch = "wasm32")]
            struct Component;

            #[cfg(target_arch = "wasm32")]
            impl $crate::__private::bindings::Guest for Component {
                fn describe() -> ::std::vec::Vec<$crate::__private::bindings::WorkflowInfo> {
                    $crate::__private::describe(WORKFLOWS)
                }

                fn run(
                    workflow: ::std::string::String,
                    version: u32,
                    input: ::std::string::String,
                ) -> ::std::result::Result<::std::string::String, $crate::__private::bindings::Failure> {
                    $(
                        if $crate::__private::is::<$workflow>(&workflow, version) {
                            return $crate::__private::run::<$workflow>(&input);
                        }
                    )+
                    $crate::__private::unknown(&workflow, version)
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::__private::bindings::export!(Component with_types_in $crate::__private::bindings);
        };
    };
}

/// Whether no two have the same name and version.
pub const fn all_differ(workflows: &[WorkflowInfo]) -> bool {
    let mut a = 0;
    while a < workflows.len() {
        let mut b = a + 1;
        while b < workflows.len() {
            if workflows[a].version == workflows[b].version && same(workflows[a].name, workflows[b].name) {
                return false;
            }
            b += 1;
        }
        a += 1;
    }
    true
}

/// `==`, which a constant cannot call.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// What of a run is left to its caller: its output, as it is and as JSON, or why there is none.
pub(crate) type Outcome<W> = Result<(<W as ForgeWorkflow>::Output, String), Failure>;

/// Executes a run from its beginning: the body, and the compensations if it fails or unwinds.
pub(crate) fn execute<W: ForgeWorkflow>(input: &str) -> Outcome<W> {
    let info = host::run::info();
    runtime::reset(info.seed);
    let _forget = saga::Forget;
    let input = read_input(input).map_err(|error| invalid_input::<W>(&error))?;
    let ctx = WorkflowContext::new(info).map_err(|error| Failure::of(&error).not_retryable())?;

    let outcome: Option<Outcome<W>> = executor::run_body(async {
        let output = W::run(ctx, input).await.map_err(|error| Failure::of(&error))?;
        saga::finish().await;
        let json = to_string(&output).map_err(|error| unwritable_output::<W>(&error))?;
        Ok((output, json))
    });
    let failure = match outcome {
        Some(Ok(output)) => return Ok(output),
        Some(Err(failure)) => {
            host::compensate::unwind(&failure.clone().into());
            failure
        }
        None => Failure::cancelled(),
    };
    // The host was told of each handler that failed; there is nothing to add.
    let _ = executor::run_compensations(saga::run_handlers());
    Err(failure)
}

/// A start without input has the input `{}`, which is no input for a workflow that takes `()`.
fn read_input<I: serde::de::DeserializeOwned>(input: &str) -> serde_json::Result<I> {
    serde_json::from_str(input).or_else(|error| match input {
        "{}" => serde_json::from_str("null").map_err(|_| error),
        _ => Err(error),
    })
}

fn invalid_input<W: ForgeWorkflow>(error: &serde_json::Error) -> Failure {
    let WorkflowInfo { name, version, .. } = W::INFO;
    let input = short_type_name::<W::Input>();
    let message = format!("input of `{name}` version {version} does not fit `{input}`: {error}");
    Failure::new(Failure::INVALID_INPUT, message).not_retryable()
}

fn unwritable_output<W: ForgeWorkflow>(error: &serde_json::Error) -> Failure {
    let (name, output) = (W::INFO.name, short_type_name::<W::Output>());
    Failure::invalid_output(format!(
        "the output of `{name}`, a `{output}`, cannot be written as JSON: {error}"
    ))
}

/// What [`export!`](crate::export!) expands to calls these. In a component alone.
#[cfg(target_arch = "wasm32")]
mod component {
    use std::sync::Once;

    use crate::host::bindings;
    use crate::log::HostLog;
    use crate::time::millis;
    use crate::{ForgeWorkflow, WorkflowInfo, host};

    /// The `describe` export.
    pub fn describe(workflows: &[WorkflowInfo]) -> Vec<bindings::WorkflowInfo> {
        let describe = |info: &WorkflowInfo| bindings::WorkflowInfo {
            name: info.name.to_owned(),
            version: info.version,
            timeout: millis(info.timeout),
            deprecated: info.deprecated,
        };
        workflows.iter().map(describe).collect()
    }

    /// Whether this is the workflow that `run` was called for.
    pub fn is<W: ForgeWorkflow>(name: &str, version: u32) -> bool {
        W::INFO.name == name && W::INFO.version == version
    }

    /// The `run` export.
    pub fn run<W: ForgeWorkflow>(input: &str) -> Result<String, bindings::Failure> {
        initialise();
        let (_, json) = super::execute::<W>(input).map_err(bindings::Failure::from)?;
        Ok(json)
    }

    /// The `run` export, for a workflow that this component does not have.
    pub fn unknown(name: &str, version: u32) -> Result<String, bindings::Failure> {
        let message = format!("this component has no workflow `{name}` version {version}");
        Err(crate::Failure::permanent(message).into())
    }

    /// Sends panics and log lines to the host.
    fn initialise() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // Its text begins with where: "panicked at src/lib.rs:10:5:", and the message after it.
            std::panic::set_hook(Box::new(|panic| host::run::panicked(&one_line(&panic.to_string()))));
            // Fails only if the author's crate installed a subscriber of its own.
            let _ = tracing::subscriber::set_global_default(HostLog::default());
        });
    }

    fn one_line(panic: &str) -> String {
        panic.replacen(":\n", ": ", 1)
    }
}

#[cfg(target_arch = "wasm32")]
pub use component::{describe, is, run, unknown};
