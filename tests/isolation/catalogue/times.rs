//! Instants in tables. PostgreSQL keeps times that a program cannot: one of them in a row of a tenant
//! would end whatever process reads it together with others' rows.

use sqlx::PgConnection;

/// Written by the migrator alone.
const EXCUSED: &str = "_sqlx_migrations";

/// Each column with whether a check bounds it by that and nothing else, for old rows too.
const COLUMNS: &str = "
    SELECT a.attrelid::regclass::text || '.' || a.attname,
           EXISTS (SELECT FROM pg_constraint k
                   WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.convalidated
                     AND pg_get_constraintdef(k.oid) = format(
                         'CHECK (((%1$I >= ''0001-01-01 00:00:00+00''::timestamp with time zone) '
                         'AND (%1$I < ''10000-01-01 00:00:00+00''::timestamp with time zone)))', a.attname))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
      AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
      AND c.relnamespace = 'public'::regnamespace AND c.relname <> $1
    ORDER BY 1";

/// What is wrong.
pub async fn faults(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query("SET TimeZone = 'UTC'")
        .execute(&mut *connection)
        .await
        .unwrap();
    let columns: Vec<(String, bool)> = sqlx::query_as(COLUMNS)
        .bind(EXCUSED)
        .fetch_all(connection)
        .await
        .unwrap();
    assert!(!columns.is_empty());
    columns
        .into_iter()
        .filter(|(_, bounded)| !bounded)
        .map(|(column, _)| format!("{column}: is not bounded; SELECT bound_times of its table"))
        .collect()
}
