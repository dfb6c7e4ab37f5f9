//! The body of a request, which must come in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::pace::Pace;

/// The error of a body that comes too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request did not come in time")]
pub(in crate::api) struct TooSlow;

/// A body that fails with [`TooSlow`] if the client sends it too slowly. Time counts while the body is read.
pub(super) struct RequestBody {
    body: Incoming,
    pace: Pace,
}

impl RequestBody {
    /// Returns a body that may make no progress for this long.
    pub(super) fn new(body: Incoming, body_time: Duration) -> Self {
        Self { body, pace: Pace::new(body_time) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.pace.progressed(frame.data_ref().map_or(0, Bytes::len));
            }
            Poll::Ready(_) => {}
            Poll::Pending => {
                if self.pace.poll_late(context).is_ready() {
                    return Poll::Ready(Some(Err(TooSlow.into())));
                }
            }
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
