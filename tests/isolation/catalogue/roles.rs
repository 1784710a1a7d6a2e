//! What the roles are: neither owners nor exempt, and members of nothing but their groups.

use std::collections::BTreeSet;

use sqlx::PgConnection;

const GROUPS: [&str; 9] = [
    "unity_app",
    "unity_auditor",
    "unity_authenticator",
    "unity_clerk",
    "unity_engine",
    "unity_issuer",
    "unity_operator",
    "unity_purger",
    "unity_registrar",
];

/// The only functions that act as their owner, who may do what they do and no more, and whom nobody can
/// become. The auditor's append to the audit log; the clerk's do in the caller's tenant what a grant would
/// give too much for. This list may only shrink.
const OF_THEIR_OWNERS: [(&str, &str); 10] = [
    ("unity_auditor", "audit(jsonb,timestamp with time zone)"),
    ("unity_auditor", "audit_hash(audit_log)"),
    ("unity_auditor", "audit_own(jsonb,timestamp with time zone)"),
    ("unity_auditor", "audit_part(text)"),
    ("unity_clerk", "delete_own_identity_provider()"),
    ("unity_clerk", "delete_own_membership(uuid)"),
    ("unity_clerk", "delete_own_sign_ins(bytea[])"),
    ("unity_clerk", "may_name_any_tenant()"),
    ("unity_clerk", "take_locks(text[],text[],bigint)"),
    (
        "unity_clerk",
        "tell(text[],uuid[],text[],jsonb[],timestamp with time zone)",
    ),
];

#[derive(sqlx::FromRow)]
struct Attributes {
    name: String,
    /// What the role may do by itself, and nobody's role here may.
    powers: Vec<String>,
}

const ATTRIBUTES: &str = "
    SELECT r.rolname::text AS name, array_remove(ARRAY[
               CASE WHEN r.rolsuper THEN 'has SUPERUSER' END,
               CASE WHEN r.rolbypassrls THEN 'has BYPASSRLS' END,
               CASE WHEN r.rolcreaterole THEN 'has CREATEROLE' END,
               CASE WHEN r.rolcreatedb THEN 'has CREATEDB' END,
               CASE WHEN r.rolreplication THEN 'has REPLICATION' END,
               CASE WHEN r.rolcanlogin AND r.rolname = ANY($2) THEN 'can log in' END,
               CASE WHEN EXISTS (SELECT FROM pg_db_role_setting s
                                 JOIN pg_database d ON d.datname = current_database()
                                 WHERE s.setrole = r.oid AND s.setdatabase IN (0, d.oid))
                    THEN 'has settings of its own' END], NULL) AS powers
    FROM pg_roles r WHERE r.rolname = ANY($1)
    ORDER BY name";

const MEMBERSHIPS: &str = "
    SELECT m.rolname::text, g.rolname::text, pg_has_role(m.oid, g.oid, 'USAGE')
    FROM pg_roles m JOIN pg_roles g ON g.oid <> m.oid
    WHERE m.rolname = ANY($1) AND pg_has_role(m.oid, g.oid, 'MEMBER')";

const OWNED: &str = "
    SELECT r.rolname::text, thing.name
    FROM pg_roles r JOIN (
        SELECT relowner AS owner, oid::regclass::text AS name FROM pg_class
        UNION ALL SELECT proowner, oid::regprocedure::text FROM pg_proc
        UNION ALL SELECT nspowner, 'schema ' || nspname FROM pg_namespace
        UNION ALL SELECT datdba, 'database ' || datname FROM pg_database
    ) AS thing ON thing.owner = r.oid
    WHERE r.rolname = ANY($1)";

const FUNCTIONS_OF_THEIR_OWNERS: &str = "
    SELECT p.proowner::regrole::text, p.oid::regprocedure::text,
           coalesce('search_path=pg_catalog, public, pg_temp' = ANY(p.proconfig), false)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'";

/// What is wrong; `logins` are the application's and the platform's.
pub async fn faults(connection: &mut PgConnection, logins: (&str, &str)) -> Vec<String> {
    let roles: Vec<&str> = GROUPS.into_iter().chain([logins.0, logins.1]).collect();
    let mut faults = faults_of_attributes(connection, &roles).await;
    faults.extend(faults_of_memberships(connection, &roles, logins).await);
    let owned: Vec<(String, String)> = sqlx::query_as(OWNED)
        .bind(&roles)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    faults.extend(
        owned
            .into_iter()
            .filter(|(role, thing)| !OF_THEIR_OWNERS.contains(&(role.as_str(), thing.as_str())))
            .map(|(role, thing)| format!("{role}: owns {thing}")),
    );
    let definers: Vec<(String, String, bool)> = sqlx::query_as(FUNCTIONS_OF_THEIR_OWNERS)
        .fetch_all(connection)
        .await
        .unwrap();
    faults.extend(
        definers
            .into_iter()
            .filter(|(owner, function, has_path)| {
                !has_path || !OF_THEIR_OWNERS.contains(&(owner.as_str(), function.as_str()))
            })
            .map(|(_, function, _)| {
                format!("{function}: SECURITY DEFINER lets its caller act as its owner")
            }),
    );
    faults
}

async fn faults_of_attributes(connection: &mut PgConnection, roles: &[&str]) -> Vec<String> {
    let found: Vec<Attributes> = sqlx::query_as(ATTRIBUTES)
        .bind(roles)
        .bind(GROUPS)
        .fetch_all(connection)
        .await
        .unwrap();
    assert_eq!(found.len(), roles.len(), "each of {roles:?} exists");
    let faults = found.into_iter().flat_map(|Attributes { name, powers }| {
        powers
            .into_iter()
            .map(move |power| format!("{name}: {power}"))
    });
    faults.collect()
}

/// The application's login is its group and nothing else; the platform's login becomes one duty at a
/// time and has the powers of none before.
async fn faults_of_memberships(
    connection: &mut PgConnection,
    roles: &[&str],
    (app, platform): (&str, &str),
) -> Vec<String> {
    let found: Vec<(String, String, bool)> = sqlx::query_as(MEMBERSHIPS)
        .bind(roles)
        .fetch_all(connection)
        .await
        .unwrap();
    let mut missing = BTreeSet::from([
        (app, "unity_app"),
        (platform, "unity_authenticator"),
        (platform, "unity_engine"),
        (platform, "unity_issuer"),
        (platform, "unity_operator"),
        (platform, "unity_purger"),
        (platform, "unity_registrar"),
    ]);
    let mut faults = Vec::new();
    for (member, group, inherits) in &found {
        let pair = (member.as_str(), group.as_str());
        if !missing.remove(&pair) {
            faults.push(format!("{member}: is a member of {group}"));
        } else if *inherits && member == platform {
            faults.push(format!(
                "{member}: has the powers of {group} without taking its role"
            ));
        }
    }
    faults.extend(
        missing
            .into_iter()
            .map(|(member, group)| format!("{member}: is not a member of {group}")),
    );
    faults
}
