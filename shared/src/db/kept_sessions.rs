//! Sessions that are kept for callers who come again and again.
//!
//! A pool asks a connection for a sign of life whenever it is given back, hands out the one that has rested
//! longest, and knows nothing of what the session has planned. For the few statements that move jobs each of
//! these costs: a round trip, warm caches, and plans that were made for tables of another size.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Database, DbError, Engine, PlatformTx};

/// Sessions of the engine on connections of their own, the last used first. Clones share them.
#[derive(Debug, Clone)]
pub struct KeptSessions {
    database: Database,
    stock: Arc<Mutex<Stock>>,
}

#[derive(Debug)]
struct Stock {
    most: usize,
    trusted_for: Duration,
    resting: Vec<Kept>,
    /// Those that are lent and come back.
    lent: usize,
}

#[derive(Debug)]
struct Kept {
    session: PlatformTx<Engine>,
    planned_at: Instant,
    used_at: Instant,
}

/// How long a session's plans are used. The engine's sessions plan once, for tables as they are: a plan
/// that was right for a few rows may read all of them when there are thousands, and PostgreSQL makes it anew
/// only when the table has been analysed, which may take a minute. To plan costs about as much as to run.
const PLANS_LAST: Duration = Duration::from_secs(5);
/// How long a session that rests is taken for alive, unless its owner says otherwise.
const TRUSTED_FOR: Duration = Duration::from_millis(500);
/// How long it is waited for a sign of life.
const ANSWER_TIME: Duration = Duration::from_secs(3);

impl KeptSessions {
    /// At most `most` of them, opened when they are needed. Who asks for more at the same time gets one of the
    /// pool's.
    #[must_use]
    pub fn new(database: &Database, most: usize) -> Self {
        Self {
            database: database.clone(),
            stock: Arc::new(Mutex::new(Stock {
                most,
                trusted_for: TRUSTED_FOR,
                resting: Vec::new(),
                lent: 0,
            })),
        }
    }

    /// For an owner that tries again with another session when one turns out to be dead: they are asked for a
    /// sign of life only when they are to plan anew.
    #[must_use]
    pub fn trusted(self) -> Self {
        lock(&self.stock).trusted_for = PLANS_LAST;
        self
    }

    /// A session that is alive, each of whose statements commits by itself. Dropping it closes its connection,
    /// whatever state that is in; give it back with the statement's answer.
    pub async fn take(&self) -> Result<KeptSession, DbError> {
        let mut place = None;
        while let Some((kept, trusted_for)) = self.next(&mut place) {
            match tokio::time::timeout(ANSWER_TIME, kept.ready(trusted_for)).await {
                Ok(Ok(kept)) => return Ok(KeptSession { kept, place }),
                // The server has gone meanwhile, as it has for the others that rest.
                Ok(Err(error)) => tracing::debug!(%error, "a kept session has ended"),
                Err(_elapsed) => tracing::debug!("a kept session does not answer"),
            }
        }
        let engine = self.database.engine();
        let session = match &place {
            Some(_) => engine.dedicated().await?,
            None => engine.statement().await?,
        };
        let now = Instant::now();
        let kept = Kept {
            session,
            planned_at: now,
            used_at: now,
        };
        Ok(KeptSession { kept, place })
    }

    /// The next that rests, if there is one and a place is, or was, free to lend it.
    fn next(&self, place: &mut Option<Place>) -> Option<(Kept, Duration)> {
        let mut stock = lock(&self.stock);
        if place.is_none() {
            if stock.lent >= stock.most {
                return None;
            }
            stock.lent += 1;
            *place = Some(Place(Arc::clone(&self.stock)));
        }
        let trusted_for = stock.trusted_for;
        stock.resting.pop().map(|kept| (kept, trusted_for))
    }
}

/// The stock is whole between any two statements.
fn lock(stock: &Mutex<Stock>) -> MutexGuard<'_, Stock> {
    stock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Itself, if it is alive, with plans that are young enough.
    async fn ready(mut self, trusted_for: Duration) -> Result<Self, sqlx::Error> {
        let connection = self.session.connection();
        if self.planned_at.elapsed() >= PLANS_LAST {
            sqlx::raw_sql("DISCARD PLANS").execute(connection).await?;
            self.planned_at = Instant::now();
        } else if self.used_at.elapsed() >= trusted_for {
            metrics::counter!("unity_database_pings_total").increment(1);
            sqlx::Connection::ping(connection).await?;
        }
        Ok(self)
    }
}

/// The right to lend one of the stock, given back when it is dropped.
#[derive(Debug)]
struct Place(Arc<Mutex<Stock>>);

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0).lent -= 1;
    }
}

/// A session that was taken.
#[derive(Debug)]
pub struct KeptSession {
    kept: Kept,
    /// Absent = it is the pool's.
    place: Option<Place>,
}

impl KeptSession {
    /// Gives it back, unless the `answer` of its last statement says that it may be broken.
    pub fn give_back<T>(self, answer: &Result<T, DbError>) {
        let is_sound = answer
            .as_ref()
            .err()
            .is_none_or(|error| !matches!(error, DbError::Unavailable(_)));
        if let (true, Some(Place(stock))) = (is_sound, &self.place) {
            lock(stock).resting.push(Kept {
                used_at: Instant::now(),
                ..self.kept
            });
        }
    }
}

impl Deref for KeptSession {
    type Target = PlatformTx<Engine>;

    fn deref(&self) -> &Self::Target {
        &self.kept.session
    }
}

impl DerefMut for KeptSession {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kept.session
    }
}
