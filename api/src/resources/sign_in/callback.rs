//! `GET /auth/oidc/callback`.
//!
//! Whatever is wrong, the answer is the same, and the log says what it was. The state is used up
//! before anything else is looked at.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in},
    ids::{SessionId, TenantId, UserId},
    people::{
        IdentityProvider, NewPerson, Recognised, Vouched, admit_vouched, find_member, use_sign_in,
    },
    sessions::{
        NewSession, OpenedWith, RefreshToken, SESSION_LIFE, find_account_of, insert_refresh_token,
        insert_session,
    },
    tenancy::{QuotaError, generate_password},
};

use super::{
    begun::SignInState,
    provider::{Claims, Provider},
    start::find_provider,
};
use crate::{
    audit::{Refusal, Visitor},
    auth::{Subject, TokenPair, issue},
    error::{ApiError, EntryError},
    extract::QueryParameters,
    problem::ProblemBody,
    resources::CALLBACK,
    state::ApiState,
};

/// What the provider has the browser say. Providers add parameters of their own.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Answer {
    /// As it was sent to the provider.
    state: Option<String>,
    /// What a token is given for; absent = the provider lets nobody in.
    code: Option<String>,
    /// The provider, if it says (RFC 9207).
    iss: Option<String>,
}

/// Longest state or code that is looked at.
const LONGEST: usize = 4096;
/// Constraints that the later of two first sign-ins violates.
const RACED: [&str; 3] = ["users_email_key", "identities_pkey", "memberships_pkey"];

