//! The signing keys of the moment, remembered for a second.
//!
//! No process is told of a rotation: each looks at the rows when it needs them. The first that finds no
//! key makes one.

use std::sync::Arc;

use unity_shared::{
    clock::Clock,
    config::Secret,
    db::{Database, DbError},
    sessions::{Keyring, RotateError, SealingKey, ensure_signing_key, list_signing_keys},
};

use super::remembered::Remembered;
use crate::error::ApiError;

/// The look-ups of signing keys.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    database: Database,
    clock: Clock,
    sealing: SealingKey,
    known: Remembered<(), Arc<Keyring>>,
}

impl SigningKeys {
    /// Knows nothing yet.
    pub fn new(database: Database, clock: Clock, secret: &Secret) -> Self {
        Self {
            database,
            clock,
            sealing: SealingKey::new(secret),
            known: Remembered::new(1),
        }
    }

    /// The keys as they were a second ago at most; one of them signs.
    pub async fn current(&self) -> Result<Arc<Keyring>, ApiError> {
        let keyring = self.known.find((), self.load()).await;
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
