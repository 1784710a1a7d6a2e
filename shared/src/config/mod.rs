//! Settings: flag, then environment, then file, then default.

mod network;
mod secret;
mod settings;

pub use network::{InvalidNetwork, Network};
pub use secret::Secret;
pub use settings::{LogFormat, Settings, SettingsError};
