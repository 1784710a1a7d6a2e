//! Who may do what: credentials, impersonation, reviews, tokens, escalation.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Config};
use serde_json::json;

use crate::harness::{Cluster, Outcome, code, object, refusal};

const ACCOUNT: &str = "system:serviceaccount:n:builder";

async fn furnished() -> Result<Cluster, Box<dyn std::error::Error>> {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let post = PostParams::default();
    let accounts: Api<ServiceAccount> = cluster.api("n");
    accounts
        .create(&post, &object(json!({"metadata": {"name": "builder"}})))
        .await?;
    let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole",
        "name": "edit", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": "n"}]});
    cluster
        .api::<RoleBinding>("n")
        .create(&post, &object(binding))
        .await?;
    Ok(cluster)
}

fn map(name: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name}}))
}

async fn may(client: &Client, verb: &str, resource: &str, namespace: &str) -> kube::Result<bool> {
    let review = object(json!({"spec": {"resourceAttributes": {"verb": verb,
        "resource": resource, "namespace": namespace}}}));
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[tokio::test]
async fn nothing_is_said_without_a_token() -> Outcome {
    let cluster = Cluster::start().await?;
    let client = Client::try_from(Config::new(cluster.simulator.url().parse()?))?;
    let api: Api<ConfigMap> = Api::namespaced(client, "default");
    assert_eq!(code(api.get("a").await), (401, "Unauthorized".to_owned()));
    Ok(())
}

#[tokio::test]
async fn an_impersonated_account_may_what_its_bindings_allow() -> Outcome {
    let cluster = furnished().await?;
    let client = cluster.impersonating(ACCOUNT).await?;
    let here: Api<ConfigMap> = Api::namespaced(client.clone(), "n");
    here.create(&PostParams::default(), &map("a")).await?;
    let there: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let status = refusal(there.get("a").await);
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "configmaps \"a\" is forbidden: User \"system:serviceaccount:n:builder\" cannot get \
         resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    assert!(may(&client, "create", "pods", "n").await?);
    assert!(!may(&client, "create", "pods", "default").await?);
    assert!(!may(&client, "delete", "namespaces", "").await?);
    assert!(may(&cluster.client, "delete", "namespaces", "").await?);
    Ok(())
}

#[tokio::test]
async fn an_apply_that_creates_needs_the_right_to_create() -> Outcome {
    let cluster = furnished().await?;
    let post = PostParams::default();
    let role = json!({"metadata": {"name": "patcher"}, "rules": [{"apiGroups": [""],
        "resources": ["configmaps"], "verbs": ["get", "patch"]}]});
    cluster
        .api::<Role>("n")
        .create(&post, &object(role))
        .await?;
    let binding = json!({"metadata": {"name": "p"}, "roleRef": {"kind": "Role",
        "name": "patcher", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "pat"}]});
    cluster
        .api::<RoleBinding>("n")
        .create(&post, &object(binding))
        .await?;
    let api: Api<ConfigMap> = Api::namespaced(cluster.impersonating("pat").await?, "n");
    let patch = Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}));
    let status = refusal(api.patch("new", &PatchParams::apply("m"), &patch).await);
    assert!(
        status
            .message
            .contains("cannot create resource \"configmaps\""),
        "{status:?}"
    );
    api.patch("kube-root-ca.crt", &PatchParams::apply("m"), &patch)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_token_stands_for_its_account_until_the_account_is_gone() -> Outcome {
    let cluster = furnished().await?;
    let accounts: Api<ServiceAccount> = cluster.api("n");
    let request: TokenRequest = object(json!({"spec": {"audiences": []}}));
    let made = accounts
        .create_token_request("builder", &PostParams::default(), &request)
        .await?;
    let token = made.status.map(|status| status.token).unwrap_or_default();
    let mut config = Config::new(cluster.simulator.url().parse()?);
    config.auth_info.token = Some(token.into());
    let client = Client::try_from(config)?;
    assert!(may(&client, "create", "pods", "n").await?);
    assert!(!may(&client, "create", "pods", "default").await?);
    accounts.delete("builder", &DeleteParams::default()).await?;
    let api: Api<ConfigMap> = Api::namespaced(client, "n");
    assert_eq!(code(api.get("a").await).0, 401);
    Ok(())
}

#[tokio::test]
async fn nobody_hands_out_rights_they_do_not_have() -> Outcome {
    let cluster = furnished().await?;
    let binding = json!({"metadata": {"name": "admins"}, "roleRef": {"kind": "ClusterRole",
        "name": "admin", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [{"kind": "User", "name": "ann"}]});
    cluster
        .api::<RoleBinding>("n")
        .create(&PostParams::default(), &object(binding))
        .await?;
    let ann = cluster.impersonating("ann").await?;
    let bindings: Api<RoleBinding> = Api::namespaced(ann, "n");
    let give = |role: &str| -> RoleBinding {
        object(
            json!({"metadata": {"name": role}, "roleRef": {"kind": "ClusterRole",
            "name": role, "apiGroup": "rbac.authorization.k8s.io"},
            "subjects": [{"kind": "User", "name": "bob"}]}),
        )
    };
    bindings
        .create(&PostParams::default(), &give("view"))
        .await?;
    let status = refusal(
        bindings
            .create(&PostParams::default(), &give("cluster-admin"))
            .await,
    );
    assert_eq!(status.code, 403);
    assert!(
        status
            .message
            .contains("attempting to grant RBAC permissions not currently held")
    );
    Ok(())
}

#[tokio::test]
async fn only_those_who_may_impersonate_do() -> Outcome {
    let cluster = furnished().await?;
    let accounts: Api<ServiceAccount> = cluster.api("n");
    let request: TokenRequest = object(json!({"spec": {"audiences": []}}));
    let made = accounts
        .create_token_request("default", &PostParams::default(), &request)
        .await?;
    let mut config = Config::new(cluster.simulator.url().parse()?);
    config.auth_info.token = made.status.map(|status| status.token.into());
    config.auth_info.impersonate = Some("kubernetes-admin".to_owned());
    config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
    let api: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, "n");
    let status = refusal(api.get("a").await);
    assert_eq!(status.code, 403);
    assert!(
        status
            .message
            .contains("cannot impersonate resource \"users\""),
        "{status:?}"
    );
    Ok(())
}
