//! What a tenant says about its identity provider, and what of it can be accepted.

use axum::http::Uri;
use serde::Deserialize;
use unity_shared::{people::MOST_BY_DEFAULT, tenancy::Role};

use crate::{error::ApiError, openapi::RoleByDefault, outbound::Outbound, violations::Violations};

/// An identity provider to be set, as a whole.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityProviderOrder {
    /// Its address, under which `/.well-known/openid-configuration` is found.
    #[schema(
        max_length = 500,
        pattern = r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?$",
        example = "https://login.acme-corp.com"
    )]
    issuer: String,
    /// The name under which it knows Unity.
    #[schema(min_length = 1, max_length = 255, format = "line")]
    client_id: String,
    /// The secret that goes with it. It is never shown.
    #[schema(format = Password, min_length = 1, max_length = 1000, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    client_secret: String,
    /// Whose addresses it may vouch for; absent or empty = all.
    #[schema(max_items = 50)]
    email_domains: Option<Vec<String>>,
    /// What somebody becomes whom nobody knows yet: `tenant-member` or `tenant-viewer`, and only together
    /// with `email_domains`. Absent or null = nobody comes in without an invitation.
    #[schema(value_type = Option<RoleByDefault>)]
    default_role: Option<Role>,
}

/// An order whose every value can be accepted.
pub struct AcceptedProvider {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: String,
    pub email_domains: Vec<String>,
    pub default_role: Option<Role>,
}

/// More domains than this are a list for another place.
const MOST_DOMAINS: usize = 50;

impl IdentityProviderOrder {
    /// Checks every value.
    pub fn accept(self, outbound: &Outbound) -> Result<AcceptedProvider, ApiError> {
        let Self {
            issuer,
            client_id,
            client_secret,
            email_domains,
            default_role,
        } = self;
        let mut violations = Violations::default();
        if !is_issuer(&issuer, outbound) {
            let detail = "must be an https address of at most 500 characters, without query";
            violations.add("/issuer", "format", detail);
        }
        violations.text("/client_id", &client_id, &(1..=255));
        violations.text("/client_secret", &client_secret, &(1..=1000));
        let domains = email_domains.unwrap_or_default();
        if domains.len() > MOST_DOMAINS {
            let detail = format!("must have at most {MOST_DOMAINS} domains");
            violations.add("/email_domains", "length", &detail);
        }
        for (index, domain) in domains.iter().take(MOST_DOMAINS).enumerate() {
            if !is_domain(domain) {
                violations.add(
                    format!("/email_domains/{index}"),
                    "format",
                    "must be a domain",
                );
            }
        }
        if default_role.is_some_and(|role| role > MOST_BY_DEFAULT) {
            let detail = "must be tenant-member or tenant-viewer: administrators are invited";
            violations.add("/default_role", "range", detail);
        } else if default_role.is_some() && domains.is_empty() {
            let detail =
                "needs email_domains: whose people they are who come in without an invitation";
            violations.add("/default_role", "domains", detail);
        }
        violations.finish()?;
        Ok(AcceptedProvider {
            issuer,
            client_id,
            client_secret,
            email_domains: domains.iter().map(|domain| domain.to_lowercase()).collect(),
            default_role,
        })
    }
}

fn is_issuer(text: &str, outbound: &Outbound) -> bool {
    let form = text.len() <= 500 && !text.contains(['?', '#']) && !text.contains(char::is_control);
    form && text.parse::<Uri>().is_ok_and(|uri| outbound.takes(&uri))
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(field: &str, value: Value) -> Vec<String> {
        let mut order = json!({
            "issuer": "https://login.example", "client_id": "unity", "client_secret": "secret",
        });
        order[field] = value;
        let order: IdentityProviderOrder = serde_json::from_value(order).unwrap();
        match order.accept(&Outbound::new(false)) {
            Ok(_) => Vec::new(),
            Err(ApiError::Invalid(errors)) => {
                errors.into_iter().map(|error| error.pointer).collect()
            }
            Err(other) => panic!("answered with {other}"),
        }
    }

    #[test]
    fn each_value_has_its_form() {
        for (field, value, place) in [
            ("issuer", json!("http://login.example"), "/issuer"),
            ("issuer", json!("https://a:b@login.example"), "/issuer"),
            ("issuer", json!("https://login.example/?x"), "/issuer"),
            ("issuer", json!("login.example"), "/issuer"),
            ("issuer", json!("https://[0:A.]/"), "/issuer"),
            ("client_id", json!(""), "/client_id"),
            ("client_secret", json!("a\nb"), "/client_secret"),
            (
                "email_domains",
                json!(["ok.example", "@x"]),
                "/email_domains/1",
            ),
            (
                "email_domains",
                json!(vec!["a.example"; 51]),
                "/email_domains",
            ),
            ("default_role", json!("system-admin"), "/default_role"),
            ("default_role", json!("tenant-admin"), "/default_role"),
            ("default_role", json!("viewer"), "/default_role"),
        ] {
            assert_eq!(faults(field, value.clone()), [place], "{value}");
        }
        assert!(faults("email_domains", json!(["Acme.Example", "müller.example"])).is_empty());
        for (role, accepted) in [("viewer", true), ("member", true), ("admin", false)] {
            let order = json!({
                "issuer": "https://login.example", "client_id": "unity", "client_secret": "secret",
                "email_domains": ["acme.example"], "default_role": role,
            });
            let order: IdentityProviderOrder = serde_json::from_value(order).unwrap();
            assert_eq!(
                order.accept(&Outbound::new(false)).is_ok(),
                accepted,
                "{role}"
            );
        }
    }
}
