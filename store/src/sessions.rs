//! Agents' sessions: one for each cluster, fenced by the epoch of the agent's Lease, so that an agent that lost it does
//! not push out the one that holds it.

use crate::{
    Store, StoreError, Topic,
    convert::{parse, signed, time, unsigned},
    error::Attempt as _,
};
use jiff::{SignedDuration, Timestamp};
use lapdev_api::name::ClusterName;

/// How long a session that ended keeps lower epochs out. An agent that lost its Lease knows it well within this; a
/// cluster that was built anew, whose Lease counts from zero, is not kept out for good.
pub const EPOCH_KEPT: SignedDuration = SignedDuration::from_mins(2);

/// The newest session of one cluster's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSession {
    /// The cluster.
    pub cluster: ClusterName,
    /// Whether it is open.
    pub connected: bool,
    /// When the agent was last heard of.
    pub last_seen: Timestamp,
    /// The agent's version.
    pub agent_version: String,
    /// The API server's version, once the agent has said it.
    pub kubernetes: Option<String>,
    /// The epoch of the agent's Lease.
    pub epoch: u64,
    /// Whether everything that the agent holds was taken note of since this store was opened: only then can be said
    /// that the cluster does not hold something.
    pub adopted: bool,
}

type Row = (String, bool, i64, String, Option<String>, i64, bool);

impl Store {
    /// A session opens. False: one of a higher epoch is open, or was until [`EPOCH_KEPT`] ago; this one must stand by.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn session_opened(
        &self,
        cluster: &ClusterName,
        epoch: u64,
        agent_version: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let attempted = "open a session";
        let mut transaction = self.begin(attempted).await?;
        let upsert = sqlx::query(
            "INSERT INTO sessions (cluster, epoch, opened_at, last_seen, connected, agent_version, kubernetes)
             VALUES ($1, $2, $3, $3, TRUE, $4, NULL)
             ON CONFLICT (cluster) DO UPDATE SET epoch = excluded.epoch, opened_at = excluded.opened_at,
                 last_seen = excluded.last_seen, connected = TRUE, agent_version = excluded.agent_version
             WHERE sessions.epoch <= excluded.epoch OR (NOT sessions.connected AND sessions.last_seen < $5)",
        )
        .bind(cluster.as_str())
        .bind(signed(attempted, epoch)?)
        .bind(at.as_microsecond())
        .bind(agent_version)
        .bind(at.saturating_sub(EPOCH_KEPT).unwrap_or(Timestamp::MIN).as_microsecond());
        if upsert.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() == 0 {
            return Ok(false);
        }
        self.commit(attempted, transaction, Some(Topic::Status)).await?;
        Ok(true)
    }

    /// The agent of the open session was heard of; `kubernetes` when it said its API server's version. Nobody is
    /// notified unless that version is news.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn session_seen(
        &self,
        cluster: &ClusterName,
        epoch: u64,
        kubernetes: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let attempted = "note that an agent was heard of";
        let mut transaction = self.begin(attempted).await?;
        let epoch = signed(attempted, epoch)?;
        let news = sqlx::query(
            "UPDATE sessions SET kubernetes = $3
             WHERE cluster = $1 AND epoch = $2 AND $3 IS NOT NULL AND COALESCE(kubernetes, '') <> $3",
        );
        let news = news.bind(cluster.as_str()).bind(epoch).bind(kubernetes);
        let news = news.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() > 0;
        let seen = "UPDATE sessions SET last_seen = $3 WHERE cluster = $1 AND epoch = $2 AND last_seen < $3";
        let seen = sqlx::query(seen).bind(cluster.as_str()).bind(epoch).bind(at.as_microsecond());
        seen.execute(&mut *transaction).await.attempt(attempted)?;
        self.commit(attempted, transaction, news.then_some(Topic::Status)).await
    }

    /// Everything that the agent of the open session holds was taken note of ([`Store::adopt`]). The first time since this
    /// store was opened wakes whoever waits to publish something new there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn session_adopted(&self, cluster: &ClusterName, epoch: u64) -> Result<(), StoreError> {
        let attempted = "note that an agent has said what it holds";
        let mut transaction = self.begin(attempted).await?;
        let update = "UPDATE sessions SET adopted = TRUE WHERE cluster = $1 AND epoch = $2 AND NOT adopted";
        let update = sqlx::query(update).bind(cluster.as_str()).bind(signed(attempted, epoch)?);
        let first = update.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() > 0;
        self.commit(attempted, transaction, first.then_some(Topic::Desired)).await
    }

    /// A session ended. `opened_at` is what [`Self::session_opened`] was given: the end of an earlier connection of
    /// the same agent, learnt late, must not end the present one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn session_closed(
        &self,
        cluster: &ClusterName,
        epoch: u64,
        opened_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let attempted = "close a session";
        let mut transaction = self.begin(attempted).await?;
        let update = sqlx::query(
            "UPDATE sessions SET connected = FALSE, last_seen = $4
             WHERE cluster = $1 AND epoch = $2 AND opened_at = $3 AND connected",
        )
        .bind(cluster.as_str())
        .bind(signed(attempted, epoch)?)
        .bind(opened_at.as_microsecond())
        .bind(at.as_microsecond());
        let ended = update.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() > 0;
        self.commit(attempted, transaction, ended.then_some(Topic::Status)).await
    }

    /// The newest session of each cluster that ever had one, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn sessions(&self) -> Result<Vec<ClusterSession>, StoreError> {
        let select = sqlx::query_as(
            "SELECT cluster, connected, last_seen, agent_version, kubernetes, epoch, adopted FROM sessions ORDER BY cluster",
        );
        let rows: Vec<Row> = select.fetch_all(&self.readers).await.attempt("list sessions")?;
        rows.into_iter().map(read).collect()
    }
}

