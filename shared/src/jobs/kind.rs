//! What a kind of job is: its name, its payload, and how it is treated.

use std::{fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::RetryPolicy;
use crate::tenancy::Role;

/// A kind of job. Implemented by its payload type, in a file of its own under `kinds/`.
pub trait JobKind: Serialize + DeserializeOwned + utoipa::ToSchema + Send + Sync + 'static {
    /// Stable name, in rows and in the API.
    const NAME: &'static str;
    /// The queue that its jobs wait in; a worker pool consumes the queue of its own name.
    const QUEUE: &'static str = "default";
    /// Longest time of one attempt, unless the job says otherwise.
    const TIMEOUT: Duration = Duration::from_mins(1);
    /// How often and when it is tried again.
    const RETRY: RetryPolicy = RetryPolicy::STANDARD;
    /// The least role that may start it through the API.
    const START_ROLE: Role = Role::TenantMember;
    /// Whether it exists only where probe jobs are switched on.
    const PROBE: bool = false;
    /// The resource key of a job that states none; absent = no bond. A kind that a schedule fires
    /// needs one: a tenant whose last job of the kind has not ended gets no further one.
    const DEFAULT_RESOURCE_KEY: Option<&'static str> = None;
    /// Whether a due job takes the place of the tenant's older ones of the kind with the same
    /// resource key that have not begun: for work that brings something to its newest state.
    const SUPERSEDES: bool = false;
    /// Whether its jobs are part of what the platform does with a tenant: a system administrator sees
    /// and controls them in their own name. All others are the tenant's.
    const OF_PLATFORM: bool = false;
    /// How long an attempt may take to end after it was cancelled, before its task is ended.
    const CANCEL_GRACE: Duration = Duration::from_secs(5);
}

/// A kind as data: what the API checks and the registry lists.
#[derive(Clone, Copy)]
pub struct KindSpec {
    /// Stable name.
    pub name: &'static str,
    /// The queue that its jobs wait in.
    pub queue: &'static str,
    /// Longest time of one attempt.
    pub timeout: Duration,
    /// How often and when it is tried again.
    pub retry: RetryPolicy,
    /// The least role that may start it.
    pub start_role: Role,
    /// Whether it exists only where probe jobs are switched on.
    pub probe: bool,
    /// The resource key of a job that states none; absent = no bond.
    pub default_resource_key: Option<&'static str>,
    /// Whether a newer job takes the place of older ones that have not begun.
    pub supersedes: bool,
    /// Whether a system administrator sees and controls its jobs in their own name.
    pub of_platform: bool,
    /// How long an attempt may take to end after it was cancelled.
    pub cancel_grace: Duration,
    normalise: fn(&Value) -> Result<Value, PayloadError>,
    schema: fn() -> Value,
}

/// The payload is not what the kind takes.
#[derive(Debug, thiserror::Error)]
#[error("the payload does not fit the kind: {detail}")]
pub struct PayloadError {
    /// JSON pointer (RFC 6901) to the offending part of the payload.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl KindSpec {
    /// The description of kind `K`.
    #[must_use]
    pub const fn of<K: JobKind>() -> Self {
        Self {
            name: K::NAME,
            queue: K::QUEUE,
            timeout: K::TIMEOUT,
            retry: K::RETRY,
            start_role: K::START_ROLE,
            probe: K::PROBE,
            default_resource_key: K::DEFAULT_RESOURCE_KEY,
            supersedes: K::SUPERSEDES,
            of_platform: K::OF_PLATFORM,
            cancel_grace: K::CANCEL_GRACE,
            normalise: normalise::<K>,
            schema: schema::<K>,
        }
    }

    /// Reads the payload as the kind's own type and writes it back, so that a row never holds
    /// something that its handler cannot read.
    pub fn check_payload(&self, payload: &Value) -> Result<Value, PayloadError> {
        (self.normalise)(payload)
    }

    /// The JSON schema (draft 2020-12) of the payload. Schemas that it refers to are inside it, at
    /// the place that the references name.
    #[must_use]
    pub fn payload_schema(&self) -> Value {
        (self.schema)()
    }
}

impl fmt::Debug for KindSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KindSpec")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn normalise<K: JobKind>(payload: &Value) -> Result<Value, PayloadError> {
    let typed: K = serde_path_to_error::deserialize(payload).map_err(|error| PayloadError {
        pointer: json_pointer(error.path()),
        detail: error.inner().to_string(),
    })?;
    serde_json::to_value(&typed).map_err(|error| PayloadError {
        pointer: String::new(),
        detail: error.to_string(),
    })
}

fn schema<K: JobKind>() -> Value {
    let mut schema = serde_json::to_value(K::schema()).unwrap_or_default();
    let mut parts = Vec::new();
    K::schemas(&mut parts);
    if let (Value::Object(fields), false) = (&mut schema, parts.is_empty()) {
        let parts: serde_json::Map<String, Value> = parts
            .into_iter()
            .map(|(name, part)| (name, serde_json::to_value(part).unwrap_or_default()))
            .collect();
        fields.insert(
            "components".to_owned(),
            serde_json::json!({ "schemas": parts }),
        );
    }
    schema
}

/// A path of serde as a JSON pointer.
fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.extend(["/", &index.to_string()]),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}
