//! The exports of a component: `describe`, `run` and `input-schemas` of `wit/workflow.wit`.

use serde_json::to_string;

use crate::context::WorkflowContext;
use crate::error::{Failure, short_type_name};
use crate::round_trip::Unreadable;
use crate::workflow::ForgeWorkflow;
use crate::workflow_info::WorkflowInfo;
use crate::{executor, host, runtime, saga};

/// Exports workflows from a component. Use it once per crate, in the crate's root:
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
/// In a native build it checks its arguments and exports nothing.
#[macro_export]
macro_rules! export {
    ($($workflow:path),+ $(,)?) => {
        const _: () = {
            const WORKFLOWS: &[$crate::WorkflowInfo] =
                &[$(<$workflow as $crate::ForgeWorkflow>::INFO),+];
            assert!(
                $crate::__private::all_differ(WORKFLOWS),
                "two of these workflows have the same name and version: give one of them another #[version]"
            );

            #[cfg(target_arch = "wasm32")]
            struct Component;

            #[cfg(target_arch = "wasm32")]
            impl $crate::__private::bindings::Guest for Component {
                fn describe() -> ::std::vec::Vec<$crate::__private::bindings::WorkflowInfo> {
                    $crate::__private::describe(WORKFLOWS)
                }

                fn input_schemas() -> ::std::vec::Vec<$crate::__private::bindings::InputSchema> {
                    $crate::__private::input_schemas(&[
                        $((<$workflow as $crate::ForgeWorkflow>::INFO, <$workflow as $crate::ForgeWorkflow>::input_schema)),+
                    ])
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

/// Returns `true` if no two workflows have the same name and version.
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

/// Compares two strings, as `==` does, which a `const fn` cannot call.
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

/// The outcome of a run: its output, as a value and as JSON, or its failure.
pub(crate) type Outcome<W> = Result<(<W as ForgeWorkflow>::Output, String), Failure>;

/// Executes a run from its beginning: the body and, if it fails or unwinds, the compensations.
pub(crate) fn execute<W: ForgeWorkflow>(input: &str) -> Outcome<W> {
    let info = host::run::info();
    runtime::reset(info.seed);
    saga::reset();
    let _guard = saga::RollbackGuard;
    let input = read_input(input).map_err(|error| invalid_input::<W>(input, &error))?;
    let ctx = WorkflowContext::new(info).map_err(|error| Failure::from_error(&error).not_retryable())?;

    let outcome: Option<Outcome<W>> = executor::run_body(async {
        let output = W::run(ctx, input).await.map_err(|error| Failure::from_error(&error))?;
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
    // The host knows the failure of each handler, and the run's own failure is the result.
    let _ = executor::run_compensations(saga::run_handlers());
    Err(failure)
}

/// Reads the input of a run. A run that is started without an input has the input `{}`, which is read as
/// `null` for a workflow that takes `()`.
fn read_input<I: serde::de::DeserializeOwned>(input: &str) -> serde_json::Result<I> {
    serde_json::from_str(input).or_else(|error| match input {
        "{}" => serde_json::from_str("null").map_err(|_| error),
        _ => Err(error),
    })
}

fn invalid_input<W: ForgeWorkflow>(document: &str, error: &serde_json::Error) -> Failure {
    let WorkflowInfo { name, version, .. } = W::INFO;
    let (input, why) = (short_type_name::<W::Input>(), Unreadable { document, error });
    let message = format!("input of `{name}` version {version} does not fit `{input}`: {why}");
    Failure::new(Failure::INVALID_INPUT, message).not_retryable()
}

fn unwritable_output<W: ForgeWorkflow>(error: &serde_json::Error) -> Failure {
    let (name, output) = (W::INFO.name, short_type_name::<W::Output>());
    Failure::invalid_output(format!(
        "the output of `{name}`, a `{output}`, cannot be written as JSON: {error}"
    ))
}

/// The functions that the expansion of [`export!`](crate::export!) calls in a component.
#[cfg(target_arch = "wasm32")]
mod component {
    use std::sync::Once;

    use crate::bindings;
    use crate::error::Failure;
    use crate::host;
    use crate::log::HostLog;
    use crate::timestamp::millis;
    use crate::workflow::ForgeWorkflow;
    use crate::workflow_info::WorkflowInfo;

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

    /// The `input-schemas` export.
    pub fn input_schemas(workflows: &[(WorkflowInfo, fn() -> Option<String>)]) -> Vec<bindings::InputSchema> {
        let schema = |(info, schema): &(WorkflowInfo, fn() -> Option<String>)| {
            let schema = schema()?;
            Some(bindings::InputSchema { workflow: info.name.to_owned(), version: info.version, schema })
        };
        workflows.iter().filter_map(schema).collect()
    }

    /// Returns `true` if `W` is the workflow with this name and version.
    pub fn is<W: ForgeWorkflow>(name: &str, version: u32) -> bool {
        W::INFO.name == name && W::INFO.version == version
    }

    /// The `run` export.
    pub fn run<W: ForgeWorkflow>(input: &str) -> Result<String, bindings::Failure> {
        initialise();
        let (_, json) = super::execute::<W>(input).map_err(bindings::Failure::from)?;
        Ok(json)
    }

    /// The `run` export for a workflow that the component does not have.
    pub fn unknown(name: &str, version: u32) -> Result<String, bindings::Failure> {
        Err(Failure::permanent(format!("this component has no workflow `{name}` version {version}")).into())
    }

    /// Sends panic messages and log lines to the host.
    fn initialise() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // "panicked at src/lib.rs:10:5:\nmessage" becomes one line.
            let one_line = |panic: String| panic.replacen(":\n", ": ", 1);
            std::panic::set_hook(Box::new(move |panic| host::run::panicked(&one_line(panic.to_string()))));
            // Fails only if the author's crate has installed a subscriber, which is then kept.
            let _ = tracing::subscriber::set_global_default(HostLog::default());
        });
    }
}

#[cfg(target_arch = "wasm32")]
pub use component::{describe, input_schemas, is, run, unknown};
