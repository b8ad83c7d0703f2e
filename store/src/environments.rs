//! The ledger of environments: reading it, and writing one row with the columns that mirror its record.

use crate::{
    Store, StoreError,
    convert::{from_json, parse, signed, to_json, unsigned},
    error::Attempt as _,
};
use lapdev_api::{
    name::{ClusterName, EnvironmentName, Generation, Uid},
    record::{EnvironmentRecord, Life, PreviewRecord},
    wire::Assignment,
};
use sqlx::SqliteConnection;

/// Asked at each connect and after each change.
const DESIRED: &str = "
    SELECT uid, generation, bundle, CASE state WHEN 'closing' THEN record END FROM environments
    WHERE cluster = $1 AND (state = 'closing' OR (state = 'live' AND bundle IS NOT NULL)) ORDER BY uid";

/// Asked at each request of a preview.
const BY_HOST: &str = "
    SELECT environments.record FROM preview_hosts
    JOIN environments ON environments.uid = preview_hosts.uid WHERE preview_hosts.host = $1
    ORDER BY CASE environments.state WHEN 'live' THEN 0 WHEN 'queued' THEN 1 WHEN 'closing' THEN 2 ELSE 3 END,
             environments.first_seen DESC, environments.uid LIMIT 1";

/// Which environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are not [`Life::Closed`].
    Living,
    /// Those as well, for as long as they are kept.
    All,
}

/// What one cluster's agent should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Desired {
    /// This environment, so.
    Assign(Assignment),
    /// This environment no more.
    Tombstone {
        /// Which.
        uid: Uid,
        /// The tombstone's, newer than any assignment's.
        generation: Generation,
        /// Why, for people.
        evidence: String,
    },
}

impl Store {
    /// Every environment, by name; lives of one name in their order.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn environments(&self, which: Which) -> Result<Vec<EnvironmentRecord>, StoreError> {
        let select = match which {
            Which::Living => {
                "SELECT uid, record FROM environments WHERE state <> 'closed' ORDER BY name, first_seen, uid"
            }
            Which::All => "SELECT uid, record FROM environments ORDER BY name, first_seen, uid",
        };
        let rows: Vec<(String, String)> =
            sqlx::query_as(select).fetch_all(&self.readers).await.attempt("list environments")?;
        rows.iter().map(|(uid, json)| from_json("the environment", uid, json)).collect()
    }

    /// One life of an environment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn environment(&self, uid: &Uid) -> Result<Option<EnvironmentRecord>, StoreError> {
        let mut connection = self.readers.acquire().await.attempt("read an environment")?;
        find(&mut connection, uid).await
    }

    /// The newest life of that name: a living one if there is one, else the one that was first seen last.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn environment_by_name(&self, name: &EnvironmentName) -> Result<Option<EnvironmentRecord>, StoreError> {
        let select = sqlx::query_scalar(
            "SELECT record FROM environments WHERE name = $1
             ORDER BY CASE state WHEN 'closed' THEN 1 ELSE 0 END, first_seen DESC, uid LIMIT 1",
        );
        let json: Option<String> =
            select.bind(name.as_str()).fetch_optional(&self.readers).await.attempt("read an environment by name")?;
        json.map(|json| from_json("the environment", name.as_str(), &json)).transpose()
    }

    /// What the agent of a cluster should hold: an assignment for each living environment that was published, a
    /// tombstone for each that is closing.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn desired(&self, cluster: &ClusterName) -> Result<Vec<Desired>, StoreError> {
        let rows: Vec<DesiredRow> = sqlx::query_as(DESIRED)
            .bind(cluster.as_str())
            .fetch_all(&self.readers)
            .await
            .attempt("read a cluster's desired state")?;
        rows.into_iter().filter_map(|row| desired_row(row).transpose()).collect()
    }

    /// The environment that a preview's host belongs to, and the preview: of a living one if there is one, else of the
    /// newest closed one that is still kept, so that its address can be answered with 410. `host` is without port.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn preview_host(&self, host: &str) -> Result<Option<(EnvironmentRecord, PreviewRecord)>, StoreError> {
        let host = host.to_ascii_lowercase();
        let json: Option<String> = sqlx::query_scalar(BY_HOST)
            .bind(&host)
            .fetch_optional(&self.readers)
            .await
            .attempt("look for a preview's host")?;
        let Some(json) = json else { return Ok(None) };
        let record: EnvironmentRecord = from_json("the environment of the host", &host, &json)?;
        let preview = record.previews.iter().find(|preview| preview.host.eq_ignore_ascii_case(&host)).cloned();
        Ok(preview.map(|preview| (record, preview)))
    }
}

type DesiredRow = (String, i64, Option<String>, Option<String>);

