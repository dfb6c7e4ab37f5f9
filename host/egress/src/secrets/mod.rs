//! Secrets: values that workflows use without seeing them.
//!
//! A workflow writes `{{secret:NAME}}` in the value of a header. If the secret is bound to the server of the request,
//! the host fills in the value when it sends the request, and redacts the value in the answer. Neither the guest nor
//! the journal contains it. The database stores it encrypted with a key that only the host has ([`KeyRing`]).

mod error;
mod escapes;
mod keys;
mod redact;
mod runs;
mod seal;
mod search;
mod set;
#[cfg(test)]
mod tests;
mod value;
mod view;

pub use error::SecretError;
pub use keys::KeyRing;
pub use seal::Sealed;
pub(crate) use search::{Known, Search};
pub use set::{Secret, Secrets};
pub use value::{SecretValue, check_name, check_value};
