//! `POST /tenants/{id}/members`: an invitation, and the job that sends its mail.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record},
    ids::{InvitationId, TenantId},
    people::{
        EmailAddress, Inviter, NewInvitation, find_recent_mails, insert_invitation, is_member,
    },
    tenancy::Role,
};

use crate::{
    audit::By,
    auth::{Actor, Caller},
    error::ApiError,
    extract::{Idempotency, IdempotentRequest, JsonBody, NoParameters, PathId},
    openapi::TenantRole,
    problem::ProblemBody,
    resources::{
        invitations::{InvitationSent, Mailing, address, leave_alone},
        jobs::{find_before, keep, or_before},
        refuse_gone,
    },
    state::ApiState,
    violations::Violations,
};

/// Somebody to be invited.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberOrder {
    /// Where mail reaches them.
    #[schema(format = Email, min_length = 3, max_length = 254, example = "engineer@acme-corp.com")]
    email: String,
    /// What they may do. The short forms `admin`, `member` and `viewer` are taken too.
    #[schema(value_type = TenantRole)]
    role: Role,
}

/// An order whose every value can be accepted.
struct AcceptedMember {
    email: EmailAddress,
    role: Role,
}

/// The constraint that a second pending invitation of an address violates.
const PENDING_CONSTRAINT: &str = "invitations_pending_key";

/// Invites somebody. Whether the address belongs to somebody known makes no difference to the answer.
#[utoipa::path(
    post,
    path = "/tenants/{id}/members",
    tag = "members",
    params(
        ("id" = TenantId, Path, description = "The tenant's slug."),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters."),
    ),
    request_body = MemberOrder,
    responses(
        (status = 201, description = "Invited. The job sends the mail.", body = InvitationSent,
         headers(("Location" = String, description = "The invitation."))),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "The address is a member's of this tenant, or invited already; or the tenant is deleted.",
         body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "The tenant has as many members and invitations as it may, or it sent the \
         address a mail less than a minute ago or five within a day: then with `Retry-After`.",
         body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn invite_member(
    State(state): State<ApiState>,
    caller: Caller,
    By(author): By,
    PathId(tenant): PathId<TenantId>,
    NoParameters: NoParameters,
    idempotency: Idempotency,
    JsonBody { value: order, raw }: JsonBody<MemberOrder>,
) -> Result<Response, ApiError> {
    caller.must_be_of(&tenant)?;
    let order = order.accept()?;
    let request = idempotency.request(&raw);
    let invitation = NewInvitation {
        id: InvitationId::new(),
        email: order.email,
        role: order.role,
        inviter: match caller.actor {
            Actor::User { id, .. } => Inviter::Member(id),
            Actor::ApiKey { id } => Inviter::Key(id),
        },
    };
    let order = (&tenant, &invitation);
    match write(&state, &author, order, request.as_ref()).await {
        Ok(Ok((sent, mailing))) => {
            mailing.tell_gate(&state).await;
            let location = [(header::LOCATION, address(&tenant, sent.invitation.id))];
            Ok((StatusCode::CREATED, location, Json(sent)).into_response())
        }
        Ok(Err(before)) => Ok(before),
        Err(error) => after_refusal(&state, &tenant, request.as_ref(), error).await,
    }
}

impl MemberOrder {
    fn accept(self) -> Result<AcceptedMember, ApiError> {
        let Self { email, role } = self;
        let mut violations = Violations::default();
        let parsed = EmailAddress::parse(&email);
        if let Err(error) = &parsed {
            violations.add("/email", "format", &error.to_string());
        }
        if role == Role::SystemAdmin {
            violations.add("/role", "range", "must be a role of a tenant");
        }
        violations.finish()?;
        let email = parsed.map_err(|error| ApiError::Defect(error.to_string()))?;
        Ok(AcceptedMember { email, role })
    }
}

/// The invitation and its mail, or the answer from before.
async fn write(
    state: &ApiState,
    author: &Author,
    (tenant, invitation): (&TenantId, &NewInvitation),
    request: Option<&IdempotentRequest>,
) -> Result<Result<(InvitationSent, Mailing), Response>, ApiError> {
    let now = state.clock().now();
    let mut tx = state.database().tenant(tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    refuse_gone(&mut tx).await?;
    refuse_member(state, tenant, &invitation.email).await?;
    let token = state.mail_tokens().of_invitation(tenant, invitation.id, 1);
    let written = insert_invitation(&mut tx, invitation, &token, now).await?;
    let mails = find_recent_mails(&mut tx, &invitation.email, Some(invitation.id), now).await?;
    leave_alone(mails.pause_until(now), now)?;
    let mailing = Mailing::write(state, &mut tx, invitation.id, author.request_id, now).await?;
    let sent = InvitationSent {
        invitation: written,
        job_id: mailing.job.id,
    };
    let answer = |request: &IdempotentRequest| {
        let location = address(tenant, sent.invitation.id);
        request.answer(StatusCode::CREATED, Some(&location), json!(sent))
    };
    keep(&mut tx, request, answer, now).await?;
    let deed = Deed::done(
        Action::INVITATION_CREATE,
        AuditedObject::one("invitation", invitation.id),
        json!({ "email": invitation.email.as_str(), "role": invitation.role, "job_id": mailing.job.id }),
    );
    record(&mut tx, author, &deed, now).await?;
    tx.commit().await?;
    Ok(Ok((sent, mailing)))
}

/// It tells an administrator what the list of the tenant's own members tells them too.
async fn refuse_member(
    state: &ApiState,
    tenant: &TenantId,
    email: &EmailAddress,
) -> Result<(), ApiError> {
    let mut tx = state.database().registrar().statement().await?;
    if is_member(&mut tx, tenant, email).await? {
        return Err(ApiError::Conflict {
            code: "member.exists",
            detail: "the address is a member's of this tenant".to_owned(),
        });
    }
    Ok(())
}

/// An equal request may have been first; its invitation is pending before its answer is found.
async fn after_refusal(
    state: &ApiState,
    tenant: &TenantId,
    request: Option<&IdempotentRequest>,
    error: ApiError,
) -> Result<Response, ApiError> {
    let pending = matches!(&error, ApiError::Database(inner) if inner.constraint() == Some(PENDING_CONSTRAINT));
    if !pending {
        return or_before(state, tenant, request, error).await;
    }
    let mut tx = state.database().tenant(tenant).await?;
    find_before(&mut tx, request)
        .await?
        .ok_or(ApiError::Conflict {
        code: "invitation.pending",
        detail:
            "the address has an invitation that can be accepted: send it again, or revoke it first"
                .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(order: serde_json::Value) -> Result<AcceptedMember, ApiError> {
        serde_json::from_value::<MemberOrder>(order)
            .unwrap()
            .accept()
    }

    #[test]
    fn a_role_is_taken_with_and_without_its_first_word() {
        for (written, meant) in [
            ("admin", Role::TenantAdmin),
            ("tenant-admin", Role::TenantAdmin),
            ("member", Role::TenantMember),
            ("tenant-member", Role::TenantMember),
            ("viewer", Role::TenantViewer),
            ("tenant-viewer", Role::TenantViewer),
        ] {
            let accepted = accept(json!({ "email": "a@b", "role": written })).unwrap();
            assert_eq!(accepted.role, meant, "{written}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let order = json!({ "email": "a@b\r\nBcc: c@d", "role": "system-admin" });
        match accept(order) {
            Err(ApiError::Invalid(errors)) => {
                let places: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
                assert_eq!(places, ["/email", "/role"]);
            }
            other => panic!("answered with {:?}", other.map(|member| member.role)),
        }
    }
}