fn desired_row((uid, generation, bundle, closing): DesiredRow) -> Result<Option<Desired>, StoreError> {
    let generation = Generation(unsigned("the generation of the environment", &uid, generation)?);
    if let Some(json) = closing {
        let record: EnvironmentRecord = from_json("the environment", &uid, &json)?;
        let Life::Closing { evidence, .. } = record.life else { return Ok(None) };
        let uid = record.identity.uid;
        return Ok(Some(Desired::Tombstone { uid, generation, evidence: evidence.to_string() }));
    }
    let Some(bundle) = bundle else { return Ok(None) };
    let digest = parse("the digest of the bundle", &bundle)?;
    Ok(Some(Desired::Assign(Assignment { uid: parse("the environment", &uid)?, generation, digest })))
}

/// One life of an environment, as the connection sees it now.
pub(crate) async fn find(
    connection: &mut SqliteConnection,
    uid: &Uid,
) -> Result<Option<EnvironmentRecord>, StoreError> {
    let select = sqlx::query_scalar("SELECT record FROM environments WHERE uid = $1").bind(uid.as_str());
    let json: Option<String> = select.fetch_optional(connection).await.attempt("read an environment")?;
    json.map(|json| from_json("the environment", uid.as_str(), &json)).transpose()
}

/// Writes a record, and the columns and rows that mirror it.
pub(crate) async fn write(connection: &mut SqliteConnection, record: &EnvironmentRecord) -> Result<(), StoreError> {
    let attempted = "write an environment";
    let (state, bundle_needed, closed_at) = match &record.life {
        Life::Queued { .. } => ("queued", true, None),
        Life::Live => ("live", true, None),
        Life::Closing { .. } => ("closing", false, None),
        Life::Closed { at, .. } => ("closed", false, Some(at.as_microsecond())),
    };
    let bundle = record.digest.filter(|_| bundle_needed).map(|digest| digest.to_string());
    let upsert = sqlx::query(
        "INSERT INTO environments (uid, name, cluster, state, generation, bundle, first_seen, closed_at, record)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (uid) DO UPDATE SET name = excluded.name, cluster = excluded.cluster, state = excluded.state,
             generation = excluded.generation, bundle = excluded.bundle, first_seen = excluded.first_seen,
             closed_at = excluded.closed_at, record = excluded.record",
    )
    .bind(record.identity.uid.as_str())
    .bind(record.identity.name.as_str())
    .bind(record.cluster.as_str())
    .bind(state)
    .bind(signed(attempted, record.generation.0)?)
    .bind(bundle)
    .bind(record.first_seen.as_microsecond())
    .bind(closed_at)
    .bind(to_json(record));
    upsert.execute(&mut *connection).await.attempt(attempted)?;
    write_hosts(connection, record).await
}

