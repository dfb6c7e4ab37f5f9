//! The bytes of a connection: whether any were written or read, and what becomes of a write that fails.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What has happened on the connection since the request was handed over.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    written: AtomicBool,
    answered: AtomicBool,
    /// The bytes that may still be read before the head of the answer is complete.
    left: AtomicUsize,
    /// Whether the head of the answer is complete.
    is_head_complete: AtomicBool,
}

/// The error of an answer whose head does not end, or that is preceded by interim answers (such as 103) without end.
#[derive(Debug, thiserror::Error)]
#[error("the head of the answer does not end")]
pub(super) struct EndlessHead;

/// A stream on which a failed write is not the end: the server may have answered before it read the whole request.
///
/// A server that refuses a request early, such as with 413 or 401, closes its end while the request is being written.
/// The write fails, and the answer can still be read. So a failed write waits for ever, and reading goes on to the
/// answer, to the end of the stream, or to an error.
pub(super) struct Wire<S> {
    stream: S,
    progress: Progress,
    /// A write has failed: nothing more is written.
    is_broken: bool,
}

impl Progress {
    /// Forgets earlier requests. At most `most` bytes may be read before the head of the answer is complete.
    pub(super) fn reset(&self, most: usize) {
        self.0.left.store(most, Ordering::Relaxed);
        self.0.is_head_complete.store(false, Ordering::Relaxed);
        self.0.written.store(false, Ordering::Relaxed);
        self.0.answered.store(false, Ordering::Relaxed);
    }

    /// Returns whether a byte of the request was written, so that a part of it may have arrived.
    pub(super) fn is_written(&self) -> bool {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Notes that the head of the answer is complete.
    pub(super) fn head_is_complete(&self) {
        self.0.is_head_complete.store(true, Ordering::Relaxed);
    }

    /// Notes that bytes of the answer were read.
    fn read(&self, bytes: usize) -> Result<(), EndlessHead> {
        self.0.answered.store(true, Ordering::Relaxed);
        if self.0.is_head_complete.load(Ordering::Relaxed) {
            return Ok(());
        }
        let left = self.0.left.load(Ordering::Relaxed).checked_sub(bytes).ok_or(EndlessHead)?;
        self.0.left.store(left, Ordering::Relaxed);
        Ok(())
    }

    /// Returns whether a byte of the answer has arrived.
    pub(super) fn is_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, progress: Progress) -> Self {
        Self { stream, progress, is_broken: false }
    }

    fn write(&mut self, work: impl FnOnce(&mut S) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = self.unless_broken(work);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.progress.0.written.store(true, Ordering::Relaxed);
        }
        written
    }

    fn unless_broken<T>(&mut self, work: impl FnOnce(&mut S) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.is_broken {
            return Poll::Pending;
        }
        match work(&mut self.stream) {
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a request could not be written; an answer may have come before");
                self.is_broken = true;
                // The task is woken by reading, which notices that the connection is broken.
                Poll::Pending
            }
            polled => polled,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.progress.read(read).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unless_broken(|stream| Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
