//! What the database's own catalogue says about isolation.
//!
//! The checks answer a list of faults, so that a second test can break a fresh database on purpose,
//! one way at a time, and see that each way is found. A new table, policy, index, role or function
//! comes under them by existing.

mod grants;
mod keys;
mod purge;
mod roles;
mod row_security;
mod times;

use std::str::FromStr;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::harness::servers;

pub use row_security::tenant_tables;

/// A migrated database that nothing else uses, seen as its owner, and the logins of its server.
struct FreshDatabase {
    name: String,
    connection: PgConnection,
    app_login: String,
    platform_login: String,
}

impl FreshDatabase {
    async fn create() -> Self {
        let name = format!("c{}", uuid::Uuid::now_v7().simple());
        let servers = servers().await;
        servers.create_database(&name).await;
        let login = |url: String| {
            PgConnectOptions::from_str(&url)
                .unwrap()
                .get_username()
                .to_owned()
        };
        let owner = PgConnectOptions::from_str(&servers.owner_url(&name)).unwrap();
        Self {
            connection: owner.connect().await.unwrap(),
            app_login: login(servers.app_url(&name)),
            platform_login: login(servers.platform_url(&name)),
            name,
        }
    }

    /// Every fault that any of the checks finds.
    async fn faults(&mut self) -> Vec<String> {
        let mut faults = row_security::faults(&mut self.connection).await;
        faults.extend(keys::faults(&mut self.connection).await);
        let logins = (self.app_login.as_str(), self.platform_login.as_str());
        faults.extend(roles::faults(&mut self.connection, logins).await);
        faults.extend(grants::faults(&mut self.connection).await);
        faults.extend(purge::faults(&mut self.connection).await);
        faults.extend(times::faults(&mut self.connection).await);
        faults
    }

