//! Addresses of people.

use std::fmt;

use serde::Serialize;

/// An address that a mail can be sent to: 3 to 254 bytes, one `@` between a name and a host, and no
/// character that has a meaning in a mail's header. Whether anybody reads there is found out by a
/// mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

/// The text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address")]
pub struct InvalidEmail;

impl EmailAddress {
    /// Checks `text` and takes it as an address.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        if is_email(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEmail)
        }
    }

    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`, in lower case.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.0.rsplit('@').next().unwrap_or_default();
        host.to_lowercase()
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_email(text: &str) -> bool {
    let forbidden = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(
                c,
                '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '"' | '\\'
            )
    };
    let Some((name, host)) = text.split_once('@') else {
        return false;
    };
    (3..=254).contains(&text.len())
        && !name.is_empty()
        && !host.is_empty()
        && !host.contains('@')
        && !host.starts_with(['.', '-'])
        && !host.ends_with(['.', '-'])
        && !text.contains(forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_and_nothing_that_a_mail_header_would_read() {
        for good in [
            "a@b",
            "first.last+tag@mail.example",
            "jürgen@müller.example",
        ] {
            assert!(EmailAddress::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b\r\nBcc: x",
            "<a@b>",
            "a@.b",
            "a@b.",
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(InvalidEmail), "{bad}");
        }
    }

    #[test]
    fn the_host_of_an_address_is_in_lower_case() {
        assert_eq!(
            EmailAddress::parse("A@B.Example").unwrap().host(),
            "b.example"
        );
    }
}
