//! The README and the guide to writing workflows work as they are written: their commands run in order and print what the
//! pages show, and their Rust code runs on a host.
//!
//! - Each command of a `console` block follows a `$`. The lines below it are what it prints; lines may be left out. It must
//!   succeed, unless the page shows that it prints an `error:`. A page's commands run in one folder, which is empty at first.
//! - A `rust` block that has an export is a file of a workflow crate, one with a `#[test]` is a test of it, and any other one is
//!   the body of a workflow. What the pages leave out is in `surroundings.rs`.
//! - A comment before a block, `<!-- test: … -->`, says what is special about it: [`Mark`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(unix)]

mod guest;
mod page;
mod session;
mod shown;

use std::fs::File;
use std::io::Write as _;

use forge_tests::Services;

use guest::Guest;
use page::{Language, Mark, Page};
use session::Session;

/// The address of the example services in the pages and in the examples.
const SERVICES: &str = "127.0.0.1:7080";

#[tokio::test]
async fn the_commands_of_the_pages_run_in_order_and_print_what_is_shown() {
    let _turn = turn();
    let _services = Services::start_at(SERVICES.parse().unwrap()).await;
    for page in Page::all() {
        let mut session = Session::new();
        for block in page.blocks.iter().filter(|block| block.language == Language::Console) {
            if let Mark::NotRun(why) = &block.mark {
                say(&format!("{}:{} is not run: {why}", page.name, block.line));
                continue;
            }
            session.run(&page.name, block).await;
        }
    }
}

#[tokio::test]
async fn the_code_of_the_pages_compiles_and_runs() {
    let guest = Guest::of(&Page::all()).await;
    guest.tests_pass().await;
    guest.workflows_complete().await;
}

/// Waits until no other test of this user has the services' address. Others wait until the result is dropped.
fn turn() -> File {
    let name = format!("forge-tests-services-{}.lock", rustix::process::getuid().as_raw());
    let file = File::create(std::env::temp_dir().join(name)).unwrap();
    file.lock().unwrap();
    file
}

/// Prints a line, also if the test passes: the test harness does not capture standard error itself.
#[expect(clippy::disallowed_methods, reason = "the lines are those of the pages")]
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