async fn write_hosts(connection: &mut SqliteConnection, record: &EnvironmentRecord) -> Result<(), StoreError> {
    let attempted = "write an environment's preview hosts";
    let uid = record.identity.uid.as_str();
    let delete = sqlx::query("DELETE FROM preview_hosts WHERE uid = $1").bind(uid);
    delete.execute(&mut *connection).await.attempt(attempted)?;
    for preview in &record.previews {
        let insert = "INSERT INTO preview_hosts (host, uid) VALUES ($1, $2) ON CONFLICT (host, uid) DO NOTHING";
        let insert = sqlx::query(insert).bind(preview.host.to_ascii_lowercase()).bind(uid);
        insert.execute(&mut *connection).await.attempt(attempted)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Publication;
    use crate::sample::{self, at, bundle, cluster, record, uid};
    use lapdev_api::{kinds::Access, status::Phase};
    use sqlx::{AssertSqlSafe, Row as _, sqlite::SqliteRow};
    use std::time::Instant;

    fn with_host(mut record: EnvironmentRecord, host: &str) -> EnvironmentRecord {
        let preview = PreviewRecord {
            service: "web".to_owned(),
            host: host.to_owned(),
            access: Access::Public,
            routes: vec![],
            branch: true,
        };
        record.previews = vec![preview];
        record
    }

    fn closed(mut record: EnvironmentRecord, when: i64) -> EnvironmentRecord {
        record.life = Life::Closed { evidence: sample::evidence(), at: at(when) };
        record
    }

    #[tokio::test]
    async fn a_record_is_read_as_it_was_published() {
        let (_folder, store) = sample::store().await;
        let (digest, bytes) = bundle(1);
        let mut one = with_host(record(1, 3), "web--one.example.com");
        one.digest = Some(digest);
        one.life = Life::Queued { reason: "the limit of 50 — Grüße".to_owned() };
        let records = vec![one.clone(), record(2, 0)];
        store.publish(Publication { records, bundles: vec![(digest, bytes.clone())] }).await.expect("published");
        assert_eq!(store.environment(&uid(1)).await.expect("read"), Some(one.clone()));
        assert_eq!(store.environment_by_name(&one.identity.name).await.expect("read"), Some(one.clone()));
        assert_eq!(store.environments(Which::Living).await.expect("read"), [one, record(2, 0)]);
        assert_eq!(store.environment(&uid(3)).await.expect("read"), None);
        assert_eq!(store.bundle(&digest).await.expect("read"), Some(bytes));
    }

    #[tokio::test]
    async fn a_cluster_is_assigned_what_lives_and_told_what_ends_and_nothing_of_others() {
        let (_folder, store) = sample::store().await;
        let (digest, bytes) = bundle(1);
        let live = EnvironmentRecord { digest: Some(digest), ..record(1, 2) };
        let closing = Life::Closing { evidence: sample::evidence(), at: at(9) };
        let ended = EnvironmentRecord { life: closing, ..record(2, 7) };
        let elsewhere = EnvironmentRecord { cluster: "other".parse().expect("legal"), ..live.clone() };
        let elsewhere = sample::renamed(elsewhere, 3);
        let records = vec![live, ended, elsewhere, record(4, 0), closed(record(5, 1), 9)];
        store.publish(Publication { records, bundles: vec![(digest, bytes)] }).await.expect("published");
        let assign = Desired::Assign(Assignment { uid: uid(1), generation: Generation(2), digest });
        let evidence = sample::evidence().to_string();
        let tombstone = Desired::Tombstone { uid: uid(2), generation: Generation(7), evidence };
        assert_eq!(store.desired(&cluster()).await.expect("read"), [assign, tombstone]);
    }

    #[tokio::test]
    async fn a_host_belongs_to_the_life_that_runs_and_else_to_the_last_one() {
        let (_folder, store) = sample::store().await;
        let host = "web--one.example.com";
        let publish = |records| store.publish(Publication { records, bundles: vec![] });
        let mut first = closed(with_host(record(1, 1), host), 5);
        first.first_seen = at(1);
        let mut second = sample::renamed(closed(with_host(record(1, 1), host), 6), 2);
        second.first_seen = at(2);
        publish(vec![first.clone(), second.clone()]).await.expect("published");
        let found = store.preview_host("WEB--one.example.com").await.expect("read").expect("known");
        assert_eq!(found.0.identity.uid, uid(2));
        let mut living = sample::renamed(with_host(record(1, 1), host), 3);
        living.first_seen = at(0);
        publish(vec![living]).await.expect("published");
        let found = store.preview_host(host).await.expect("read").expect("known");
        assert_eq!((found.0.identity.uid, found.1.host.as_str()), (uid(3), host));
        publish(vec![with_host(sample::renamed(record(1, 1), 3), "else.example.com")]).await.expect("published");
        assert_eq!(store.preview_host(host).await.expect("read").expect("known").0.identity.uid, uid(2));
        assert_eq!(store.preview_host("nobody.example.com").await.expect("read"), None);
    }

    #[tokio::test]
    async fn hot_lookups_never_read_the_whole_table() {
        let (_folder, store) = sample::store().await;
        for (sql, key) in [(DESIRED, "dev"), (BY_HOST, "web--one.example.com")] {
            let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).bind(key);
            let steps: Vec<SqliteRow> = explain.fetch_all(&store.readers).await.expect("a plan");
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            assert!(steps.iter().any(|step| step.contains("SEARCH")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("SCAN")), "{steps:?}");
        }
    }

    /// Run by hand, on a quiet machine: a time says nothing in CI.
    #[tokio::test]
    #[ignore = "measures time; cargo test -p lapdev-store --release -- --ignored --nocapture"]
    async fn two_hundred_environments_are_read_within_ten_milliseconds() {
        let (_folder, store) = sample::store().await;
        let full = |number| {
            let mut record = with_host(record(number, 4), &format!("web--{number}.example.com"));
            let sentence = |text: &str| lapdev_api::record::Reason { workload: Some("web".into()), text: text.into() };
            record.reasons = vec![sentence("changed files below services/web/**, such as services/web/main.rs"); 8];
            record
        };
        let records: Vec<_> = (0..200).map(full).collect();
        store.publish(Publication { records: records.clone(), bundles: vec![] }).await.expect("published");
        for record in &records {
            let status = sample::status(record, Phase::Ready);
            store.record_status(&cluster(), &status, at(1)).await.expect("recorded");
        }
        let mut times = Vec::new();
        for _ in 0..21 {
            let start = Instant::now();
            assert_eq!(store.environments(Which::Living).await.expect("read").len(), 200);
            times.push(start.elapsed());
        }
        times.sort();
        assert!(times[10].as_millis() < 10, "the median of reading 200 environments is {:?}", times[10]);
    }
}
