//! The expansion of the attribute.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn, Result};

use crate::attributes::Attributes;
use crate::signature::Workflow;

/// Expands the attribute. On an error the function stays, so that editors still understand it.
pub(crate) fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error =
                Error::new(error.span(), format!("#[forge::workflow] belongs on a function: {error}"));
            let error = error.into_compile_error();
            return quote! { #error #item };
        }
    };
    let attributes = Attributes::take(&mut function.attrs, &function.sig.ident);
    let generated = no_arguments(&args)
        .and(attributes)
        .and_then(|attributes| implementation(&function, &attributes))
        .unwrap_or_else(Error::into_compile_error);
    // The specification's workflows use this name without a dependency. In the block, it shadows no name of the module,
    // where a dependency on tokio keeps its name.
    let names = syn::parse_quote! {
        #[allow(unused_imports)]
        use ::forge::{__eprintln as eprintln, __println as println, tokio};
    };
    function.block.stmts.insert(0, names);
    quote! { #function #generated }
}

fn no_arguments(args: &TokenStream) -> Result<()> {
    match args.is_empty() {
        true => Ok(()),
        false => Err(Error::new_spanned(
            args,
            "#[forge::workflow] takes no arguments; write #[version = 1] and other attributes below it",
        )),
    }
}

fn implementation(function: &ItemFn, attributes: &Attributes) -> Result<TokenStream> {
    let workflow = Workflow::from_signature(&function.sig)?;
    let Attributes { name, version, timeout_millis, deprecated } = attributes;
    let (visibility, call) = (&function.vis, workflow.function);
    let cfgs = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let conditions = quote! { #(#cfgs)* };
    let structure = structure_name(call);
    let doc = format!("The workflow `{name}`, version {version}. See [`{call}`].");

    // With these spans, errors about the input and the output point at their types.
    let input = workflow.input;
    let input = quote_spanned! { input.span() => #input };
    let returns = workflow.returns;
    let output =
        quote_spanned! { returns.span() => <#returns as ::forge::__private::WorkflowResult>::Output };

    // Hygienic names: the workflow's function may itself be called `input`.
    let (ctx, argument) = (Ident::new("ctx", Span::mixed_site()), Ident::new("input", Span::mixed_site()));

    Ok(quote! {
        #conditions
        #[doc = #doc]
        #[derive(::std::fmt::Debug, ::std::clone::Clone, ::std::marker::Copy)]
        #visibility struct #structure;

        #conditions
        impl ::forge::ForgeWorkflow for #structure {
            const INFO: ::forge::WorkflowInfo = ::forge::WorkflowInfo {
                name: #name,
                version: #version,
                timeout: ::forge::__private::Duration::from_millis(#timeout_millis),
                deprecated: #deprecated,
            };
            type Input = #input;
            type Output = #output;

            fn input_schema() -> ::std::option::Option<::std::string::String> {
                #[allow(unused_imports)]
                use ::forge::__private::{Derived as _, Underived as _};
                (&::forge::__private::Input::<Self::Input>::new()).input_schema()
            }

            fn run(
                #ctx: ::forge::WorkflowContext,
                #argument: Self::Input,
            ) -> ::forge::__private::LocalBoxFuture<'static, ::forge::Result<Self::Output>> {
                ::forge::__private::Box::pin(async move {
                    ::forge::__private::WorkflowResult::into_result(#call(&#ctx, #argument).await)
                })
            }
        }
    })
}

/// `user_onboarding` becomes `UserOnboardingWorkflow`, `payment_workflow` becomes `PaymentWorkflow`.
fn structure_name(function: &Ident) -> Ident {
    let mut name: String = function.unraw().to_string().split('_').map(capitalised).collect();
    if !name.ends_with("Workflow") {
        name.push_str("Workflow");
    }
    format_ident!("{name}", span = function.span().resolved_at(Span::call_site()))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_named_after_functions() {
        let name = |function: &str| structure_name(&format_ident!("{function}")).to_string();
        assert_eq!(name("user_onboarding"), "UserOnboardingWorkflow");
        assert_eq!(name("payment_workflow"), "PaymentWorkflow");
        assert_eq!(name("user_onboarding_v1"), "UserOnboardingV1Workflow");
        assert_eq!(name("workflow"), "Workflow");
    }
}
