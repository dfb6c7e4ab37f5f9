//! The browser in which the tests open the dashboard.

use std::process::Command;

use anyhow::{Result, ensure};

use super::apt;

/// The browser, its WebDriver, and a font: a text without one has no width. Debian's packages have these names.
const PACKAGES: [&str; 3] = ["chromium", "chromium-driver", "fonts-dejavu-core"];

/// The programs that the tests start.
const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];

/// Installs the browser from Debian's packages if it is missing.
pub(crate) fn ensure() -> Result<()> {
    if PROGRAMS.into_iter().all(is_installed) {
        return Ok(());
    }
    ensure!(
        apt::is_available(),
        "the tests of the dashboard need a browser: install Chromium and its WebDriver, so that `chromium` and `chromedriver` \
         are programs in PATH"
    );
    apt::install(&PACKAGES)
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
