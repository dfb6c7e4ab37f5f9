//! Just enough HTTP/1.1 to start runs and to answer their requests. It shares two cores with the host
//! that it measures, so it must cost little: one keep-alive connection for each run in flight, requests
//! that are written once and sent often, and no allocation for an answer.

mod client;
mod message;
mod server;

pub(crate) use client::{Connection, get, post, post_as};
pub(crate) use server::EffectServer;
