//! `POST /auth/refresh`: a refresh token for a new pair.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in},
    db::{DbError, Issuer, PlatformTx},
    ids::SessionId,
    sessions::{
        EndReason, RefreshToken, RefreshUse, SessionOwner, claim_refresh_token, end_session,
        find_refreshed_session, insert_refresh_token, mark_refreshed, mark_used,
    },
};

use super::create_token::SMALL;
use crate::{
    audit::Visitor,
    auth::{Subject, TokenPair, issue, why_refused},
    error::ApiError,
    extract::{JsonBody, NoParameters},
    problem::ProblemBody,
    state::ApiState,
};

/// The token to be used up.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// As the last answer gave it.
    refresh_token: String,
}

/// Goes on with a session.
///
/// A refresh token is good for one use within seven days, and a session for thirty. A token that comes a
/// second time ends its session: one of the two who have it has stolen it. Only a second use that had
/// arrived before the first was done is taken for a client that asked twice; it is answered 409 and ends
/// nothing.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "auth",
    request_body = Refresh,
    responses(
        (status = 200, description = "New tokens.", body = TokenPair),
        (status = 401, description = "Not a token that is good.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 403, description = "The tenant is not in use. The token is not used up.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "It was used while this request was under way.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn refresh_token(
    State(state): State<ApiState>,
    visitor: Visitor,
    NoParameters: NoParameters,
    JsonBody {
        value: body,
        raw: _,
    }: JsonBody<Refresh, SMALL>,
) -> Result<Json<TokenPair>, ApiError> {
    // Before anything is waited for: what arrived before another's use was done is no second use.
    let arrived = state.clock().now();
    let used = RefreshToken::received(body.refresh_token);
    let keyring = state.signing_keys().current().await?;
    let mut tx = state.database().issuer().begin().await?;
    let session = match claim_refresh_token(&mut tx, &used, arrived).await? {
        RefreshUse::Good(session) => session,
        RefreshUse::Raced => return Err(ApiError::RefreshRaced),
        RefreshUse::Reused(session) => {
            end_stolen(&state, &visitor, tx, session).await?;
            return Err(ApiError::RefreshInvalid);
        }
        RefreshUse::Unknown => return Err(ApiError::RefreshInvalid),
    };
    let next = RefreshToken::generate();
    let subject = go_on(&state, &visitor, &mut tx, session, &next).await?;
    if !mark_used(&mut tx, &used, state.clock().now()).await? {
        let problem = "a refresh token was used by another while it was held";
        return Err(ApiError::Defect(problem.to_owned()));
    }
    tx.commit().await?;
    issue(&keyring, state.clock(), subject, &next).map(Json)
}

/// Lets the session go on under the next token, if its owner is still somebody there: who is not gets no
/// token, and nothing is told of a refresh that was none.
async fn go_on(
    state: &ApiState,
    visitor: &Visitor,
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
    next: &RefreshToken,
) -> Result<Subject, ApiError> {
    let now = state.clock().now();
    let owner = find_refreshed_session(tx, session, now).await?;
    let owner = owner.ok_or(ApiError::RefreshInvalid)?;
    if let Some((code, state)) = owner.tenant_status.and_then(why_refused) {
        return Err(ApiError::TenantInactive { code, state });
    }
    let expires_at = owner.expires_at;
    let subject = subject_of(owner).ok_or(ApiError::RefreshInvalid)?;
    insert_refresh_token(tx, session, next, expires_at, now).await?;
    mark_refreshed(tx, session, now).await?;
    let author = visitor.person(subject.user, &subject.email);
    let deed = Deed::done(
        Action::SESSION_REFRESH,
        AuditedObject::one("session", session),
        json!({}),
    );
    record_in(tx, &author, subject.tenant.as_ref(), &deed, now).await?;
    Ok(subject)
}

async fn end_stolen(
    state: &ApiState,
    visitor: &Visitor,
    mut tx: PlatformTx<Issuer>,
    session: SessionId,
) -> Result<(), DbError> {
    tracing::warn!(%session, "a refresh token came a second time; its session has ended");
    let now = state.clock().now();
    let owner = find_refreshed_session(&mut tx, session, now).await?;
    end_session(&mut tx, session, EndReason::Reuse, now).await?;
    if let Some(owner) = owner {
        let deed = Deed::done(
            Action::SESSION_END,
            AuditedObject::one("session", session),
            json!({ "reason": EndReason::Reuse.as_str(), "user_id": owner.user }),
        );
        // Nobody knows which of the two it is.
        let author = visitor.anonymous();
        record_in(&mut tx, &author, owner.tenant.as_ref(), &deed, now).await?;
    }
    tx.commit().await
}

/// Absent = the owner is no member any more.
fn subject_of(owner: SessionOwner) -> Option<Subject> {
    let SessionOwner {
        session,
        user,
        email,
        must_change_password: _,
        epoch,
        tenant,
        tenant_status: _,
        role,
        opened_with: _,
        expires_at: _,
    } = owner;
    Some(Subject {
        session,
        user,
        email,
        epoch,
        tenant,
        role: role?,
    })
}
