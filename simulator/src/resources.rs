//! The one table of what is served: adding a resource is adding a line.

use std::fmt;

/// Which requests a resource answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbs {
    /// Objects are stored: create, read, change, delete, watch.
    Stored,
    /// Nothing is stored: a POST is a question and its response the answer.
    CreateOnly,
}

/// One served resource.
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Name in paths.
    pub plural: &'static str,
    /// Kind of its objects.
    pub kind: &'static str,
    /// Names that `kubectl` accepts beside the plural.
    pub short_names: &'static [&'static str],
    /// Whether `kubectl get all` includes it.
    pub in_all: bool,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What it answers.
    pub verbs: Verbs,
    /// Paths below one object.
    pub subresources: &'static [&'static str],
    /// Whether `metadata.generation` counts changes of the desired state.
    pub generation: bool,
    /// Field selectors beside `metadata.name` and `metadata.namespace`.
    pub fields: &'static [&'static str],
}

impl fmt::Debug for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.qualified())
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.group == other.group && self.plural == other.plural
    }
}

impl Eq for Resource {}

impl Resource {
    const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            plural,
            kind,
            short_names: &[],
            in_all: false,
            namespaced: true,
            verbs: Verbs::Stored,
            subresources: &[],
            generation: false,
            fields: &[],
        }
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn all(mut self) -> Self {
        self.in_all = true;
        self
    }

    const fn sub(mut self, names: &'static [&'static str]) -> Self {
        self.subresources = names;
        self
    }

    const fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    const fn fields(mut self, names: &'static [&'static str]) -> Self {
        self.fields = names;
        self
    }

    const fn question(mut self) -> Self {
        self.verbs = Verbs::CreateOnly;
        self
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// `plural.group`, or the plural alone in the core group.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The singular name.
    pub fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    /// The key of its kind in the schema.
    pub fn schema_name(&self) -> String {
        format!(
            "{}.{}.{}",
            schema_group(self.group),
            self.version,
            self.kind
        )
    }

    /// Whether objects have the subresource `name`.
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.contains(&name)
    }

    /// Whether status is written apart from the rest.
    pub fn has_status(&self) -> bool {
        self.has_subresource("status")
    }

    /// Whether objects are kept.
    pub fn is_stored(&self) -> bool {
        self.verbs == Verbs::Stored
    }
}

/// `group/version`, or the version alone in the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

fn schema_group(group: &'static str) -> &'static str {
    match group.split('.').next() {
        None | Some("") => "core",
        Some(first) => first,
    }
}

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const POD_FIELDS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];
const POD_SUBRESOURCES: &[&str] = &[
    "status",
    "log",
    "exec",
    "attach",
    "portforward",
    "eviction",
    "binding",
];
const SCALABLE: &[&str] = &["status", "scale"];
const STATUS: &[&str] = &["status"];

