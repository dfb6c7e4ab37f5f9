//! Counts the bytes of bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// The count of bytes of bodies sent and received. It counts each piece when it is sent or received, so that a request
/// which is given up counts in part.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<AtomicU64>);

/// The body of a request, which counts its bytes when they are sent.
#[derive(Clone)]
pub(super) struct Outgoing {
    body: Full<Bytes>,
    traffic: Traffic,
}

impl Traffic {
    pub(super) fn new(bytes: Arc<AtomicU64>) -> Self {
        Self(bytes)
    }

    pub(super) fn count(&self, bytes: &Bytes) {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn outgoing(&self, body: Bytes) -> Outgoing {
        Outgoing { body: Full::new(body), traffic: self.clone() }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            self.traffic.count(bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
