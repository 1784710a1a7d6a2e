//! How many mails an address got from a tenant lately.
//!
//! Whoever may invite can have a mail sent to anybody: an invitation that is revoked and made again is
//! another mail. So the mails of all of a tenant's invitations to an address are counted together.

use chrono::{DateTime, TimeDelta, Utc};

use super::EmailAddress;
use crate::{
    db::{DbError, TenantTx},
    ids::InvitationId,
};

/// Between two mails to an address.
const PAUSE: TimeDelta = TimeDelta::minutes(1);
/// Mails that an address gets within [`PERIOD`].
const MOST: i64 = 5;
/// How long mails are counted together.
const PERIOD: TimeDelta = TimeDelta::days(1);

/// The mails of invitations that an address got from a tenant within a day.
#[derive(Debug, Clone, Copy)]
pub struct RecentMails {
    count: i64,
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
}

impl RecentMails {
    /// When another may be sent to the address, if many were; absent = now.
    #[must_use]
    pub fn rest_until(&self) -> Option<DateTime<Utc>> {
        let oldest = self.oldest.filter(|_| self.count >= MOST)?;
        Some(oldest + PERIOD)
    }

    /// When the first mail of another invitation may be sent to the address; absent = now.
    #[must_use]
    pub fn pause_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let pause = self.newest.map(|newest| newest + PAUSE);
        self.rest_until().max(pause.filter(|until| *until > now))
    }
}

/// What the transaction's tenant sent to the address, but for what belongs to `except`. A mail that has not
/// left yet counts from its invitation on: it may be on its way when that is revoked.
pub async fn find_recent_mails(
    tx: &mut TenantTx,
    email: &EmailAddress,
    except: Option<InvitationId>,
    now: DateTime<Utc>,
) -> Result<RecentMails, DbError> {
    let tenant = tx.tenant().clone();
    let found = sqlx::query_as!(
        RecentMails,
        r#"SELECT coalesce(sum(greatest(mailed_issue, 1)), 0) AS "count!",
                  min(coalesce(mailed_at, created_at)) AS oldest, max(coalesce(mailed_at, created_at)) AS newest
           FROM invitations
           WHERE tenant_id = $1 AND lower(email) = lower($2) AND id IS DISTINCT FROM $3
             AND coalesce(mailed_at, created_at) > $4"#,
        tenant.as_str(),
        email.as_str(),
        except.map(|id| id.as_uuid()),
        now - PERIOD,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_one_mail_a_minute_and_five_a_day() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let mails = |count| RecentMails {
            count,
            oldest: Some(at(0)),
            newest: Some(at(100)),
        };
        assert_eq!(mails(4).pause_until(at(159)), Some(at(160)));
        assert_eq!(mails(4).pause_until(at(160)), None);
        assert_eq!(mails(4).rest_until(), None);
        assert_eq!(mails(5).pause_until(at(160)), Some(at(24 * 3600)));
        assert_eq!(mails(5).rest_until(), Some(at(24 * 3600)));
        let none = RecentMails {
            count: 0,
            oldest: None,
            newest: None,
        };
        assert_eq!(none.pause_until(at(0)), None);
    }
}