fn read(row: Row) -> Result<ClusterSession, StoreError> {
    let (cluster, connected, last_seen, agent_version, kubernetes, epoch, adopted) = row;
    let last_seen = time("the time of the session of", &cluster, last_seen)?;
    let epoch = unsigned("the epoch of", &cluster, epoch)?;
    Ok(ClusterSession {
        cluster: parse("the cluster", &cluster)?,
        connected,
        last_seen,
        agent_version,
        kubernetes,
        epoch,
        adopted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, at, cluster};

    #[tokio::test]
    async fn a_lower_epoch_stands_by_but_not_for_good() {
        let (_folder, store) = sample::store().await;
        let open = async |epoch, when| store.session_opened(&cluster(), epoch, "0.1.0", at(when)).await.expect("asked");
        assert!(open(5, 0).await);
        assert!(!open(4, 1000).await, "a higher one is open, however quiet");
        assert!(open(5, 2000).await, "the same agent comes back");
        assert!(open(6, 2001).await, "another agent holds the Lease now");
        store.session_closed(&cluster(), 6, at(2001), at(2010)).await.expect("closed");
        assert!(!open(1, 2011).await, "an agent that does not know yet that it lost its Lease");
        assert!(open(1, 2010 + EPOCH_KEPT.as_secs() + 1).await, "a cluster that was built anew");
    }

    #[tokio::test]
    async fn the_late_end_of_an_earlier_connection_does_not_end_the_present_one() {
        let (_folder, store) = sample::store().await;
        let watch = store.watch(Topic::Status);
        let connected = async || store.sessions().await.expect("listed")[0].connected;
        assert!(store.session_opened(&cluster(), 1, "0.1.0", at(0)).await.expect("opened"));
        assert!(store.session_opened(&cluster(), 1, "0.1.0", at(5)).await.expect("opened"));
        store.session_closed(&cluster(), 1, at(0), at(6)).await.expect("late");
        assert!(connected().await);
        assert_eq!(*watch.borrow(), 2);
        store.session_closed(&cluster(), 1, at(5), at(7)).await.expect("closed");
        assert!(!connected().await);
        assert_eq!(*watch.borrow(), 3);
    }

    #[tokio::test]
    async fn a_session_tells_when_and_what_was_heard() {
        let (folder, store) = sample::store().await;
        let watch = store.watch(Topic::Status);
        store.session_opened(&cluster(), 3, "0.1.0", at(0)).await.expect("opened");
        store.session_seen(&cluster(), 3, Some("v1.34.1"), at(1)).await.expect("seen");
        store.session_seen(&cluster(), 3, Some("v1.34.1"), at(20)).await.expect("seen");
        store.session_seen(&cluster(), 3, None, at(40)).await.expect("seen");
        store.session_seen(&cluster(), 2, Some("v0"), at(60)).await.expect("another epoch");
        assert_eq!(*watch.borrow(), 2, "opened, and one version that was news");
        let expected = ClusterSession {
            cluster: cluster(),
            connected: true,
            last_seen: at(40),
            agent_version: "0.1.0".to_owned(),
            kubernetes: Some("v1.34.1".to_owned()),
            epoch: 3,
            adopted: false,
        };
        assert_eq!(store.sessions().await.expect("listed"), std::slice::from_ref(&expected));
        let again =
            Store::open(&folder.path().join("lapdev.db"), &sample::control_plane()).await.expect("opened again");
        let ended = ClusterSession { connected: false, ..expected };
        assert_eq!(again.sessions().await.expect("listed"), [ended], "a restart ends every session");
    }

    #[tokio::test]
    async fn what_an_agent_holds_is_to_be_said_again_after_each_opening_of_the_store() {
        let (folder, store) = sample::store().await;
        let watch = store.watch(Topic::Desired);
        let adopted = async |store: &Store| store.sessions().await.expect("listed")[0].adopted;
        store.session_opened(&cluster(), 3, "0.1.0", at(0)).await.expect("opened");
        store.session_adopted(&cluster(), 2).await.expect("another epoch's agent");
        assert!(!adopted(&store).await);
        store.session_adopted(&cluster(), 3).await.expect("noted");
        store.session_opened(&cluster(), 3, "0.1.0", at(9)).await.expect("opened");
        store.session_adopted(&cluster(), 3).await.expect("noted");
        assert!(adopted(&store).await, "whatever it holds since came from this store");
        assert_eq!(*watch.borrow(), 1, "only the first is news");
        store.close().await;
        let again = Store::open(&folder.path().join("lapdev.db"), &sample::control_plane()).await.expect("opened");
        assert!(!adopted(&again).await, "this file may be a copy from before something was published");
    }
}
