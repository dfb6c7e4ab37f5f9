//! x
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
static IDLE: AtomicUsize = AtomicUsize::new(0);
static WAITS: AtomicUsize = AtomicUsize::new(0);
static LOCK: Mutex<()> = Mutex::new(());
static BELL: Condvar = Condvar::new();
/// x
pub fn parked() {
    IDLE.fetch_add(1, SeqCst);
    if WAITS.load(SeqCst) > 0 {
        let _l = LOCK.lock().unwrap();
        BELL.notify_all();
    }
}
/// x
pub fn unparked() {
    IDLE.fetch_sub(1, SeqCst);
}
/// x
pub fn wait(most: Duration) {
    let end = Instant::now() + most;
    WAITS.fetch_add(1, SeqCst);
    let mut l = LOCK.lock().unwrap();
    while IDLE.load(SeqCst) == 0 {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { break }
        l = BELL.wait_timeout(l, left).unwrap().0;
    }
    drop(l);
    WAITS.fetch_sub(1, SeqCst);
}
