//! `POST /tenants/{id}/invitations/{invitation}/resend`.

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::TimeDelta;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record},
    ids::{InvitationId, TenantId},
    people::{
        EmailAddress, InvitationState, find_invitation, find_recent_mails, reissue_invitation,
    },
};

use super::{Mailing, leave_alone, revoke::not_pending};
use crate::{
    audit::By,
    auth::Caller,
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, NoBody, NoParameters, PathIds},
    problem::ProblemBody,
    resources::{
        jobs::{self, JobView, accepted, find_before, keep, or_before},
        refuse_gone,
    },
    state::ApiState,
};

/// Nobody gets two mails of one invitation within this time.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

/// Sends an invitation again, under a new token and for seven days from now. The token of the mail
/// before is void.
#[utoipa::path(
    post,
    path = "/tenants/{id}/invitations/{invitation}/resend",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("invitation" = InvitationId, Path, description = "The invitation."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
    ),
    responses(
        (status = 202, description = "The job sends the mail.", body = JobView,
         headers(
            ("Location" = String, description = "Where to look how it is doing."),
            ("Retry-After" = u32, description = "Seconds until looking makes sense."),
         )),
        (status = 404, description = "No such tenant or invitation, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "It is not pending, or its mail left less than a minute ago, or the tenant is deleted.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "The address got five mails within a day.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn resend_invitation(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathIds(tenant, id): PathIds<TenantId, InvitationId>,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    NoBody: NoBody,
) -> Result<Response, ApiError> {
    caller.must_be_of(&tenant)?;
    // The route is the same for every invitation, so the request is told apart by it too.
    let request = idempotency.request(id.to_string().as_bytes());
    let meant = (&tenant, id);
    match resend(&state, &author, meant, request.as_ref()).await {
        Ok(Ok(mailing)) => {
            mailing.tell_gate(&state).await;
            Ok(accepted(mailing.job.first_state(&tenant, mailing.now())))
        }
        Ok(Err(before)) => Ok(before),
        Err(error) => or_before(&state, &tenant, request.as_ref(), error).await,
    }
}

fn just_sent() -> ApiError {
    ApiError::Conflict {
        code: "invitation.just_sent",
        detail: "its mail left less than a minute ago".to_owned(),
    }
}

/// The mail that is on its way, or the answer from before.
async fn resend(
    state: &ApiState,
    author: &Author,
    (tenant, id): (&TenantId, InvitationId),
    request: Option<&IdempotentRequest>,
) -> Result<Result<Mailing, Response>, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().tenant(tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    refuse_gone(&mut tx).await?;
    let invitation = find_invitation(&mut tx, id, now)
        .await?
        .ok_or(ApiError::NotFound)?;
    if invitation.status != InvitationState::Pending {
        return Err(not_pending(invitation.status));
    }
    if invitation
        .mailed_at
        .is_some_and(|mailed| mailed + PAUSE > now)
    {
        return Err(just_sent());
    }
    let email = EmailAddress::parse(&invitation.email)
        .map_err(|error| ApiError::Defect(error.to_string()))?;
    let mails = find_recent_mails(&mut tx, &email, None, now).await?;
    leave_alone(mails.rest_until(), now)?;
    let issue = invitation.issue.saturating_add(1);
    let token = state.mail_tokens().of_invitation(tenant, id, issue);
    if !reissue_invitation(&mut tx, id, issue, &token, now).await? {
        // Another request sends it at this moment.
        return Err(just_sent());
    }
    let mailing = Mailing::write(state, &mut tx, id, author.request_id, now).await?;
    let answer = |request: &IdempotentRequest| {
        let view = json!(JobView::from(mailing.job.first_state(tenant, now)));
        request.answer(
            StatusCode::ACCEPTED,
            Some(&jobs::address(mailing.job.id)),
            view,
        )
    };
    keep(&mut tx, request, answer, now).await?;
    let deed = Deed::done(
        Action::INVITATION_RESEND,
        AuditedObject::one("invitation", id),
        json!({ "job_id": mailing.job.id }),
    );
    record(&mut tx, author, &deed, now).await?;
    tx.commit().await?;
    Ok(Ok(mailing))
}
