//! What is in a mail.
//!
//! Texts are fixed and plain: no markup that a name could break out of. What a tenant has chosen is
//! shown only if it cannot be taken for a link, an address or another line; else its id stands there.

use unity_shared::{
    people::{EmailAddress, Invitation, MailToken},
    tenancy::Tenant,
};

/// A mail, all but its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Whom it is for.
    pub to: EmailAddress,
    /// Its subject, one line.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// Longest name in a mail, in characters.
const LONGEST_NAME: usize = 60;

impl Letter {
    /// The mail of an invitation. `public_url` is where the API's users find it.
    #[must_use]
    pub fn of_invitation(
        to: EmailAddress,
        tenant: &Tenant,
        invitation: &Invitation,
        token: &MailToken,
        public_url: Option<&str>,
    ) -> Self {
        let id = &tenant.id;
        let name = harmless(&tenant.name).unwrap_or_else(|| id.as_str());
        let role = invitation.role.as_str();
        let until = invitation.expires_at.format("%-d %B %Y, %H:%M UTC");
        let code = token.reveal();
        let link = public_url.map_or_else(String::new, |url| {
            let url = url.trim_end_matches('/');
            format!("Open this page to accept:\n\n    {url}/invitation#{code}\n\n")
        });
        Self {
            to,
            subject: format!("Invitation to {id} on Unity"),
            text: format!(
                "You are invited to become a member of {name} ({id}) on Unity, with the role {role}.\n\n\
                 {link}\
                 Or on the command line:\n\n    unity invitations accept {code}\n\n\
                 The invitation is for this address alone and can be used once, until {until}.\n\
                 Whoever has the code can accept in your place if you have no account yet: keep it to\n\
                 yourself. If you do not know what this is about, do nothing.\n"
            ),
        }
    }
}

/// The name, if it is short and has letters, digits, spaces and a few signs only, and no full stop that
/// could make a part of it a host. Mail programs turn such texts into links by themselves.
fn harmless(name: &str) -> Option<&str> {
    let plain = |c: char| {
        c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '&' | '\'' | ',' | '(' | ')')
    };
    let name = name.trim();
    // "Acme Inc." ends in a full stop, and nothing follows that could make it a host.
    let body = name.strip_suffix('.').unwrap_or(name);
    let short = name.chars().count() <= LONGEST_NAME;
    (short && !body.is_empty() && body.chars().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_a_link_or_another_line_is_not_shown() {
        for good in [
            "Acme Corporation",
            "Müller & Söhne (Nord)",
            "Acme Inc.",
            "アクメ",
        ] {
            assert_eq!(harmless(good), Some(good));
        }
        for bad in [
            "",
            ".",
            "evil.example",
            "Click https://evil.example/x",
            "a@evil.example",
            "a\r\nBcc: b",
            "a\u{202e}b",
            "<b>a</b>",
            "win $1000!",
            &"a".repeat(61),
        ] {
            assert_eq!(harmless(bad), None, "{bad}");
        }
    }
}
