//! Forgets what nobody will ask for any more.

use crate::{Store, StoreError, error::Attempt as _};
use jiff::{SignedDuration, Timestamp};

/// How long a closed environment is remembered: so long its address answers 410.
pub const CLOSED_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a processed delivery is remembered, longer than any forge delivers again.
pub const DELIVERIES_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Store {
    /// Forgets closed environments after [`CLOSED_KEPT`], statuses of closed ones at once, processed deliveries after
    /// [`DELIVERIES_KEPT`], and which commit statuses were written more than [`CLOSED_KEPT`] ago.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn prune(&self, now: Timestamp) -> Result<(), StoreError> {
        let attempted = "forget what is old";
        let before = |kept| now.saturating_sub(kept).unwrap_or(Timestamp::MIN).as_microsecond();
        let mut transaction = self.begin(attempted).await?;
        let (closed, deliveries) = (before(CLOSED_KEPT), before(DELIVERIES_KEPT));
        for (delete, before) in [
            ("DELETE FROM environments WHERE state = 'closed' AND closed_at < ?1", closed),
            ("DELETE FROM commit_statuses WHERE written_at < ?1", closed),
            ("DELETE FROM deliveries WHERE processed_at < ?1", deliveries),
        ] {
            sqlx::query(delete).bind(before).execute(&mut *transaction).await.attempt(attempted)?;
        }
        let statuses = "DELETE FROM statuses WHERE uid IN (SELECT uid FROM environments WHERE state = 'closed')";
        sqlx::query(statuses).execute(&mut *transaction).await.attempt(attempted)?;
        self.commit(attempted, transaction, None).await
    }
}