/// Lets somebody in whom their tenant's identity provider knows, with a session of that tenant.
#[utoipa::path(
    get,
    path = "/auth/oidc/callback",
    tag = "auth",
    params(Answer),
    responses(
        (status = 200, description = "Logged in.", body = TokenPair),
        (status = 401, description = "Not let in.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 424, description = "The provider does not answer as one.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "The tenant has as many members as it may, or too many wait for the \
         provider's answer.", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn finish_sign_in(
    State(state): State<ApiState>,
    visitor: Visitor,
    headers: HeaderMap,
    QueryParameters(answer): QueryParameters<Answer>,
) -> Result<Response, ApiError> {
    let (begun, provider) = take(&state, &headers, answer.state.as_deref()).await?;
    match finish(&state, &visitor, answer, &begun, provider).await {
        Ok(tokens) => {
            let cookie = [(header::SET_COOKIE, state.sign_ins().clear_cookie()?)];
            Ok((cookie, Json(tokens)).into_response())
        }
        Err(error) => {
            if error.is_refusal() {
                tell_of_failed(&state, &visitor, begun.tenant, &error);
            }
            Err(error)
        }
    }
}

async fn finish(
    state: &ApiState,
    visitor: &Visitor,
    answer: Answer,
    begun: &SignInState,
    provider: IdentityProvider,
) -> Result<TokenPair, ApiError> {
    let tenant = &begun.tenant;
    if answer.iss.is_some_and(|issuer| issuer != provider.issuer) {
        return Err(refused(tenant, "the answer is another provider's"));
    }
    let code = answer.code.filter(|code| code.len() <= LONGEST);
    let code = code.ok_or_else(|| refused(tenant, "the provider let nobody in"))?;
    let claims = Provider::find(state, tenant, &provider)
        .await?
        .redeem(state, begun, code)
        .await?;
    let user = admit(state, visitor, tenant, provider, claims).await?;
    open_session(state, visitor, tenant, user).await
}

/// Only where the sign-in was begun at this tenant: a state that somebody made up names any.
fn tell_of_failed(state: &ApiState, visitor: &Visitor, tenant: TenantId, error: &ApiError) {
    let refusal = Refusal {
        author: visitor.anonymous(),
        tenant: Some(tenant),
        crossed: false,
        object: AuditedObject::several("session"),
        method: "GET".to_owned(),
        route: CALLBACK.to_owned(),
        code: error.code().to_owned(),
    };
    state.tell_later(|state| async move { state.denials().tell(refusal).await });
}

/// The sign-in that this browser began, used up, and the tenant's provider as it is now.
async fn take(
    state: &ApiState,
    headers: &HeaderMap,
    brought: Option<&str>,
) -> Result<(SignInState, IdentityProvider), ApiError> {
    let begun = brought
        .filter(|text| text.len() <= LONGEST)
        .and_then(SignInState::parse)
        .ok_or(EntryError::SignInFailed)?;
    let now = state.clock().now();
    let beginning = state
        .sign_ins()
        .begun_by(headers, &begun, now)
        .ok_or_else(|| {
            let reason = "nothing was begun with this state by this browser in time";
            refused(&begun.tenant, reason)
        })?;
    let mut tx = state.database().tenant(&begun.tenant).await?;
    let provider = find_provider(&mut tx)
        .await?
        .ok_or(EntryError::SignInFailed)?;
    let (ends, browser) = (beginning.ends, &beginning.browser_hash);
    let is_first = use_sign_in(&mut tx, &begun.hash(), browser, ends).await?;
    tx.commit().await?;
    if !is_first {
        return Err(refused(&begun.tenant, "the state was used before"));
    }
    Ok((begun, provider))
}

async fn admit(
    state: &ApiState,
    visitor: &Visitor,
    tenant: &TenantId,
    provider: IdentityProvider,
    claims: Claims,
) -> Result<UserId, ApiError> {
    let Claims {
        subject,
        email,
        name,
    } = claims;
    let default_role = provider.newcomers_role();
    let domains = &provider.email_domains;
    if !domains.is_empty() && !domains.contains(&email.host()) {
        return Err(refused(
            tenant,
            "the provider may not vouch for addresses of this domain",
        ));
    }
    let vouched = Vouched {
        issuer: provider.issuer,
        subject,
        email,
        newcomer: NewPerson {
            id: UserId::new(),
            name,
            password_hash: state.passwords().hash(generate_password()).await?,
        },
        default_role,
    };
    let now = state.clock().now();
    let mut tx = state.database().registrar().begin().await?;
    let recognised = admit_vouched(&mut tx, tenant, &vouched, now)
        .await
        .map_err(after_refusal)?;
    let Recognised { user, admitted_as } =
        recognised.ok_or_else(|| refused(tenant, "no member, and neither new here nor invited"))?;
    if let Some(role) = admitted_as {
        let author = visitor.person(user, vouched.email.as_str());
        let deed = Deed::done(
            Action::MEMBER_ADD,
            AuditedObject::one("user", user),
            json!({ "role": role, "issuer": vouched.issuer }),
        );
        record_in(&mut tx, &author, Some(tenant), &deed, now).await?;
    }
    tx.commit().await?;
    Ok(user)
}

fn after_refusal(error: QuotaError) -> ApiError {
    match error {
        QuotaError::Database(inner)
            if inner.constraint().is_some_and(|name| RACED.contains(&name)) =>
        {
            ApiError::Busy
        }
        // The provider gives a member a second name: one of the two is not theirs.
        QuotaError::Database(inner) if inner.constraint() == Some("identities_user_key") => {
            EntryError::SignInFailed.into()
        }
        error => error.into(),
    }
}

/// A session of this tenant and of no other.
async fn open_session(
    state: &ApiState,
    visitor: &Visitor,
    tenant: &TenantId,
    user: UserId,
) -> Result<TokenPair, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    let member = find_member(&mut tx, user).await?;
    drop(tx);
    let role = member.ok_or(EntryError::SignInFailed)?.role;
    let keyring = state.signing_keys().current().await?;
    let now = state.clock().now();
    let mut tx = state.database().issuer().begin().await?;
    let account = find_account_of(&mut tx, user)
        .await?
        .filter(|account| account.disabled_at.is_none())
        .ok_or(EntryError::SignInFailed)?;
    let session = NewSession {
        id: SessionId::new(),
        user,
        tenant: Some(tenant.clone()),
        epoch: account.token_epoch,
        opened_with: OpenedWith::IdentityProvider,
    };
    let refresh = RefreshToken::generate();
    insert_session(&mut tx, &session, now).await?;
    insert_refresh_token(&mut tx, session.id, &refresh, now + SESSION_LIFE, now).await?;
    let author = visitor.person(user, &account.email);
    let deed = Deed::done(
        Action::SESSION_BEGIN,
        AuditedObject::one("session", session.id),
        json!({ "with": session.opened_with.as_str() }),
    );
    record_in(&mut tx, &author, Some(tenant), &deed, now).await?;
    tx.commit().await?;
    let subject = Subject {
        session: session.id,
        user,
        email: account.email,
        epoch: account.token_epoch,
        tenant: Some(tenant.clone()),
        role,
    };
    issue(&keyring, state.clock(), subject, &refresh)
}

fn refused(tenant: &TenantId, reason: &'static str) -> ApiError {
    tracing::warn!(tenant_id = %tenant, reason, "a sign-in was refused");
    EntryError::SignInFailed.into()
}
