use super::run_ref::RunRef;
use super::{CliError, Context, input};
use crate::api::{EventBody, KeyedEventBody, SentEvent};
use forge_journal::RunId;

/// The arguments of `forge send`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, allow_missing_positional = true)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    #[arg(required_unless_present = "run_key", conflicts_with_all = ["run_key", "workflow"])]
    run: Option<RunRef>,
    /// The name of the event.
    #[arg(required = true)]
    name: String,
    /// The payload: JSON, @FILE, or - for standard input.
    #[arg(long, short, default_value = "null", value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    payload: String,
    /// An idempotency key: a second event of this name with the same key is the same event.
    #[arg(long)]
    key: Option<String>,
    /// The workflow of the run that --run-key names.
    #[arg(long, short, value_name = "NAME", requires = "run_key")]
    workflow: Option<String>,
    /// The run that was started with this idempotency key, instead of its id.
    #[arg(long, value_name = "KEY", requires = "workflow")]
    run_key: Option<String>,
}

const EXAMPLES: &str = "\
The run keeps the event until it takes it, also if it does not wait for it yet or is paused. Prints the number of the event in \
the run. With --key, the command can be repeated safely.

Examples:
  forge send last approval --payload '{\"by\": \"ada\"}'
  forge send 0199d1c4-7a3e approval --payload @approval.json --key approval-1041
  forge send --workflow order --run-key order-1041 approval";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Args { run, name, payload, key, workflow, run_key } = args;
    if name.is_empty() || name == "." || name == ".." {
        return Err(CliError::Usage(format!("`{name}` is not a name of an event")));
    }
    let payload = input::read_option("--payload", &payload)?;
    let client = context.client()?;
    let (run, sent) = match (run, workflow, run_key) {
        (_, Some(workflow), Some(run_key)) => {
            let body = KeyedEventBody { run_key, payload, key };
            let sent = client.send_event_by_key(&workflow, &name, &body).await?;
            (sent.run_id.map(RunId), sent)
        }
        (Some(run), ..) => {
            let run = client.find(&run).await?;
            (Some(run), client.send_event(run, &name, &EventBody { payload, key }).await?)
        }
        // The parser has refused it.
        (None, ..) => return Err(CliError::Usage("give the run, or --workflow and --run-key".to_owned())),
    };
    context.print(&sent, |sent| told(run, sent))
}

fn told(run: Option<RunId>, SentEvent { seq, duplicate, .. }: &SentEvent) -> String {
    let sent = if *duplicate { "sent before" } else { "sent" };
    let run = run.map(|run| format!(" to run {run}")).unwrap_or_default();
    format!("{sent}{run} as event {seq}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        use clap::{Args as _, FromArgMatches as _};
        let command = Args::augment_args(clap::Command::new("send"));
        let matches = command.try_get_matches_from(["send"].iter().chain(arguments))?;
        Args::from_arg_matches(&matches)
    }

    #[test]
    fn a_run_is_named_by_its_id_or_by_its_key() {
        let by_id = parse(&["last", "approval", "--payload", "-"]).unwrap();
        assert!(matches!(by_id.run, Some(RunRef::Last)));
        assert_eq!((&*by_id.name, &*by_id.payload), ("approval", "-"));
        let by_key = parse(&["--workflow", "order", "--run-key", "order-1", "approval"]).unwrap();
        assert!(by_key.run.is_none());
        assert_eq!((&*by_key.name, by_key.run_key.as_deref()), ("approval", Some("order-1")));
        for wrong in [
            &["approval"][..],
            &["last"],
            &["--run-key", "order-1", "approval"],
            &["--workflow", "order", "approval"],
            &["--workflow", "order", "last", "approval"],
            &["--workflow", "order", "--run-key", "order-1", "last", "approval"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
