//! Tells the audit log what was refused, without letting whoever is refused fill the disk.
//!
//! Each caller has so many entries a minute; what comes beyond is counted and told as one entry when
//! the minute is over. Refusals that come together are written together. One that cannot be written is
//! logged and counted in `unity_audit_denials_lost_total`, and the request is refused all the same.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, Telling, tell_all},
    batch::{BatchLimits, Batcher},
    clock::Clock,
    db::{Database, DbError},
    ids::TenantId,
    telemetry::chain,
};

/// Entries of one caller in one [`WINDOW`].
pub const MOST_PER_CALLER: u32 = 30;
const WINDOW: Duration = Duration::from_mins(1);
/// How often the counts of windows that are over are told.
const SWEEP: Duration = Duration::from_secs(5);
/// Callers that are counted at once; beyond, a refusal of a new caller is counted under nobody's name.
const MOST_CALLERS: usize = 10_000;

const LIMITS: BatchLimits = BatchLimits {
    items: 100,
    calls: NonZeroUsize::MIN,
};

/// A request that was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Who was refused.
    pub author: Author,
    /// Their tenant; absent = the platform's.
    pub tenant: Option<TenantId>,
    /// Whether it reached for another tenant: then the platform is told too.
    pub crossed: bool,
    /// What they asked for.
    pub object: AuditedObject,
    /// `GET`, `POST` ...
    pub method: String,
    /// The route, as the document writes it.
    pub route: String,
    /// The code of the answer.
    pub code: String,
}

/// The way to the audit log. Clones share it.
#[derive(Clone)]
pub struct Denials {
    writes: Batcher<Telling, ()>,
    windows: Arc<Windows>,
    _sweeper: Arc<AbortOnDropHandle<()>>,
}

#[derive(Default)]
struct Windows(Mutex<HashMap<String, Window>>);

/// What one caller was refused in a while.
#[derive(Debug)]
struct Window {
    began: Instant,
    told: u32,
    untold: u32,
    /// The first that was not told, which speaks for the others.
    first_untold: Option<Refusal>,
}

impl Denials {
    /// Call it inside a tokio runtime.
    pub fn start(database: Database, clock: Clock) -> Self {
        let writes = Batcher::start(LIMITS, move |tellings: Vec<Telling>| {
            let (database, now) = (database.clone(), clock.now());
            async move { write(&database, &tellings, now).await }
        });
        let windows = Arc::new(Windows::default());
        let sweeper = tokio::spawn(sweep(writes.clone(), Arc::clone(&windows)));
        Self {
            writes,
            windows,
            _sweeper: Arc::new(AbortOnDropHandle::new(sweeper)),
        }
    }

    /// Tells of a refusal, or counts it. Answers when it is written.
    pub async fn tell(&self, refusal: Refusal) {
        metrics::counter!("unity_audit_denials_total").increment(1);
        if let Some(refusal) = self.windows.admit(refusal) {
            let telling = refusal.telling();
            let _ = self.writes.call(telling).await;
        }
    }
}

impl std::fmt::Debug for Denials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Denials").finish_non_exhaustive()
    }
}

async fn sweep(writes: Batcher<Telling, ()>, windows: Arc<Windows>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (refusal, count) in windows.take_ended() {
            let mut telling = refusal.telling();
            telling.deed.action = Action::ACCESS_DENIED_MORE;
            telling.author.request_id = None;
            telling.deed.detail.insert("count".to_owned(), count.into());
            let _ = writes.call(telling).await;
        }
    }
}

async fn write(database: &Database, tellings: &[Telling], now: DateTime<Utc>) -> Vec<()> {
    if let Err(error) = try_write(database, tellings, now).await {
        let lost = u64::try_from(tellings.len()).unwrap_or(u64::MAX);
        metrics::counter!("unity_audit_denials_lost_total").increment(lost);
        tracing::error!(error = chain(&error), lost, "could not tell of refusals");
    }
    vec![(); tellings.len()]
}

async fn try_write(
    database: &Database,
    tellings: &[Telling],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut tx = database.operator().statement().await?;
    tell_all(&mut tx, tellings, now).await
}

impl Windows {
    /// The refusal, if it is to be told now.
    fn admit(&self, refusal: Refusal) -> Option<Refusal> {
        let mut windows = self.lock();
        let mut caller = refusal.author.actor.id.clone();
        if !windows.contains_key(&caller) && windows.len() >= MOST_CALLERS {
            caller = String::new();
        }
        let window = windows.entry(caller).or_insert_with(|| Window {
            began: Instant::now(),
            told: 0,
            untold: 0,
            first_untold: None,
        });
        if window.told < MOST_PER_CALLER {
            window.told += 1;
            return Some(refusal);
        }
        window.untold = window.untold.saturating_add(1);
        window.first_untold.get_or_insert(refusal);
        None
    }

    /// Windows that are over, if something in them was not told.
    fn take_ended(&self) -> Vec<(Refusal, u32)> {
        let mut ended = Vec::new();
        self.lock().retain(|_, window| {
            let over = window.began.elapsed() >= WINDOW;
            if over && let Some(refusal) = window.first_untold.take() {
                ended.push((refusal, window.untold));
            }
            !over
        });
        ended
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Window>> {
        // Each window is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusal {
    fn telling(&self) -> Telling {
        let mut chains = vec![self.tenant.clone()];
        if self.tenant.is_some() && self.crossed {
            chains.push(None);
        }
        let detail: Value = json!({
            "method": self.method, "route": self.route, "code": self.code,
            "cross_tenant": self.crossed,
        });
        Telling {
            chains,
            author: self.author.clone(),
            deed: Deed::done(Action::ACCESS_DENIED, self.object.clone(), detail).denied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use unity_shared::audit::AuditActor;

    use super::*;

    fn refusal(actor: &str) -> Refusal {
        let system = Author::system("test");
        let author = Author {
            actor: AuditActor {
                id: actor.to_owned(),
                ..system.actor.clone()
            },
            ..system
        };
        Refusal {
            author,
            tenant: None,
            crossed: false,
            object: AuditedObject::several("tenant"),
            method: "GET".to_owned(),
            route: "/".to_owned(),
            code: "role.insufficient".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_so_many_entries_a_minute_and_the_rest_are_counted() {
        let windows = Windows::default();
        let told = (0..100)
            .filter(|_| windows.admit(refusal("loud")).is_some())
            .count();
        assert_eq!(told, 30);
        assert!(windows.admit(refusal("other")).is_some());
        assert!(windows.take_ended().is_empty(), "the minute is not over");
        advance(WINDOW).await;
        let ended = windows.take_ended();
        assert_eq!(ended.len(), 1);
        assert_eq!(
            (ended[0].0.author.actor.id.as_str(), ended[0].1),
            ("loud", 70)
        );
        assert!(windows.admit(refusal("loud")).is_some(), "a new minute");
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_take_a_bounded_place() {
        let windows = Windows::default();
        for number in 0..2 * MOST_CALLERS {
            windows.admit(refusal(&number.to_string()));
        }
        assert_eq!(windows.lock().len(), MOST_CALLERS + 1);
    }

    #[test]
    fn reaching_for_another_tenant_is_told_to_the_platform_too() {
        let tenant = TenantId::parse("acme").unwrap();
        let mut refusal = refusal("caller");
        refusal.tenant = Some(tenant.clone());
        assert_eq!(refusal.telling().chains, [Some(tenant.clone())]);
        refusal.crossed = true;
        assert_eq!(refusal.telling().chains, [Some(tenant), None]);
    }
}
