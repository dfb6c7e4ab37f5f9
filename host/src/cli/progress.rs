//! A line on the terminal for work that takes a while.

use std::pin::pin;
use std::time::{Duration, Instant};

use super::{Context, output};

/// The interval between updates of the line. Work that takes less shows none.
const INTERVAL: Duration = Duration::from_secs(1);

/// Returns the result of `work`. Until then, standard error says what is under way and for how long, if it is a terminal.
pub(super) async fn show<T>(context: &Context, what: &str, work: impl Future<Output = T>) -> T {
    if context.json || !output::notes_on_terminal() {
        return work.await;
    }
    let (mut work, begun) = (pin!(work), Instant::now());
    let mut is_shown = false;
    loop {
        match tokio::time::timeout(INTERVAL, &mut work).await {
            Ok(result) => {
                if is_shown {
                    output::clear_progress();
                }
                return result;
            }
            Err(_) => {
                is_shown = true;
                output::show_progress(&format!("{what} ({} s)", begun.elapsed().as_secs()));
            }
        }
    }
}
