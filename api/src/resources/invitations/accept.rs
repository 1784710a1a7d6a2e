//! `POST /invitations/accept`: the one who reads the mail comes in.
//!
//! The token shows that somebody reads the mails of that address. That is enough to sign up, and not
//! enough to act as somebody who has an account: they say their password too, or send the access token
//! of a session of their own. A session that a tenant's identity provider opened is that provider's word,
//! and proves nothing to another tenant. An account that rests on such a word alone has no password yet:
//! whoever reads its mails sets one, as if they signed up. A token that is unknown, used up, revoked or past its end is refused
//! with one and the same answer.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_in},
    ids::{TenantId, UserId},
    people::{Admitted, Entry, MailToken, NewPerson, OpenInvitation, admit, find_open_invitation},
    sessions::{AttemptKey, OpenedWith, find_account_of, forget_attempts},
    tenancy::{QuotaError, is_good_password},
};

use crate::{
    audit::Visitor,
    auth::{Actor, authenticate},
    error::{ApiError, EntryError},
    extract::{JsonBody, NoParameters},
    problem::ProblemBody,
    resources::auth::count,
    state::ApiState,
    violations::Violations,
};

/// The largest body that a token, a name and a password need, in bytes.
const SMALL: usize = 16 * 1024;
/// The constraint that a second account of an address violates.
const ACCOUNT_CONSTRAINT: &str = "users_email_key";

/// Who accepts.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The code in the mail.
    #[schema(max_length = 100)]
    token: String,
    /// What others call them; of somebody who is new.
    #[schema(min_length = 1, max_length = 200, format = "words")]
    name: Option<String>,
    /// The password that somebody new chooses, or the one that they have.
    #[schema(format = Password, max_length = 256)]
    password: Option<String>,
}

