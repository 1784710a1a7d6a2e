//! Who was granted what, read from the access lists themselves: `information_schema` shows a reader
//! only what concerns them.

use std::collections::BTreeMap;

use sqlx::PgConnection;

#[derive(sqlx::FromRow)]
struct Grant {
    role: String,
    object: String,
    privilege: String,
    /// Absent = the whole object.
    column_name: Option<String>,
    may_pass_on: bool,
}

/// The owner's own privileges are left out. A missing access list means the built-in default, which
/// for functions and databases lets everybody in.
const GRANTS: &str = "
    WITH lists AS (
        SELECT c.oid::regclass::text AS object, NULL AS column_name, c.relowner AS owner,
               c.relnamespace AS namespace, c.relacl AS list
        FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION ALL
        SELECT c.oid::regclass::text, a.attname::text, c.relowner, c.relnamespace, a.attacl
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE NOT a.attisdropped
        UNION ALL
        SELECT p.oid::regprocedure::text, NULL, p.proowner, p.pronamespace,
               coalesce(p.proacl, acldefault('f', p.proowner))
        FROM pg_proc p
        UNION ALL
        SELECT 'schema ' || n.nspname, NULL, n.nspowner, n.oid, n.nspacl FROM pg_namespace n
        UNION ALL
        SELECT 'the database', NULL, d.datdba, 'public'::regnamespace::oid, coalesce(d.datacl, acldefault('d', d.datdba))
        FROM pg_database d WHERE d.datname = current_database()
    )
    SELECT CASE WHEN entry.grantee = 0 THEN 'everybody' ELSE entry.grantee::regrole::text END AS role,
           lists.object, lists.column_name, entry.privilege_type AS privilege, entry.is_grantable AS may_pass_on
    FROM lists JOIN pg_namespace n ON n.oid = lists.namespace, aclexplode(lists.list) AS entry
    WHERE entry.grantee <> lists.owner
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY role, object, privilege, column_name";

/// What everybody may have: to connect, and to name what is in the schema, neither of which shows a row.
const OF_EVERYBODY: [(&str, &str); 2] = [("schema public", "USAGE"), ("the database", "CONNECT")];

/// Each of these on a whole table is enough for `LOCK TABLE ... IN ACCESS EXCLUSIVE MODE`; on columns it is
/// not.
const LOCK_ALL: [&str; 3] = ["DELETE", "TRUNCATE", "UPDATE"];

/// Who may read password hashes: whoever compares them.
const READS_PASSWORDS: &str = "
    SELECT rolname::text FROM pg_roles
    WHERE rolname LIKE 'unity\\_%' AND NOT rolcanlogin AND rolname <> 'unity_issuer'
      AND has_column_privilege(oid, 'users', 'password_hash', 'SELECT')";

async fn select(connection: &mut PgConnection) -> Vec<Grant> {
    sqlx::query_as(GRANTS).fetch_all(connection).await.unwrap()
}

/// All grants, for a reader: a block for each role, a line for each object.
pub async fn table(connection: &mut PgConnection) -> String {
    let mut roles: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<String>>>> =
        BTreeMap::new();
    for grant in select(connection).await {
        roles
            .entry(grant.role)
            .or_default()
            .entry(grant.object)
            .or_default()
            .entry(grant.privilege)
            .or_default()
            .extend(grant.column_name);
    }
    let mut lines = Vec::new();
    for (role, objects) in roles {
        lines.push(role);
        for (object, privileges) in objects {
            let privileges = privileges.into_iter().map(|(privilege, columns)| {
                if columns.is_empty() {
                    privilege
                } else {
                    format!("{privilege} ({})", columns.join(", "))
                }
            });
            let privileges: Vec<String> = privileges.collect();
            lines.push(format!("    {object}: {}", privileges.join(", ")));
        }
    }
    lines.join("\n")
}

/// What is wrong whatever the table of grants says.
pub async fn faults(connection: &mut PgConnection) -> Vec<String> {
    let mut faults = Vec::new();
    for grant in select(&mut *connection).await {
        let Grant {
            role,
            object,
            privilege,
            column_name,
            may_pass_on,
        } = grant;
        if may_pass_on {
            faults.push(format!("{object}: {role} may pass {privilege} on"));
        }
        let allowed = OF_EVERYBODY.contains(&(object.as_str(), privilege.as_str()));
        if role == "everybody" && !allowed {
            faults.push(format!("{object}: everybody has {privilege}"));
        }
        if role == "unity_app" && column_name.is_none() && LOCK_ALL.contains(&privilege.as_str()) {
            faults.push(format!(
                "{object}: unity_app could lock it against everybody, as it has {privilege}"
            ));
        }
    }
    let readers: Vec<String> = sqlx::query_scalar(READS_PASSWORDS)
        .fetch_all(connection)
        .await
        .unwrap();
    faults.extend(
        readers
            .into_iter()
            .map(|role| format!("users: {role} reads password_hash")),
    );
    faults
}
