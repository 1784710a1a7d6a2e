//! The one way to register a route: with its rule.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use unity_shared::tenancy::{Resource, Scope};
use utoipa::openapi::{
    Content, OpenApi, RefOr, ResponseBuilder,
    path::{Operation, Parameter, PathItem, Paths},
    schema::Ref,
    security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{
    Access, Caller,
    authenticate::{NotLetIn, authenticate},
};
use crate::{
    audit::{ActingRequest, Witness},
    error::ApiError,
    limits::{Verdict, write_standing},
    state::ApiState,
};

/// Where an operation states its rule in the `OpenAPI` document.
pub const ACCESS_EXTENSION: &str = "x-access";
/// Where an operation states the scope that a confined key needs for it.
pub const SCOPE_EXTENSION: &str = "x-scope";
/// Where an operation states that nobody can use it who acts in a tenant.
pub const ACTING_EXTENSION: &str = "x-acting";
/// The name of the credentials' scheme in the `OpenAPI` document.
pub const SECURITY_SCHEME: &str = "api_key";

/// The routes registered so far. It can be built without a state to describe them only.
pub struct Routes {
    router: OpenApiRouter<ApiState>,
    state: Option<ApiState>,
    prefix: &'static str,
}

impl Routes {
    /// No routes yet, in addition to `document`. With a state, every route checks its rule before its handler
    /// runs; without, the routes are good for their description alone and must not be served.
    pub fn new(document: OpenApi, state: Option<ApiState>) -> Self {
        Self {
            router: OpenApiRouter::with_openapi(document),
            state,
            prefix: "",
        }
    }

    /// The routes that are added next have `prefix` in front of the addresses that they state. To nest
    /// a router would surround each route with more layers.
    #[must_use]
    pub fn below(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
    }

    /// Adds handlers of one path under one rule. Their tag is the resource of the scopes that a confined
    /// key needs for them.
    #[must_use]
    pub fn route(self, access: Access, handlers: UtoipaMethodRouter<ApiState>) -> Self {
        self.add(access, Acting::LikeOthers, handlers)
    }

    /// As [`Routes::route`], for what lets somebody in, or higher up. A system administrator who acts in a
    /// tenant is refused: it would outlast their leave.
    #[must_use]
    pub fn route_to_grant(self, access: Access, handlers: UtoipaMethodRouter<ApiState>) -> Self {
        self.add(access, Acting::Refused, handlers)
    }

    fn add(self, access: Access, acting: Acting, handlers: UtoipaMethodRouter<ApiState>) -> Self {
        let (schemas, mut paths, mut methods) = handlers;
        let rule = Rule::new(access, acting, &mut paths);
        let prefix = self.prefix;
        let stated = std::mem::take(&mut paths.paths);
        let addressed = stated
            .into_iter()
            .map(|(path, item)| (format!("{prefix}{path}"), item));
        paths.paths = addressed.collect();
        declare(rule, &mut paths);
        if let Some(state) = &self.state
            && access != Access::Public
        {
            methods = methods.route_layer(from_fn_with_state((state.clone(), rule), authorize));
        }
        Self {
            router: self.router.routes((schemas, paths, methods)),
            ..self
        }
    }

    /// All of them, with their description.
    pub fn finish(self) -> OpenApiRouter<ApiState> {
        self.router
    }
}

/// How system administrators are met who act in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acting {
    /// As callers of the tenant with their role.
    LikeOthers,
    /// Not at all.
    Refused,
}

/// What is checked before a handler runs.
#[derive(Debug, Clone, Copy)]
struct Rule {
    access: Access,
    acting: Acting,
    /// What a confined key must be for.
    resource: Resource,
}

impl Rule {
    fn new(access: Access, acting: Acting, paths: &mut Paths) -> Self {
        let mut operations = paths.paths.values_mut().flat_map(operations);
        let tags = operations.find_map(|(_, operation)| operation.tags.clone());
        let tag = tags.and_then(|tags| tags.into_iter().next());
        Self {
            access,
            acting,
            // A tag that is no resource of ours falls under what the fewest keys are for; a test finds it.
            resource: tag
                .and_then(|tag| Resource::of(&tag))
                .unwrap_or(Resource::Operations),
        }
    }