/// Accepts an invitation.
///
/// Somebody new signs up with it and chooses a password of 12 to 256 characters; so does whoever has only
/// signed in by a tenant's identity provider so far, and the sessions of that end. Whoever has a password
/// says it, or sends the access token of a session that was opened with it. Afterwards they log in to the
/// tenant at `POST /auth/token`.
#[utoipa::path(
    post,
    path = "/invitations/accept",
    tag = "auth",
    request_body = Acceptance,
    responses(
        (status = 200, description = "A member from now on.", body = Admitted),
        (status = 401, description = "The address has an account, and this is not its owner's password or session.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "It was sent with a key, or in the session of somebody else.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 410, description = "The code is unknown, used up, revoked or past its end.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "Too many attempts from this address or at this account.",
         body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn accept_invitation(
    State(state): State<ApiState>,
    visitor: Visitor,
    headers: HeaderMap,
    NoParameters: NoParameters,
    JsonBody {
        value: acceptance,
        raw: _,
    }: JsonBody<Acceptance, SMALL>,
) -> Result<Json<Admitted>, ApiError> {
    let session = session_of(&state, &headers).await?;
    let token = MailToken::parse(&acceptance.token).ok_or(EntryError::InvitationGone)?;
    let invitation = find(&state, &token).await?;
    let entry = enter(&state, &visitor, &invitation, session, acceptance).await?;
    let now = state.clock().now();
    let mut tx = state.database().registrar().begin().await?;
    let admitted = admit(&mut tx, &invitation, &token, &entry, now)
        .await
        .map_err(after_refusal)?
        .ok_or(EntryError::InvitationGone)?;
    let deed = Deed::done(
        Action::INVITATION_ACCEPT,
        AuditedObject::one("invitation", invitation.id),
        json!({ "user_id": admitted.user_id, "role": admitted.role }),
    );
    let author = visitor.person(admitted.user_id, &admitted.email);
    record_in(&mut tx, &author, Some(&admitted.tenant_id), &deed, now).await?;
    tx.commit().await?;
    Ok(Json(admitted))
}

/// A session that the request was sent in.
struct OwnSession {
    user: UserId,
    tenant: Option<TenantId>,
    opened_with: OpenedWith,
}

impl OwnSession {
    /// Whether it shows to this tenant who somebody is.
    fn is_proof_for(&self, tenant: &TenantId) -> bool {
        match self.opened_with {
            OpenedWith::Password => true,
            OpenedWith::IdentityProvider => self.tenant.as_ref() == Some(tenant),
        }
    }
}

/// Absent = the request was sent in none.
async fn session_of(state: &ApiState, headers: &HeaderMap) -> Result<Option<OwnSession>, ApiError> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let caller = authenticate(state, headers).await.map_err(ApiError::from)?;
    match caller.actor {
        Actor::User {
            id, opened_with, ..
        } if caller.acting.is_none() => Ok(Some(OwnSession {
            user: id,
            tenant: caller.tenant,
            opened_with,
        })),
        Actor::User { .. } | Actor::ApiKey { .. } => Err(ApiError::SessionRequired),
    }
}

/// Who comes in, once they have proved to be the one who was invited.
async fn enter(
    state: &ApiState,
    visitor: &Visitor,
    invitation: &OpenInvitation,
    session: Option<OwnSession>,
    acceptance: Acceptance,
) -> Result<Entry, ApiError> {
    let Some(person) = invitation.user_id else {
        return match session {
            Some(_) => Err(EntryError::InvitationOfAnother.into()),
            None => sign_up(state, invitation, UserId::new(), acceptance)
                .await
                .map(Entry::New),
        };
    };
    if session.as_ref().is_some_and(|own| own.user != person) {
        return Err(EntryError::InvitationOfAnother.into());
    }
    if !invitation.has_password {
        let person = sign_up(state, invitation, person, acceptance).await?;
        return Ok(Entry::Claiming(person));
    }
    if !session.is_some_and(|own| own.is_proof_for(&invitation.tenant_id)) {
        let counters = AttemptKey::of(&invitation.email, visitor.address);
        prove(state, person, acceptance.password, &counters).await?;
    }
    Ok(Entry::Known(person))
}

async fn find(state: &ApiState, token: &MailToken) -> Result<OpenInvitation, ApiError> {
    let mut tx = state.database().registrar().statement().await?;
    find_open_invitation(&mut tx, token, state.clock().now())
        .await?
        .ok_or_else(|| EntryError::InvitationGone.into())
}

/// Lets pass whoever knows the person's password. Attempts are counted as those to log in are.
async fn prove(
    state: &ApiState,
    person: UserId,
    password: Option<String>,
    counters: &[AttemptKey],
) -> Result<(), ApiError> {
    let password = password.ok_or(EntryError::InvitationNeedsLogin)?;
    count(state, counters).await?;
    let mut tx = state.database().issuer().statement().await?;
    let account = find_account_of(&mut tx, person).await?;
    drop(tx);
    let hash = account
        .filter(|account| account.disabled_at.is_none())
        .map(|account| account.password_hash);
    if !state.passwords().verify(password, hash).await? {
        return Err(ApiError::LoginFailed);
    }
    let mut tx = state.database().issuer().statement().await?;
    Ok(forget_attempts(&mut tx, counters).await?)
}

async fn sign_up(
    state: &ApiState,
    invitation: &OpenInvitation,
    id: UserId,
    acceptance: Acceptance,
) -> Result<NewPerson, ApiError> {
    let Acceptance { name, password, .. } = acceptance;
    let mut violations = Violations::default();
    if let Some(name) = &name {
        violations.text("/name", name, &(1..=200));
        if name.trim().is_empty() {
            violations.add("/name", "blank", "must not be blank");
        }
    }
    let password = password.unwrap_or_default();
    if !is_good_password(&password, &invitation.email) {
        let detail = "must have 12 to 256 characters and not contain your address";
        violations.add("/password", "weak", detail);
    }
    violations.finish()?;
    Ok(NewPerson {
        id,
        name,
        password_hash: state.passwords().hash(password).await?,
    })
}

/// Somebody of this address has come in elsewhere meanwhile; the same request finds them known.
fn after_refusal(error: QuotaError) -> ApiError {
    match error {
        QuotaError::Database(inner) if inner.constraint() == Some(ACCOUNT_CONSTRAINT) => {
            ApiError::Busy
        }
        error => error.into(),
    }
}
