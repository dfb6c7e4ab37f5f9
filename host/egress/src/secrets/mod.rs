//! Secrets: values that workflows use without seeing them.
//!
//! A workflow writes `{{secret:NAME}}` in the value of a header. If the secret is bound to the server of the request,
//! the host fills in the value when it sends the request, and redacts the value in the answer. Neither the guest nor
//! the journal contains it. The database stores it encrypted with a key that only the host has ([`KeyRing`]).

mod decode;
mod error;
mod keys;
mod patterns;
mod redact;
mod seal;
mod set;
#[cfg(test)]
mod tests;
mod value;

pub use error::SecretError;
pub use keys::KeyRing;
pub use seal::Sealed;
pub use set::{Secret, Secrets};
pub use value::{SecretValue, check_name, check_value};
