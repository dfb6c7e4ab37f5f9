//! The workflows, their versions, and the start of a run.

use axum::Router;

use super::Pages;

pub(super) fn router() -> Router<Pages> {
    Router::new()
}
