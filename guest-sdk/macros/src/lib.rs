//! The `#[forge::workflow]` attribute. Use it through the `forge` crate, which it refers to.

mod attributes;
mod duration;
mod expand;
mod signature;

use proc_macro::TokenStream;

// The documentation is where `forge` re-exports the macro, because its example needs that crate.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn workflow(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::workflow(args.into(), item.into()).into()
}
