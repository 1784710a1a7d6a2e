//! Row-level security of every table, and what could go around it.

use std::collections::BTreeMap;

use sqlx::PgConnection;

/// Tables that no tenant has rows in. The application's role has no grant on any of them.
const OF_THE_PLATFORM: &[&str] = &[
    "_sqlx_migrations",
    "gate_epochs",
    // Attempts are counted before it is known whose they are.
    "login_attempts",
    "refresh_tokens",
    "schedule_firings",
    "schedules",
    // A person's, found before a tenant is known.
    "sessions",
    "signing_keys",
    // People are global identities; which tenants they belong to is in memberships.
    "users",
    "worker_pools",
    "workers",
];

/// Tables whose `tenant_id` may be NULL. This list may only shrink.
const WITHOUT_TENANT_ALLOWED: &[&str] = &[
    // A system administrator's key belongs to no tenant; no tenant sees such a row.
    "api_keys", // A switch over a kind concerns every tenant.
    "switches",
];

/// Policies of the application that are wider than the tenant, each as it was reviewed. This list may
/// only shrink.
const WIDER_THAN_THE_TENANT: &[(&str, &str)] = &[
    // A switch without a tenant stops every tenant, so each may read its kind, reason and end. It
    // names nobody.
    (
        "tenant_sees_what_stops_it",
        "((tenant_id IS NULL) OR (tenant_id = current_tenant()))",
    ),
];

#[derive(sqlx::FromRow)]
struct Table {
    name: String,
    /// `r` and `p` are tables, `v`, `m` and `f` are views of three sorts.
    kind: String,
    /// Which of `ENABLE` and `FORCE` its row-level security lacks.
    lacking: Vec<String>,
    invoker: bool,
    tenant_column: Option<String>,
    not_null: Option<bool>,
    app_commands: Vec<String>,
    app_has_any: bool,
}

#[derive(sqlx::FromRow)]
struct Policy {
    table_name: String,
    name: String,
    command: String,
    permissive: bool,
    roles: Vec<String>,
    seen_by: Option<String>,
    written_by: Option<String>,
}

