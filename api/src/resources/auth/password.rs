//! `POST /auth/password`.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_in},
    ids::SessionId,
    sessions::{
        Account, AttemptKey, RefreshToken, find_account_of, find_refreshed_session,
        forget_attempts, forget_refresh_tokens, insert_refresh_token, renew_session_epoch,
        replace_password,
    },
    tenancy::is_good_password,
};

use super::create_token::{SMALL, count};
use crate::{
    audit::By,
    auth::{Caller, PersonCaller, Subject, TokenPair, issue},
    error::ApiError,
    extract::{JsonBody, NoParameters},
    middleware::SourceAddress,
    problem::ProblemBody,
    state::ApiState,
    violations::Violations,
};

/// The old password and the new.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The one that was good until now.
    #[schema(format = Password)]
    current_password: String,
    /// Not the same, and not the person's address.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    new_password: String,
}

/// Changes the password. Every other session of the person ends, and every token that was made before;
/// this session goes on with the tokens in the answer.
#[utoipa::path(
    post,
    path = "/auth/password",
    tag = "auth",
    request_body = PasswordChange,
    responses(
        (status = 200, description = "Changed.", body = TokenPair),
        (status = 422, description = "The present password is wrong, or the new one is not good enough.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn change_password(
    State(state): State<ApiState>,
    SourceAddress(address): SourceAddress,
    caller: Caller,
    person: PersonCaller,
    By(author): By,
    NoParameters: NoParameters,
    JsonBody {
        value: change,
        raw: _,
    }: JsonBody<PasswordChange, SMALL>,
) -> Result<Json<TokenPair>, ApiError> {
    let counters = AttemptKey::of(&person.email, address);
    let mut faults = Violations::default();
    if !is_good_password(&change.new_password, &person.email) {
        let detail = "must have 12 to 256 characters and not contain your address";
        faults.add("/new_password", "weak", detail);
    }
    if change.new_password == change.current_password {
        faults.add("/new_password", "unchanged", "must be another than before");
    }
    faults.finish()?;
    count(&state, &counters).await?;
    let mut tx = state.database().issuer().statement().await?;
    let account = find_account_of(&mut tx, person.id).await?;
    drop(tx);
    let account = account.ok_or(ApiError::Unauthenticated)?;
    let hash = Some(account.password_hash.clone());
    if !state
        .passwords()
        .verify(change.current_password, hash)
        .await?
    {
        return Err(wrong_password());
    }
    let hash = state.passwords().hash(change.new_password).await?;
    let account = (account, person.session);
    write(&state, &author, account, &hash, caller, &counters)
        .await
        .map(Json)
}

async fn write(
    state: &ApiState,
    author: &Author,
    (account, session): (Account, SessionId),
    hash: &str,
    caller: Caller,
    counters: &[AttemptKey],
) -> Result<TokenPair, ApiError> {
    let keyring = state.signing_keys().current().await?;
    let now = state.clock().now();
    let next = RefreshToken::generate();
    let mut tx = state.database().issuer().begin().await?;
    let epoch = replace_password(&mut tx, &account, hash).await?;
    // Somebody else has changed it since; then this one is not the present password any more.
    let epoch = epoch.ok_or_else(wrong_password)?;
    renew_session_epoch(&mut tx, session, epoch).await?;
    let owner = find_refreshed_session(&mut tx, session, now).await?;
    let owner = owner.ok_or(ApiError::Unauthenticated)?;
    forget_refresh_tokens(&mut tx, session).await?;
    insert_refresh_token(&mut tx, session, &next, owner.expires_at, now).await?;
    forget_attempts(&mut tx, counters).await?;
    let deed = Deed::done(
        Action::PASSWORD_CHANGE,
        AuditedObject::one("user", account.id),
        json!({}),
    );
    record_in(&mut tx, author, caller.tenant.as_ref(), &deed, now).await?;
    tx.commit().await?;
    let subject = Subject {
        session,
        user: account.id,
        email: account.email,
        epoch,
        tenant: caller.tenant,
        role: caller.role,
    };
    issue(&keyring, state.clock(), subject, &next)
}

fn wrong_password() -> ApiError {
    let mut faults = Violations::default();
    faults.add("/current_password", "wrong", "is not the present password");
    faults.finish().err().unwrap_or(ApiError::LoginFailed)
}
