//! Commands to the node that executes a run.

use std::sync::Arc;

use forge_journal::WorkflowStatus;
use forge_store::{
    Nodes as _, Notification, Refusal, RemoteCommand, RemoteRequest, RemoteResponse, Resolution, Store as _,
};
use tokio::time::timeout;

use crate::support::{
    SOON, commit, connect, database, eventually, execute, insert_unowned, open, receives, run, start,
};

#[tokio::test]
async fn a_response_reaches_the_node_that_sent_the_request() {
    let url = database();
    let (a, b) = (Arc::new(open(&url, "a").await), open(&url, "b").await);
    let mut notifications = b.listen().unwrap();
    commit(&b, &[start(1)]).await.unwrap();
    for (command, response) in [
        (RemoteCommand::Cancel, RemoteResponse::Done),
        (RemoteCommand::Pause, RemoteResponse::Conflict(WorkflowStatus::Completed)),
        (RemoteCommand::Resume, RemoteResponse::Failed("no \0 luck".to_owned())),
        (
            RemoteCommand::Resolve {
                step: "odd \0".to_owned(),
                resolution: Resolution::Completed("null".to_owned()),
                by: "ops".to_owned(),
            },
            RemoteResponse::Refused(Refusal::UnknownStep { run: run(1).id, step: "odd \0".to_owned() }),
        ),
    ] {
        let sender = Arc::clone(&a);
        let asked = command.clone();
        let sent = tokio::spawn(async move { sender.send_command(run(1).id, &asked).await.unwrap() });
        receives(&mut notifications, Notification::Requested).await;
        let requests = b.requests().await.unwrap();
        let [RemoteRequest { id, run: of, command: received }] = requests.as_slice() else {
            panic!("{requests:?}")
        };
        assert_eq!((*of, received), (run(1).id, &command));
        assert_eq!(b.requests().await.unwrap(), [], "each is returned once");
        assert_eq!(a.requests().await.unwrap(), [], "other nodes do not receive it");
        b.respond(*id, &response).await.unwrap();
        assert_eq!(timeout(SOON, sent).await.unwrap().unwrap(), Some(response));
    }
    eventually(&mut connect(&url).await, "SELECT count(*)::TEXT FROM forge_questions", "0").await;
}

#[tokio::test]
async fn a_response_whose_notification_is_lost_is_found() {
    let url = database();
    let (a, b) = (Arc::new(open(&url, "a").await), open(&url, "b").await);
    commit(&b, &[start(1)]).await.unwrap();
    let sender = Arc::clone(&a);
    let sent =
        tokio::spawn(async move { sender.send_command(run(1).id, &RemoteCommand::Cancel).await.unwrap() });
    let mut other = connect(&url).await;
    eventually(&mut other, "SELECT count(*)::TEXT FROM forge_questions", "1").await;
    execute(&mut other, "UPDATE forge_questions SET answer = '\"unknown\"'").await;
    assert_eq!(timeout(SOON, sent).await.unwrap().unwrap(), Some(RemoteResponse::Unknown));
}

#[tokio::test]
async fn a_request_without_a_receiver_is_given_up_at_once() {
    let url = database();
    let (a, b) = (Arc::new(open(&url, "a").await), open(&url, "b").await);
    commit(&b, &[start(1), insert_unowned(2)]).await.unwrap();
    commit(&a, &[start(3)]).await.unwrap();
    for number in [2, 3, 4] {
        assert_eq!(
            a.send_command(run(number).id, &RemoteCommand::Cancel).await.unwrap(),
            None,
            "no other node has run {number}"
        );
    }
    let sender = Arc::clone(&a);
    let sent =
        tokio::spawn(async move { sender.send_command(run(1).id, &RemoteCommand::Cancel).await.unwrap() });
    eventually(&mut connect(&url).await, "SELECT count(*)::TEXT FROM forge_questions", "1").await;
    let began = std::time::Instant::now();
    b.close().await;
    assert_eq!(timeout(SOON, sent).await.unwrap().unwrap(), None);
    assert!(began.elapsed().as_secs() < 5, "the request is given up when the node ends");
}
