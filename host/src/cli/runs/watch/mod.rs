//! Polls a run until it ends.
//!
//! On a terminal, the tree is redrawn in place. Otherwise each change is printed as a line.

mod changes;
mod journal;
mod screen;

use std::time::Duration;

use crate::cli::client::Client;
use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context, follow, output, tree};
use crate::executor::{StepRecord, WorkflowRecord};
use changes::Seen;
use forge_clock as clock;
use forge_journal::RunId;
use journal::Journal;
use screen::Screen;

/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(300);

/// The arguments of `forge runs watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
}

const EXAMPLES: &str = "\
Ends when the run ends or is paused. The exit code is 0 if the run completed, 3 if it failed or was rolled \
back, and 7 if it is paused. If the server restarts, the command waits for it. Ctrl-C ends the command, with the exit code 130, \
and not the run.

Examples:
  forge runs watch 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10
  forge runs watch 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 --json     one JSON document per change";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let mut view = if context.json {
        View::Json(Seen::default())
    } else if output::is_terminal() {
        View::Tree(Screen::default())
    } else {
        View::Lines(Seen::default())
    };
    let id = client.find(&args.id).await?;
    follow::unless_interrupted(id, watch(&client, id, &mut view, context.json)).await
}

/// Shows the changes of a run until it ends.
async fn watch(client: &Client, id: RunId, view: &mut View, keeps_payloads: bool) -> Result<(), CliError> {
    let mut connection = follow::Connection::new();
    let mut journal = Journal::new(keeps_payloads);
    let mut at_most = Duration::ZERO;
    loop {
        let response = poll(client, id, at_most, &journal).await;
        let Some((record, steps)) = connection.check(response).await? else { continue };
        journal.update(steps);
        view.update(&record, &journal.steps)?;
        if record.status.is_at_rest() {
            let outcome = follow::outcome(&record, &journal.steps);
            // The tree has said why.
            let is_told = matches!(view, View::Tree(_));
            return if is_told { outcome.map_err(CliError::without_reason) } else { outcome };
        }
        at_most = INTERVAL;
    }
}

/// Returns the run when it is final or paused, or after `at_most`, and the steps that may have changed.
async fn poll(
    client: &Client,
    run: RunId,
    at_most: Duration,
    journal: &Journal,
) -> Result<(WorkflowRecord, Vec<StepRecord>), CliError> {
    let record = client.run(run, at_most).await?;
    Ok((record, client.steps(run, journal.settled()).await?))
}

/// The form of the output.
enum View {
    /// A tree that is redrawn in place.
    Tree(Screen),
    /// A line per change.
    Lines(Seen),
    /// A JSON document per change.
    Json(Seen),
}

impl View {
    fn update(&mut self, record: &WorkflowRecord, steps: &[StepRecord]) -> Result<(), CliError> {
        let now = clock::now().to_datetime();
        match self {
            Self::Tree(screen) => {
                let style =
                    tree::Style { color: output::has_color(), every_call: false, only_failed: false, now };
                let tree = tree::render(record, steps, &tree::Children::new(), &style);
                screen.draw(&tree, record.status.is_at_rest())
            }
            Self::Lines(seen) => {
                seen.changes(record, steps).iter().try_for_each(|change| output::print(&change.to_string()))
            }
            Self::Json(seen) => seen.changes(record, steps).iter().try_for_each(output::print_json),
        }
    }
}
