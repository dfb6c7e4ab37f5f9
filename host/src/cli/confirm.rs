use std::io::{self, IsTerminal};

use super::{CliError, output};

/// Asks the person at the terminal whether to go on. Without a terminal, or with `yes`, the answer is yes.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes || !io::stdin().is_terminal() || !output::notes_on_terminal() {
        return Ok(());
    }
    output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if is_yes(&answer) { Ok(()) } else { Err(CliError::Usage("nothing was done".to_owned())) }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes(" Yes \n") && !is_yes("\n") && !is_yes("no\n") && !is_yes(""));
    }
}
