//! Names in the body of a workflow.

use forge::prelude::*;
use forge::testing::TestRun;

#[forge::workflow]
async fn printing(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    println!("at once: {}", 1);
    ctx.step("s", || async {
        eprintln!("in a step");
        Ok(())
    })
    .run()
    .await
}

#[test]
fn what_the_body_of_a_workflow_prints_is_logged() {
    let run = TestRun::new(PrintingWorkflow).run(());
    let lines: Vec<_> = run.logs.iter().map(|log| (log.step.as_deref(), log.level, &*log.message)).collect();
    assert_eq!(lines, [(None, "info", "at once: 1"), (Some("s"), "warn", "in a step")]);
}
