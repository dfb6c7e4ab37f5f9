//! The checks of a workflow's signature.

use std::fmt::Display;

use quote::ToTokens;
use syn::{Error, FnArg, Ident, Path, Result, ReturnType, Signature, Type};

/// The parts of a signature that the expansion uses.
pub(crate) struct Workflow<'a> {
    pub(crate) function: &'a Ident,
    pub(crate) input: &'a Type,
    pub(crate) returns: &'a Type,
}

impl<'a> Workflow<'a> {
    /// Checks a signature. Reports all errors at once.
    pub(crate) fn from_signature(signature: &'a Signature) -> Result<Self> {
        let (input, returns) = (arguments(signature), returns(signature));
        let checks =
            [is_async(signature), is_plain(signature), input.clone().map(drop), returns.clone().map(drop)];
        all_or_none(checks.into_iter().filter_map(Result::err))?;
        Ok(Workflow { function: &signature.ident, input: input?, returns: returns? })
    }
}

/// Combines errors. Returns `Ok` if there are none.
pub(crate) fn all_or_none(errors: impl IntoIterator<Item = Error>) -> Result<()> {
    let combined = errors.into_iter().reduce(|mut all, error| {
        all.combine(error);
        all
    });
    combined.map_or(Ok(()), Err)
}

fn is_async(signature: &Signature) -> Result<()> {
    match signature.asyncness {
        Some(_) => Ok(()),
        None => error(signature.fn_token, "a workflow is an `async fn`"),
    }
}

/// Checks for qualifiers that a function cannot have if the host calls it by its name.
fn is_plain(signature: &Signature) -> Result<()> {
    if !signature.generics.params.is_empty() {
        return error(
            &signature.generics,
            "a workflow cannot be generic: it is started by its name, without type arguments",
        );
    }
    match (&signature.unsafety, &signature.abi) {
        (Some(keyword), _) => error(keyword, "a workflow cannot be `unsafe`"),
        (_, Some(abi)) => error(abi, "a workflow cannot have an ABI"),
        _ => Ok(()),
    }
}

/// Returns the type of the input.
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

pub(crate) fn error<T>(at: impl ToTokens, message: impl Display) -> Result<T> {
    Err(Error::new_spanned(at, message))
}
