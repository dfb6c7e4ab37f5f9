//! The helpers of the tests in a browser: a real Chromium that opens the pages of a real host.
//!
//! A test finds things as a person with a screen reader does, by their role and name ([`Browser::find`]), and ends with
//! [`Browser::close`], which fails if a page complained in the console: an error of a script, a file that is missing, or
//! something that the page's Content-Security-Policy forbids.
//!
//! `cargo xtask setup` installs the browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this runs in tests")]

mod accessibility;
mod browser;
mod looks;

pub use browser::Browser;
pub use looks::Look;
pub use thirtyfour::{By, Key, WebElement};
