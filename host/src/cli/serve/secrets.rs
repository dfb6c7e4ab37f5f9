//! The keys that seal secrets. What they look like is in [`KeyRing`].

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::CliError;
use forge_egress::secrets::KeyRing;

/// Where the keys are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Secrets")]
#[group(skip)]
pub(super) struct Args {
    /// The file with the keys that seal secrets in the database, the newest first; `forge secrets generate-key` makes
    /// one. FORGE_SECRETS_KEY can have the keys themselves instead.
    #[arg(long, value_name = "FILE", env = "FORGE_SECRETS_KEY_FILE")]
    secrets_key_file: Option<PathBuf>,
    /// The keys themselves: only from the environment, because everybody can read command lines.
    #[arg(long = "secrets-key", hide = true, env = "FORGE_SECRETS_KEY", hide_env_values = true)]
    #[arg(conflicts_with = "secrets_key_file")]
    secrets_key: Option<String>,
}

impl Args {
    /// The keys, if there are any.
    pub(super) fn into_keys(self) -> Result<Option<Arc<KeyRing>>, CliError> {
        let (text, origin) = match (self.secrets_key_file, self.secrets_key) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(&file).map_err(|error| {
                    CliError::Usage(format!(
                        "cannot read the keys for secrets in {}: {error}",
                        file.display()
                    ))
                })?;
                (text, file.display().to_string())
            }
            (None, Some(text)) => (text, "FORGE_SECRETS_KEY".to_owned()),
            (None, None) => return Ok(None),
        };
        let keys: Result<KeyRing, _> = text.parse();
        match keys {
            Ok(keys) => Ok(Some(Arc::new(keys))),
            Err(error) => Err(CliError::Usage(format!("{origin}: {error}"))),
        }
    }
}
