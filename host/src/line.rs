//! A TCP connection on which an answer can be waited for without letting go of the core: busy polling.
//!
//! Who sleeps until something arrives must be woken, often from another core. On a virtual machine that takes as long as
//! a server nearby takes to answer (docs/decisions/0019).

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;

/// For how long an answer is waited for in this way. What takes longer takes so long that being woken does not
/// count.
pub(crate) const LONGEST: Duration = Duration::from_micros(200);

/// Reads in a row that go past Tokio. With the next one the thread looks after everything else that may have arrived.
const IN_A_ROW: u32 = 4;

/// Bytes that one such read takes: more than most answers have.
const BYTES: usize = 4 << 10;

thread_local! {
    static EAGER: Cell<Option<Eager>> = const { Cell::new(None) };
}

/// What the next read does.
#[derive(Clone, Copy)]
enum Eager {
    /// It looks whether something is there, whatever Tokio knows.
    Now,
    /// It looks again until then.
    Until(Instant),
    /// It did, and something was there.
    Found,
}

/// Polls something that waits for an answer: the first read in it that finds nothing looks again until then. The second
/// value is whether something was there.
pub(crate) fn looking_until<T>(until: Instant, poll: impl FnOnce() -> T) -> (T, bool) {
    EAGER.set(Some(Eager::Until(until)));
    let polled = poll();
    (polled, matches!(EAGER.take(), Some(Eager::Found)))
}

/// Polls something that reads: the first read in it sees what has arrived by now, and not only what Tokio has noticed.
pub(crate) fn looking_now<T>(poll: impl FnOnce() -> T) -> T {
    EAGER.set(Some(Eager::Now));
    let polled = poll();
    EAGER.set(None);
    polled
}

/// A connection.
pub(crate) struct Line {
    stream: TokioIo<TcpStream>,
    /// Since when an answer has been waited for.
    since: Option<Instant>,
    /// How long the last one took.
    took: Duration,
    in_a_row: u32,
}

impl Line {
    pub(crate) fn new(stream: TokioIo<TcpStream>) -> Self {
        Self { stream, since: None, took: Duration::ZERO, in_a_row: 0 }
    }

    /// Reads what has arrived; with [`RecvFlags::PEEK`] it stays there. `None`: nothing has.
    fn receive(&self, flags: RecvFlags, buffer: &mut ReadBufCursor<'_>) -> Option<io::Result<()>> {
        let mut bytes = [0; BYTES];
        let most = BYTES.min(buffer.remaining());
        match recv(self.stream.inner(), &mut bytes[..most], flags | RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(error) => Some(Err(error.into())),
            Ok(_) if flags.contains(RecvFlags::PEEK) => Some(Ok(())),
            Ok((read, _)) => {
                buffer.put_slice(&bytes[..read]);
                Some(Ok(()))
            }
        }
    }

    /// Looks until then whether something has arrived, and reads it. `None`: it is to be read, or waited for, in the
    /// ordinary way.
    fn look(&mut self, until: Instant, buffer: &mut ReadBufCursor<'_>) -> Option<io::Result<()>> {
        let in_a_row = std::mem::take(&mut self.in_a_row);
        let goes_past = in_a_row < IN_A_ROW;
        let flags = if goes_past { RecvFlags::empty() } else { RecvFlags::PEEK };
        loop {
            match self.receive(flags, buffer) {
                None if Instant::now() < until => std::hint::spin_loop(),
                None => {
                    // Until it is known better.
                    self.took = LONGEST;
                    return None;
                }
                Some(_) if !goes_past => return None,
                read => {
                    self.in_a_row = in_a_row + 1;
                    return read;
                }
            }
        }
    }

    fn arrived(&mut self) {
        if let Some(since) = self.since.take() {
            self.took = since.elapsed();
        }
    }
}

impl Read for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Without room to read into, nothing would look like the end.
        let eager = if buffer.remaining() > 0 { EAGER.get() } else { None };
        match eager {
            Some(Eager::Now) => {
                EAGER.set(None);
                if let Some(read) = this.receive(RecvFlags::empty(), &mut buffer) {
                    return Poll::Ready(read);
                }
            }
            Some(Eager::Until(until)) => {
                EAGER.set(None);
                this.since.get_or_insert_with(Instant::now);
                if this.took < LONGEST
                    && let Some(read) = this.look(until, &mut buffer)
                {
                    EAGER.set(Some(Eager::Found));
                    this.arrived();
                    return Poll::Ready(read);
                }
            }
            Some(Eager::Found) | None => {}
        }
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            this.arrived();
        }
        read
    }
}

