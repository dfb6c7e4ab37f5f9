//! The audit log.

use axum::Router;

use super::Pages;

pub(super) fn router() -> Router<Pages> {
    Router::new()
}
