//! Looks at how a request with a caller was answered, and tells of what was refused.

use axum::{
    extract::{MatchedPath, OriginalUri, Request},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::Response,
};
use unity_shared::{audit::AuditedObject, ids::RequestId, telemetry::chain};

use super::{Crossing, Refusal, author_of, find_crossing};
use crate::{
    auth::Caller,
    error::ApiError,
    middleware::{CurrentRequestId, SourceAddress},
    problem::Problem,
    state::ApiState,
};

/// What of a request must be known when it has been answered. Nothing in it is copied: most requests
/// are not refused.
pub struct Witness {
    caller: Caller,
    address: Option<SourceAddress>,
    user_agent: Option<HeaderValue>,
    request_id: Option<RequestId>,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
}

impl Witness {
    /// Before the request is carried out.
    pub fn of(req: &Request, caller: &Caller) -> Self {
        let known = req.extensions();
        Self {
            caller: caller.clone(),
            address: known.get().copied(),
            user_agent: req.headers().get(header::USER_AGENT).cloned(),
            request_id: known.get::<CurrentRequestId>().map(|id| id.0),
            method: req.method().clone(),
            // A nested router sees less of it.
            uri: known
                .get::<OriginalUri>()
                .map_or_else(|| req.uri().clone(), |uri| uri.0.clone()),
            route: known.get().cloned(),
        }
    }

    /// When it has been answered: what is to be told before the answer goes out. What looks like
    /// "nothing is there" is looked into afterwards, so that the time it takes tells nothing either.
    pub fn look_at(self, state: &ApiState, response: &Response) -> Option<Refusal> {
        match response.status() {
            StatusCode::FORBIDDEN => {
                let object = AuditedObject::one("route", self.route());
                Some(self.refusal(code_of(response), object, false))
            }
            StatusCode::NOT_FOUND => {
                self.look_for_crossing(state, response);
                None
            }
            _ => None,
        }
    }

    fn look_for_crossing(self, state: &ApiState, response: &Response) {
        let Some(own) = self.caller.tenant.clone() else {
            return;
        };
        let Some(asked) = Crossing::of(self.route(), &self.uri, &own) else {
            return;
        };
        let refusal = self.refusal(code_of(response), asked.object(), true);
        state.tell_later(|state| async move {
            match find_crossing(&state, &asked, &own).await {
                Ok(true) => state.denials().tell(refusal).await,
                Ok(false) => {}
                Err(error) => {
                    metrics::counter!("unity_audit_denials_lost_total").increment(1);
                    tracing::error!(error = chain(&error), "could not tell whose it is");
                }
            }
        });
    }

    /// When a key was sent in the name of another tenant than its own, whose caller `self` has. They may
    /// have found it, so the answer tells them nothing.
    pub fn tell_of_misnamed_key(self, state: &ApiState) {
        let code = ApiError::Unauthenticated.code().to_owned();
        let refusal = self.refusal(code, AuditedObject::several("tenant"), true);
        state.tell_later(|state| async move { state.denials().tell(refusal).await });
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("", MatchedPath::as_str)
    }

    fn refusal(&self, code: String, object: AuditedObject, crossed: bool) -> Refusal {
        let mut headers = HeaderMap::new();
        if let Some(agent) = &self.user_agent {
            headers.insert(header::USER_AGENT, agent.clone());
        }
        Refusal {
            author: author_of(&self.caller, self.address, &headers, self.request_id),
            tenant: self.caller.tenant.clone(),
            crossed,
            object,
            method: self.method.to_string(),
            route: self.route().to_owned(),
            code,
        }
    }
}

fn code_of(response: &Response) -> String {
    let problem = response.extensions().get::<Problem>();
    problem.map_or_else(String::new, |problem| problem.code.to_string())
}
