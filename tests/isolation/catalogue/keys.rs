//! Keys between and within tenants' tables. A unique index without the tenant tells one tenant what
//! another has, and a foreign key without it lets one tenant's row hang on another's.

use sqlx::PgConnection;

use super::tenant_tables;

/// Unique indexes that need no tenant. This list may only shrink.
const EXCUSED: &[&str] = &[
    // 178 random bits hashed, as a key is.
    "act_as_grants_token_hash_key",
    // 178 random bits hashed: found before a tenant is known, and nobody can guess another's.
    "api_keys_hash_key",
    // A random id.
    "api_keys_pkey",
    // 256 bits that nobody can guess, hashed: found before a tenant is known.
    "invitations_token_hash_key",
    // A random id, and no tenant writes one.
    "switches_pkey",
    // A random id, which tells one life of a slug from the next.
    "tenants_uid_key",
];

/// Foreign keys by which a tenant that may write the row learns whether a row of the platform exists. This
/// list may only shrink.
const EXCUSED_ORACLES: &[&str] = &[
    // Whether somebody has this id: 74 random bits, which a tenant can only know of its own people. The key
    // is worth nothing but what its maker is in the tenant.
    "api_keys_created_by_fkey",
];

#[derive(sqlx::FromRow)]
struct UniqueIndex {
    table_name: String,
    name: String,
    columns: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct ForeignKey {
    name: String,
    child: String,
    parent: String,
    child_columns: Vec<String>,
    parent_columns: Vec<String>,
    app_writes: bool,
}

/// Columns behind `INCLUDE` are no part of the key.
const UNIQUE_INDEXES: &str = "
    SELECT i.indrelid::regclass::text AS table_name, c.relname::text AS name,
           ARRAY(SELECT coalesce(a.attname::text, '(expression)')
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS part (number, place)
                 LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.number AND part.number > 0
                 WHERE part.place <= i.indnkeyatts ORDER BY part.place) AS columns
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indisunique OR i.indisexclusion
    ORDER BY name";

const FOREIGN_KEYS: &str = "
    SELECT k.conname::text AS name, k.conrelid::regclass::text AS child, k.confrelid::regclass::text AS parent,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS part (number, place)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.number
                 ORDER BY part.place) AS child_columns,
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS part (number, place)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = part.number
                 ORDER BY part.place) AS parent_columns,
           EXISTS (SELECT FROM unnest(k.conkey) AS number
                   WHERE has_column_privilege('unity_app', k.conrelid, number, 'INSERT')
                      OR has_column_privilege('unity_app', k.conrelid, number, 'UPDATE')) AS app_writes
    FROM pg_constraint k WHERE k.contype = 'f'
    ORDER BY name";

const COUNTING_COLUMNS: &str = "
    SELECT a.attrelid::regclass::text, a.attname::text
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
      AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE '%nextval(%')";

/// What is wrong.
pub async fn faults(connection: &mut PgConnection) -> Vec<String> {
    let mut faults = faults_of_unique_indexes(connection).await;
    faults.extend(faults_of_foreign_keys(connection).await);
    let tenants = tenant_tables(connection).await;
    let counting: Vec<(String, String)> = sqlx::query_as(COUNTING_COLUMNS)
        .fetch_all(connection)
        .await
        .unwrap();
    for (table, column) in counting {
        if tenants.contains_key(&table) {
            faults.push(format!(
                "{table}: {column} counts over all tenants, so its numbers tell how much the others do"
            ));
        }
    }
    faults
}

async fn faults_of_unique_indexes(connection: &mut PgConnection) -> Vec<String> {
    let tenants = tenant_tables(connection).await;
    let indexes: Vec<UniqueIndex> = sqlx::query_as(UNIQUE_INDEXES)
        .fetch_all(connection)
        .await
        .unwrap();
    let mut faults = Vec::new();
    for excused in EXCUSED {
        let needed = indexes.iter().any(|index| {
            index.name == *excused
                && tenants
                    .get(&index.table_name)
                    .is_some_and(|column| !index.columns.contains(column))
        });
        if !needed {
            faults.push(format!(
                "{excused}: is excused and does not exist, or needs no excuse; remove it from the list"
            ));
        }
    }
    for index in indexes {
        let Some(column) = tenants.get(&index.table_name) else {
            continue;
        };
        if !index.columns.contains(column) && !EXCUSED.contains(&index.name.as_str()) {
            faults.push(format!(
                "{}: the unique index {} ({}) does not contain {column}",
                index.table_name,
                index.name,
                index.columns.join(", ")
            ));
        }
    }
    faults
}

async fn faults_of_foreign_keys(connection: &mut PgConnection) -> Vec<String> {
    let tenants = tenant_tables(connection).await;
    let keys: Vec<ForeignKey> = sqlx::query_as(FOREIGN_KEYS)
        .fetch_all(connection)
        .await
        .unwrap();
    let mut faults = Vec::new();
    for excused in EXCUSED_ORACLES {
        let needed = keys.iter().any(|key| {
            key.name == *excused && key.app_writes && !tenants.contains_key(&key.parent)
        });
        if !needed {
            faults.push(format!(
                "{excused}: is excused and does not exist, or needs no excuse; remove it from the list"
            ));
        }
    }
    for key in keys {
        let Some(parent_tenant) = tenants.get(&key.parent) else {
            if key.app_writes && !EXCUSED_ORACLES.contains(&key.name.as_str()) {
                faults.push(format!(
                    "{}: the foreign key {} tells unity_app which rows of {} there are",
                    key.child, key.name, key.parent
                ));
            }
            continue;
        };
        let pairs = || key.child_columns.iter().zip(&key.parent_columns);
        let carries = tenants
            .get(&key.child)
            .is_some_and(|child_tenant| pairs().any(|pair| pair == (child_tenant, parent_tenant)));
        if !carries {
            faults.push(format!(
                "{}: the foreign key {} to {} does not carry the tenant on both sides",
                key.child, key.name, key.parent
            ));
        }
    }
    faults
}
