//! Lines that a workflow logs and values that it publishes.

use forge::prelude::*;
use forge::testing::TestRun;

#[derive(serde::Serialize)]
struct Progress {
    done: u32,
}

#[forge::workflow]
async fn publishing(ctx: &WorkflowContext, _input: ()) -> Result<()> {
    ctx.publish("progress", &Progress { done: 1 });
    ctx.step("inside", || async {
        forge::publish("note", "from a helper");
        Ok(())
    })
    .run()
    .await?;
    ctx.publish("progress", &Progress { done: 2 });
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    ctx.publish("no json", &no_json);
    ctx.publish("nothing", &f64::NAN);
    Ok(())
}

#[test]
fn the_last_value_of_each_name_is_published_and_what_is_no_json_is_a_line() {
    let run = TestRun::new(PublishingWorkflow).run(());
    run.output();
    assert_eq!(
        json!(run.published),
        json!({ "note": "from a helper", "nothing": null, "progress": { "done": 2 } })
    );
    let [line] = &run.logs[..] else { panic!("{:?}", run.logs) };
    assert_eq!((line.level, &line.step), ("warn", &None));
    assert!(
        line.message.starts_with("`no json` is not published: it cannot be written as JSON: "),
        "{line:?}"
    );
}