impl Write for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;
    use std::task::Waker;

    use hyper::rt::ReadBuf;

    use super::*;

    /// Longer than any test may take.
    const LONG: Duration = Duration::from_secs(600);

    /// A connection, and its other end.
    async fn pair() -> (Line, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Line::new(TokioIo::new(stream)), listener.accept().unwrap().0)
    }

    fn poll(line: &mut Line, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        let mut bytes = [0; 8];
        let mut buffer = ReadBuf::new(&mut bytes);
        Pin::new(line).poll_read(context, buffer.unfilled()).map(|read| {
            read.unwrap();
            buffer.filled().to_vec()
        })
    }

    /// Polled once, looking until something is there.
    fn look(line: &mut Line, until: Instant) -> (Poll<Vec<u8>>, bool) {
        looking_until(until, || poll(line, &mut Context::from_waker(Waker::noop())))
    }

    async fn read(line: &mut Line) -> Vec<u8> {
        poll_fn(|context| poll(line, context)).await
    }

    /// As if the answers so far had come at once.
    fn patient(line: &mut Line) -> &mut Line {
        line.took = Duration::ZERO;
        line
    }

    fn soon() -> Instant {
        Instant::now() + LONG
    }

    #[tokio::test]
    async fn what_arrives_while_it_is_looked_for_is_read_at_once() {
        let (mut line, mut other) = pair().await;
        let answering = std::thread::spawn(move || {
            other.write_all(b"answer").unwrap();
            other
        });
        assert_eq!(look(&mut line, soon()), (Poll::Ready(b"answer".to_vec()), true));
        drop(answering.join().unwrap());
        assert_eq!(look(patient(&mut line), soon()), (Poll::Ready(Vec::new()), true), "the end is seen, too");
    }

    #[tokio::test]
    async fn what_arrives_later_is_read_as_ever() {
        let (mut line, mut other) = pair().await;
        assert_eq!(look(&mut line, Instant::now()), (Poll::Pending, false));
        other.write_all(b"late").unwrap();
        assert_eq!(read(&mut line).await, b"late");
    }

    #[tokio::test]
    async fn after_some_reads_in_a_row_the_thread_looks_after_everything_else() {
        let (mut line, mut other) = pair().await;
        for _ in 0..2 {
            for _ in 0..IN_A_ROW {
                other.write_all(b"a").unwrap();
                assert_eq!(look(patient(&mut line), soon()), (Poll::Ready(b"a".to_vec()), true));
            }
            other.write_all(b"b").unwrap();
            let (polled, found) = look(patient(&mut line), soon());
            // Tokio may have seen already that there is something to read.
            match polled {
                Poll::Ready(bytes) => assert_eq!(bytes, b"b"),
                Poll::Pending => assert_eq!(read(&mut line).await, b"b"),
            }
            assert!(!found);
        }
    }

    #[tokio::test]
    async fn who_takes_long_is_not_looked_at_until_an_answer_comes_soon() {
        let (mut line, mut other) = pair().await;
        assert_eq!(look(&mut line, Instant::now()), (Poll::Pending, false));
        // It would last for minutes if it were looked for.
        assert_eq!(look(&mut line, soon()), (Poll::Pending, false));
        tokio::time::sleep(2 * LONGEST).await;
        other.write_all(b"slow").unwrap();
        assert_eq!(read(&mut line).await, b"slow");
        assert!(line.took >= LONGEST);
        assert_eq!(look(&mut line, soon()), (Poll::Pending, false));
        line.since = Some(soon());
        other.write_all(b"fast").unwrap();
        assert_eq!(read(&mut line).await, b"fast");
        other.write_all(b"again").unwrap();
        assert_eq!(look(&mut line, soon()), (Poll::Ready(b"again".to_vec()), true));
    }

    #[tokio::test]
    async fn what_tokio_has_not_noticed_yet_is_seen() {
        let (mut line, mut other) = pair().await;
        let now = |line: &mut Line| looking_now(|| poll(line, &mut Context::from_waker(Waker::noop())));
        assert_eq!(now(&mut line), Poll::Pending);
        other.write_all(b"a").unwrap();
        assert_eq!(now(&mut line), Poll::Ready(b"a".to_vec()));
        drop(other);
        assert_eq!(now(&mut line), Poll::Ready(Vec::new()));
    }

    #[tokio::test]
    async fn one_read_looks_and_the_next_does_not() {
        let (mut line, mut other) = pair().await;
        other.write_all(b"a").unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let ((first, second), found) =
            looking_until(soon(), || (poll(&mut line, &mut context), poll(&mut line, &mut context)));
        assert_eq!((first, second, found), (Poll::Ready(b"a".to_vec()), Poll::Pending, true));
    }
}
