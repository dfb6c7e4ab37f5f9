//! The chores of this repository: `cargo xtask <command>`.

mod apt;
mod bench;
mod demo;
mod postgres;
mod programs;
mod release;
mod setup;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

Commands:
  bench   Measure the host beside what the machine could do; `bench --help` has its options
  demo    Run the examples: a payment, one that is rolled back, and one during which the host is killed
  release Make the program to hand out, target/dist/forge: compiled and arranged by what it was seen to do
  setup   Install the Rust target for WebAssembly and PostgreSQL, if they are missing
  test    Run `setup`, then every test of this repository

Environment:
  FORGE_WASM_TOOLCHAIN=<name>   Compile workflows with this rustup toolchain. `setup` makes `wasm-guest` from
                                Debian's packages; it does so by itself if rustup cannot add the target
  FORGE_LLVM_PROFDATA=<file>    For `release` and `bench`: the `llvm-profdata` to use
  FORGE_LLVM_BOLT=<file>        The same for `llvm-bolt`; empty: make the program without it
  FORGE_POSTGRES_BIN=<folder>   Take `initdb`, `pg_ctl`, `postgres` and `psql` from there
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["bench", ref options @ ..] => bench::run(options),
        ["demo"] => demo::run(),
        ["release"] => release::run(),
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
