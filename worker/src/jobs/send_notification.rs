//! `send_notification`: sends a mail to a member or an invitee of the job's tenant.
//!
//! Whom it is for and what is in it comes from the tenant's rows, read when the job runs. A mail goes
//! out at least once: a worker that dies between the mail server's word and the row leaves a job that
//! another runs again, with the same Message-ID. Once the row knows, no second mail goes out.

use serde_json::{Value, json};
use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    ids::InvitationId,
    jobs::kinds::SendNotification,
    people::{EmailAddress, Invitation, InvitationState, find_invitation, mark_mailed},
    telemetry::chain,
    tenancy::{Tenant, TenantStatus, find_tenant},
};

use crate::{
    handler::{self, JobContext, JobError},
    mail::{Letter, MailError, Mailer},
    runtime::WorkerServices,
};

pub(super) struct Handler {
    database: Database,
    mailer: Mailer,
    clock: Clock,
}

impl Handler {
    pub(super) fn new(services: &WorkerServices) -> Self {
        Self {
            database: services.database.clone(),
            mailer: services.mailer.clone(),
            clock: services.clock.clone(),
        }
    }

    async fn send_invitation(
        &self,
        context: &JobContext,
        id: InvitationId,
    ) -> Result<Value, JobError> {
        let (tenant, invitation) = self.read(context, id).await?;
        if invitation.mailed_issue >= invitation.issue {
            return Ok(json!({ "sent": false, "reason": "it was sent before" }));
        }
        let tokens = self.mailer.tokens().map_err(job_error)?;
        let token = tokens.of_invitation(&tenant.id, id, invitation.issue);
        if token.hash()[..] != invitation.token_hash[..] {
            return Err(fail(
                "invitation.other_key",
                "the setting secret_key is not the one under which the invitation was made: send it again",
            ));
        }
        let to = EmailAddress::parse(&invitation.email)
            .map_err(|_| fail("mail.unwritable", "the invitation's address is none"))?;
        let url = self.mailer.public_url();
        let letter = Letter::of_invitation(to, &tenant, &invitation, &token, url);
        let message_id = self
            .mailer
            .send(&letter, context.job.id, self.clock.now())
            .await
            .map_err(job_error)?;
        self.remember(context, &invitation)
            .await
            .map_err(unavailable)?;
        Ok(json!({ "sent": true, "message_id": message_id }))
    }

    async fn read(
        &self,
        context: &JobContext,
        id: InvitationId,
    ) -> Result<(Tenant, Invitation), JobError> {
        let look = async {
            let mut tx = self.database.tenant(context.tenant_id()).await?;
            let tenant = find_tenant(&mut tx).await?;
            let invitation = find_invitation(&mut tx, id, self.clock.now()).await?;
            Ok((tenant, invitation))
        };
        let (tenant, invitation) = look.await.map_err(unavailable)?;
        let tenant = tenant.filter(|tenant| tenant.status == TenantStatus::Active);
        let cancelled = |message: &str| JobError::Cancelled {
            message: message.to_owned(),
        };
        let tenant = tenant.ok_or_else(|| cancelled("the tenant is not active"))?;
        match invitation {
            Some(invitation) if invitation.status == InvitationState::Pending => {
                Ok((tenant, invitation))
            }
            Some(_) => Err(cancelled("the invitation is not pending any more")),
            None => Err(fail(
                "invitation.unknown",
                "the tenant has no such invitation",
            )),
        }
    }

    async fn remember(&self, context: &JobContext, invitation: &Invitation) -> Result<(), DbError> {
        let mut tx = self.database.tenant(context.tenant_id()).await?;
        mark_mailed(&mut tx, invitation.id, invitation.issue, self.clock.now()).await?;
        tx.commit().await
    }
}

impl handler::Handler for Handler {
    type Kind = SendNotification;

    async fn run(
        &self,
        context: JobContext,
        notification: SendNotification,
    ) -> Result<Value, JobError> {
        match notification {
            SendNotification::Invitation { invitation_id } => {
                self.send_invitation(&context, invitation_id).await
            }
        }
    }
}

/// The mail server's own words stay in the log: they may name hosts and people.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn job_error(error: MailError) -> JobError {
    tracing::warn!(error = chain(&error), "could not send a mail");
    let (code, message) = (error.code().to_owned(), error.to_string());
    if error.retryable() {
        JobError::Retry { code, message }
    } else {
        JobError::Fail { code, message }
    }
}

fn fail(code: &str, message: &str) -> JobError {
    JobError::Fail {
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: DbError) -> JobError {
    tracing::warn!(
        error = chain(&error),
        "could not read or write an invitation"
    );
    JobError::Retry {
        code: "database.unavailable".to_owned(),
        message: "the tenant's record could not be read or written".to_owned(),
    }
}
