//! The flags for the keys that encrypt secrets. [`KeyRing`] explains the keys.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::CliError;
use crate::encoding;
use forge_egress::secrets::KeyRing;
use zeroize::Zeroizing;

/// Flags that name the keys.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Secrets")]
#[group(skip)]
pub(super) struct Args {
    /// The file with the keys that encrypt secrets in the database, the newest first. `forge secrets generate-key`
    /// generates a key. FORGE_SECRETS_KEY can contain the keys instead.
    #[arg(long, value_name = "FILE", env = "FORGE_SECRETS_KEY_FILE")]
    secrets_key_file: Option<PathBuf>,
    /// The keys. Only for the environment: other users of the machine can read command lines.
    #[arg(long = "secrets-key", hide = true, env = "FORGE_SECRETS_KEY", hide_env_values = true)]
    #[arg(conflicts_with = "secrets_key_file")]
    secrets_key: Option<String>,
}

impl Args {
    /// Returns the keys, or `None` if no flag is set.
    pub(super) fn into_keys(self) -> Result<Option<Arc<KeyRing>>, CliError> {
        let (text, origin) = match (self.secrets_key_file, self.secrets_key) {
            (Some(file), _) => {
                let origin = file.display().to_string();
                let unreadable = |why: &dyn Display| {
                    CliError::Usage(format!("cannot read the keys for secrets in {origin}: {why}"))
                };
                let bytes = Zeroizing::new(std::fs::read(file).map_err(|error| unreadable(&error))?);
                let text = encoding::utf8(&bytes).map_err(|why| unreadable(&format!("it {why}")))?;
                (Zeroizing::new(text.to_owned()), origin)
            }
            (None, Some(text)) => (Zeroizing::new(text), "FORGE_SECRETS_KEY".to_owned()),
            (None, None) => return Ok(None),
        };
        let keys = text.parse().map_err(|error| CliError::Usage(format!("{origin}: {error}")))?;
        Ok(Some(Arc::new(keys)))
    }
}
