//! Loads runs from the store, many at once when many are asked for: after a restart, or when many
//! timers end.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::journal::RunId;
use crate::store::{Loaded, Store, StoreError};

/// Runs that are read at once: enough that the way to the database no longer shows, few enough that
/// those that are read first need not wait for long.
const BATCH: usize = 64;

type Answer = Result<Option<Loaded>, StoreError>;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Loader(mpsc::UnboundedSender<(RunId, oneshot::Sender<Answer>)>);

impl Loader {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let (queue, asked) = mpsc::unbounded_channel();
        tokio::spawn(load(store, asked));
        Self(queue)
    }

    /// A run as the store has it.
    pub(super) async fn load(&self, run: RunId) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.0.send((run, reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn load(store: Arc<dyn Store>, mut asked: mpsc::UnboundedReceiver<(RunId, oneshot::Sender<Answer>)>) {
    let mut batch = Vec::with_capacity(BATCH);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        let (runs, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let answers = match store.load(&runs).await {
            Ok(answers) => answers,
            Err(error) => runs.iter().map(|_| Err(error.clone())).collect(),
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Whoever asked may be gone.
            let _ = reply.send(answer);
        }
    }
}
