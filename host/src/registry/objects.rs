//! Components in an object store instead of the database.

use std::fmt::Display;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, parse_url_opts};
use url::Url;

use forge_store::StoreError;

/// A folder in an object store: `s3://BUCKET/FOLDER`, `gs://…`, `az://…` or `file:///FOLDER`. Credentials come from the
/// environment variables of the cloud's own tools.
pub struct Objects {
    url: Url,
    store: Box<dyn ObjectStore>,
    folder: Path,
}

impl Objects {
    /// Opens the folder at a URL. No request is sent yet.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] if the URL is invalid.
    pub fn open(url: &Url) -> Result<Self, StoreError> {
        if url.scheme() == "file"
            && let Ok(folder) = url.to_file_path()
        {
            std::fs::create_dir_all(folder).map_err(|error| cannot_open(url, error))?;
        }
        // Names are matched without case, and unknown names are ignored.
        let environment = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, folder) = parse_url_opts(url, environment).map_err(|error| cannot_open(url, error))?;
        Ok(Self { url: url.clone(), store, folder })
    }

    /// Stores a component.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put(&self, digest: &str, component: Bytes) -> Result<(), StoreError> {
        let stored = self.store.put(&self.path(digest), PutPayload::from(component)).await;
        stored.map(|_| ()).map_err(|error| self.unavailable(error))
    }

    /// Stores an object at this path in the folder. Replaces an object that is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn put_at(&self, path: &[&str], bytes: Vec<u8>) -> Result<(), StoreError> {
        let path = path.iter().fold(self.folder.clone(), |folder, part| folder.join(*part));
        let stored = self.store.put(&path, PutPayload::from(bytes)).await;
        stored.map(|_| ()).map_err(|error| self.unavailable(error))
    }

    /// Returns the bytes that are stored under a digest, unchecked.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn get(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&self.path(digest)).await {
            Ok(found) => {
                let component = found.bytes().await.map_err(|error| self.unavailable(error))?;
                Ok(Some(component))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    fn path(&self, digest: &str) -> Path {
        self.folder.clone().join(format!("{digest}.wasm"))
    }

    fn unavailable(&self, error: impl Display) -> StoreError {
        StoreError::Unavailable(format!("the object store {}: {error}", self.url))
    }
}

fn cannot_open(url: &Url, error: impl Display) -> StoreError {
    StoreError::CannotOpen { database: url.to_string(), why: error.to_string() }
}
