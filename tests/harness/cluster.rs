//! The cluster that a test works on: the simulated one, or a real one where
//! `UNITY_TEST_KUBECONFIG` names its kubeconfig. Tests that count requests need the simulated one.

use std::path::PathBuf;

use unity_kubernetes::ClusterClient;
use unity_simulator::{Simulator, SimulatorConfig};

/// A cluster and its kubeconfig.
pub struct Cluster {
    pub simulator: Option<Simulator>,
    pub kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(given) = std::env::var_os("UNITY_TEST_KUBECONFIG") {
            return Self {
                simulator: None,
                kubeconfig: given.into(),
                _folder: folder,
            };
        }
        let config = SimulatorConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            state_file: None,
            token: None,
        };
        let simulator = Simulator::start(config).await.unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, simulator.kubeconfig()).unwrap();
        Self {
            simulator: Some(simulator),
            kubeconfig,
            _folder: folder,
        }
    }

    pub async fn client(&self) -> ClusterClient {
        ClusterClient::from_kubeconfig(&self.kubeconfig, None)
            .await
            .unwrap()
    }

    /// A client of the cluster's own API, to look at what is there.
    pub async fn kube(&self) -> kube::Client {
        let config = kube::config::Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options)
            .await
            .unwrap();
        kube::Client::try_from(config).unwrap()
    }
}
