//! From a path to what it addresses.

use crate::resources::{self, Resource, Verbs};

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// `/`: the list of paths.
    Root,
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/version`.
    Version,
    /// `/api`: versions of the core group.
    CoreVersions,
    /// `/apis`: all other groups.
    Groups,
    /// `/apis/{group}`.
    Group(&'static str),
    /// `/api/v1` or `/apis/{group}/{version}`.
    Resources(&'static str, &'static str),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`: the list of documents.
    OpenApiIndex,
    /// `/openapi/v3/...`: the document of a group and version.
    OpenApi(&'static str, &'static str),
    /// Objects.
    Objects(Target),
}

/// One object, or a collection when there is no name.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The resource.
    pub resource: &'static Resource,
    /// The namespace; empty at cluster scope and for all namespaces.
    pub namespace: String,
    /// The object; empty for the collection.
    pub name: String,
    /// The subresource, or empty.
    pub subresource: String,
}

/// Reads a path; `None` where the API server knows no such path.
pub fn parse(path: &str) -> Option<Route> {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode_percent)
        .collect::<Option<_>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Some(Route::Root),
        ["healthz" | "livez" | "readyz", ..] => Some(Route::Health),
        ["version"] => Some(Route::Version),
        ["api"] => Some(Route::CoreVersions),
        ["apis"] => Some(Route::Groups),
        ["openapi", "v2"] => Some(Route::OpenApiV2),
        ["openapi", "v3"] => Some(Route::OpenApiIndex),
        ["openapi", "v3", "api", version] => {
            known("", version).map(|(group, version)| Route::OpenApi(group, version))
        }
        ["openapi", "v3", "apis", group, version] => {
            known(group, version).map(|(group, version)| Route::OpenApi(group, version))
        }
        ["apis", group] => resources::group_versions()
            .into_iter()
            .find(|(name, _)| name == group)
            .map(|(name, _)| Route::Group(name)),
        ["api", version] => {
            known("", version).map(|(group, version)| Route::Resources(group, version))
        }
        ["apis", group, version] => {
            known(group, version).map(|(group, version)| Route::Resources(group, version))
        }
        ["api", version, rest @ ..] => objects("", version, rest).map(Route::Objects),
        ["apis", group, version, rest @ ..] => objects(group, version, rest).map(Route::Objects),
        _ => None,
    }
}

fn known(group: &str, version: &str) -> Option<(&'static str, &'static str)> {
    resources::group_versions()
        .into_iter()
        .find(|(name, number)| *name == group && *number == version)
}

fn objects(group: &str, version: &str, rest: &[&str]) -> Option<Target> {
    let (namespace, rest) = match rest {
        // `namespaces/x/status` is about the namespace, `namespaces/x/pods` about what is in it.
        ["namespaces", namespace, plural, ..]
            if resources::find(group, version, plural).is_some_and(|one| one.namespaced) =>
        {
            (*namespace, rest.get(2..)?)
        }
        _ => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (plural, "", ""),
        [plural, name] => (plural, *name, ""),
        [plural, name, subresource] => (plural, *name, *subresource),
        _ => return None,
    };
    let resource = resources::find(group, version, plural)?;
    let is_placed = namespace.is_empty() != resource.namespaced;
    let is_across_namespaces = resource.namespaced && namespace.is_empty() && name.is_empty();
    let is_sound = is_placed || (is_across_namespaces && resource.verbs == Verbs::Stored);
    let is_known = subresource.is_empty() || resource.has_subresource(subresource);
    (is_sound && is_known).then(|| Target {
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    })
}

fn decode_percent(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let text = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(text, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Option<(String, String, String, String)> {
        match parse(path)? {
            Route::Objects(t) => Some((t.resource.qualified(), t.namespace, t.name, t.subresource)),
            _ => None,
        }
    }

    fn expected(parts: [&str; 4]) -> (String, String, String, String) {
        let [a, b, c, d] = parts.map(str::to_owned);
        (a, b, c, d)
    }

    #[test]
    fn paths_address_objects() {
        for (path, parts) in [
            ("/api/v1/namespaces", ["namespaces", "", "", ""]),
            ("/api/v1/namespaces/a", ["namespaces", "", "a", ""]),
            (
                "/api/v1/namespaces/a/status",
                ["namespaces", "", "a", "status"],
            ),
            ("/api/v1/namespaces/a/pods", ["pods", "a", "", ""]),
            ("/api/v1/namespaces/a/pods/b/log", ["pods", "a", "b", "log"]),
            ("/api/v1/pods", ["pods", "", "", ""]),
            (
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                ["deployments.apps", "a", "b", "scale"],
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa",
                ["clusterroles.rbac.authorization.k8s.io", "", "system:a", ""],
            ),
        ] {
            assert_eq!(target(path), Some(expected(parts)), "{path}");
        }
    }

    #[test]
    fn unknown_paths_address_nothing() {
        for path in [
            "/api/v2/pods",
            "/api/v1/namespaces/a/nodes",
            "/api/v1/pods/x",
            "/apis/apps/v1/namespaces/a/deployments/b/log",
            "/metrics",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
