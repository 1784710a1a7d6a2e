//! `unity simulator`: the simulated Kubernetes API server on its own.

use anyhow::{Context as _, Result};
use unity_simulator::{Simulator, SimulatorConfig};

use crate::{args::SimulatorFlags, dev::write_private, process::shutdown_signal};

pub(super) async fn run(flags: SimulatorFlags) -> Result<()> {
    let shutdown = shutdown_signal()?;
    let SimulatorFlags {
        listen,
        state_file,
        kubeconfig,
    } = flags;
    let simulator = Simulator::start(SimulatorConfig {
        listen,
        state_file,
        token: None,
    })
    .await
    .with_context(|| format!("could not start the simulated cluster on {listen}"))?;
    write_private(&kubeconfig, simulator.kubeconfig().as_bytes())?;
    println!("simulated cluster at {}", simulator.url());
    println!(
        "kubectl --kubeconfig {} get namespaces",
        kubeconfig.display()
    );
    shutdown.cancelled().await;
    simulator.shutdown().await;
    Ok(())
}