const TABLES: &str = "
    SELECT c.oid::regclass::text AS name, c.relkind::text AS kind,
           array_remove(ARRAY[CASE WHEN NOT c.relrowsecurity THEN 'ENABLE' END,
                              CASE WHEN NOT c.relforcerowsecurity THEN 'FORCE' END], NULL) AS lacking,
           coalesce(c.reloptions @> ARRAY['security_invoker=true'], false) AS invoker,
           a.attname::text AS tenant_column, a.attnotnull AS not_null,
           ARRAY(SELECT command FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS command
                 WHERE has_table_privilege('unity_app', c.oid, command)
                    OR command <> 'DELETE' AND has_any_column_privilege('unity_app', c.oid, command)
                ) AS app_commands,
           has_table_privilege('unity_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
               OR has_any_column_privilege('unity_app', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') AS app_has_any
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
        AND a.attname = CASE c.oid::regclass::text WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY name";

const POLICIES: &str = "
    SELECT p.polrelid::regclass::text AS table_name, p.polname::text AS name, p.polpermissive AS permissive,
           CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                         WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END AS command,
           ARRAY(SELECT CASE WHEN role = 0 THEN 'PUBLIC' ELSE role::regrole::text END
                 FROM unnest(p.polroles) AS role ORDER BY 1) AS roles,
           pg_get_expr(p.polqual, p.polrelid) AS seen_by,
           pg_get_expr(p.polwithcheck, p.polrelid) AS written_by
    FROM pg_policy p
    ORDER BY table_name, name";

/// Every table of tenants' rows, with the column that names the tenant.
pub async fn tenant_tables(connection: &mut PgConnection) -> BTreeMap<String, String> {
    let tables: Vec<Table> = sqlx::query_as(TABLES).fetch_all(connection).await.unwrap();
    tables
        .into_iter()
        .filter(|table| ["r", "p"].contains(&table.kind.as_str()))
        .filter_map(|table| Some((table.name, table.tenant_column?)))
        .collect()
}

/// All policies, for a reader.
pub async fn table(connection: &mut PgConnection) -> String {
    let policies: Vec<Policy> = sqlx::query_as(POLICIES)
        .fetch_all(connection)
        .await
        .unwrap();
    let lines = policies.into_iter().map(|policy| {
        format!(
            "{}: {} for {} to {}\n    sees {}\n    writes {}",
            policy.table_name,
            policy.name,
            policy.command,
            policy.roles.join(", "),
            policy.seen_by.as_deref().unwrap_or("-"),
            policy.written_by.as_deref().unwrap_or("-"),
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What is wrong.
pub async fn faults(connection: &mut PgConnection) -> Vec<String> {
    let tables: Vec<Table> = sqlx::query_as(TABLES)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let policies: Vec<Policy> = sqlx::query_as(POLICIES)
        .fetch_all(connection)
        .await
        .unwrap();
    let mut faults = Vec::new();
    for table in &tables {
        let own: Vec<&Policy> = policies
            .iter()
            .filter(|policy| policy.table_name == table.name)
            .collect();
        faults.extend(faults_of(table, &own));
    }
    for listed in OF_THE_PLATFORM.iter().chain(WITHOUT_TENANT_ALLOWED) {
        if !tables.iter().any(|table| table.name == *listed) {
            faults.push(format!("{listed}: is listed here and does not exist"));
        }
    }
    faults
}

fn faults_of(table: &Table, policies: &[&Policy]) -> Vec<String> {
    let name = &table.name;
    let faults = match (table.kind.as_str(), &table.tenant_column) {
        ("v", _) if !table.invoker => vec![format!(
            "{name}: a view acts as its owner; make it WITH (security_invoker = true)"
        )],
        ("v", _) => Vec::new(),
        ("m" | "f", _) => vec![format!("{name}: row level security does not reach into it")],
        (_, Some(column)) => faults_of_tenant_table(table, column, policies),
        (_, None) => faults_of_platform_table(table),
    };
    let unnamed = policies
        .iter()
        .filter(|policy| policy.roles.iter().any(|role| role == "PUBLIC"))
        .map(|policy| {
            let policy = &policy.name;
            format!("{name}: policy {policy} is for everybody; name its role with TO")
        });
    faults.into_iter().chain(unnamed).collect()
}

fn faults_of_platform_table(table: &Table) -> Vec<String> {
    let name = &table.name;
    let mut faults = Vec::new();
    if !OF_THE_PLATFORM.contains(&name.as_str()) {
        faults.push(format!(
            "{name}: has no tenant_id and is not listed as the platform's own"
        ));
    }
    if table.app_has_any {
        faults.push(format!(
            "{name}: unity_app has a grant on a table without tenants"
        ));
    }
    faults
}

fn faults_of_tenant_table(table: &Table, column: &str, policies: &[&Policy]) -> Vec<String> {
    let name = &table.name;
    let mut faults = Vec::new();
    for verb in &table.lacking {
        faults.push(format!("{name}: {verb} ROW LEVEL SECURITY is missing"));
    }
    if table.not_null != Some(true) && !WITHOUT_TENANT_ALLOWED.contains(&name.as_str()) {
        faults.push(format!("{name}: {column} may be NULL"));
    }
    let of_app: Vec<&&Policy> = policies
        .iter()
        .filter(|policy| policy.roles.iter().any(|role| role == "unity_app"))
        .collect();
    if of_app.is_empty() {
        faults.push(format!("{name}: no policy is for unity_app"));
    }
    for command in &table.app_commands {
        let covers = |policy: &&&Policy| {
            policy.permissive && (policy.command == "ALL" || policy.command == *command)
        };
        if !of_app.iter().any(covers) {
            faults.push(format!(
                "{name}: unity_app is granted {command} and no policy of it covers that"
            ));
        }
    }
    // Permissive policies add up, so each of them by itself must be as narrow as the tenant. A
    // restrictive one can only narrow.
    for policy in of_app.into_iter().filter(|policy| policy.permissive) {
        faults.extend(width_of(policy, column));
    }
    faults
}

/// The expression must be the one comparison and nothing else: "contains" would let an `OR` pass.
fn width_of(policy: &Policy, column: &str) -> Vec<String> {
    let narrow = format!("({column} = current_tenant())");
    let sees = policy.command != "INSERT";
    let writes = ["ALL", "INSERT", "UPDATE"].contains(&policy.command.as_str());
    let mut faults = Vec::new();
    for (applies, verb, expression) in [
        (sees, "see", &policy.seen_by),
        (writes, "write", &policy.written_by),
    ] {
        let expression = expression.as_deref().unwrap_or("nothing stated");
        let reviewed = WIDER_THAN_THE_TENANT.contains(&(policy.name.as_str(), expression));
        if applies && expression != narrow && !reviewed {
            faults.push(format!(
                "{}: policy {} lets unity_app {verb} rows by \"{expression}\", not by {narrow}",
                policy.table_name, policy.name
            ));
        }
    }
    faults
}
