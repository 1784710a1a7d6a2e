//! Every request of an administrator inside a tenant is told to both sides before it is carried out,
//! also one that only reads. What cannot be told is not done.

use axum::extract::{MatchedPath, OriginalUri, Request};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record},
    ids::TenantId,
};

use super::author_of;
use crate::{auth::Caller, error::ApiError, middleware::CurrentRequestId, state::ApiState};

/// Longest address that is kept, in characters.
const PATH_LIMIT: usize = 300;

/// A request of an administrator inside a tenant.
pub struct ActingRequest {
    tenant: TenantId,
    author: Author,
    deed: Deed,
}

impl ActingRequest {
    /// Absent if the caller acts in its own name.
    pub fn of(req: &Request, caller: &Caller) -> Option<Self> {
        caller.acting.as_ref()?;
        let tenant = caller.tenant.clone()?;
        let known = req.extensions();
        let request_id = known.get::<CurrentRequestId>().map(|id| id.0);
        let route = known.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        // A nested router sees less of it.
        let uri = known.get::<OriginalUri>().map_or(req.uri(), |uri| &uri.0);
        let path: String = uri.path().chars().take(PATH_LIMIT).collect();
        Some(Self {
            tenant,
            author: author_of(caller, known.get().copied(), req.headers(), request_id),
            deed: Deed::done(
                Action::ACT_AS_REQUEST,
                AuditedObject::one("route", route),
                json!({ "method": req.method().as_str(), "path": path }),
            ),
        })
    }

    /// Tells both sides.
    pub async fn tell(self, state: &ApiState) -> Result<(), ApiError> {
        let mut tx = state.database().tenant(&self.tenant).await?;
        record(&mut tx, &self.author, &self.deed, state.clock().now()).await?;
        tx.commit().await?;
        Ok(())
    }
}
