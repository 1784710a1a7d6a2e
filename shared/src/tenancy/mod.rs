//! Tenants: who they are, what they may use, and the keys they call with.

mod api_key;
mod directory;
mod idempotency;
mod job_limits;
mod password;
mod plan;
mod quota;
mod role;
mod scope;
mod stored_key;
mod tenant;

pub use api_key::{ApiKey, InvalidApiKey, random_base62};
pub use directory::{KeyOwner, find_key_owner, note_key_uses};
pub use idempotency::{
    RecordedAnswer, find_platform_answer, find_tenant_answer, insert_platform_answer,
    insert_tenant_answer,
};
pub use job_limits::{
    JobLimits, OwnJobLimits, list_job_limits, select_job_limits_page, update_job_limits,
};
pub use password::{
    PasswordError, generate_password, hash_password, is_good_password, verify_password,
};
pub use plan::Plan;
pub use quota::{QUOTA_MAX, QuotaOverrides, ResourceQuota};
pub use role::Role;
pub use scope::{InvalidScope, Resource, Scope, Scopes};
pub use stored_key::{
    KeyMaker, NewKey, StoredKey, find_platform_key, find_tenant_key, insert_platform_key,
    insert_tenant_key, list_platform_keys, list_tenant_keys, revoke_platform_key,
    revoke_tenant_key,
};
pub use tenant::{
    NewAdmin, NewTenant, Tenant, TenantStatus, find_tenant, has_own_password, insert_api_key,
    insert_tenant, list_tenants,
};
