//! The job that sends an invitation's mail, written in the transaction of the invitation.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use unity_shared::{
    db::TenantTx,
    ids::{InvitationId, JobId, RequestId, TenantId},
    jobs::{
        Enqueued, NewJob, enqueue_jobs,
        kinds::{SendNotification, spec_of},
    },
    people::Invitation,
};

use crate::{
    enqueue::{self, explain},
    error::ApiError,
    state::ApiState,
};

/// An invitation, and the job that sends its mail.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InvitationSent {
    #[serde(flatten)]
    pub invitation: Invitation,
    /// The job that sends the mail.
    pub job_id: JobId,
}

/// Refuses a mail to an address that must be left alone until then.
pub fn leave_alone(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), ApiError> {
    match until {
        None => Ok(()),
        Some(until) => Err(ApiError::RateLimited {
            limit: "recipient",
            retry_after: (until - now).to_std().unwrap_or_default(),
        }),
    }
}

/// A mail that is on its way as soon as the transaction is committed.
pub struct Mailing {
    /// The job.
    pub job: NewJob,
    tenant: TenantId,
    enqueued: Enqueued,
    now: DateTime<Utc>,
}

impl Mailing {
    /// Orders the mail. The payload has the invitation's id alone; the worker makes the token.
    pub async fn write(
        state: &ApiState,
        tx: &mut TenantTx,
        invitation_id: InvitationId,
        request_id: Option<RequestId>,
        now: DateTime<Utc>,
    ) -> Result<Self, ApiError> {
        let payload = json!(SendNotification::Invitation { invitation_id });
        let mut job = NewJob::new(&spec_of::<SendNotification>(), &payload, now)
            .map_err(|error| ApiError::Defect(error.to_string()))?;
        job.request_id = request_id;
        let enqueued = enqueue_jobs(tx, std::slice::from_ref(&job), now).await?;
        if !enqueued.written.contains(&job.id) {
            return Err(explain(state, tx, &job).await?);
        }
        Ok(Self {
            job,
            tenant: tx.tenant().clone(),
            enqueued,
            now,
        })
    }

    /// When it was ordered.
    pub const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Tells the gate of the job, after the commit.
    pub async fn tell_gate(&self, state: &ApiState) {
        let Self {
            job,
            tenant,
            enqueued,
            now,
        } = self;
        enqueue::tell_gate(state.gate(), [(tenant, job)], enqueued, *now).await;
    }
}
