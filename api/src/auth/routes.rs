//! The one way to register a route: with its rule.

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    Content, OpenApi, RefOr, ResponseBuilder,
    path::{Operation, PathItem, Paths},
    schema::Ref,
    security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{Access, authenticate::authenticate};
use crate::{
    audit::{ActingRequest, Witness},
    error::ApiError,
    limits::{Verdict, write_standing},
    state::ApiState,
};

/// Where an operation states its rule in the `OpenAPI` document.
pub const ACCESS_EXTENSION: &str = "x-access";
/// The name of the API key's scheme in the `OpenAPI` document.
pub const SECURITY_SCHEME: &str = "api_key";

/// The routes registered so far. It can be built without a state to describe them only.
pub struct Routes {
    router: OpenApiRouter<ApiState>,
    state: Option<ApiState>,
}

impl Routes {
    /// No routes yet. With a state, every route checks its rule before its handler runs; without,
    /// the routes are good for their description alone and must not be served.
    pub fn new(state: Option<ApiState>) -> Self {
        Self {
            router: OpenApiRouter::new(),
            state,
        }
    }

    /// Adds handlers of one path under one rule.
    #[must_use]
    pub fn route(self, access: Access, handlers: UtoipaMethodRouter<ApiState>) -> Self {
        let (schemas, mut paths, mut methods) = handlers;
        declare(access, &mut paths);
        if let Some(state) = &self.state {
            methods = methods.route_layer(from_fn_with_state((state.clone(), access), authorize));
        }
        Self {
            router: self.router.routes((schemas, paths, methods)),
            state: self.state,
        }
    }

    /// All of them under a common prefix, added to `document`.
    pub fn finish(self, document: OpenApi, prefix: &str) -> OpenApiRouter<ApiState> {
        OpenApiRouter::with_openapi(document).nest(prefix, self.router)
    }
}

async fn authorize(
    State((state, access)): State<(ApiState, Access)>,
    mut req: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = authenticate(&state, req.headers()).await?;
    let standings = match state.calls() {
        None => None,
        Some(calls) => match calls.count(&caller).await? {
            Verdict::Pass(standings) => Some(standings),
            Verdict::Refuse {
                limit,
                retry_after,
                standings,
            } => {
                let mut refused = ApiError::RateLimited { limit, retry_after }.into_response();
                write_standing(&mut refused, &standings);
                return Ok(refused);
            }
        },
    };
    if let Some(request) = ActingRequest::of(&req, &caller) {
        request.tell(&state).await?;
    }
    let witness = Witness::of(&req, &caller);
    let mut response = match access.admit(&caller) {
        Ok(()) => {
            req.extensions_mut().insert(caller);
            next.run(req).await
        }
        Err(refused) => refused.into_response(),
    };
    if let Some(refusal) = witness.look_at(&state, &response) {
        state.denials().tell(refusal).await;
    }
    if let Some(standings) = standings {
        write_standing(&mut response, &standings);
    }
    Ok(response)
}

/// Writes the rule, and the answers that every guarded route can give, into the description.
fn declare(access: Access, paths: &mut Paths) {
    for operation in paths.paths.values_mut().flat_map(operations) {
        let requirement = SecurityRequirement::new::<_, [&str; 0], &str>(SECURITY_SCHEME, []);
        operation.security = Some(vec![requirement]);
        operation
            .extensions
            .get_or_insert_default()
            .insert(ACCESS_EXTENSION.to_owned(), access.to_string().into());
        for (status, meaning) in [
            ("401", "No valid API key."),
            (
                "403",
                "The caller's role, or their tenant's state, does not allow it.",
            ),
            ("default", "Any other error."),
        ] {
            let problem = Content::new(Some(RefOr::<utoipa::openapi::Schema>::Ref(
                Ref::from_schema_name("Problem"),
            )));
            let response = ResponseBuilder::new()
                .description(meaning)
                .content("application/problem+json", problem)
                .build();
            operation
                .responses
                .responses
                .entry(status.to_owned())
                .or_insert(RefOr::T(response));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        options,
        head,
        patch,
        trace,
        ..
    } = item;
    [get, put, post, delete, options, head, patch, trace]
        .into_iter()
        .flatten()
}
