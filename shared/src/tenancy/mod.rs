//! Tenants: who they are, what they may use, and the keys they call with.

mod act_as;
mod api_key;
mod directory;
mod idempotency;
mod job_limits;
mod password;
mod plan;
mod quota;
mod role;
mod scope;
mod tenant;

pub use act_as::{
    ActAsActor, ActAsGrant, ActAsToken, Acting, NewActAs, end_act_as, find_acting, insert_act_as,
    list_act_as,
};
pub use api_key::{ApiKey, InvalidApiKey, random_base62};
pub use directory::{KeyOwner, find_key_owner};
pub use idempotency::{
    RecordedAnswer, find_platform_answer, find_tenant_answer, insert_platform_answer,
    insert_tenant_answer,
};
pub use job_limits::{
    JobLimits, OwnJobLimits, list_job_limits, select_job_limits_page, update_job_limits,
};
pub use password::{PasswordError, generate_password, hash_password};
pub use plan::Plan;
pub use quota::{QUOTA_MAX, QuotaOverrides, ResourceQuota};
pub use role::Role;
pub use scope::{InvalidScope, Resource, Scope, Scopes};
pub use tenant::{
    NewAdmin, NewTenant, Tenant, TenantStatus, find_tenant, has_own_password, insert_api_key,
    insert_tenant, list_tenants,
};
