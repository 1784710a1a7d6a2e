//! Members as the API shows them: the rows of the tenant, then what is known of these people.

use std::collections::HashMap;

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use unity_shared::{
    ids::{TenantId, UserId},
    people::{Member, MemberRow, Person, Unchanged, find_member, find_people},
};

use crate::{error::ApiError, extract::etag, state::ApiState};

/// The members behind the tenant's own rows. Somebody who is being taken away is left out.
pub async fn with_people(state: &ApiState, rows: Vec<MemberRow>) -> Result<Vec<Member>, ApiError> {
    let ids: Vec<UserId> = rows.iter().map(|row| row.user_id).collect();
    let mut tx = state.database().registrar().statement().await?;
    let people: HashMap<UserId, Person> = find_people(&mut tx, &ids)
        .await?
        .into_iter()
        .map(|person| (person.id, person))
        .collect();
    Ok(rows
        .into_iter()
        .filter_map(|row| row.with(&people))
        .collect())
}

/// One member, with the `ETag` of the membership.
pub async fn show(state: &ApiState, tenant: &TenantId, user: UserId) -> Result<Response, ApiError> {
    let mut tx = state.database().tenant(tenant).await?;
    let row = find_member(&mut tx, user)
        .await?
        .ok_or(ApiError::NotFound)?;
    drop(tx);
    let member = with_people(state, vec![row])
        .await?
        .pop()
        .ok_or(ApiError::NotFound)?;
    let etag = [(header::ETAG, etag(member.version))];
    Ok((etag, Json(member)).into_response())
}

/// What a change that was not made is answered with.
pub fn refusal(why: Unchanged) -> ApiError {
    match why {
        Unchanged::NoMember => ApiError::NotFound,
        Unchanged::OtherVersion => ApiError::Precondition,
        Unchanged::LastAdmin => ApiError::Conflict {
            code: "member.last_admin",
            detail: "this is the tenant's last administrator who can log in: make somebody else one first"
                .to_owned(),
        },
    }
}
