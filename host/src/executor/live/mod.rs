//! Subscriptions: clients that follow a run or a list of runs.
//!
//! Nothing is queued for a subscriber. The [`Hub`] learns from the change feed which runs have changed. A run that somebody
//! follows has a [`Topic`]. While the run changes, one task reads what is new from the store, at most ten times a second, and
//! hands the same frames to all subscribers of the topic. A subscriber that is behind (because it is new, resumes at a
//! position, or was slow) reads what it has missed by itself.
//!
//! A *position* is a revision of the run's journal: a subscriber at a position has every change up to it. It may have some
//! later ones, which it gets once more.

mod frame;
mod group;
mod hub;
mod list;
mod nodes;
mod pace;
mod quota;
mod subscription;
mod topic;

pub use frame::{Frame, FrameKind};
pub use list::ListSubscription;
pub use quota::LiveConnection;
pub use subscription::{FollowRun, RunSubscription};

pub(super) use hub::{Changes, Hub};
pub(super) use nodes::tell;
