//! What is not done to a tenant that is deleted, whoever asks: its rows wait for their purge, or are gone.

use unity_shared::{
    db::TenantTx,
    tenancy::{TenantStatus, find_tenant},
};

use crate::error::ApiError;

/// Lets pass where the transaction's tenant is in use, or suspended: then its people can still be managed.
pub async fn refuse_gone(tx: &mut TenantTx) -> Result<(), ApiError> {
    let tenant = find_tenant(tx).await?.ok_or(ApiError::NotFound)?;
    refuse_gone_status(tenant.status)
}

/// The same, where the status is known.
pub fn refuse_gone_status(status: TenantStatus) -> Result<(), ApiError> {
    match status {
        TenantStatus::Active | TenantStatus::Suspended => Ok(()),
        TenantStatus::Deleted | TenantStatus::Purging | TenantStatus::Purged => {
            Err(ApiError::TenantState {
                status,
                action: "changed",
            })
        }
    }
}
