//! What tenants' identity providers said about themselves, remembered for a while.
//!
//! Anybody may begin a sign-in, and no beginning may cost a provider, or us, more than a look into this
//! memory: a provider is asked once in some minutes, by one request for all that want to know, and one
//! that does not answer is left alone for half a minute.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::Uri;
use chrono::{DateTime, TimeDelta, Utc};
use moka::future::Cache;
use openidconnect::{IssuerUrl, core::CoreProviderMetadata};
use unity_shared::{clock::Clock, ids::TenantId, telemetry::chain};

use super::{calls::Calls, provider::caller};
use crate::{
    error::{ApiError, EntryError},
    outbound::{Outbound, OutboundError},
};

/// How long a provider's word about itself is good.
const GOOD_FOR: TimeDelta = TimeDelta::minutes(5);
/// How long a provider that did not answer as one is not asked again; also how old its keys must be
/// before a token that does not fit them has us ask.
const REST: TimeDelta = TimeDelta::seconds(30);
/// Providers that are remembered at most; more cost calls, not memory.
const MOST: u64 = 10_000;

/// A tenant's provider as it was set: whatever is set anew is asked anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WhichProvider {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its address. A provider that was taken away and set again has its first version again.
    pub issuer: String,
    /// How often it was set.
    pub version: i64,
}

/// What providers said. Clones share it.
#[derive(Clone)]
pub struct KnownProviders {
    slots: Cache<WhichProvider, Arc<Slot>>,
    calls: Calls,
}

#[derive(Default)]
struct Slot {
    said: Mutex<Option<Said>>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Said {
    at: DateTime<Utc>,
    /// Absent = it did not answer as a provider.
    metadata: Option<Arc<CoreProviderMetadata>>,
}

impl Said {
    fn is_good(&self, now: DateTime<Utc>) -> bool {
        let good_for = if self.metadata.is_some() {
            GOOD_FOR
        } else {
            REST
        };
        now < self.at + good_for
    }

    fn answer(self) -> Result<Arc<CoreProviderMetadata>, ApiError> {
        self.metadata
            .ok_or_else(|| EntryError::ProviderUnavailable.into())
    }
}

impl Slot {
    fn said(&self, now: DateTime<Utc>) -> Option<Said> {
        self.lock().clone().filter(|said| said.is_good(now))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Said>> {
        // It is whole between any two statements.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownProviders {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self {
            slots: Cache::new(MOST),
            calls: Calls::default(),
        }
    }

    /// The way to call a provider.
    pub const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What the provider said about itself lately, or says now.
    pub async fn find(
        &self,
        which: &WhichProvider,
        outbound: &Outbound,
        clock: &Clock,
    ) -> Result<Arc<CoreProviderMetadata>, ApiError> {
        let slot = self
            .slots
            .get_with_by_ref(which, async { Arc::default() })
            .await;
        if let Some(said) = slot.said(clock.now()) {
            return said.answer();
        }
        // A task of its own: a client that hangs up before the answer must not have the next one ask again.
        let (this, which) = (self.clone(), which.clone());
        let (outbound, clock) = (outbound.clone(), clock.clone());
        let asked =
            tokio::spawn(async move { this.ask(&slot, &which, &outbound, &clock).await }).await;
        asked.map_err(|error| ApiError::Defect(error.to_string()))?
    }

    async fn ask(
        &self,
        slot: &Slot,
        which: &WhichProvider,
        outbound: &Outbound,
        clock: &Clock,
    ) -> Result<Arc<CoreProviderMetadata>, ApiError> {
        let _call = self.calls.begin(&which.tenant).await?;
        let _asking = slot.asking.lock().await;
        if let Some(said) = slot.said(clock.now()) {
            return said.answer();
        }
        let metadata = match discover(&which.issuer, outbound).await {
            Ok(metadata) => Some(Arc::new(metadata)),
            Err(reason) => {
                let tenant = &which.tenant;
                tracing::warn!(tenant_id = %tenant, error = reason, "an identity provider is no help");
                None
            }
        };
        let said = Said {
            at: clock.now(),
            metadata,
        };
        *slot.lock() = Some(said.clone());
        said.answer()
    }

    /// Has the provider asked again by whoever wants to know next, unless it was a moment ago.
    pub async fn forget(&self, which: &WhichProvider, now: DateTime<Utc>) {
        if let Some(slot) = self.slots.get(which).await {
            slot.lock().take_if(|said| said.at + REST <= now);
        }
    }
}

/// Asks a provider where its parts are and for its keys.
async fn discover(issuer: &str, outbound: &Outbound) -> Result<CoreProviderMetadata, String> {
    let issuer = IssuerUrl::new(issuer.to_owned()).map_err(|error| chain(&error))?;
    let metadata = CoreProviderMetadata::discover_async(issuer, &caller(outbound))
        .await
        .map_err(|error| chain(&error))?;
    // The browser is sent there, so it must be an address and not a script.
    let entrance = metadata.authorization_endpoint().as_str().parse::<Uri>();
    if entrance.is_ok_and(|uri| outbound.takes(&uri)) {
        Ok(metadata)
    } else {
        Err(chain(&OutboundError::Address))
    }
}
