//! The binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of tests are tests too")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Stops the process when the test ends, however it ends.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn the_first_line_says_where_it_listens() {
    for listen in ["127.0.0.1:0", "0"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forge-example-services"));
        let child = command.args(["--listen", listen]).stdout(Stdio::piped()).spawn();
        let mut child = Stopped(child.expect("the binary starts"));
        let mut line = String::new();
        let stdout = child.0.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on http://").expect("the address").trim_end();
        std::net::TcpStream::connect(address).expect("it listens there");
    }
}
