//! Secrets: what workflows may use and not see.
//!
//! A workflow writes `{{secret:NAME}}` in the value of a header. The host fills in the value when the request leaves,
//! if the secret is bound to the server that it goes to, and takes it out of the answer again: neither the guest nor
//! the journal ever has it. In the database a value is sealed with a key that only the host has ([`KeyRing`]).

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
