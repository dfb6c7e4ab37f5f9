use std::convert::Infallible;

use forge_store::StoreError;
use url::Url;

/// An object store for components, which this build has none of: it was made without the feature `object-store`.
pub struct Objects(Infallible);

impl Objects {
    /// Fails: this build has no object stores.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`].
    pub fn open(url: &Url) -> Result<Self, StoreError> {
        let why = "this build has no object stores: build it with the feature `object-store`".to_owned();
        Err(StoreError::CannotOpen { database: url.to_string(), why })
    }

    pub(crate) async fn put(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        match self.0 {}
    }

    pub(crate) async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0 {}
    }
}
