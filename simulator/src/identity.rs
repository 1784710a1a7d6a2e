//! Who is calling: the administrator of the kubeconfig, a service account's token, or whoever one
//! of them impersonates.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::tree;

/// The group that may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of everybody with a name.
pub const AUTHENTICATED: &str = "system:authenticated";
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Unique id; empty where there is none.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl Identity {
    /// The administrator of the kubeconfig.
    pub fn administrator() -> Self {
        Self {
            user: "kubernetes-admin".to_owned(),
            uid: String::new(),
            groups: vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()],
        }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            user: format!("{ACCOUNT_PREFIX}{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: account_groups(namespace),
        }
    }

    /// Somebody who is impersonated: without groups given, those that the name implies.
    pub fn impersonated(user: &str, uid: &str, groups: Vec<String>) -> Self {
        let mut groups = groups;
        if groups.is_empty()
            && let Some((namespace, _)) = account_of(user)
        {
            groups = account_groups(namespace);
        }
        let is_anonymous = user == "system:anonymous";
        if !is_anonymous && !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        if is_anonymous && !groups.iter().any(|group| group == "system:unauthenticated") {
            groups.push("system:unauthenticated".to_owned());
        }
        Self {
            user: user.to_owned(),
            uid: uid.to_owned(),
            groups,
        }
    }

    /// Whether everything is allowed.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// As reviews show it.
    pub fn to_json(&self) -> Value {
        let mut info = json!({"username": self.user, "groups": self.groups});
        if !self.uid.is_empty() {
            tree::put(&mut info, &["uid"], self.uid.as_str());
        }
        info
    }
}

fn account_groups(namespace: &str) -> Vec<String> {
    vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        AUTHENTICATED.to_owned(),
    ]
}

/// Namespace and name of the service account that a user name stands for.
pub fn account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(ACCOUNT_PREFIX)?.split_once(':')
}

/// What a service account's token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Namespace of the account.
    pub namespace: String,
    /// Name of the account.
    pub name: String,
    /// Uid of the account: a token dies with the account it was made for.
    pub uid: String,
    /// When the token stops working, as a Unix time in seconds.
    pub expires_at: i64,
}

/// Makes a token in the form of a JWT. Only this server checks it, with `secret`.
pub fn sign(claims: &Claims, audiences: &Value, secret: &str) -> String {
    let user = format!("{ACCOUNT_PREFIX}{}:{}", claims.namespace, claims.name);
    let header = json!({"alg": "simulated", "typ": "JWT"});
    let payload = json!({
        "iss": "unity-simulator", "sub": user, "aud": audiences, "exp": claims.expires_at,
        "kubernetes.io": {
            "namespace": claims.namespace,
            "serviceaccount": {"name": claims.name, "uid": claims.uid},
        },
    });
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let body = format!("{}.{}", encode(&header), encode(&payload));
    let seal = seal(&body, secret);
    format!("{body}.{seal}")
}

/// Reads a token that [`sign`] made with the same secret and that has not expired.
pub fn verify(token: &str, secret: &str, now: DateTime<Utc>) -> Option<Claims> {
    let (body, given) = token.rsplit_once('.')?;
    if seal(body, secret) != given {
        return None;
    }
    let (_, payload) = body.split_once('.')?;
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let text = |path: &[&str]| tree::text(&payload, path).to_owned();
    let claims = Claims {
        namespace: text(&["kubernetes.io", "namespace"]),
        name: text(&["kubernetes.io", "serviceaccount", "name"]),
        uid: text(&["kubernetes.io", "serviceaccount", "uid"]),
        expires_at: tree::number(&payload, &["exp"])?,
    };
    (claims.expires_at > now.timestamp()).then_some(claims)
}

/// Hashed twice, so that nobody can lengthen a sealed text.
fn seal(body: &str, secret: &str) -> String {
    let inner = Sha256::digest(format!("{secret}\n{body}"));
    let mut outer = Sha256::new();
    outer.update(secret.as_bytes());
    outer.update(inner);
    URL_SAFE_NO_PAD.encode(outer.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            namespace: "n".to_owned(),
            name: "a".to_owned(),
            uid: "u".to_owned(),
            expires_at: 100,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    #[test]
    fn a_token_is_read_back_until_it_expires() {
        let token = sign(&claims(), &json!(["api"]), "secret");
        assert_eq!(verify(&token, "secret", at(99)), Some(claims()));
        assert_eq!(verify(&token, "secret", at(100)), None);
        assert_eq!(verify(&token, "other", at(99)), None);
        assert_eq!(verify(&format!("{token}x"), "secret", at(99)), None);
    }

    #[test]
    fn an_impersonated_service_account_has_its_groups() {
        let identity = Identity::impersonated("system:serviceaccount:n:a", "", Vec::new());
        assert_eq!(
            identity.groups,
            [
                "system:serviceaccounts",
                "system:serviceaccounts:n",
                "system:authenticated"
            ]
        );
    }
}
