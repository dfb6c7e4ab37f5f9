use std::sync::Arc;

use futures::Stream;
use futures::stream;

use crate::executor::ExecutorError;
use crate::executor::live::{Frame, ListSubscription, RunSubscription};

/// A subscription of a client.
pub(super) enum Subscription {
    Run(RunSubscription),
    List(ListSubscription),
}

/// What a subscription yields: a frame, its end, or the error with which it ends.
pub(super) type Yielded = Result<Option<Frame>, ExecutorError>;

impl Subscription {
    async fn next(&mut self) -> Yielded {
        match self {
            Self::Run(subscription) => subscription.next().await,
            Self::List(subscription) => subscription.next().await.map(Some),
        }
    }

    /// Returns what the subscription yields, each with its id.
    pub(super) fn frames(self, id: Arc<str>) -> impl Stream<Item = (Arc<str>, Yielded)> + Send {
        stream::unfold(Some(Box::new(self)), move |subscription| {
            let id = Arc::clone(&id);
            async move {
                let mut subscription = subscription?;
                let yielded = subscription.next().await;
                let goes_on = matches!(yielded, Ok(Some(_)));
                Some(((id, yielded), goes_on.then_some(subscription)))
            }
        })
    }
}
