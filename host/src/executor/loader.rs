//! Loads runs from the store in batches: many are asked for after a restart, or when many timers end.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use forge_journal::RunId;
use forge_store::{Acquired, Epoch, Store, StoreError};

/// Runs that are read at once: enough to hide the round trip to the database, few enough that the first of them does not
/// wait for long.
const BATCH: usize = 64;

type Answer = Result<Acquired, StoreError>;

/// A request for a run.
struct Request {
    epoch: Epoch,
    run: RunId,
    reply: oneshot::Sender<Answer>,
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Loader(mpsc::UnboundedSender<Request>);

impl Loader {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let (queue, asked) = mpsc::unbounded_channel();
        tokio::spawn(load(store, asked));
        Self(queue)
    }

    /// Acquires a run, to execute it in this epoch.
    pub(super) async fn load(&self, epoch: Epoch, run: RunId) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.0.send(Request { epoch, run, reply }).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn load(store: Arc<dyn Store>, mut asked: mpsc::UnboundedReceiver<Request>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut answers = Vec::with_capacity(BATCH);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        for requests in batch.chunk_by(|a, b| a.epoch == b.epoch) {
            let Some(Request { epoch, .. }) = requests.first() else { continue };
            let runs: Vec<RunId> = requests.iter().map(|request| request.run).collect();
            answers.extend(match store.acquire(*epoch, &runs).await {
                Ok(answers) => answers,
                Err(error) => runs.iter().map(|_| Err(error.clone())).collect(),
            });
        }
        let unavailable = answers.iter().find_map(|answer| match answer {
            Err(error @ (StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) => Some(error.clone()),
            _ => None,
        });
        for (request, answer) in batch.drain(..).zip(answers.drain(..)) {
            // The caller may be gone.
            let _ = request.reply.send(answer);
        }
        // Requests that came meanwhile do not wait for as long again.
        while let Some(error) = &unavailable
            && let Ok(request) = asked.try_recv()
        {
            let _ = request.reply.send(Err(error.clone()));
        }
    }
}
