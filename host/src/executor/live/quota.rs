//! What clients that follow runs hold of the host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use forge_journal::TenantId;
use forge_scheduling::{ByteBudget, ReservedBytes};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Frame;
use crate::config::LiveLimits;
use crate::executor::ExecutorError;

/// The bytes of a frame that need no reservation: what the server buffers of a connection anyway.
const UNRESERVED: u64 = 16 << 10;

/// The pages of journals that the subscriptions of one connection read at once. While its client does not read, they wait with
/// what they have.
const READS: usize = 2;

/// The limits, and what all tenants hold.
pub(super) struct Quotas {
    pub(super) limits: LiveLimits,
    subscriptions: Arc<AtomicUsize>,
    frames: Arc<ByteBudget>,
    /// The tenants with connections. Never iterated.
    tenants: Mutex<HashMap<TenantId, Weak<Share>>>,
}

/// What one tenant holds.
pub(super) struct Share {
    connections: Arc<AtomicUsize>,
    subscriptions: Arc<AtomicUsize>,
    frames: Arc<ByteBudget>,
}

/// One of a limited number, until it is dropped.
#[derive(Debug)]
struct One(Arc<AtomicUsize>);

/// A subscription that counts, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    _of_connection: One,
    _of_tenant: One,
    _of_host: One,
}

/// A subscription to a list that counts, until it is dropped.
#[derive(Debug)]
pub(super) struct CountedList {
    _list: One,
    _counted: Counted,
}

/// Room for a frame, until it is dropped.
pub(super) type Room = [ReservedBytes; 2];

/// A connection for subscriptions, until it is dropped. Cheap to clone; all clones are the same connection.
#[derive(Clone)]
pub struct LiveConnection(Arc<OfConnection>);

struct OfConnection {
    quotas: Arc<Quotas>,
    share: Arc<Share>,
    subscriptions: Arc<AtomicUsize>,
    lists: Arc<AtomicUsize>,
    reads: Semaphore,
    _counted: One,
}

impl One {
    fn of(
        count: &Arc<AtomicUsize>,
        most: usize,
        what: &'static str,
        setting: &'static str,
    ) -> Result<Self, ExecutorError> {
        let one_more = |count: usize| (count < most).then_some(count + 1);
        match count.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => Ok(Self(Arc::clone(count))),
            Err(_) => Err(ExecutorError::TooManyLive { what, most, setting }),
        }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Quotas {
    pub(super) fn new(limits: LiveLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            subscriptions: Arc::default(),
            frames: Arc::default(),
            tenants: Mutex::default(),
        })
    }

    /// Returns a further connection of a tenant.
    pub(super) fn connect(self: &Arc<Self>, tenant: &TenantId) -> Result<LiveConnection, ExecutorError> {
        let share = self.share(tenant);
        let most = self.limits.connections_per_tenant;
        let what = "lasting connections of this tenant";
        let counted = One::of(&share.connections, most, what, "--live-connections")?;
        Ok(LiveConnection(Arc::new(OfConnection {
            quotas: Arc::clone(self),
            share,
            subscriptions: Arc::default(),
            lists: Arc::default(),
            reads: Semaphore::new(READS),
            _counted: counted,
        })))
    }

    /// Returns what a tenant holds.
    pub(super) fn share(&self, tenant: &TenantId) -> Arc<Share> {
        let mut tenants = self.tenants.lock();
        if let Some(share) = tenants.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Share {
            connections: Arc::default(),
            subscriptions: Arc::default(),
            frames: Arc::default(),
        });
        // Those of tenants that have none left are dropped, so that the map does not grow.
        tenants.retain(|_, share| share.strong_count() > 0);
        tenants.insert(Arc::clone(tenant), Arc::downgrade(&share));
        share
    }

    /// Returns room for frames that many subscribers share, if there is some.
    pub(super) fn try_room(&self, share: &Share, bytes: u64) -> Option<Room> {
        let all = self.limits.frame_bytes;
        let of_tenant = share.frames.try_reserve(bytes, all / LiveLimits::PARTS)?;
        Some([of_tenant, self.frames.try_reserve(bytes, all)?])
    }
}

impl LiveConnection {
    /// Counts a further subscription.
    pub(super) fn subscribe(&self) -> Result<Counted, ExecutorError> {
        let OfConnection { quotas, share, subscriptions, .. } = &*self.0;
        let limits = &quotas.limits;
        let parts = usize::try_from(LiveLimits::PARTS).unwrap_or(1);
        let of_connection = One::of(
            subscriptions,
            limits.subscriptions_per_connection,
            "subscriptions on this connection",
            "--live-subscriptions-per-connection",
        )?;
        let setting = "--live-subscriptions";
        let of_tenant = limits.subscriptions / parts;
        Ok(Counted {
            _of_connection: of_connection,
            _of_tenant: One::of(&share.subscriptions, of_tenant, "subscriptions of this tenant", setting)?,
            _of_host: One::of(&quotas.subscriptions, limits.subscriptions, "subscriptions", setting)?,
        })
    }

    /// Counts a further subscription to a list.
    pub(super) fn subscribe_to_list(&self) -> Result<CountedList, ExecutorError> {
        let most = self.0.quotas.limits.lists_per_connection;
        let what = "subscriptions to lists on this connection";
        let list = One::of(&self.0.lists, most, what, "--live-lists-per-connection")?;
        Ok(CountedList { _list: list, _counted: self.subscribe()? })
    }

    /// Waits until this connection may read another page.
    pub(super) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.0.reads.acquire().await.ok()
    }

    /// Waits for room.
    pub(super) async fn room(&self, bytes: u64) -> Room {
        let OfConnection { quotas, share, .. } = &*self.0;
        let all = quotas.limits.frame_bytes;
        let of_tenant = share.frames.reserve(bytes, all / LiveLimits::PARTS).await;
        [of_tenant, quotas.frames.reserve(bytes, all).await]
    }

    /// Waits for room for the copy of a frame that the connection makes to send it. Keep it until the frame is sent.
    pub async fn room_to_send(&self, frame: &Frame) -> impl Send + Sync + use<> {
        let bytes = frame.text().len() as u64;
        if frame.has_room() || bytes <= UNRESERVED { None } else { Some(self.room(bytes).await) }
    }

    /// Returns the limits.
    pub fn limits(&self) -> &LiveLimits {
        &self.0.quotas.limits
    }
}
