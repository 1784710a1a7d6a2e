//! Who acts with an act-as token, remembered for a moment: a grant that has ended is refused when the
//! memory ends.

use std::sync::Arc;

use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    sessions::OpenedWith,
    tenancy::{self, ActAsActor, ActAsToken, TenantStatus},
};

use super::{Acting, Actor, Caller, remembered::Remembered};

/// Grants that are remembered at most.
const MOST: u64 = 1_000;

/// The look-ups of act-as tokens.
#[derive(Debug, Clone)]
pub struct ActAsTokens {
    database: Database,
    clock: Clock,
    known: Remembered<[u8; 32], Option<tenancy::Acting>>,
}

impl ActAsTokens {
    /// Knows nothing yet.
    pub fn new(database: Database, clock: Clock) -> Self {
        Self {
            database,
            clock,
            known: Remembered::new(MOST),
        }
    }

    /// The administrator in the tenant, and what has become of the tenant; absent = the token is
    /// nobody's, or its time is over.
    pub async fn find(
        &self,
        token: &ActAsToken,
    ) -> Result<Option<(Caller, TenantStatus)>, Arc<DbError>> {
        let look_up = async {
            let mut tx = self.database.authenticator().statement().await?;
            tenancy::find_acting(&mut tx, token, self.clock.now()).await
        };
        let known = self.known.find(token.hash(), look_up).await?;
        let lasting = known.filter(|acting| self.clock.now() < acting.expires_at);
        Ok(lasting.map(caller_of))
    }
}

fn caller_of(acting: tenancy::Acting) -> (Caller, TenantStatus) {
    let tenancy::Acting {
        id,
        tenant_id,
        tenant_status,
        actor,
        actor_display,
        role,
        scopes,
        reason,
        expires_at,
    } = acting;
    let actor = match actor {
        ActAsActor::ApiKey(id) => Actor::ApiKey { id },
        ActAsActor::User(id, session) => Actor::User {
            id,
            session,
            email: actor_display,
            // Whoever acts has logged in to the platform, where no provider's word is good.
            opened_with: OpenedWith::Password,
        },
    };
    let caller = Caller {
        actor,
        role,
        tenant: Some(tenant_id),
        scopes,
        acting: Some(Acting {
            grant: id,
            reason,
            until: expires_at,
        }),
        must_change_password: false,
        key_ends_at: None,
        rate_limit_per_second: None,
    };
    (caller, tenant_status)
}
