//! From a request and its caller to an answer: authorize, then hand to the verb.

mod create;
mod delete;
mod patch;
mod pod;
mod read;
mod review;
mod scale;
mod token;
mod update;

use http::Method;

use crate::answer::{Answer, Reply};
use crate::authorize::{self, Attributes};
use crate::cluster::Cluster;
use crate::identity::Identity;
use crate::options::WriteOptions;
use crate::request::Request;
use crate::resources::Verbs;
use crate::route::{self, Route, Target};
use crate::status::Failure;
use crate::{discovery, openapi};

/// Everything a verb needs besides the cluster.
#[derive(Debug)]
pub struct Call<'a> {
    /// The request.
    pub request: &'a Request,
    /// What it addresses.
    pub target: &'a Target,
    /// Who asks.
    pub identity: &'a Identity,
    /// Signs service account tokens.
    pub secret: &'a str,
}

/// Answers a request.
///
/// # Errors
/// Every refusal of the API server.
pub fn answer(
    cluster: &mut Cluster,
    request: &Request,
    identity: &Identity,
    secret: &str,
) -> Result<Reply, Failure> {
    let Some(route) = route::parse(&request.path) else {
        require_path(cluster, request, identity)?;
        return Err(Failure::no_such_path());
    };
    match route {
        Route::Objects(target) => {
            let call = Call {
                request,
                target: &target,
                identity,
                secret,
            };
            require_object(cluster, &call)?;
            answer_object(cluster, &call)
        }
        other => {
            require_path(cluster, request, identity)?;
            if request.method != Method::GET {
                return Err(Failure::method_not_allowed());
            }
            Ok(document(&other, request).into())
        }
    }
}

fn document(route: &Route, request: &Request) -> Answer {
    match route {
        Route::Root => Answer::document(discovery::root()),
        Route::Health => Answer::Text("ok"),
        Route::Version => Answer::document(discovery::version()),
        Route::CoreVersions => discovery::core_versions(request),
        Route::Groups => discovery::groups(request),
        Route::Group(group) => Answer::document(discovery::group(group)),
        Route::Resources(group, version) => {
            Answer::document(discovery::resource_list(group, version))
        }
        Route::OpenApiV2 => Answer::document(openapi::v2()),
        Route::OpenApiIndex => Answer::document(openapi::index()),
        Route::OpenApi(group, version) => Answer::document(openapi::document(group, version)),
        Route::Objects(_) => Answer::document(serde_json::Value::Null),
    }
}

fn require_path(cluster: &Cluster, request: &Request, identity: &Identity) -> Result<(), Failure> {
    let attributes = Attributes {
        verb: request.method.as_str().to_lowercase(),
        path: request.path.clone(),
        ..Attributes::default()
    };
    authorize::require(&cluster.store, identity, &attributes)
}

/// The verb that RBAC knows a request by.
fn verb(request: &Request, target: &Target) -> Result<&'static str, Failure> {
    let is_collection = target.name.is_empty();
    match (request.method.as_str(), is_collection) {
        ("GET" | "HEAD", _) if request.query.is_set("watch") => Ok("watch"),
        ("GET" | "HEAD", true) => Ok("list"),
        ("GET" | "HEAD", false) => Ok("get"),
        ("POST", _) => Ok("create"),
        ("PUT", false) => Ok("update"),
        ("PATCH", false) => Ok("patch"),
        ("DELETE", true) => Ok("deletecollection"),
        ("DELETE", false) => Ok("delete"),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn attributes(call: &Call<'_>, verb: &str) -> Attributes {
    let target = call.target;
    // What is inside a namespace object is decided in that namespace.
    let is_namespace = target.resource.kind == "Namespace";
    let namespace = if is_namespace {
        &target.name
    } else {
        &target.namespace
    };
    Attributes {
        verb: verb.to_owned(),
        group: target.resource.group.to_owned(),
        resource: target.resource.plural.to_owned(),
        subresource: target.subresource.clone(),
        namespace: namespace.clone(),
        name: target.name.clone(),
        path: String::new(),
    }
}

fn require_object(cluster: &Cluster, call: &Call<'_>) -> Result<(), Failure> {
    let verb = verb(call.request, call.target)?;
    authorize::require(&cluster.store, call.identity, &attributes(call, verb))
}

fn answer_object(cluster: &mut Cluster, call: &Call<'_>) -> Result<Reply, Failure> {
    if call.target.resource.verbs == Verbs::CreateOnly {
        return match call.request.method.as_str() {
            "POST" => review::answer(cluster, call),
            _ => Err(Failure::method_not_allowed()),
        };
    }
    match call.target.subresource.as_str() {
        "" | "status" | "finalize" => answer_verb(cluster, call),
        "scale" => scale::answer(cluster, call),
        "token" => token::answer(cluster, call),
        _ => pod::answer(cluster, call),
    }
}

fn answer_verb(cluster: &mut Cluster, call: &Call<'_>) -> Result<Reply, Failure> {
    let is_part = !call.target.subresource.is_empty();
    match verb(call.request, call.target)? {
        "get" => read::get(cluster, call).map(Reply::from),
        "list" => read::list(cluster, call).map(Reply::from),
        "watch" => read::watch(cluster, call).map(Reply::from),
        "update" => write(cluster, call, update::update),
        "patch" => write(cluster, call, patch::patch),
        "create" if call.target.name.is_empty() => write(cluster, call, create::create),
        "delete" if !is_part => write(cluster, call, delete::delete),
        "deletecollection" => write(cluster, call, delete::delete_collection),
        _ => Err(Failure::method_not_allowed()),
    }
}

type WriteVerb = fn(&mut Cluster, &Call<'_>, &WriteOptions) -> Result<Reply, Failure>;

/// Runs a write; a dry run happens on a copy, so that nothing of it can remain.
fn write(cluster: &mut Cluster, call: &Call<'_>, verb: WriteVerb) -> Result<Reply, Failure> {
    let options = WriteOptions::parse(call.request)?;
    if options.dry_run {
        return verb(&mut cluster.scratch(), call, &options);
    }
    verb(cluster, call, &options)
}
