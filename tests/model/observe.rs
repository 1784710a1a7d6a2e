//! What can be seen after a step: the rows, the events, and what the gate holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use redis::Script;
use sqlx::{FromRow, PgConnection};
use unity_shared::{
    ids::{JobId, TenantId},
    jobs::JobStatus,
};

use super::world::{QUEUE, World};

/// A job's row.
#[derive(Debug, Clone, FromRow)]
pub struct Row {
    pub tenant: TenantId,
    pub id: JobId,
    pub kind: String,
    pub status: JobStatus,
    pub attempt: i32,
    pub max_attempts: i32,
    pub fence: i64,
    pub run_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub resource_key: Option<String>,
    pub lease_expires_at: Option<DateTime<Utc>>,
}

/// An event, as its tenant reads it.
#[derive(Debug, Clone, FromRow)]
pub struct Event {
    pub tenant: TenantId,
    pub sequence: i64,
    #[sqlx(rename = "type")]
    pub name: String,
    pub job: JobId,
}

/// A key of the gate: members of a set or list, fields and values of a hash, members and scores of
/// a sorted set.
type Entries = Vec<String>;

/// The world at one moment.
pub struct Sight {
    pub now: DateTime<Utc>,
    pub rows: Vec<Row>,
    pub events: Vec<Event>,
    /// By name, without the prefix.
    pub gate: BTreeMap<String, Entries>,
    lost_keys: bool,
}

const LOOK: &str = r"
local seen = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind, content = redis.call('TYPE', key).ok, {}
  if kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'hash' then content = redis.call('HGETALL', key)
  elseif kind == 'set' then content = redis.call('SMEMBERS', key)
  elseif kind == 'list' then content = redis.call('LRANGE', key, 0, -1)
  else content = {redis.call('GET', key)} end
  seen[#seen + 1] = {string.sub(key, #ARGV[1] + 1), content}
end
return seen";

impl Sight {
    /// Looks at everything.
    pub async fn of(world: &World<'_>, owner: &mut PgConnection) -> Self {
        let rows = sqlx::query_as(
            "SELECT tenant_id AS tenant, id, kind, status, attempt, max_attempts, fence, run_at,
                    expires_at, resource_key, lease_expires_at
             FROM jobs ORDER BY id",
        );
        let events = sqlx::query_as(
            "SELECT tenant_id AS tenant, sequence, type, job_id AS job FROM events
             ORDER BY tenant_id, sequence",
        );
        let mut redis = world.stack.gate.connection();
        let gate: Vec<(String, Entries)> = Script::new(LOOK)
            .arg(world.prefix())
            .invoke_async(&mut redis)
            .await
            .unwrap();
        Self {
            now: world.stack.clock.now(),
            rows: rows.fetch_all(&mut *owner).await.unwrap(),
            events: events.fetch_all(owner).await.unwrap(),
            gate: gate.into_iter().collect(),
            lost_keys: world.lost_keys,
        }
    }

    /// Whether admission is open.
    pub fn open(&self) -> bool {
        self.gate.contains_key("epoch")
    }

    /// A tenant's jobs with a lease that is live.
    pub fn live_rows<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = &'a Row> {
        let live = |row: &&Row| row.lease_expires_at.is_some_and(|until| until > self.now);
        self.rows
            .iter()
            .filter(move |row| row.tenant == *tenant)
            .filter(live)
    }

    /// A tenant's slots that are live, from admission on.
    pub fn live_slots(&self, tenant: &TenantId) -> BTreeSet<JobId> {
        let entries = self.gate.get(&format!("slots:{tenant}"));
        let now = self.now.timestamp_millis();
        let (pairs, _) = entries.map_or(&[][..], Vec::as_slice).as_chunks::<2>();
        pairs
            .iter()
            .filter(|[_, until]| until.parse::<i64>().unwrap() > now)
            .map(|[id, _]| id.parse().unwrap())
            .collect()
    }

    /// The jobs that stand in a line, with their scores: lower goes first.
    pub fn lines(&self) -> HashMap<JobId, f64> {
        let mut lines = HashMap::new();
        for (name, entries) in &self.gate {
            if name.starts_with("wait:") || name.starts_with("parked:") {
                let (pairs, _) = entries.as_chunks::<2>();
                let scores = pairs.iter().map(|[waiting, score]| {
                    let id: JobId = id_in(waiting).parse().unwrap();
                    (id, score.parse::<f64>().unwrap())
                });
                lines.extend(scores);
            }
        }
        lines
    }

    /// Every job that the gate knows, and the keys in which it has a place.
    pub fn places(&self) -> BTreeMap<&str, Vec<&str>> {
        let known = self.gate.get("jobs").map_or(&[][..], Vec::as_slice);
        let (known, _) = known.as_chunks::<2>();
        let mut places: BTreeMap<&str, Vec<&str>> = known
            .iter()
            .map(|[id, _]| (id.as_str(), Vec::new()))
            .collect();
        for (name, entries) in &self.gate {
            let is_place = ["wait:", "parked:", "admitted:"]
                .iter()
                .any(|start| name.starts_with(start));
            let (entries, _) = entries.as_chunks::<2>();
            for [waiting, _] in entries.iter().filter(|_| is_place) {
                places.entry(id_in(waiting)).or_default().push(name);
            }
        }
        places
    }

    /// What the gate holds of jobs, anywhere. Empty when no job is left.
    pub fn traces(&self) -> Vec<String> {
        let names = [
            "jobs",
            "claimed",
            "slots:",
            "admitted:",
            "holders:",
            "wait:",
            "parked:",
            "held:",
            "waits:",
        ];
        let ready =
            ["active", "data", "inflight:", "meta:"].map(|part| format!("queue:{QUEUE}:{part}"));
        let is_trace = |name: &str| {
            names.iter().any(|start| name.starts_with(start))
                || ready.iter().any(|start| name.starts_with(start.as_str()))
        };
        let traces = self.gate.iter().filter(|(name, _)| is_trace(name));
        let lasting = traces.map(|(name, entries)| (name, self.that_count(name, entries)));
        lasting
            .filter(|(_, entries)| !entries.is_empty())
            .map(|(name, entries)| format!("{name} {entries:?}"))
            .collect()
    }

    /// Of a job that Redis lost in more than one place at once, a slot that has lapsed and a claim may stay
    /// behind. Nobody counts them.
    fn that_count(&self, name: &str, entries: &Entries) -> Entries {
        let is_known = |id: &String| self.gate.get("jobs").is_some_and(|jobs| jobs.contains(id));
        let is_live = |until: &String| until.parse::<i64>().unwrap() > self.now.timestamp_millis();
        let counts = |[id, value]: &&[String; 2]| match name {
            "claimed" => is_known(id),
            _ => is_live(value),
        };
        if !self.lost_keys || !(name == "claimed" || name.starts_with("slots:")) {
            return entries.clone();
        }
        let (pairs, _) = entries.as_chunks::<2>();
        pairs.iter().filter(counts).flatten().cloned().collect()
    }
}

/// The id of a job as it stands in a waiting list, where an asterisk tells of a resource key.
fn id_in(waiting: &str) -> &str {
    waiting.trim_end_matches('*')
}
