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
            ("DELETE FROM environments WHERE state = 'closed' AND closed_at < $1", closed),
            ("DELETE FROM commit_statuses WHERE written_at < $1", closed),
            ("DELETE FROM deliveries WHERE processed_at < $1", deliveries),
        ] {
            sqlx::query(delete).bind(before).execute(&mut *transaction).await.attempt(attempted)?;
        }
        let statuses = "DELETE FROM statuses WHERE uid IN (SELECT uid FROM environments WHERE state = 'closed')";
        sqlx::query(statuses).execute(&mut *transaction).await.attempt(attempted)?;
        self.commit(attempted, transaction, None).await
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::{self, at, cluster, record, uid};
    use crate::{Publication, Which};
    use lapdev_api::{
        record::{EnvironmentRecord, Life},
        status::Phase,
    };

    #[tokio::test]
    async fn what_lives_is_never_forgotten_and_what_ended_is_in_time() {
        let (_folder, store) = sample::store().await;
        let (evidence, day) = (sample::evidence(), 24 * 3600);
        let closing =
            EnvironmentRecord { life: Life::Closing { evidence: evidence.clone(), at: at(0) }, ..record(1, 1) };
        let early = EnvironmentRecord { life: Life::Closed { evidence: evidence.clone(), at: at(0) }, ..record(2, 1) };
        let late = EnvironmentRecord { life: Life::Closed { evidence, at: at(2 * day) }, ..record(3, 1) };
        let records = vec![closing.clone(), early.clone(), late.clone(), record(4, 1)];
        store.publish(Publication { records: records.clone(), bundles: vec![] }).await.expect("published");
        for record in &records {
            store.record_status(&cluster(), &sample::status(record, Phase::Ready), at(1)).await.expect("recorded");
        }
        store.prune(at(31 * day)).await.expect("pruned");
        assert_eq!(store.environments(Which::All).await.expect("listed"), [closing, late, record(4, 1)]);
        let statuses = store.statuses().await.expect("listed");
        let uids: Vec<_> = statuses.into_iter().map(|(_, status)| status.uid).collect();
        assert_eq!(uids, [uid(1), uid(4)]);
        store.prune(at(400 * day)).await.expect("pruned");
        assert_eq!(store.environments(Which::All).await.expect("listed").len(), 2);
    }
}
