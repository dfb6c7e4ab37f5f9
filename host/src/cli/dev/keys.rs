//! The keys of `forge dev`. On a terminal, a key takes effect at once; otherwise, a line of standard input is a key.

use std::io::{self, IsTerminal as _, Read as _};

use tokio::sync::mpsc;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Run,
    Build,
    Quit,
}

/// The keys that are pressed.
pub(super) struct Keys {
    pressed: mpsc::UnboundedReceiver<Key>,
    /// Restores the terminal. `None`: standard input is none.
    terminal: Option<Terminal>,
}

impl Keys {
    /// Begins to read keys, on a thread that ends with the process.
    pub(super) fn listen() -> Self {
        let terminal = if io::stdin().is_terminal() { Terminal::by_key() } else { None };
        let (sender, pressed) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut byte = [0];
            while let Ok(1..) = io::stdin().lock().read(&mut byte) {
                if let Some(key) = key(byte[0])
                    && sender.send(key).is_err()
                {
                    return;
                }
            }
        });
        Self { pressed, terminal }
    }

    /// Returns whether keys take effect at once.
    pub(super) fn are_keys(&self) -> bool {
        self.terminal.is_some()
    }

    /// Waits for a key.
    pub(super) async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            // Standard input has ended: files can still change.
            None => std::future::pending().await,
        }
    }
}

fn key(byte: u8) -> Option<Key> {
    match byte.to_ascii_lowercase() {
        b'r' => Some(Key::Run),
        b'b' => Some(Key::Build),
        b'q' => Some(Key::Quit),
        _ => None,
    }
}

/// A terminal that gives keys and not lines, and does not show them. Signals by key, such as Ctrl-C, work as before.
#[cfg(unix)]
struct Terminal {
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl Terminal {
    fn by_key() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok()?;
        let mut by_key = before.clone();
        by_key.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &by_key).ok()?;
        Some(Self { before })
    }
}

#[cfg(unix)]
impl Drop for Terminal {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(not(unix))]
struct Terminal;

#[cfg(not(unix))]
impl Terminal {
    fn by_key() -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_in_both_cases_and_others_are_ignored() {
        assert_eq!(
            (key(b'r'), key(b'R'), key(b'b'), key(b'q')),
            (Some(Key::Run), Some(Key::Run), Some(Key::Build), Some(Key::Quit))
        );
        assert_eq!((key(b'\n'), key(b'x')), (None, None));
    }
}
