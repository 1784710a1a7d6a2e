//! Tenants: who they are, what they may use, and the keys they call with.

mod act_as;
mod api_key;
mod change;
mod directory;
mod idempotency;
mod job_limits;
mod life;
mod password;
mod plan;
mod purge;
mod quota;
mod quota_usage;
mod role;
mod scope;
mod stored_key;
mod tenant;

pub use act_as::{
    ActAsActor, ActAsGrant, ActAsToken, Acting, NewActAs, end_act_as, find_acting, insert_act_as,
    list_act_as,
};
pub use api_key::{ApiKey, InvalidApiKey, random_base62};
pub use change::{TenantChange, rename_tenant, update_tenant};
pub use directory::{KeyOwner, find_key_owner, note_key_uses};
pub use idempotency::{
    RecordedAnswer, delete_answers, find_platform_answer, find_tenant_answer, insert_answers,
    insert_platform_answer, insert_tenant_answer,
};
pub use job_limits::{
    JobLimits, LimitsAt, OwnJobLimits, list_job_limits, select_changed_job_limits,
    select_job_limits_page, update_job_limits,
};
pub use life::{LifeStep, Stepped, TenantStatus, take_step};
pub use password::{
    PasswordError, generate_password, hash_password, is_good_password, verify_password,
};
pub use plan::{MostJobLimits, Plan};
pub use purge::{
    KEPT_TABLES, PURGED_TABLES, Purgeable, bury_tenant, end_waiting_jobs, find_purgeable,
    purge_people, purge_rows, select_tenants_to_purge, start_purge, stop_running_jobs,
};
pub use quota::{QUOTA_MAX, Quota, QuotaOverrides, QuotaReport, QuotaUsage, ResourceQuota};
pub use quota_usage::{
    QuotaError, QuotaFull, list_quota_usage, record_cluster_use, release_quota,
    release_quota_as_operator, release_quota_as_registrar, reserve_quota,
    reserve_quota_as_operator, reserve_quota_as_registrar,
};
pub use role::Role;
pub use scope::{InvalidScope, Resource, Scope, Scopes};
pub(crate) use stored_key::revoke_keys_of;
pub use stored_key::{
    KeyMaker, MOST_LIVE_KEYS, NewKey, StoredKey, count_live_keys, find_platform_key,
    find_tenant_key, insert_platform_key, insert_tenant_key, is_key_elsewhere, list_platform_keys,
    list_tenant_keys, revoke_platform_key, revoke_tenant_key,
};
pub use tenant::{
    NewAdmin, NewTenant, Tenant, TenantFilter, find_tenant, insert_api_key, insert_tenant,
    list_tenants, lock_own_tenant, lock_tenant,
};
