//! `POST /auth/token`: an address and a password for a session.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in},
    db::DbError,
    ids::SessionId,
    sessions::{
        Account, AttemptKey, Choice, NewSession, OpenedWith, RefreshToken, SESSION_LIFE,
        count_attempts, find_account, forget_attempts, insert_refresh_token, insert_session,
        list_choices,
    },
    tenancy::Role,
};

use super::refused::{Attempt, tell_of_failed};
use crate::{
    audit::Visitor,
    auth::{Subject, TokenPair, issue, why_refused},
    error::ApiError,
    extract::{JsonBody, NoParameters},
    problem::ProblemBody,
    state::ApiState,
};

/// The largest body that an address and a password need, in bytes.
pub const SMALL: usize = 16 * 1024;
/// Longest address that a mail can have, in bytes.
const LONGEST_ADDRESS: usize = 254;

/// Who logs in, and where.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The person's address, in any case.
    email: String,
    /// Their password.
    #[schema(format = Password)]
    password: String,
    /// The tenant; needed by whoever is a member of several. A system administrator who leaves it out
    /// logs in to the platform.
    tenant_id: Option<String>,
}

/// Logs somebody in.
///
/// The access token goes into the `Authorization` header; the refresh token is good for one use at
/// `POST /auth/refresh`. A wrong address, a wrong password and a tenant that one is no member of are
/// refused alike. Whoever is a member of several tenants and names none is told which, in `errors`, once
/// the password was right.
#[utoipa::path(
    post,
    path = "/auth/token",
    tag = "auth",
    request_body = Login,
    responses(
        (status = 200, description = "Logged in.", body = TokenPair),
        (status = 401, description = "Not let in.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The tenant is not in use.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "`tenant_id` is needed.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts from this address or at this account.",
         body = ProblemBody, content_type = "application/problem+json",
         headers(("Retry-After" = u64, description = "Seconds."))),
    ),
)]
pub async fn create_token(
    State(state): State<ApiState>,
    visitor: Visitor,
    NoParameters: NoParameters,
    JsonBody {
        value: login,
        raw: _,
    }: JsonBody<Login, SMALL>,
) -> Result<Json<TokenPair>, ApiError> {
    let attempt = Attempt {
        email: login.email.clone(),
        tenant: login.tenant_id.clone(),
    };
    match log_in(&state, &visitor, login).await {
        Ok(tokens) => Ok(Json(tokens)),
        Err(refusal) => {
            tell_of_failed(&state, &visitor, attempt, &refusal);
            Err(refusal)
        }
    }
}

async fn log_in(state: &ApiState, visitor: &Visitor, login: Login) -> Result<TokenPair, ApiError> {
    let counters = AttemptKey::of(&login.email, visitor.address);
    count(state, &counters).await?;
    let account = find(state, &login.email).await?;
    let hash = account
        .as_ref()
        .map(|account| account.password_hash.clone());
    let is_right = state.passwords().verify(login.password, hash).await?;
    let account = account
        .filter(|account| is_right && account.disabled_at.is_none())
        .ok_or(ApiError::LoginFailed)?;
    let mut tx = state.database().issuer().statement().await?;
    let choices = list_choices(&mut tx, account.id).await?;
    drop(tx);
    let choice = choose(&account, choices, login.tenant_id.as_deref())?;
    begin(state, visitor, account, choice, &counters).await
}

/// Counts the attempt before anything is known about it.
pub async fn count(state: &ApiState, counters: &[AttemptKey]) -> Result<(), ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().issuer().statement().await?;
    match count_attempts(&mut tx, counters, now).await? {
        None => Ok(()),
        Some(until) => Err(ApiError::TooManyAttempts {
            retry_after: (until - now)
                .to_std()
                .unwrap_or_default()
                .max(Duration::from_secs(1)),
        }),
    }
}

/// A text that cannot be an address is nobody's, and is not shown to the database.
pub async fn find(state: &ApiState, email: &str) -> Result<Option<Account>, DbError> {
    if email.len() > LONGEST_ADDRESS || email.chars().any(char::is_control) {
        return Ok(None);
    }
    let mut tx = state.database().issuer().statement().await?;
    find_account(&mut tx, email).await
}

/// Where somebody whose password was right is let in: a tenant, or the platform.
fn choose(
    account: &Account,
    choices: Vec<Choice>,
    wanted: Option<&str>,
) -> Result<Option<Choice>, ApiError> {
    let choice = match wanted {
        Some(wanted) => choices
            .into_iter()
            .find(|choice| choice.tenant.as_str() == wanted),
        None if account.platform_role.is_some() => return Ok(None),
        None if choices.len() > 1 => {
            let tenants = choices.into_iter().map(|choice| choice.tenant);
            return Err(ApiError::TenantAmbiguous(tenants.collect()));
        }
        None => choices.into_iter().next(),
    };
    let choice = choice.ok_or(ApiError::LoginFailed)?;
    match why_refused(choice.status) {
        Some((code, state)) => Err(ApiError::TenantInactive { code, state }),
        None => Ok(Some(choice)),
    }
}

async fn begin(
    state: &ApiState,
    visitor: &Visitor,
    account: Account,
    choice: Option<Choice>,
    counters: &[AttemptKey],
) -> Result<TokenPair, ApiError> {
    let keyring = state.signing_keys().current().await?;
    let now = state.clock().now();
    let (tenant, role) = match choice {
        Some(choice) => (Some(choice.tenant), choice.role),
        None => (None, Role::SystemAdmin),
    };
    let session = NewSession {
        id: SessionId::new(),
        user: account.id,
        tenant: tenant.clone(),
        epoch: account.token_epoch,
        opened_with: OpenedWith::Password,
    };
    let refresh = RefreshToken::generate();
    let mut tx = state.database().issuer().begin().await?;
    insert_session(&mut tx, &session, now).await?;
    insert_refresh_token(&mut tx, session.id, &refresh, now + SESSION_LIFE, now).await?;
    forget_attempts(&mut tx, counters).await?;
    let author = visitor.person(account.id, &account.email);
    let deed = Deed::done(
        Action::SESSION_BEGIN,
        AuditedObject::one("session", session.id),
        json!({ "with": session.opened_with.as_str() }),
    );
    record_in(&mut tx, &author, tenant.as_ref(), &deed, now).await?;
    tx.commit().await?;
    let subject = Subject {
        session: session.id,
        user: account.id,
        email: account.email,
        epoch: account.token_epoch,
        tenant,
        role,
    };
    issue(&keyring, state.clock(), subject, &refresh)
}
