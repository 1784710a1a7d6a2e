//! A simulator per test, and short ways to say what tests say often.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{NamespaceResourceScope, Status};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use unity_simulator::{Simulator, SimulatorConfig};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

pub struct Cluster {
    pub simulator: Simulator,
    pub client: Client,
}

impl Cluster {
    pub async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        Self::with(SimulatorConfig::default()).await
    }

    pub async fn with(config: SimulatorConfig) -> Result<Self, Box<dyn std::error::Error>> {
        let simulator = Simulator::start(config).await?;
        let client = client(&simulator, None).await?;
        Ok(Self { simulator, client })
    }

    pub async fn namespace(&self, name: &str) -> kube::Result<()> {
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        let object = object(serde_json::json!({"metadata": {"name": name}}));
        api.create(&kube::api::PostParams::default(), &object)
            .await
            .map(|_| ())
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// An exchange below `kube`, which repeats requests that time out: status code and body.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(u16, Value), Box<dyn std::error::Error>> {
        let kubeconfig = self.simulator.kubeconfig();
        let token = kubeconfig
            .lines()
            .find_map(|line| line.trim().strip_prefix("token: "));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            token.unwrap_or_default(),
            body.len()
        );
        let mut stream = TcpStream::connect(self.simulator.addr()).await?;
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .ok_or("no end of the headers")?;
        let code = head.split(' ').nth(1).ok_or("no status code")?.parse()?;
        Ok((code, serde_json::from_str(body)?))
    }

    pub async fn impersonating(&self, user: &str) -> Result<Client, Box<dyn std::error::Error>> {
        client(&self.simulator, Some(user)).await
    }
}

async fn client(
    simulator: &Simulator,
    user: Option<&str>,
) -> Result<Client, Box<dyn std::error::Error>> {
    let kubeconfig = Kubeconfig::from_yaml(&simulator.kubeconfig())?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.auth_info.impersonate = user.map(str::to_owned);
    Ok(Client::try_from(config)?)
}

/// A typed object from JSON.
#[expect(
    clippy::unwrap_used,
    reason = "a wrong object in a test is a wrong test"
)]
pub fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// The `Status` of a refused request.
#[expect(clippy::panic, reason = "a request that should be refused was not")]
pub fn refusal<T>(result: kube::Result<T>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        Err(other) => panic!("no API error: {other}"),
        Ok(_) => panic!("the request was accepted"),
    }
}

/// Code and reason of a refused request.
pub fn code<T>(result: kube::Result<T>) -> (u16, String) {
    let status = refusal(result);
    (status.code, status.reason)
}
