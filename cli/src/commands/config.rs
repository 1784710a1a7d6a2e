//! `unity config`: the settings in force.

use anyhow::{Context as _, Result};
use unity_shared::config::Settings;

pub(super) fn run(settings: &Settings) -> Result<()> {
    print!(
        "{}",
        toml::to_string(settings).context("could not write the settings as TOML")?
    );
    Ok(())
}
