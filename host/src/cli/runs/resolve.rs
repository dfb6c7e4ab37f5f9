use crate::api::ResolveBody;
use crate::cli::run_ref::RunRef;
use crate::cli::{CliError, Context, input};

/// The arguments of `forge runs resolve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "forge runs resolve <ID> <STEP> --completed [JSON] | --failed [REASON]"
)]
#[group(skip)]
pub(super) struct Args {
    /// The run: its id, the first 8 or more digits of its id, or `last`.
    id: RunRef,
    /// The name of the step or call, or its `seq`. A compensation has the name of its step.
    step: String,
    #[command(flatten)]
    outcome: Outcome,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Outcome {
    /// It completed, with this result: JSON, @FILE, or @- for standard input [default: null].
    #[arg(long, value_name = "JSON|@FILE", num_args = 0..=1, default_missing_value = "null", allow_negative_numbers = true)]
    completed: Option<String>,
    /// It failed, for this reason.
    #[arg(long, value_name = "REASON", num_args = 0..=1, default_missing_value = "")]
    failed: Option<String>,
}

const EXAMPLES: &str = "\
Says how a call ended that the host cannot know about: a request that is marked at-most-once and was under way when the \
host stopped (the run is paused as in_doubt), a request that a run which has ended names as in doubt, or a compensation that \
fails or never ends. The result of a step is what its \
code returns; the result of a request is a response with `status`, `headers` and `body`.

Examples:
  forge runs resolve 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 charge --completed '{\"payment\": \"ch_81\"}'
  forge runs resolve 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 charge --failed 'the bank has no such payment'
  forge runs resolve 0199d1c4-7a3e-7d1f-9c55-0d8f6b1f2a10 reserve_seat --completed";

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Args { id, step, outcome } = args;
    let body = ResolveBody {
        completed: outcome.completed.map(|text| input::read_option("--completed", &text)).transpose()?,
        failed: outcome.failed.map(|reason| Some(reason).filter(|reason| !reason.is_empty())),
    };
    let client = context.client()?;
    let id = client.find(&id).await?;
    let record = client.resolve(id, &step, &body).await?;
    context.print(&record, |record| format!("run {id} is {}", record.status))
}
