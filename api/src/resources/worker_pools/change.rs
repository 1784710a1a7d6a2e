//! `PATCH /worker-pools/{pool}`.

use std::ops::RangeInclusive;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed, record_for_platform},
    fleet::{Pool, PoolChange, find_pool, update_pool},
};

use crate::{
    audit::By,
    enqueue::try_briefly,
    error::ApiError,
    extract::{JsonBody, NoParameters, PathId, PoolName, whole_stated},
    merge_patch::Stated,
    problem::ProblemBody,
    resources::workers::alive_since,
    state::ApiState,
    violations::Violations,
};

/// What of a pool is to be set, as a JSON merge patch (RFC 7396): absent = as it is, null = as if it had
/// never been set.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolPatch {
    /// Jobs at once of each worker; null = as each was started.
    #[serde(default, deserialize_with = "whole_stated")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 10_000)]
    concurrency: Stated<i64>,
    /// Whether its workers take no jobs; null = they do.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    paused: Stated<bool>,
    /// How many workers the pool has, where a Deployment runs them.
    #[serde(default, deserialize_with = "whole_stated")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 10_000)]
    replicas: Stated<i64>,
}

const CONCURRENCY: RangeInclusive<i64> = 1..=10_000;
const REPLICAS: RangeInclusive<i64> = 0..=10_000;

/// Sets a pool while it runs. A lower concurrency ends no job.
#[utoipa::path(
    patch,
    path = "/worker-pools/{pool}",
    tag = "operations",
    params(("pool" = String, Path, description = "The pool's name.")),
    request_body = PoolPatch,
    responses(
        (status = 200, description = "The pool, and what its workers last said.", body = Pool),
        (status = 404, description = "No such pool: never set, and no worker of it ever seen.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 409, description = "Its number of workers cannot be set.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 422, description = "Values that cannot be accepted.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn change_worker_pool(
    State(state): State<ApiState>,
    By(author): By,
    PathId(PoolName(name)): PathId<PoolName>,
    NoParameters: NoParameters,
    JsonBody { value: patch, .. }: JsonBody<PoolPatch>,
) -> Result<Json<Pool>, ApiError> {
    let wants_replicas = patch.replicas != Stated::Not;
    let change = patch.accept()?;
    let alive_since = alive_since(&state);
    let mut tx = state.database().operator().begin().await?;
    find_pool(&mut tx, alive_since, &name)
        .await?
        .ok_or(ApiError::NotFound)?;
    if wants_replicas {
        return Err(ApiError::Conflict {
            code: "pool.not_scalable",
            detail: format!(
                "no Deployment is configured for the pool {name}, so its number of workers is set \
                 where they are started"
            ),
        });
    }
    if change != PoolChange::default() {
        update_pool(&mut tx, &name, change, state.clock().now()).await?;
    }
    let pool = find_pool(&mut tx, alive_since, &name)
        .await?
        .ok_or(ApiError::NotFound)?;
    let deed = Deed::done(
        Action::WORKER_POOL_UPDATE,
        AuditedObject::one("worker_pool", &name),
        json!({ "concurrency": pool.concurrency, "paused": pool.paused }),
    );
    record_for_platform(&mut tx, &author, None, &deed, state.clock().now()).await?;
    tx.commit().await?;
    if change != PoolChange::default() {
        try_briefly(
            "tell workers of their pool",
            state.gate().announce_pool(&name),
        )
        .await;
    }
    Ok(Json(pool))
}

impl PoolPatch {
    fn accept(self) -> Result<PoolChange, ApiError> {
        let Self {
            concurrency,
            paused,
            replicas,
        } = self;
        let mut violations = Violations::default();
        if let Stated::Value(jobs) = concurrency {
            violations.range("/concurrency", jobs, &CONCURRENCY);
        }
        if let Stated::Value(workers) = replicas {
            violations.range("/replicas", workers, &REPLICAS);
        }
        violations.finish()?;
        let narrow = |jobs: i64| {
            i32::try_from(jobs)
                .map_err(|_| ApiError::Defect(format!("{jobs} passed its range check")))
        };
        Ok(PoolChange {
            concurrency: match concurrency {
                Stated::Not => None,
                Stated::Null => Some(None),
                Stated::Value(jobs) => Some(Some(narrow(jobs)?)),
            },
            paused: match paused {
                Stated::Not => None,
                Stated::Null => Some(false),
                Stated::Value(paused) => Some(paused),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn accept(patch: Value) -> Result<PoolChange, ApiError> {
        serde_json::from_value::<PoolPatch>(patch).unwrap().accept()
    }

    #[test]
    fn what_is_absent_stays_and_what_is_null_is_reset() {
        assert_eq!(accept(json!({})).unwrap(), PoolChange::default());
        let reset = accept(json!({ "concurrency": null, "paused": null })).unwrap();
        assert_eq!((reset.concurrency, reset.paused), (Some(None), Some(false)));
        let set = accept(json!({ "concurrency": 7, "paused": true })).unwrap();
        assert_eq!((set.concurrency, set.paused), (Some(Some(7)), Some(true)));
    }

    #[test]
    fn a_pool_has_one_job_at_once_at_least() {
        for jobs in [0, -1, 10_001] {
            assert!(matches!(
                accept(json!({ "concurrency": jobs })),
                Err(ApiError::Invalid(_))
            ));
        }
    }
}
