//! Switches: part of the traffic stopped, with a reason and an end.

mod create;
mod end;
mod get;
mod list;

use unity_shared::{
    jobs::{Switch, list_switches, select_switches},
    telemetry::chain,
};
use utoipa_axum::routes;

use crate::{
    auth::{Access, Routes},
    enqueue::try_briefly,
    error::ApiError,
    state::ApiState,
};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(Access::SystemAdmin, routes!(create::create_switch))
        .route(Access::SystemAdmin, routes!(list::list_switches))
        .route(Access::SystemAdmin, routes!(get::get_switch))
        .route(Access::SystemAdmin, routes!(end::end_switch))
}

/// Every switch that is on. There are few: each was put on by hand.
async fn switches_on(state: &ApiState) -> Result<Vec<Switch>, ApiError> {
    let mut tx = state.database().operator().statement().await?;
    Ok(list_switches(&mut tx, state.clock().now()).await?)
}

/// Brings the switches that are on to the gate now; the scheduler would within two seconds.
async fn tell_gate(state: &ApiState) {
    let read = async {
        let mut tx = state.database().engine().statement().await?;
        select_switches(&mut tx, state.clock().now()).await
    };
    match read.await {
        Ok(set) => try_briefly("set switches", state.gate().set_switches(&set)).await,
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "could not read the switches; the scheduler will"
            );
        }
    }
}
