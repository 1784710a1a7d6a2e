//! People who log in.

use serde_json::{Value, json};
use unity_shared::{
    config::Secret,
    ids::UserId,
    sessions::{Claims, Keyring, SealingKey, list_signing_keys},
    tenancy::{Role, hash_password},
};

use super::{Answer, Caller, SECRET_KEY, Stack};

/// Somebody with a password.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: UserId,
    pub email: String,
    pub password: String,
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    pub caller: Caller,
    pub access: String,
    pub refresh: String,
}

impl Stack {
    /// Makes a person who is a member of these tenants.
    pub async fn person(&self, email: &str, memberships: &[(&str, Role)]) -> Person {
        let (id, password) = (UserId::new(), format!("the password of {email}"));
        let clear = password.clone();
        let hash = tokio::task::spawn_blocking(move || hash_password(&clear).unwrap());
        let mut owner = self.owner().await;
        sqlx::query(
            "INSERT INTO users (id, email, password_hash, must_change_password, created_at)
             VALUES ($1, $2, $3, false, now())",
        )
        .bind(id.as_uuid())
        .bind(email)
        .bind(hash.await.unwrap())
        .execute(&mut owner)
        .await
        .unwrap();
        for (tenant, role) in memberships {
            sqlx::query(
                "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, now())",
            )
            .bind(tenant)
            .bind(id.as_uuid())
            .bind(role.as_str())
            .execute(&mut owner)
            .await
            .unwrap();
        }
        Person {
            id,
            email: email.to_owned(),
            password,
        }
    }

    /// What `POST /auth/token` answers.
    pub async fn try_log_in(&self, email: &str, password: &str, tenant: Option<&str>) -> Answer {
        let mut body = json!({ "email": email, "password": password });
        if let Some(tenant) = tenant {
            body["tenant_id"] = json!(tenant);
        }
        self.admin
            .without_key()
            .post("/api/v1/auth/token", &body)
            .await
    }

    /// A person's session.
    pub async fn log_in(&self, person: &Person, tenant: Option<&str>) -> LoggedIn {
        let answer = self
            .try_log_in(&person.email, &person.password, tenant)
            .await;
        self.logged_in(&answer.expect(200))
    }

    /// The session that an answer's tokens are of.
    pub fn logged_in(&self, answer: &Answer) -> LoggedIn {
        let access = answer.text_of("access_token");
        LoggedIn {
            caller: self.admin.with_key(&access),
            refresh: answer.text_of("refresh_token"),
            access,
        }
    }

    /// What `POST /auth/refresh` answers.
    pub async fn refresh(&self, token: &str) -> Answer {
        let body = json!({ "refresh_token": token });
        self.admin
            .without_key()
            .post("/api/v1/auth/refresh", &body)
            .await
    }

    /// A token with these claims that the installation's own key signs.
    pub async fn sign(&self, claims: &Claims) -> String {
        let mut tx = self.database.issuer().statement().await.unwrap();
        let rows = list_signing_keys(&mut tx).await.unwrap();
        let sealing = SealingKey::new(&Secret::new(SECRET_KEY));
        let keyring = Keyring::new(&rows, &sealing, self.clock.now());
        keyring.sign(claims).unwrap()
    }

    /// Changes rows as the owner of the database.
    pub async fn change(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.owner().await)
            .await
            .unwrap();
    }
}

/// The claims of a token, unchecked.
pub fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap()
}

/// Bytes of a token's part.
pub fn decode(part: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap()
}

/// A token's part of bytes.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
