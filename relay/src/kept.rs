//! What `relay dev` makes once and keeps, so that a restart finds its data readable.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::Context as _;
use engine::{ids::OrganizationId, secret::Secret};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{settings::Settings, wiring::random_key};

const FILE: &str = "dev-keys.json";

#[derive(Serialize, Deserialize)]
struct Stored {
    encryption_key: String,
    service_key: String,
    jwt_secret: String,
    organization_id: OrganizationId,
    user_id: Uuid,
}

/// The keys and ids of the demo.
#[derive(Debug)]
pub(crate) struct Kept {
    encryption_key: SecretString,
    pub(crate) service_key: Secret,
    pub(crate) jwt_secret: Secret,
    pub(crate) organization_id: OrganizationId,
    pub(crate) user_id: Uuid,
}

impl Kept {
    /// Reads the kept keys of a data directory, or makes them. Only their owner can read the file.
    pub(crate) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE);
        let stored = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| {
                format!("{} is damaged: remove it to begin anew", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let stored = Stored {
                    encryption_key: random_key().expose_secret().to_owned(),
                    service_key: format!("dev_{}", hex::encode(rand::random::<[u8; 16]>())),
                    jwt_secret: hex::encode(rand::random::<[u8; 32]>()),
                    organization_id: OrganizationId(Uuid::new_v4()),
                    user_id: Uuid::new_v4(),
                };
                fs::create_dir_all(data_dir)?;
                let mut file =
                    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                file.write_all(serde_json::to_string_pretty(&stored)?.as_bytes())?;
                file.sync_all()?;
                stored
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self {
            encryption_key: SecretString::from(stored.encryption_key),
            service_key: Secret::new(stored.service_key),
            jwt_secret: Secret::new(stored.jwt_secret),
            organization_id: stored.organization_id,
            user_id: stored.user_id,
        })
    }

    /// What a data directory already keeps; nothing is made.
    pub(crate) fn find(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        if data_dir.join(FILE).exists() { Self::open(data_dir).map(Some) } else { Ok(None) }
    }

    /// The key that the demo's secrets are sealed with.
    pub(crate) fn encryption_key(&self) -> &SecretString {
        &self.encryption_key
    }

    /// Gives the settings what they lack. The demo's own keys come beside those that are set.
    pub(crate) fn fill(&self, settings: &mut Settings) {
        settings.encryption_key.get_or_insert_with(|| self.encryption_key.clone());
        settings.service_keys.push(SecretString::from(self.service_key.reveal().to_owned()));
        // The demo's admin token is signed with the demo's secret, by nobody in particular.
        settings.supabase_jwt_issuer = None;
        settings.supabase_jwt_secret =
            Some(SecretString::from(self.jwt_secret.reveal().to_owned()));
    }
}
