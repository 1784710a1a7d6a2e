//! Tenants: who they are, what they may use, and the keys they call with.

mod api_key;
mod directory;
mod idempotency;
mod password;
mod plan;
mod quota;
mod role;
mod tenant;

pub use api_key::{ApiKey, InvalidApiKey, random_base62};
pub use directory::{KeyOwner, find_key_owner, select_job_limits_page};
pub use idempotency::{
    RecordedAnswer, find_platform_answer, find_tenant_answer, insert_platform_answer,
    insert_tenant_answer,
};
pub use password::{PasswordError, generate_password, hash_password};
pub use plan::{JobLimits, Plan};
pub use quota::{QUOTA_MAX, QuotaOverrides, ResourceQuota};
pub use role::Role;
pub use tenant::{
    NewAdmin, NewTenant, Tenant, TenantStatus, find_tenant, has_own_password, insert_api_key,
    insert_tenant, job_limits_of, list_tenants,
};
