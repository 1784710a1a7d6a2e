//! Settings: flag, then environment, then file, then default.

mod secret;
mod settings;

pub use secret::Secret;
pub use settings::{LogFormat, Settings, SettingsError};
