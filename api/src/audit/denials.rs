//! Tells the audit log what was refused, without letting whoever is refused fill the disk.
//!
//! Each caller has so many entries a minute, and as many for reaching into other tenants; what comes beyond
//! is counted and told as one entry when the minute is over. Refusals that come together are written together. One that cannot be written is
//! logged and counted in `unity_audit_denials_lost_total`, and the request is refused all the same.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use unity_shared::{
    audit::{Action, AuditActorKind, AuditedObject, Author, Deed, Telling, tell_all},
    batch::{BatchLimits, Batcher},
    clock::Clock,
    db::{Database, DbError},
    ids::TenantId,
    telemetry::chain,
};

use crate::limits::subscriber;

/// Entries of one caller in one [`WINDOW`].
pub const MOST_PER_CALLER: u32 = 30;
const WINDOW: Duration = Duration::from_mins(1);
/// How often the counts of windows that are over are told.
const SWEEP: Duration = Duration::from_secs(5);
/// Windows at once; beyond, what a new caller is refused is counted under nobody's name.
const MOST_WINDOWS: usize = 10_000;
/// Objects that an entry names which stands for several refusals.
const MOST_OBJECTS: usize = 20;

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
struct Windows(Mutex<HashMap<Key, Window>>);

/// Whose window it is. What reaches into other tenants has one of its own: noise must not hide it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    caller: Whose,
    crossed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    /// A key's or a person's id.
    Known(String),
    /// Of nobody who is known, the subscriber's addresses.
    Address(Option<IpAddr>),
    /// All for whom there is no more room.
    Others,
}

/// What one caller was refused in a while.
#[derive(Debug)]
struct Window {
    began: Instant,
    told: u32,
    untold: Option<Untold>,
}

/// Refusals that are told as one.
#[derive(Debug)]
struct Untold {
    /// Speaks for the others.
    first: Refusal,
    count: u32,
    /// Ids of the first objects that were asked for.
    objects: BTreeSet<String>,
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
        let crossed = if refusal.crossed { "true" } else { "false" };
        metrics::counter!("unity_audit_denials_total", "cross_tenant" => crossed).increment(1);
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
        for untold in windows.take_ended() {
            let _ = writes.call(untold.telling()).await;
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
    fn admit(&self, mut refusal: Refusal) -> Option<Refusal> {
        let mut windows = self.lock();
        let mut key = Key {
            caller: whose(&refusal.author),
            crossed: refusal.crossed,
        };
        if !windows.contains_key(&key) && windows.len() >= MOST_WINDOWS {
            key.caller = Whose::Others;
            // One entry speaks for callers of many tenants: it is none of any of them.
            refusal.tenant = None;
        }
        let window = windows.entry(key).or_insert_with(|| Window {
            began: Instant::now(),
            told: 0,
            untold: None,
        });
        if window.told < MOST_PER_CALLER {
            window.told += 1;
            return Some(refusal);
        }
        let object = refusal.object.id.clone();
        let untold = window.untold.get_or_insert_with(|| Untold {
            first: refusal,
            count: 0,
            objects: BTreeSet::new(),
        });
        untold.count = untold.count.saturating_add(1);
        if untold.objects.len() < MOST_OBJECTS {
            untold.objects.extend(object);
        }
        None
    }

    /// What was not told in windows that are over.
    fn take_ended(&self) -> Vec<Untold> {
        let mut ended = Vec::new();
        self.lock().retain(|_, window| {
            let over = window.began.elapsed() >= WINDOW;
            if over {
                ended.extend(window.untold.take());
            }
            !over
        });
        ended
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Window>> {
        // Each window is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whose(author: &Author) -> Whose {
    match author.actor.kind {
        AuditActorKind::Anonymous => Whose::Address(author.source_address.map(subscriber)),
        AuditActorKind::ApiKey | AuditActorKind::User | AuditActorKind::System => {
            Whose::Known(author.actor.id.clone())
        }
    }
}

impl Untold {
    fn telling(self) -> Telling {
        let Self {
            first,
            count,
            objects,
        } = self;
        let mut telling = first.telling();
        telling.author.request_id = None;
        telling.deed.action = Action::ACCESS_DENIED_MORE;
        let detail = &mut telling.deed.detail;
        detail.insert("count".to_owned(), count.into());
        detail.insert("ids".to_owned(), objects.into_iter().collect());
        telling
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
        let told = ended[0].first.author.actor.id.as_str();
        assert_eq!((told, ended[0].count), ("loud", 70));
        assert!(windows.admit(refusal("loud")).is_some(), "a new minute");
    }

    #[tokio::test(start_paused = true)]
    async fn noise_does_not_hide_who_reaches_for_other_tenants() {
        let windows = Windows::default();
        for _ in 0..100 {
            windows.admit(refusal("loud"));
        }
        let probe = |number: usize| Refusal {
            crossed: true,
            tenant: Some(TenantId::parse("acme").unwrap()),
            object: AuditedObject::one("job", number.to_string()),
            ..refusal("loud")
        };
        let told = (0..60).filter(|number| windows.admit(probe(*number)).is_some());
        assert_eq!(told.count(), 30);
        advance(WINDOW).await;
        let ended = windows.take_ended();
        let more = ended.into_iter().find(|untold| untold.first.crossed);
        let telling = more.unwrap().telling();
        assert_eq!(telling.chains.len(), 2, "the platform is told too");
        assert_eq!(telling.deed.detail["count"], 30);
        assert_eq!(
            telling.deed.detail["ids"].as_array().unwrap().len(),
            MOST_OBJECTS
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_subscriber_have_one_window() {
        let windows = Windows::default();
        let told = (0..100).filter(|number| {
            let mut guess = refusal("");
            guess.author.actor.kind = AuditActorKind::Anonymous;
            guess.author.source_address = format!("2001:db8::{number:x}").parse().ok();
            windows.admit(guess).is_some()
        });
        assert_eq!(told.count(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_take_a_bounded_place_and_share_the_platforms_log() {
        let windows = Windows::default();
        let of_tenant = |number: usize| Refusal {
            tenant: Some(TenantId::parse("acme").unwrap()),
            ..refusal(&number.to_string())
        };
        let mut last = None;
        for number in 0..2 * MOST_WINDOWS {
            last = windows.admit(of_tenant(number)).or(last);
        }
        assert_eq!(windows.lock().len(), MOST_WINDOWS + 1);
        assert_eq!(last.unwrap().tenant, None);
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
