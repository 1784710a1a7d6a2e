//! Serves a simulated cluster until Ctrl-C and writes a kubeconfig for it:
//! `cargo run -p unity-simulator --example serve -- 127.0.0.1:8001 /tmp/kubeconfig [state.json]`.

use std::error::Error;
use std::path::PathBuf;

use unity_simulator::{Simulator, SimulatorConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8001".to_owned())
        .parse()?;
    let kubeconfig = arguments.next().unwrap_or_else(|| "kubeconfig".to_owned());
    let state_file = arguments.next().map(PathBuf::from);
    let config = SimulatorConfig {
        listen,
        state_file,
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start(config).await?;
    std::fs::write(&kubeconfig, simulator.kubeconfig())?;
    tracing_subscriber::fmt::init();
    tracing::info!(url = simulator.url(), kubeconfig, "serving");
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await;
    Ok(())
}
