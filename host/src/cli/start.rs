use std::time::Duration;

use super::printable::Printable;
use super::{CliError, Context, follow, input, output, parse, text};
use crate::api::{StartBody, StartEvent};
use crate::executor::{Existing, OnFailed};
use forge_journal::{RunId, WorkflowStatus};

/// The arguments of `forge start`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The name of the workflow.
    name: String,
    /// The input: JSON, @FILE, or @- for standard input.
    #[arg(long, short, default_value = "{}", value_name = "JSON|@FILE", allow_hyphen_values = true)]
    input: String,
    /// The version of the workflow [default: the current one].
    #[arg(long, value_parser = parse::number(1..=u32::MAX))]
    version: Option<u32>,
    /// An idempotency key: a second start with the same key returns the same run.
    #[arg(long)]
    key: Option<String>,
    /// If the run that the key has started before has failed or was rolled back, start another run, which takes the key over.
    #[arg(long, requires = "key")]
    restart_failed: bool,
    /// Send this event to the run. If the key has started a run before, the event is sent to that one.
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// The payload of the event: JSON, @FILE, or @- for standard input [default: null].
    #[arg(long, value_name = "JSON|@FILE", requires = "event", allow_hyphen_values = true)]
    event_payload: Option<String>,
    /// An idempotency key of the event: a start that is repeated does not send it again.
    #[arg(long, value_name = "KEY", requires = "event")]
    event_key: Option<String>,
    /// A tag of the run, by which `forge runs --tag` finds it. Can be given up to 16 times.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse::tag)]
    tags: Vec<(String, String)>,
    /// Wait until the run ends, or for this many seconds, and print its output.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, value_parser = seconds)]
    wait: Option<Option<Duration>>,
}

const EXAMPLES: &str = "\
Prints the id of the run, or its output with --wait. Messages go to standard error.

Examples:
  forge start payment --input @order.json
  forge start payment --input '{\"amount\": 5}' --wait
  forge start payment --input @order.json --key order-1041 --wait=30
  forge start payment --input @order.json --tag order=1041 --tag customer=acme
  forge start order --key order-1041 --event line --event-payload '{\"tea\": 2}'
  ID=$(forge start payment --input @order.json) && forge runs watch $ID

Ctrl-C during --wait ends the command, with the exit code 130, and not the run.";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "it must be a number of seconds".to_owned())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let on_failed = if args.restart_failed { OnFailed::Restart } else { OnFailed::Return };
    let event = args.event.map(|name| {
        let payload = args.event_payload.as_deref().unwrap_or("null");
        let payload = input::read_option("--event-payload", payload)?;
        Ok::<_, CliError>(StartEvent { name, payload, key: args.event_key })
    });
    let event = event.transpose()?;
    let input = input::read(&args.input)?;
    let body = StartBody {
        input,
        version: args.version,
        key: args.key,
        event,
        on_failed,
        tags: parse::tags(args.tags)?,
    };
    let started = client.start(&args.name, &body).await?;
    let run = RunId(started.run_id);
    let waits = args.wait.is_some();
    if let Some(existing) = started.existing.as_ref().filter(|_| !context.json) {
        output::note(&found(run, existing, waits));
    }
    let Some(at_most) = args.wait else {
        context.print(&started, |_| run.to_string())?;
        if !started.existing.as_ref().is_some_and(|existing| existing.status.is_at_rest()) {
            context.hint(&format!("see how it goes: forge runs watch {run}"));
        }
        return Ok(());
    };
    if !context.json && started.existing.is_none() {
        output::note(&format!("started run {run}"));
    }
    let waiting = follow::until_settled(&client, run, at_most);
    let record = follow::unless_interrupted(run, waiting).await?;
    if context.json {
        output::print_json(&record)?;
    } else if let Some(output) = &record.output {
        output::print_document(&format!("{output:#}"))?;
        follow::note_in_doubt(&record);
    }
    let calls = follow::last_calls(&client, &record).await;
    follow::outcome(&record, &calls)
}

/// Says that the key has started this run before, and how it stands. If the command waits for the run, its error is printed at
/// the end, and not here.
fn found(run: RunId, existing: &Existing, waits: bool) -> String {
    let started = text::time(existing.started_at);
    let error = existing.error.as_deref().filter(|_| !waits);
    let error = error.map(|error| format!(": {}", Printable::line(error))).unwrap_or_default();
    let state = match existing.status {
        WorkflowStatus::Failed => "has failed".to_owned(),
        WorkflowStatus::Compensated => "has failed and was rolled back".to_owned(),
        status => format!("is {status}"),
    };
    let has_failed = matches!(existing.status, WorkflowStatus::Failed | WorkflowStatus::Compensated);
    let hint = if has_failed { ". --restart-failed starts another run" } else { "" };
    format!("the key has a run: {run}, started at {started}, {state}{error}{hint}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Start {
        #[command(flatten)]
        args: Args,
    }

    fn wait(arguments: &[&str]) -> Option<Option<Duration>> {
        let arguments = ["start", "payment"].iter().chain(arguments);
        Start::try_parse_from(arguments).unwrap().args.wait
    }

    #[test]
    fn a_wait_may_have_an_end() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&["--wait"]), Some(None));
        assert_eq!(wait(&["--wait=1.5"]), Some(Some(Duration::from_millis(1500))));
    }
}
