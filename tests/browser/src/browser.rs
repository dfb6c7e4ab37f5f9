//! A browser, and what a person does with it.

use std::process::Command;
use std::time::{Duration, Instant};

use forge_tests::{Process, ProcessLog, choose_tls, eventually, eventually_some};
use serde_json::Value;
use tempfile::TempDir;
use thirtyfour::common::log::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;
use tokio::sync::watch;

use crate::accessibility;

/// The size of the window, in CSS pixels.
const WINDOW: (i64, i64) = (1280, 900);

/// The time for one command of the driver. The machine compiles and tests other things meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval between two looks at a page.
const INTERVAL: Duration = Duration::from_millis(50);

/// A browser without a window, with an empty profile. Dropping it ends it.
pub struct Browser {
    driver: WebDriver,
    _process: Process,
    _profile: TempDir,
    log: ProcessLog,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        choose_tls();
        let profile = TempDir::new().expect("a temporary folder can be made");
        let port = watch::Sender::new(None);
        let log = ProcessLog::default();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", profile.path());
        let listens = {
            let port = port.clone();
            move |line: &str| {
                if let Some(printed) = port_in(line) {
                    port.send_replace(Some(printed));
                }
            }
        };
        let process = Process::spawn(&mut command, None, &log, listens);
        let port = eventually_some("chromedriver says where it listens", async || *port.borrow()).await;
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), capabilities(&profile));
        let driver = driver.request_timeout(PATIENCE).connect().await;
        let driver =
            driver.unwrap_or_else(|error| panic!("Chromium does not start: {error}\n{}", log.text()));
        Self { driver, _process: process, _profile: profile, log }
    }

    /// Returns the driver, for what this type has no function for.
    pub fn driver(&self) -> &WebDriver {
        &self.driver
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url} cannot be opened: {error}"));
    }

    /// Returns the path and the query of the page.
    pub async fn address(&self) -> String {
        let url = self.driver.current_url().await.expect("a page has an address");
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Waits until the page has a visible element with this role and accessible name.
    ///
    /// # Panics
    /// If it has none in time. The message has what it shows.
    pub async fn find(&self, role: &str, name: &str) -> WebElement {
        let what = format!("has no {role} with the name {name:?}");
        self.until(&what, async || accessibility::find(&self.driver, role, name).await.into_iter().next())
            .await
    }

    /// Returns the names of all elements that have this role, in the page's order.
    pub async fn names(&self, role: &str) -> Vec<String> {
        accessibility::names(&self.driver, role).await
    }

    /// Presses the element with this role and name.
    pub async fn press(&self, role: &str, name: &str) {
        let what = format!("the {role} {name:?} can be pressed");
        // What is live may be drawn anew between the finding and the press.
        eventually(&what, async || self.find(role, name).await.click().await.is_ok()).await;
    }

    /// Writes a text into the field with this role and name, in the place of what it has.
    pub async fn fill(&self, role: &str, name: &str, text: &str) {
        let field = self.find(role, name).await;
        field.clear().await.expect("a field can be emptied");
        field.send_keys(text).await.expect("a field can be written to");
    }

    /// Presses keys, wherever the focus is.
    pub async fn keys(&self, keys: impl Into<TypingData>) {
        let actions = self.driver.action_chain().send_keys(keys);
        actions.perform().await.expect("keys can be pressed");
    }

    /// Returns the text of the page as it is seen.
    pub async fn text(&self) -> String {
        let body = self.driver.find(By::Tag("body")).await.expect("a page has a body");
        body.text().await.expect("a page has a text")
    }

    /// Waits until the page shows a text.
    ///
    /// # Panics
    /// If it does not in time. The message has what it shows.
    pub async fn shows(&self, text: &str) {
        let shows = async || {
            // A page that is being left has no body.
            let body = self.driver.find(By::Tag("body")).await.ok()?;
            body.text().await.is_ok_and(|shown| shown.contains(text)).then_some(())
        };
        self.until(&format!("does not show {text:?}"), shows).await;
    }

    async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if begun.elapsed() > PATIENCE {
                panic!("{} {what}, but:\n{}", self.address().await, self.text().await);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until the page has loaded what it asked for, and nothing new for half a second.
    pub async fn idle(&self) {
        let requests = "return [document.readyState, performance.getEntriesByType('resource').length]";
        let mut before = Value::Null;
        eventually("the page has loaded everything", async || {
            let now = self.script(requests).await;
            let is_idle = now == before && now[0] == "complete";
            before = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
            is_idle
        })
        .await;
    }

    /// Runs a script in the page and returns its value.
    pub async fn script(&self, script: &str) -> Value {
        let value = self.driver.execute(script, Vec::new()).await;
        value.unwrap_or_else(|error| panic!("the script fails: {error}\n{script}")).json().clone()
    }

    /// Returns what the pages complained about since this was last asked: errors of scripts, files that could not be
    /// loaded, what their policy forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.expect("the browser has a log");
        let is_complaint = |level: &str| matches!(level, "SEVERE" | "WARNING");
        entries.into_iter().filter(|entry| is_complaint(&entry.level)).map(|entry| entry.message).collect()
    }

    /// Ends the browser.
    ///
    /// # Panics
    /// If a page complained.
    pub async fn close(self) {
        let complaints = self.complaints().await;
        self.driver.clone().quit().await.expect("the browser can be ended");
        assert!(complaints.is_empty(), "pages complained:\n{}", complaints.join("\n"));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of chromedriver:\n{}", self.log.text());
        }
    }
}

fn capabilities(profile: &TempDir) -> thirtyfour::ChromeCapabilities {
    let mut capabilities = DesiredCapabilities::chrome();
    let arguments = [
        "--headless=new".to_owned(),
        // Tests may run as root, in containers with a small /dev/shm.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--no-proxy-server".to_owned(),
        "--force-color-profile=srgb".to_owned(),
        format!("--window-size={},{}", WINDOW.0, WINDOW.1),
        format!("--user-data-dir={}", profile.path().join("profile").display()),
    ];
    for argument in &arguments {
        capabilities.add_arg(argument).expect("an argument is text");
    }
    let log = capabilities.set_browser_log_level(LoggingPrefsLogLevel::All);
    log.expect("a level is text");
    capabilities
}

/// Returns the port in `ChromeDriver was started successfully on port 40123.`
fn port_in(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}
