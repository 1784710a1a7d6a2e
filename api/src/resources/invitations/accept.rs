//! `POST /invitations/accept`: the one who reads the mail comes in.
//!
//! The token shows that somebody reads the mails of that address. That is enough to sign up, and not
//! enough to act as somebody who has an account: they say their password too, or send the access token
//! of a session of their own. A token that is unknown, used up, revoked or past its end is refused
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
    ids::UserId,
    people::{Admitted, Entry, MailToken, NewPerson, OpenInvitation, admit, find_open_invitation},
    sessions::{AttemptKey, find_account_of, forget_attempts},
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
/// Somebody new signs up with it and chooses a password of 12 to 256 characters. Whoever has an account
/// says its password, or sends the access token of a session of theirs. Afterwards they log in to the
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
    let caller = session_of(&state, &headers).await?;
    let token = MailToken::parse(&acceptance.token).ok_or(EntryError::InvitationGone)?;
    let invitation = find(&state, &token).await?;
    let entry = match (invitation.user_id, caller) {
        (Some(person), Some(caller)) if person == caller => Entry::Known(person),
        (_, Some(_)) => return Err(EntryError::InvitationOfAnother.into()),
        (Some(person), None) => {
            let counters = AttemptKey::of(&invitation.email, visitor.address);
            prove(&state, person, acceptance.password, &counters).await?;
            Entry::Known(person)
        }
        (None, None) => Entry::New(sign_up(&state, &invitation, acceptance).await?),
    };
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

/// The person whose session the request was sent in; absent = it was sent in none.
async fn session_of(state: &ApiState, headers: &HeaderMap) -> Result<Option<UserId>, ApiError> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return Ok(None);
    }
    let caller = authenticate(state, headers).await.map_err(ApiError::from)?;
    match caller.actor {
        Actor::User { id, .. } if caller.acting.is_none() => Ok(Some(id)),
        Actor::User { .. } | Actor::ApiKey { .. } => Err(ApiError::SessionRequired),
    }
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
        id: UserId::new(),
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
