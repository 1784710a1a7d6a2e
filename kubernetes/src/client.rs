//! The connection to one cluster: where it comes from, and that it answers.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde::Deserialize;

use crate::{
    cluster_options::ClusterOptions,
    error::{ConnectError, RequestError},
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one request may take, from sending it to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to one cluster, and what is known about that cluster. Clones share the connection.
#[derive(Clone)]
pub struct ClusterClient {
    client: Client,
    options: Arc<ClusterOptions>,
    request_timeout: Duration,
}

impl ClusterClient {
    /// A client for the cluster that `context` of the kubeconfig at `path` names, or for the
    /// file's own current context.
    ///
    /// Only this file is read: no default location and no environment variable can redirect a
    /// control plane to somebody's personal cluster. A credential plug-in that the file names is
    /// run.
    pub async fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<Self, ConnectError> {
        let unusable = |source| match source {
            KubeconfigError::Parse(_) => ConnectError::NotAKubeconfig {
                path: path.to_owned(),
            },
            source => ConnectError::Kubeconfig {
                path: path.to_owned(),
                source: Box::new(source),
            },
        };
        let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
        let proxied = names_a_proxy(&kubeconfig, context);
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            cluster: None,
            user: None,
        };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(unusable)?;
        if !proxied {
            // Otherwise this is `HTTPS_PROXY`, which the loader falls back to.
            config.proxy_url = None;
        }
        Self::connect(config)
    }

    /// A client for the cluster that this process runs in, as its pod's service account.
    ///
    /// Must be awaited inside a Tokio runtime, which the connection lives on.
    #[expect(
        clippy::unused_async,
        reason = "like its sibling; building needs a running runtime"
    )]
    pub async fn in_cluster() -> Result<Self, ConnectError> {
        Self::connect(Config::incluster().map_err(|source| ConnectError::InCluster { source })?)
    }

    /// The same connection with these facts about the cluster.
    #[must_use]
    pub fn with_options(self, options: ClusterOptions) -> Self {
        Self {
            options: Arc::new(options),
            ..self
        }
    }

    /// Asks the cluster for its version, such as `v1.33.2`: it can be reached, and it answers as
    /// an API server does.
    pub async fn check(&self) -> Result<String, RequestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let version: Version = self.read("/version").await?;
        Ok(version.git_version)
    }

    fn connect(mut config: Config) -> Result<Self, ConnectError> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(REQUEST_TIMEOUT);
        config.write_timeout = Some(REQUEST_TIMEOUT);
        config.reset_reader_on_write = true;
        // Two layers that retry multiply; the job engine is the one that does.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|source| match source {
            kube::Error::Auth(_) => ConnectError::Credentials,
            source => ConnectError::Client {
                source: Box::new(source),
            },
        })?;
        Ok(Self::new(client, REQUEST_TIMEOUT))
    }

    /// A client over a connection that exists, with the default options.
    pub(crate) fn new(client: Client, request_timeout: Duration) -> Self {
        Self {
            client,
            options: Arc::default(),
            request_timeout,
        }
    }

    pub(crate) fn options(&self) -> &ClusterOptions {
        &self.options
    }

    pub(crate) const fn inner(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        self.request_timeout
    }
}

impl fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterClient")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Whether the cluster of the chosen context says itself that it is behind a proxy.
fn names_a_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let chosen = context.or(kubeconfig.current_context.as_deref());
    let cluster = kubeconfig
        .contexts
        .iter()
        .find(|named| Some(named.name.as_str()) == chosen)
        .and_then(|named| named.context.as_ref())
        .map(|context| context.cluster.as_str());
    kubeconfig
        .clusters
        .iter()
        .find(|named| Some(named.name.as_str()) == cluster)
        .and_then(|named| named.cluster.as_ref())
        .and_then(|cluster| cluster.proxy_url.as_deref())
        .is_some_and(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io::Write as _};

    use super::*;

    const TWO_CLUSTERS: &str = "
apiVersion: v1
kind: Config
current-context: plain
contexts:
- {name: plain, context: {cluster: plain, user: me}}
- {name: secure, context: {cluster: secure, user: me}}
- {name: proxied, context: {cluster: proxied, user: me}}
clusters:
- {name: plain, cluster: {server: 'http://127.0.0.1:1'}}
- {name: secure, cluster: {server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true}}
- {name: proxied, cluster: {server: 'http://127.0.0.1:1', proxy-url: 'http://127.0.0.1:2'}}
users:
- {name: me, user: {token: hush-hush}}
";

    fn kubeconfig(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// The error with everything beneath it, as a log would show it.
    fn whole_chain(error: &ConnectError) -> String {
        let mut words = vec![format!("{error} {error:?}")];
        let mut cause = error.source();
        while let Some(error) = cause {
            words.push(format!("{error} {error:?}"));
            cause = error.source();
        }
        words.concat()
    }

    #[tokio::test]
    async fn a_context_is_chosen_by_name_or_taken_from_the_file() {
        let file = kubeconfig(TWO_CLUSTERS);
        assert!(
            ClusterClient::from_kubeconfig(file.path(), None)
                .await
                .is_ok()
        );
        assert!(
            ClusterClient::from_kubeconfig(file.path(), Some("secure"))
                .await
                .is_ok()
        );
        let error = ClusterClient::from_kubeconfig(file.path(), Some("none"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::Kubeconfig { .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_and_no_default_takes_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let error = ClusterClient::from_kubeconfig(&path, None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::Kubeconfig { .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_refused_without_quoting_it() {
        let file = kubeconfig("users: [{name: me, user: {token: [hush-hush}}]");
        let error = ClusterClient::from_kubeconfig(file.path(), None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ConnectError::NotAKubeconfig { .. }),
            "{error:?}"
        );
        assert!(!whole_chain(&error).contains("hush-hush"));
    }

    #[tokio::test]
    async fn a_failing_credential_plug_in_does_not_show_what_it_printed() {
        let text = TWO_CLUSTERS.replace(
            "{token: hush-hush}",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo hush-hush; exit 1'], interactiveMode: Never}}",
        );
        let file = kubeconfig(&text);
        let error = ClusterClient::from_kubeconfig(file.path(), None)
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Credentials), "{error:?}");
        assert!(!whole_chain(&error).contains("hush-hush"));
    }

    #[test]
    fn only_a_proxy_that_the_kubeconfig_names_counts() {
        let kubeconfig = Kubeconfig::from_yaml(TWO_CLUSTERS).unwrap();
        assert!(!names_a_proxy(&kubeconfig, None));
        assert!(names_a_proxy(&kubeconfig, Some("proxied")));
    }

    #[tokio::test]
    async fn printing_a_client_shows_no_credentials() {
        let file = kubeconfig(TWO_CLUSTERS);
        let client = ClusterClient::from_kubeconfig(file.path(), None)
            .await
            .unwrap();
        assert!(!format!("{client:?}").contains("hush-hush"));
    }
}
