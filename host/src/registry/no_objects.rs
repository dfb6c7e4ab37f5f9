use std::convert::Infallible;

use bytes::Bytes;
use forge_store::StoreError;
use url::Url;

/// The placeholder for an object store in a build without the feature `object-store`.
pub struct Objects(Infallible);

impl Objects {
    /// Fails, because this build does not support object stores.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`].
    pub fn open(url: &Url) -> Result<Self, StoreError> {
        let why =
            "this build does not support object stores: build it with the feature `object-store`".to_owned();
        Err(StoreError::CannotOpen { database: url.to_string(), why })
    }

    pub(crate) async fn put(&self, _: &str, _: Bytes) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub(crate) async fn put_at(&self, _: &[&str], _: Vec<u8>) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub(crate) async fn get(&self, _: &str) -> Result<Option<Bytes>, StoreError> {
        match self.0 {}
    }
}
