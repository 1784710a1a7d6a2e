//! Identities of people, as far as others may see them.

use crate::{
    db::{DbError, PlatformTx, Registrar},
    ids::UserId,
};

use super::EmailAddress;

/// A person.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// Where mail reaches them; also the login name.
    pub email: String,
    /// What they call themselves; absent = they did not say.
    pub name: Option<String>,
}

/// The person whom mail reaches at this address, whatever its upper and lower case.
pub async fn find_person(
    tx: &mut PlatformTx<Registrar>,
    email: &EmailAddress,
) -> Result<Option<Person>, DbError> {
    let person = sqlx::query_as!(
        Person,
        r#"SELECT id AS "id: UserId", email, name FROM users WHERE lower(email) = lower($1)"#,
        email.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(person)
}

/// People by their ids. Ask only for ids that a tenant's own rows have named: an identity has no
/// tenant, so nothing else keeps this from telling of strangers.
pub async fn find_people(
    tx: &mut PlatformTx<Registrar>,
    ids: &[UserId],
) -> Result<Vec<Person>, DbError> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(UserId::as_uuid).collect();
    let people = sqlx::query_as!(
        Person,
        r#"SELECT id AS "id: UserId", email, name FROM users WHERE id = ANY($1)"#,
        &ids,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(people)
}
