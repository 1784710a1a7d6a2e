//! The signing keys of the moment, remembered for a second.
//!
//! No process is told of a rotation: each looks at the rows when it needs them. The first that finds no
//! key makes one.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use unity_shared::{
    clock::Clock,
    config::Secret,
    db::{Database, DbError},
    sessions::{Keyring, RotateError, SealingKey, ensure_signing_key, list_signing_keys},
};

use crate::error::ApiError;

/// How long the keys are remembered, and so how long a key that was withdrawn may still count.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// The look-ups of signing keys.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    database: Database,
    clock: Clock,
    sealing: SealingKey,
    known: Cache<(), Arc<Keyring>>,
}

impl SigningKeys {
    /// Knows nothing yet.
    pub fn new(database: Database, clock: Clock, secret: &Secret) -> Self {
        Self {
            database,
            clock,
            sealing: SealingKey::new(secret),
            known: Cache::builder()
                .max_capacity(1)
                .time_to_live(REMEMBERED_FOR)
                .build(),
        }
    }

    /// The keys as they were a second ago at most; one of them signs.
    pub async fn current(&self) -> Result<Arc<Keyring>, ApiError> {
        if let Some(keyring) = self.known.get(&()).await {
            return Ok(keyring);
        }
        let keyring = Box::pin(self.known.try_get_with((), self.load())).await;
        keyring.map_err(|error| match Arc::unwrap_or_clone(error) {
            LoadError::Database(error) => ApiError::Database(error),
            LoadError::Make => ApiError::Defect("no signing key could be made".to_owned()),
        })
    }

    async fn load(&self) -> Result<Arc<Keyring>, LoadError> {
        let keyring = self.read().await?;
        if keyring.signs() {
            return Ok(Arc::new(keyring));
        }
        let mut tx = self.database.issuer().begin().await?;
        ensure_signing_key(&mut tx, &self.sealing, self.clock.now()).await?;
        tx.commit().await?;
        tracing::info!("a signing key was made: there was none that this secret key opens");
        Ok(Arc::new(self.read().await?))
    }

    async fn read(&self) -> Result<Keyring, DbError> {
        let mut tx = self.database.issuer().statement().await?;
        let rows = list_signing_keys(&mut tx).await?;
        Ok(Keyring::new(&rows, &self.sealing, self.clock.now()))
    }
}

/// Why there are no keys.
#[derive(Debug, Clone)]
enum LoadError {
    Database(Arc<DbError>),
    Make,
}

impl From<DbError> for LoadError {
    fn from(error: DbError) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<RotateError> for LoadError {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Database(error) => error.into(),
            RotateError::UnderWay(_) | RotateError::Make => Self::Make,
        }
    }
}
