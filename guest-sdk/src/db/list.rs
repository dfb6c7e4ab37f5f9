//! Lists of entries.

use std::future::IntoFuture;
use std::marker::PhantomData;

use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::{Entry, failed, host};
use crate::call;
use crate::error::Result;

/// The entries of a list that sets no limit.
const LIMIT: u32 = 100;

/// A list of entries of the tenant's store, in the order of their keys. Awaiting it returns one page.
///
/// A page may be shorter than the limit if its entries are large. An empty page is the end.
#[derive(Debug)]
#[must_use = "nothing is read until `.await`"]
pub struct List<T> {
    prefix: String,
    after: Option<String>,
    limit: u32,
    value: PhantomData<fn() -> T>,
}

/// The key after which a list begins: a key, or an option of one. `None`: the list begins with the first key.
#[derive(Debug, Clone, Default)]
pub struct After(Option<String>);

impl From<&str> for After {
    fn from(key: &str) -> Self {
        After(Some(key.to_owned()))
    }
}

impl From<&String> for After {
    fn from(key: &String) -> Self {
        After(Some(key.clone()))
    }
}

impl From<String> for After {
    fn from(key: String) -> Self {
        After(Some(key))
    }
}

impl<K: Into<String>> From<Option<K>> for After {
    fn from(key: Option<K>) -> Self {
        After(key.map(Into::into))
    }
}

impl<T: DeserializeOwned> List<T> {
    pub(super) fn new(prefix: String) -> Self {
        List { prefix, after: None, limit: LIMIT, value: PhantomData }
    }

    /// Selects entries after this key.
    pub fn after(self, key: impl Into<After>) -> Self {
        let After(after) = key.into();
        List { after, ..self }
    }

    /// Sets the most entries of a page. Default 100, at most 1,000.
    pub fn limit(self, limit: u32) -> Self {
        List { limit, ..self }
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for List<T> {
    type Output = Result<Vec<Entry<T>>>;
    type IntoFuture = LocalBoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let List { prefix, after, limit, .. } = self;
            let call = call::perform(|scope| host::list(scope, &prefix, after.as_deref(), limit)).await;
            host::listed(call).map_err(failed)?.into_iter().map(Entry::read).collect()
        })
    }
}