    async fn run(&mut self, sql: String) {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    async fn drop(self) {
        self.connection.close().await.unwrap();
        servers().await.drop_database(&self.name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_key_role_and_function_keeps_tenants_apart() {
    let mut database = FreshDatabase::create().await;
    let faults = database.faults().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_exactly_the_grants_of_its_duty() {
    let mut database = FreshDatabase::create().await;
    insta::assert_snapshot!(grants::table(&mut database.connection).await);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_reads_as_it_was_reviewed() {
    let mut database = FreshDatabase::create().await;
    insta::assert_snapshot!(row_security::table(&mut database.connection).await);
    database.drop().await;
}

/// A way to break isolation, and the fault that must be found.
type Breach = (&'static str, &'static str);

const BREACHES_OF_ROW_SECURITY: &[Breach] = &[
    (
        "CREATE TABLE gadgets (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))",
        "gadgets: ENABLE ROW LEVEL SECURITY is missing",
    ),
    (
        "CREATE TABLE gadgets (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id));
         ALTER TABLE gadgets ENABLE ROW LEVEL SECURITY",
        "gadgets: FORCE ROW LEVEL SECURITY is missing",
    ),
    (
        "CREATE TABLE gadgets (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id));
         ALTER TABLE gadgets ENABLE ROW LEVEL SECURITY; ALTER TABLE gadgets FORCE ROW LEVEL SECURITY",
        "gadgets: no policy is for unity_app",
    ),
    (
        "CREATE SCHEMA annexe; CREATE TABLE annexe.gadgets (tenant_id text NOT NULL)",
        "annexe.gadgets: ENABLE ROW LEVEL SECURITY is missing",
    ),
    (
        "CREATE TABLE gadgets (id uuid PRIMARY KEY)",
        "gadgets: has no tenant_id and is not listed as the platform's own",
    ),
    (
        "ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY",
        "jobs: FORCE ROW LEVEL SECURITY is missing",
    ),
    (
        "ALTER TABLE memberships DISABLE ROW LEVEL SECURITY",
        "memberships: ENABLE ROW LEVEL SECURITY is missing",
    ),
    (
        "CREATE POLICY wide ON jobs FOR SELECT TO unity_app USING (true)",
        "jobs: policy wide lets unity_app see rows by \"true\"",
    ),
    (
        "CREATE POLICY wide ON jobs FOR SELECT TO unity_app
         USING (tenant_id = current_tenant() OR priority = 9)",
        "jobs: policy wide lets unity_app see rows by",
    ),
    (
        "ALTER POLICY tenant_isolation ON jobs WITH CHECK (true)",
        "jobs: policy tenant_isolation lets unity_app write rows by \"true\"",
    ),
    (
        "CREATE POLICY everybody ON events USING (true)",
        "events: policy everybody is for everybody",
    ),
    (
        "GRANT DELETE ON tenants TO unity_app",
        "tenants: unity_app is granted DELETE and no policy of it covers that",
    ),
    (
        "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey CASCADE;
         ALTER TABLE jobs ALTER COLUMN tenant_id DROP NOT NULL",
        "jobs: tenant_id may be NULL",
    ),
    (
        "GRANT SELECT (email) ON users TO unity_app",
        "users: unity_app has a grant on a table without tenants",
    ),
    (
        "CREATE VIEW all_jobs AS SELECT * FROM jobs",
        "all_jobs: a view acts as its owner",
    ),
    (
        "CREATE MATERIALIZED VIEW kept_jobs AS SELECT * FROM jobs",
        "kept_jobs: row level security does not reach into it",
    ),
];

const BREACHES_OF_KEYS: &[Breach] = &[
    (
        "CREATE UNIQUE INDEX jobs_kind_key ON jobs (kind)",
        "jobs: the unique index jobs_kind_key (kind) does not contain tenant_id",
    ),
    (
        "CREATE UNIQUE INDEX jobs_kind_key ON jobs (kind) INCLUDE (tenant_id)",
        "jobs: the unique index jobs_kind_key (kind) does not contain tenant_id",
    ),
    (
        "CREATE UNIQUE INDEX memberships_user_key ON memberships (lower(role))",
        "memberships: the unique index memberships_user_key ((expression)) does not contain tenant_id",
    ),
    (
        "ALTER TABLE events ADD FOREIGN KEY (job_id) REFERENCES api_keys (id)",
        "events: the foreign key events_job_id_fkey to api_keys does not carry the tenant",
    ),
    (
        "CREATE TABLE ledger (id uuid PRIMARY KEY, payer text REFERENCES tenants (id))",
        "ledger: the foreign key ledger_payer_fkey to tenants does not carry the tenant",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN number bigserial",
        "jobs: number counts over all tenants",
    ),
    (
        "CREATE TABLE desks (tenant_id text NOT NULL, id uuid, sits uuid REFERENCES users (id),
                             PRIMARY KEY (tenant_id, id));
         GRANT INSERT ON desks TO unity_app",
        "desks: the foreign key desks_sits_fkey tells unity_app which rows of users there are",
    ),
    (
        "ALTER TABLE api_keys DROP CONSTRAINT api_keys_created_by_fkey",
        "api_keys_created_by_fkey: is excused and does not exist",
    ),
    (
        "ALTER TABLE api_keys DROP CONSTRAINT api_keys_hash_key",
        "api_keys_hash_key: is excused and does not exist",
    ),
];

const BREACHES_OF_ROLES: &[Breach] = &[
    ("ALTER ROLE unity_app BYPASSRLS", "unity_app: has BYPASSRLS"),
    (
        "ALTER ROLE unity_engine CREATEROLE",
        "unity_engine: has CREATEROLE",
    ),
    ("ALTER ROLE {app} SUPERUSER", "{app}: has SUPERUSER"),
    (
        "ALTER ROLE unity_operator LOGIN",
        "unity_operator: can log in",
    ),
    (
        "GRANT unity_engine TO {app}",
        "{app}: is a member of unity_engine",
    ),
    (
        "REVOKE unity_app FROM {app}",
        "{app}: is not a member of unity_app",
    ),
    (
        "GRANT pg_read_all_data TO unity_app",
        "unity_app: is a member of pg_read_all_data",
    ),
    (
        "ALTER ROLE {platform} INHERIT",
        "{platform}: has the powers of unity_engine without taking its role",
    ),
    (
        "ALTER TABLE jobs OWNER TO unity_app",
        "unity_app: owns jobs",
    ),
    (
        "ALTER ROLE {app} SET app.tenant_id = 'acme'",
        "{app}: has settings of its own",
    ),
    (
        "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER
         RETURN (SELECT count(*) FROM jobs)",
        "peek(): SECURITY DEFINER",
    ),
    (
        "ALTER FUNCTION audit_own(jsonb, timestamptz) RESET search_path",
        "audit_own(jsonb,timestamp with time zone): SECURITY DEFINER",
    ),
    (
        "ALTER FUNCTION audit(jsonb, timestamptz) OWNER TO CURRENT_USER",
        "audit(jsonb,timestamp with time zone): SECURITY DEFINER",
    ),
    (
        "GRANT unity_auditor TO {app}",
        "{app}: is a member of unity_auditor",
    ),
    (
        "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql RETURN 1; GRANT EXECUTE ON FUNCTION peek() TO PUBLIC",
        "peek(): everybody has EXECUTE",
    ),
    (
        "ALTER FUNCTION tell(text[], uuid[], text[], jsonb[], timestamptz) OWNER TO CURRENT_USER",
        "tell(text[],uuid[],text[],jsonb[],timestamp with time zone): SECURITY DEFINER",
    ),
    (
        "ALTER FUNCTION tell(text[], uuid[], text[], jsonb[], timestamptz) OWNER TO unity_auditor",
        "tell(text[],uuid[],text[],jsonb[],timestamp with time zone): SECURITY DEFINER",
    ),
    (
        "GRANT unity_clerk TO unity_app",
        "{app}: is a member of unity_clerk",
    ),
    (
        "GRANT SELECT ON users TO unity_operator",
        "users: unity_operator reads password_hash",
    ),
    (
        "GRANT DELETE ON memberships TO unity_app",
        "memberships: unity_app could lock it against everybody, as it has DELETE",
    ),
    (
        "GRANT UPDATE ON jobs TO unity_app",
        "jobs: unity_app could lock it against everybody, as it has UPDATE",
    ),
    (
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$",
        "the database: everybody has TEMPORARY",
    ),
    (
        "GRANT SELECT ON workers TO PUBLIC",
        "workers: everybody has SELECT",
    ),
    (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "schema public: everybody has CREATE",
    ),
    (
        "GRANT SELECT ON jobs TO unity_operator WITH GRANT OPTION",
        "jobs: unity_operator may pass SELECT on",
    ),
];

const BREACHES_OF_THE_PURGE: &[Breach] = &[
    (
        "CREATE TABLE gadgets (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))",
        "gadgets: is neither purged with its tenant nor kept on purpose",
    ),
    (
        "REVOKE DELETE ON events FROM unity_purger",
        "events: unity_purger cannot delete its rows",
    ),
    (
        "DROP POLICY purger_deletes ON switches",
        "switches: no policy lets unity_purger delete rows of tenants that are being purged, and only them",
    ),
    (
        "ALTER POLICY purger_deletes ON jobs USING (true)",
        "jobs: no policy lets unity_purger delete rows of tenants that are being purged, and only them",
    ),
    (
        "GRANT DELETE ON tenants TO unity_purger",
        "tenants: unity_purger can delete rows that are kept",
    ),
];

const BREACHES_OF_TIMES: &[Breach] = &[
    (
        "ALTER TABLE jobs ADD COLUMN seen_at timestamptz",
        "jobs.seen_at: is not bounded",
    ),
    (
        "ALTER TABLE workers ADD COLUMN seen_on date",
        "workers.seen_on: is not bounded",
    ),
    (
        "ALTER TABLE jobs DROP CONSTRAINT jobs_run_at_range;
         ALTER TABLE jobs ADD CONSTRAINT jobs_run_at_range CHECK (run_at < '10000-01-01 00:00:00+00')",
        "jobs.run_at: is not bounded",
    ),
    (
        "ALTER TABLE jobs DROP CONSTRAINT jobs_run_at_range; SELECT bound_times('jobs', false)",
        "jobs.run_at: is not bounded",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_breaking_isolation_is_found() {
    let mut database = FreshDatabase::create().await;
    let all = [
        BREACHES_OF_ROW_SECURITY,
        BREACHES_OF_KEYS,
        BREACHES_OF_ROLES,
        BREACHES_OF_THE_PURGE,
        BREACHES_OF_TIMES,
    ];
    for (breach, fault) in all.into_iter().flatten() {
        let (app, platform) = (database.app_login.clone(), database.platform_login.clone());
        let fill = |text: &str| text.replace("{app}", &app).replace("{platform}", &platform);
        // Roles belong to the server that other tests use at the same time: nothing is committed.
        database.run(format!("BEGIN; {}", fill(breach))).await;
        let faults = database.faults().await;
        database.run("ROLLBACK".to_owned()).await;
        assert!(
            faults.iter().any(|found| found.contains(&fill(fault))),
            "after {breach}\nexpected: {fault}\nfound: {faults:#?}"
        );
    }
    database.drop().await;
}