const CORE: &str = "";
const APPS: &str = "apps";
const NETWORK: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Every served resource, grouped by API group.
#[rustfmt::skip]
pub static RESOURCES: &[Resource] = &[
    Resource::new(CORE, "v1", "configmaps", "ConfigMap").short(&["cm"]),
    Resource::new(CORE, "v1", "endpoints", "Endpoints").short(&["ep"]),
    Resource::new(CORE, "v1", "events", "Event").short(&["ev"]).fields(EVENT_FIELDS),
    Resource::new(CORE, "v1", "limitranges", "LimitRange").short(&["limits"]),
    Resource::new(CORE, "v1", "namespaces", "Namespace").cluster().short(&["ns"]).sub(&["status", "finalize"]).fields(&["status.phase"]),
    Resource::new(CORE, "v1", "nodes", "Node").cluster().short(&["no"]).sub(STATUS).fields(&["spec.unschedulable"]),
    Resource::new(CORE, "v1", "persistentvolumeclaims", "PersistentVolumeClaim").short(&["pvc"]).sub(STATUS),
    Resource::new(CORE, "v1", "persistentvolumes", "PersistentVolume").cluster().short(&["pv"]).sub(STATUS),
    Resource::new(CORE, "v1", "pods", "Pod").short(&["po"]).all().sub(POD_SUBRESOURCES).fields(POD_FIELDS),
    Resource::new(CORE, "v1", "replicationcontrollers", "ReplicationController").short(&["rc"]).all().sub(SCALABLE).generation().fields(&["status.replicas"]),
    Resource::new(CORE, "v1", "resourcequotas", "ResourceQuota").short(&["quota"]).sub(STATUS),
    Resource::new(CORE, "v1", "secrets", "Secret").fields(&["type"]),
    Resource::new(CORE, "v1", "serviceaccounts", "ServiceAccount").short(&["sa"]).sub(&["token"]),
    Resource::new(CORE, "v1", "services", "Service").short(&["svc"]).all().sub(STATUS).fields(&["spec.clusterIP", "spec.type"]),
    Resource::new(ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy").cluster().sub(STATUS).generation(),
    Resource::new(ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding").cluster().generation(),
    Resource::new(APPS, "v1", "daemonsets", "DaemonSet").short(&["ds"]).all().sub(STATUS).generation(),
    Resource::new(APPS, "v1", "deployments", "Deployment").short(&["deploy"]).all().sub(SCALABLE).generation(),
    Resource::new(APPS, "v1", "replicasets", "ReplicaSet").short(&["rs"]).all().sub(SCALABLE).generation().fields(&["status.replicas"]),
    Resource::new(APPS, "v1", "statefulsets", "StatefulSet").short(&["sts"]).all().sub(SCALABLE).generation(),
    Resource::new(AUTHENTICATION, "v1", "selfsubjectreviews", "SelfSubjectReview").cluster().question(),
    Resource::new(AUTHENTICATION, "v1", "tokenreviews", "TokenReview").cluster().question(),
    Resource::new(AUTHORIZATION, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview").question(),
    Resource::new(AUTHORIZATION, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview").cluster().question(),
    Resource::new(AUTHORIZATION, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview").cluster().question(),
    Resource::new(AUTHORIZATION, "v1", "subjectaccessreviews", "SubjectAccessReview").cluster().question(),
    Resource::new("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler").short(&["hpa"]).all().sub(STATUS),
    Resource::new("batch", "v1", "cronjobs", "CronJob").short(&["cj"]).all().sub(STATUS).generation(),
    Resource::new("batch", "v1", "jobs", "Job").all().sub(STATUS).generation().fields(&["status.successful"]),
    Resource::new("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource::new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice").generation(),
    Resource::new(NETWORK, "v1", "ingressclasses", "IngressClass").cluster().generation(),
    Resource::new(NETWORK, "v1", "ingresses", "Ingress").short(&["ing"]).sub(STATUS).generation(),
    Resource::new(NETWORK, "v1", "networkpolicies", "NetworkPolicy").short(&["netpol"]).generation(),
    Resource::new("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget").short(&["pdb"]).sub(STATUS).generation(),
    Resource::new(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding").cluster(),
    Resource::new(RBAC, "v1", "clusterroles", "ClusterRole").cluster(),
    Resource::new(RBAC, "v1", "rolebindings", "RoleBinding"),
    Resource::new(RBAC, "v1", "roles", "Role"),
    Resource::new("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass").cluster().short(&["pc"]).generation(),
    Resource::new("storage.k8s.io", "v1", "storageclasses", "StorageClass").cluster().short(&["sc"]),
];

/// The resource that is addressed by group, version and plural.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| {
        resource.group == group && resource.version == version && resource.plural == plural
    })
}

/// The stored resource with this group and plural, whatever its version.
pub fn stored(group: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| {
        resource.group == group && resource.plural == plural && resource.is_stored()
    })
}

/// The groups with their one version, in table order.
pub fn group_versions() -> Vec<(&'static str, &'static str)> {
    let mut seen = Vec::new();
    for resource in RESOURCES {
        let pair = (resource.group, resource.version);
        if !seen.contains(&pair) {
            seen.push(pair);
        }
    }
    seen
}

/// The resources of one group and version.
pub fn of(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    RESOURCES
        .iter()
        .filter(move |one| one.group == group && one.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn every_kind_has_a_schema() {
        for resource in RESOURCES {
            assert!(
                schema::find(&resource.schema_name()).is_some(),
                "{resource:?}"
            );
        }
    }

    #[test]
    fn no_two_resources_share_a_path_or_a_short_name() {
        let mut names: Vec<String> = RESOURCES.iter().map(Resource::qualified).collect();
        names.extend(
            RESOURCES
                .iter()
                .flat_map(|one| one.short_names)
                .map(|&n| n.to_owned()),
        );
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
