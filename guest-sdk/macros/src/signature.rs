//! What a workflow's function must look like.

use std::fmt::Display;

use quote::ToTokens;
use syn::{Error, FnArg, Ident, Path, Result, ReturnType, Signature, Type};

/// The parts of a signature that the expansion needs.
pub(crate) struct Workflow<'a> {
    pub(crate) function: &'a Ident,
    pub(crate) input: &'a Type,
    pub(crate) returns: &'a Type,
}

impl<'a> Workflow<'a> {
    /// Checks a signature. All mistakes are reported at once.
    pub(crate) fn of(signature: &'a Signature) -> Result<Self> {
        let checks = [is_async(signature), is_plain(signature)];
        let input = arguments(signature);
        let returns = returns(signature);
        let mut errors = checks.into_iter().filter_map(Result::err).collect::<Vec<_>>();
        match (input, returns) {
            (Ok(input), Ok(returns)) if errors.is_empty() => {
                return Ok(Workflow { function: &signature.ident, input, returns });
            }
            (input, returns) => {
                errors.extend(input.err());
                errors.extend(returns.err());
            }
        }
        let all = errors.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        });
        Err(all.unwrap_or_else(|| Error::new_spanned(signature, "not a workflow")))
    }
}

fn is_async(signature: &Signature) -> Result<()> {
    match signature.asyncness {
        Some(_) => Ok(()),
        None => error(signature.fn_token, "a workflow is an `async fn`"),
    }
}

/// The host calls a workflow by its name, with JSON: nothing chooses type arguments or safety.
fn is_plain(signature: &Signature) -> Result<()> {
    if !signature.generics.params.is_empty() {
        return error(
            &signature.generics,
            "a workflow cannot be generic: it is started by its name, and nothing says what the parameters are",
        );
    }
    match (&signature.unsafety, &signature.abi) {
        (Some(keyword), _) => error(keyword, "a workflow cannot be `unsafe`"),
        (_, Some(abi)) => error(abi, "a workflow cannot have an ABI"),
        _ => Ok(()),
    }
}

/// The input's type.
fn arguments(signature: &Signature) -> Result<&Type> {
    let expected = "a workflow takes two arguments: `ctx: &WorkflowContext` and its input";
    let mut types = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => {
                return error(receiver, "a workflow is a free function: it has no `self`");
            }
            FnArg::Typed(argument) => types.push(&*argument.ty),
        }
    }
    match types[..] {
        [ctx, input] if is_context(ctx) => Ok(input),
        [ctx, _] => error(ctx, "the first argument of a workflow is `ctx: &WorkflowContext`"),
        [] => error(&signature.ident, expected),
        [ctx] if is_context(ctx) => {
            error(&signature.inputs, format!("{expected}; one without an input takes `_input: ()`"))
        }
        _ => error(&signature.inputs, expected),
    }
}

fn is_context(argument: &Type) -> bool {
    match argument {
        Type::Reference(reference) if reference.mutability.is_none() => {
            last_segment(&reference.elem).is_some_and(|name| name == "WorkflowContext")
        }
        _ => false,
    }
}

fn returns(signature: &Signature) -> Result<&Type> {
    let expected = "a workflow returns a `Result`, such as `Result<Output>`";
    match &signature.output {
        ReturnType::Default => error(&signature.ident, expected),
        ReturnType::Type(_, returns) => match last_segment(returns) {
            Some(name) if name == "Result" => Ok(returns),
            _ => error(returns, expected),
        },
    }
}

fn last_segment(of: &Type) -> Option<&Ident> {
    match of {
        Type::Path(path) => last(&path.path),
        _ => None,
    }
}

fn last(path: &Path) -> Option<&Ident> {
    path.segments.last().map(|segment| &segment.ident)
}

fn error<T>(at: impl ToTokens, message: impl Display) -> Result<T> {
    Err(Error::new_spanned(at, message))
}
