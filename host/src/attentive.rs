//! Tasks that look again at once when they are woken while they are polled.
//!
//! A task often wakes itself: a connection whose body is asked for, a run that has handed a request to the connection.
//! Tokio then puts it at the end of a queue and wakes another thread, which may take it to a core where nothing of it
//! is in a cache. With one run in flight that was half of what a step took beside the disk and the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// How often in a row a future is polled, so that one that is never done lets others have the thread.
const ROUNDS: usize = 16;

/// Nobody polls: who wakes the future wakes its task.
const RESTING: u8 = 0;

/// It is polled.
const POLLED: u8 = 1;

/// It is polled, and was woken meanwhile.
const WOKEN: u8 = 2;

/// What wakes the future.
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = |state| (state != RESTING).then_some(WOKEN);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, woken).is_err() {
            self.task.wake();
        }
    }
}

/// The same future; it is polled again at once when it is woken while it is polled. It is on the heap, because it is
/// large, and would be moved into its task.
pub(crate) fn attentive<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    let bell = Arc::new(Bell { state: AtomicU8::new(RESTING), task: AtomicWaker::new() });
    let waker = Waker::from(Arc::clone(&bell));
    std::future::poll_fn(move |task| {
        bell.task.register(task.waker());
        for _ in 0..ROUNDS {
            bell.state.swap(POLLED, Ordering::AcqRel);
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(done);
            }
            let rests =
                bell.state.compare_exchange(POLLED, RESTING, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if rests {
                return Poll::Pending;
            }
        }
        bell.state.swap(RESTING, Ordering::AcqRel);
        task.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use futures::FutureExt as _;
    use futures::future::poll_fn;

    use super::*;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Task {
        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn task() -> (Arc<Task>, Waker) {
        let task = Arc::new(Task::default());
        (Arc::clone(&task), Waker::from(task))
    }

    /// Pending so many times, woken each time.
    async fn woken_while_polled(times: usize) -> usize {
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            if polls > times {
                return Poll::Ready(polls);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    #[test]
    fn who_is_woken_while_polled_goes_on_without_its_task_being_woken() {
        let (task, waker) = task();
        let mut future = pin!(attentive(woken_while_polled(ROUNDS - 1)));
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(ROUNDS));
        assert_eq!(task.woken(), 0);
    }

    #[test]
    fn who_is_never_done_lets_others_have_the_thread() {
        let (task, waker) = task();
        let mut future = pin!(attentive(woken_while_polled(ROUNDS)));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(task.woken(), 1);
        assert_eq!(future.now_or_never(), Some(ROUNDS + 1));
    }

    #[test]
    fn who_is_woken_later_has_its_task_woken() {
        let (task, waker) = task();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut future = pin!(attentive(receiver));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(task.woken(), 0);
        sender.send(7).unwrap();
        assert_eq!(task.woken(), 1);
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(7)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_waking_by_another_thread_is_lost() {
        for _ in 0..200 {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let sending = tokio::spawn(async move {
                for number in 0..100 {
                    sender.send(number).await.unwrap();
                }
            });
            let received = tokio::spawn(attentive(async move {
                let mut sum = 0;
                while let Some(number) = receiver.recv().await {
                    sum += number;
                }
                sum
            }));
            sending.await.unwrap();
            assert_eq!(received.await.unwrap(), 4950);
        }
    }
}