    /// The scope that a confined key needs; absent where no scope is asked for.
    fn scope(self, method: &Method) -> Option<Scope> {
        match self.access {
            Access::Public | Access::Authenticated | Access::Session => None,
            Access::SystemAdmin
            | Access::Tenant(_)
            | Access::TenantOrSystem(_)
            | Access::TenantOrPlatformsJobs(_) => Some(Scope {
                resource: self.resource,
                writes: !method.is_safe(),
            }),
        }
    }

    fn admit(self, caller: &Caller, method: &Method) -> Result<(), ApiError> {
        self.access.admit(caller)?;
        if self.acting == Acting::Refused && caller.acting.is_some() {
            return Err(ApiError::ActingForbidden);
        }
        match self.scope(method) {
            Some(scope) if !caller.scopes.permit(scope) => Err(ApiError::ScopeInsufficient(scope)),
            Some(_) | None => Ok(()),
        }
    }
}

async fn authorize(
    State((state, rule)): State<(ApiState, Rule)>,
    mut req: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = match authenticate(&state, req.headers()).await {
        Ok(caller) => caller,
        Err(NotLetIn::Misnamed(owner)) => {
            Witness::of(&req, &owner).tell_of_misnamed_key(&state);
            return Err(ApiError::Unauthenticated);
        }
        Err(NotLetIn::OfInactive(caller, error)) => {
            let witness = Witness::of(&req, &caller);
            let response = error.into_response();
            if let Some(refusal) = witness.look_at(&state, &response) {
                state.denials().tell(refusal).await;
            }
            return Ok(response);
        }
        Err(NotLetIn::Refused(error)) => return Err(error),
    };
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
    let mut response = match rule.admit(&caller, req.method()) {
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
fn declare(rule: Rule, paths: &mut Paths) {
    for (method, operation) in paths.paths.values_mut().flat_map(operations) {
        let extensions = operation.extensions.get_or_insert_default();
        extensions.insert(ACCESS_EXTENSION.to_owned(), rule.access.to_string().into());
        if rule.acting == Acting::Refused {
            extensions.insert(ACTING_EXTENSION.to_owned(), "refused".into());
        }
        if let Some(scope) = rule.scope(&method) {
            extensions.insert(SCOPE_EXTENSION.to_owned(), scope.to_string().into());
        }
        let is_public = rule.access == Access::Public;
        let requirement = SecurityRequirement::new::<_, [&str; 0], &str>(SECURITY_SCHEME, []);
        operation.security = Some(if is_public {
            Vec::new()
        } else {
            vec![requirement]
        });
        for (status, meaning) in usual_answers(&method, operation, is_public) {
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

/// The statuses that have the same meaning wherever they are answered.
fn usual_answers(
    method: &Method,
    operation: &Operation,
    is_public: bool,
) -> Vec<(&'static str, &'static str)> {
    let mut answers = vec![
        (
            "400",
            "A body, a header or a parameter cannot be read, or is not known here.",
        ),
        (
            "429",
            "A limit on calls is used up; `Retry-After` says for how long.",
        ),
        (
            "503",
            "Not possible for the moment; `Retry-After` says when to come again.",
        ),
        ("default", "Any other error."),
    ];
    if !is_public {
        answers.extend([
            ("401", "No valid API key or access token."),
            (
                "403",
                "The caller's role, or their tenant's state, does not allow it.",
            ),
        ]);
    }
    // Also where no body is described: one that was sent all the same is looked at.
    if [Method::POST, Method::PUT, Method::PATCH].contains(method) {
        answers.extend([
            ("413", "The body is larger than it may be."),
            (
                "415",
                "There is a body, and it is not `application/json` in UTF-8.",
            ),
        ]);
    }
    let takes_key =
        |one: &RefOr<Parameter>| matches!(one, RefOr::T(one) if one.name == "Idempotency-Key");
    if operation.parameters.iter().flatten().any(takes_key) {
        answers.push(("422", "The Idempotency-Key was used for another request."));
    }
    answers
}

/// The operations of a path, each with its method.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
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
    [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::OPTIONS, options),
        (Method::HEAD, head),
        (Method::PATCH, patch),
        (Method::TRACE, trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
