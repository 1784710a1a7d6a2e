//! A setting that must not be printed.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A secret, or a URL with a password in it. Printing, logging or serialising it masks the secret
/// part; [`Secret::reveal`] is the only way to the text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `scheme://user:***@rest` for a URL with a password, the URL itself if it has none, `***` for
    /// anything else.
    #[must_use]
    pub fn masked(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return "***".to_owned();
        };
        let Some((userinfo, host)) = rest.rsplit_once('@') else {
            return self.0.clone();
        };
        match userinfo.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
            None => self.0.clone(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_of_a_url_is_masked() {
        let masked = |text: &str| Secret::new(text).masked();
        assert_eq!(
            masked("postgres://app:p:w@db:5432/unity"),
            "postgres://app:***@db:5432/unity"
        );
        assert_eq!(
            masked("redis://:secret@localhost"),
            "redis://:***@localhost"
        );
        assert_eq!(masked("redis://localhost:6379"), "redis://localhost:6379");
        assert_eq!(masked("c2VjcmV0"), "***");
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
