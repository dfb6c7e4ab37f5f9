//! The chores of this repository: `cargo xtask <command>`.

mod apt;
mod bench;
mod browser;
mod cargo;
mod clients;
mod demo;
mod postgres;
mod progress;
mod setup;
mod shells;
mod test;

use std::process::ExitCode;

use demo::After;

const USAGE: &str = "\
Usage: cargo xtask <command>

Commands:
  bench   Measure the host and compare it with the limits of the machine; `bench --help` has its options
  demo    Run the examples: a payment, one that is rolled back, and one during which the host is killed;
          `demo --open` then keeps the host up, to look at the runs in its dashboard
  setup   Install what the tests need, if it is missing: the Rust target for WebAssembly, PostgreSQL, shells, a browser, Node.js
  test    Run `setup`, then every test of this repository

Environment:
  FORGE_WASM_TOOLCHAIN=<name>   Compile workflows with this rustup toolchain. `setup` makes `wasm-guest` from
                                Debian's packages; it does so by itself if rustup cannot add the target
  FORGE_POSTGRES_BIN=<folder>   Take `initdb`, `pg_ctl`, `postgres` and `psql` from there
  FORGE_CLIENTS=<folder>        Take Node.js and the generators of API clients from there
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["bench", ref options @ ..] => bench::run(options),
        ["demo"] => demo::run(After::End),
        ["demo", "--open"] => demo::run(After::Open),
        ["setup"] => setup::run(),
        ["test"] => test::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
