//! What agents report of environments: one status each, the newest.

use crate::{
    Store, StoreError, Topic,
    convert::{from_json, parse, signed, to_json},
    error::Attempt as _,
};
use jiff::Timestamp;
use lapdev_api::{
    name::{ClusterName, Uid},
    status::EnvironmentStatus,
};

impl Store {
    /// Keeps an agent's report, and says whether it was kept: not when the environment is unknown or placed in another
    /// cluster, nor when a newer generation's status is known, nor when it says what the last one said.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn record_status(
        &self,
        cluster: &ClusterName,
        status: &EnvironmentStatus,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let attempted = "record a status";
        let mut transaction = self.begin(attempted).await?;
        let upsert = sqlx::query(
            "INSERT INTO statuses (uid, cluster, generation, reported_at, status)
             SELECT uid, cluster, $3, $4, $5 FROM environments WHERE uid = $1 AND cluster = $2
             ON CONFLICT (uid) DO UPDATE SET generation = excluded.generation, reported_at = excluded.reported_at,
                 status = excluded.status
             WHERE excluded.generation >= statuses.generation AND excluded.status <> statuses.status",
        )
        .bind(status.uid.as_str())
        .bind(cluster.as_str())
        .bind(signed(attempted, status.generation.0)?)
        .bind(at.as_microsecond())
        .bind(to_json(status));
        if upsert.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() == 0 {
            return Ok(false);
        }
        self.commit(attempted, transaction, Some(Topic::Status)).await?;
        Ok(true)
    }

    /// Every known status, with the cluster that reported it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn statuses(&self) -> Result<Vec<(ClusterName, EnvironmentStatus)>, StoreError> {
        let select = sqlx::query_as("SELECT cluster, uid, status FROM statuses ORDER BY uid");
        let rows: Vec<(String, String, String)> = select.fetch_all(&self.readers).await.attempt("list statuses")?;
        let read = |(cluster, uid, json): &(String, String, String)| {
            Ok((parse("the cluster", cluster)?, from_json("the status of", uid, json)?))
        };
        rows.iter().map(read).collect()
    }

    /// The last status of one environment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn status(&self, uid: &Uid) -> Result<Option<EnvironmentStatus>, StoreError> {
        let select = sqlx::query_scalar("SELECT status FROM statuses WHERE uid = $1").bind(uid.as_str());
        let json: Option<String> = select.fetch_optional(&self.readers).await.attempt("read a status")?;
        json.map(|json| from_json("the status of", uid.as_str(), &json)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Publication;
    use crate::sample::{self, at, cluster, record, uid};
    use lapdev_api::{name::Generation, status::Phase};

    #[tokio::test]
    async fn the_newest_status_of_an_environment_counts_and_only_from_its_own_cluster() {
        let (_folder, store) = sample::store().await;
        let known = record(1, 3);
        store.publish(Publication { records: vec![known.clone()], bundles: vec![] }).await.expect("published");
        let watch = store.watch(Topic::Status);
        let record = async |from: &ClusterName, status: &EnvironmentStatus| {
            store.record_status(from, status, at(1)).await.expect("asked")
        };
        let ready = sample::status(&known, Phase::Ready);
        let older = EnvironmentStatus { generation: Generation(2), ..sample::status(&known, Phase::Failed) };
        let unknown = sample::status(&sample::record(2, 1), Phase::Ready);
        assert!(record(&cluster(), &ready).await);
        assert!(!record(&cluster(), &ready).await, "no news");
        assert!(!record(&cluster(), &older).await, "an older generation");
        assert!(!record(&cluster(), &unknown).await, "an unknown environment");
        let elsewhere = "other".parse().expect("legal");
        assert!(!record(&elsewhere, &sample::status(&known, Phase::Failed)).await, "another cluster's agent");
        assert_eq!(store.statuses().await.expect("listed"), [(cluster(), ready.clone())]);
        assert_eq!(*watch.borrow(), 1);
        let progressing = sample::status(&known, Phase::Progressing);
        assert!(record(&cluster(), &progressing).await);
        assert_eq!(store.status(&uid(1)).await.expect("read"), Some(progressing));
        assert_eq!(store.status(&uid(2)).await.expect("read"), None);
    }
}
