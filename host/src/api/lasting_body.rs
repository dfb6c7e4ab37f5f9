use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// The body of a response that keeps something until all of it is written, or the connection ends.
///
/// The server drops a body when it has taken its bytes, and may write them for long after that. So the bytes keep it, too.
pub(super) struct LastingBody<T> {
    body: Body,
    kept: Arc<T>,
}

/// A part of a body.
struct Part<T> {
    bytes: Bytes,
    _kept: Arc<T>,
}

impl<T> LastingBody<T> {
    pub(super) fn new(body: Body, kept: T) -> Self {
        Self { body, kept: Arc::new(kept) }
    }
}

impl<T> AsRef<[u8]> for Part<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Send + Sync + 'static> hyper::body::Body for LastingBody<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let kept = &self.kept;
        let keeping = |frame: Frame<Bytes>| {
            frame.map_data(|bytes| Bytes::from_owner(Part { bytes, _kept: Arc::clone(kept) }))
        };
        polled.map(|polled| polled.map(|frame| frame.map(keeping)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_kept_until_the_last_byte_is_dropped() {
        let kept = Arc::new(());
        let mut body = LastingBody::new(Body::from("abc"), Arc::clone(&kept));
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!((&*bytes, Arc::strong_count(&kept)), (&b"abc"[..], 2));
        drop(bytes);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
