//! Every request of an administrator inside a tenant is told to both sides before it is carried out,
//! also one that only reads. What cannot be told is not done.

use axum::extract::{MatchedPath, Request};
use serde_json::json;
use unity_shared::audit::{Action, AuditedObject, Deed, record};

use super::author_of;
use crate::{auth::Caller, error::ApiError, middleware::CurrentRequestId, state::ApiState};

/// Longest address that is kept, in characters.
const PATH_LIMIT: usize = 300;

/// Tells of the request.
pub async fn tell_of_acting(
    state: &ApiState,
    caller: &Caller,
    req: &Request,
) -> Result<(), ApiError> {
    let Some(tenant) = &caller.tenant else {
        return Ok(());
    };
    let known = req.extensions();
    let request_id = known.get::<CurrentRequestId>().map(|id| id.0);
    let author = author_of(caller, known.get().copied(), req.headers(), request_id);
    let route = known.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let path: String = req.uri().path().chars().take(PATH_LIMIT).collect();
    let deed = Deed::done(
        Action::ACT_AS_REQUEST,
        AuditedObject::one("route", route),
        json!({ "method": req.method().as_str(), "path": path }),
    );
    let mut tx = state.database().tenant(tenant).await?;
    record(&mut tx, &author, &deed, state.clock().now()).await?;
    tx.commit().await?;
    Ok(())
}
