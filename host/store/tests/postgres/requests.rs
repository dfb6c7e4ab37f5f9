//! What a node asks of the one that has a run.

use std::sync::Arc;

use forge_journal::WorkflowStatus;
use forge_store::{Nodes as _, Notification, RemoteCommand, RemoteRequest, RemoteResponse, Store as _};
use tokio::time::timeout;

use crate::support::{SOON, commit, connect, database, eventually, execute, hears, offer, open, run, start};

#[tokio::test]
async fn an_answer_reaches_the_node_that_asked() {
    let url = database();
    let (a, b) = (Arc::new(open(&url, "a").await), open(&url, "b").await);
    let mut notices = b.listen().unwrap();
    commit(&b, &[start(1)]).await.unwrap();
    for (ask, answer) in [
        (RemoteCommand::Cancel, RemoteResponse::Done),
        (RemoteCommand::Pause, RemoteResponse::Conflict(WorkflowStatus::Completed)),
        (RemoteCommand::Resume, RemoteResponse::Failed("no \0 luck".to_owned())),
    ] {
        let asker = Arc::clone(&a);
        let asked = tokio::spawn(async move { asker.send_command(run(1).id, ask).await.unwrap() });
        hears(&mut notices, Notification::Requested).await;
        let questions = b.requests().await.unwrap();
        let [RemoteRequest { id, run: asked_of, command: what }] = questions.as_slice() else {
            panic!("{questions:?}")
        };
        assert_eq!((*asked_of, *what), (run(1).id, ask));
        assert_eq!(b.requests().await.unwrap(), [], "each is given out once");
        assert_eq!(a.requests().await.unwrap(), [], "it is not asked of others");
        b.respond(*id, &answer).await.unwrap();
        assert_eq!(timeout(SOON, asked).await.unwrap().unwrap(), Some(answer));
    }
    eventually(&mut connect(&url).await, "SELECT count(*)::TEXT FROM forge_questions", "0").await;
}

#[tokio::test]
async fn an_answer_whose_notice_is_lost_is_found() {
    let url = database();
    let (a, b) = (Arc::new(open(&url, "a").await), open(&url, "b").await);
    commit(&b, &[start(1)]).await.unwrap();
    let asker = Arc::clone(&a);
    let asked =
        tokio::spawn(async move { asker.send_command(run(1).id, RemoteCommand::Cancel).await.unwrap() });
    let mut other = connect(&url).await;
    eventually(&mut other, "SELECT count(*)::TEXT FROM forge_questions", "1").await;
    execute(&mut other, "UPDATE forge_questions SET answer = '\"unknown\"'").await;
    assert_eq!(timeout(SOON, asked).await.unwrap().unwrap(), Some(RemoteResponse::Unknown));
}

#[tokio::test]
async fn nobody_waits_for_an_answer_that_cannot_come() {
    let url = database();
    let (a, b) = (Arc::new(open(&url, "a").await), open(&url, "b").await);
    commit(&b, &[start(1), offer(2)]).await.unwrap();
    commit(&a, &[start(3)]).await.unwrap();
    for number in [2, 3, 4] {
        assert_eq!(
            a.send_command(run(number).id, RemoteCommand::Cancel).await.unwrap(),
            None,
            "no other node has run {number}"
        );
    }
    let asker = Arc::clone(&a);
    let asked =
        tokio::spawn(async move { asker.send_command(run(1).id, RemoteCommand::Cancel).await.unwrap() });
    eventually(&mut connect(&url).await, "SELECT count(*)::TEXT FROM forge_questions", "1").await;
    let began = std::time::Instant::now();
    b.close().await;
    assert_eq!(timeout(SOON, asked).await.unwrap().unwrap(), None);
    assert!(began.elapsed().as_secs() < 5, "it is given up when the node ends");
}
