//! How many calls to identity providers are under way at once: two for a tenant, and some for all of
//! them. Providers are what tenants name, so one that hangs must hold up its own tenant alone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unity_shared::ids::TenantId;

use crate::error::ApiError;

/// Calls for one tenant.
const MOST_OF_ONE: usize = 2;
/// Calls for all tenants, of this process.
const MOST: usize = 32;
/// How long a call waits for those before it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tenants whose counts are kept before those that have none under way are looked for.
const SWEPT_AT: usize = 1000;

/// The calls that are under way. Clones share them.
#[derive(Clone)]
pub struct Calls {
    all: Arc<Semaphore>,
    tenants: Arc<Mutex<HashMap<TenantId, Weak<Semaphore>>>>,
}

/// Leave to call, until it is dropped.
pub struct Call {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            tenants: Arc::default(),
        }
    }
}

impl Calls {
    /// Waits for its turn, for some seconds at most.
    pub async fn begin(&self, tenant: &TenantId) -> Result<Call, ApiError> {
        let own = self.of(tenant);
        let turn = async {
            // The tenant's own first: what waits for that keeps nobody else's place.
            let own = own.acquire_owned().await?;
            let all = Arc::clone(&self.all).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Call {
                _all: all,
                _own: own,
            })
        };
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(call) => call.map_err(|error| ApiError::Defect(error.to_string())),
            Err(_) => Err(ApiError::RateLimited {
                limit: "identity provider",
                retry_after: PATIENCE,
            }),
        }
    }

    /// The permits of a tenant live as long as somebody holds or awaits one.
    fn of(&self, tenant: &TenantId) -> Arc<Semaphore> {
        // The map is whole between any two statements.
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = tenants.get(tenant).and_then(Weak::upgrade) {
            return own;
        }
        if tenants.len() >= SWEPT_AT {
            tenants.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(MOST_OF_ONE));
        tenants.insert(tenant.clone(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_has_two_calls_and_keeps_no_other_waiting() {
        let calls = Calls::default();
        let [one, other] = ["one", "other"].map(|id| TenantId::parse(id).unwrap());
        let first = calls.begin(&one).await.unwrap();
        let _second = calls.begin(&one).await.unwrap();
        assert!(matches!(
            calls.begin(&one).await,
            Err(ApiError::RateLimited { .. })
        ));
        assert!(calls.begin(&other).await.is_ok());
        drop(first);
        assert!(calls.begin(&one).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_tenants_together_have_an_end_too() {
        let calls = Calls::default();
        let mut under_way = Vec::new();
        for number in 0..MOST {
            let tenant = TenantId::parse(&format!("tenant-{number}")).unwrap();
            under_way.push(calls.begin(&tenant).await.unwrap());
        }
        let late = TenantId::parse("late").unwrap();
        assert!(calls.begin(&late).await.is_err());
        under_way.pop();
        assert!(calls.begin(&late).await.is_ok());
    }
}
