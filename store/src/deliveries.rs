//! The ledger of webhook deliveries: each is recorded once, before the forge hears 2xx, and marked when processed. A
//! delivery only says "look now"; nothing is taken from it as true.

use crate::{Store, StoreError, Topic, convert::time, error::Attempt as _};
use jiff::Timestamp;

/// One webhook delivery, as far as anybody needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The forge's id of it; a redelivery has the same.
    pub id: String,
    /// `github`.
    pub forge: String,
    /// The forge's name of the event, such as `pull_request`.
    pub event: String,
    /// What happened to the event's subject, such as `synchronize`.
    pub action: Option<String>,
    /// The forge's rename-proof id of the repository, as text.
    pub repository_id: Option<String>,
    /// `owner/name`.
    pub repository: Option<String>,
    /// When it came. Kept to the microsecond.
    pub received_at: Timestamp,
    /// Recorded to be looked up, not to be processed: nobody acts on such an event.
    pub ignored: bool,
}

/// Whether a delivery was seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// For the first time.
    New,
    /// Its id was known; nothing was written.
    Duplicate,
}

type Row = (String, String, String, Option<String>, Option<String>, Option<String>, i64, bool);

impl Store {
    /// Records a delivery. When this returns, it is on the disk.
    ///
    /// # Errors
    ///
    /// When the database fails; the forge should then hear 503 and deliver again.
    pub async fn record_delivery(&self, delivery: &Delivery) -> Result<Recorded, StoreError> {
        let attempted = "record a delivery";
        let received = delivery.received_at.as_microsecond();
        let mut transaction = self.begin(attempted).await?;
        let insert = sqlx::query(
            "INSERT INTO deliveries (id, forge, event, action, repository_id, repository, received_at, ignored,
                                     processed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&delivery.id)
        .bind(&delivery.forge)
        .bind(&delivery.event)
        .bind(&delivery.action)
        .bind(&delivery.repository_id)
        .bind(&delivery.repository)
        .bind(received)
        .bind(delivery.ignored)
        .bind(delivery.ignored.then_some(received));
        if insert.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() == 0 {
            return Ok(Recorded::Duplicate);
        }
        let topic = (!delivery.ignored).then_some(Topic::Deliveries);
        self.commit(attempted, transaction, topic).await?;
        Ok(Recorded::New)
    }

    /// Deliveries that wait to be processed, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn pending_deliveries(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let select = sqlx::query_as(
            "SELECT id, forge, event, action, repository_id, repository, received_at, ignored
             FROM deliveries WHERE processed_at IS NULL ORDER BY received_at, id LIMIT $1",
        );
        let rows: Vec<Row> =
            select.bind(i64::from(limit)).fetch_all(&self.readers).await.attempt("read pending deliveries")?;
        rows.into_iter().map(read).collect()
    }

    /// Marks deliveries as processed; an unknown id, or one that was marked before, is left as it is.
    ///
    /// # Errors
    ///
    /// When the database fails; then none is marked.
    pub async fn mark_processed(&self, ids: &[String], at: Timestamp) -> Result<(), StoreError> {
        let attempted = "mark deliveries as processed";
        if ids.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(attempted).await?;
        for id in ids {
            let update = "UPDATE deliveries SET processed_at = $1 WHERE id = $2 AND processed_at IS NULL";
            let update = sqlx::query(update).bind(at.as_microsecond()).bind(id);
            update.execute(&mut *transaction).await.attempt(attempted)?;
        }
        self.commit(attempted, transaction, None).await
    }
}

fn read(row: Row) -> Result<Delivery, StoreError> {
    let (id, forge, event, action, repository_id, repository, received_at, ignored) = row;
    let received_at = time("the time of the delivery", &id, received_at)?;
    Ok(Delivery { id, forge, event, action, repository_id, repository, received_at, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, at};

    fn delivery(id: &str, seconds: i64, ignored: bool) -> Delivery {
        Delivery {
            id: id.to_owned(),
            forge: "github".to_owned(),
            event: "pull_request".to_owned(),
            action: Some("opened".to_owned()),
            repository_id: Some("42".to_owned()),
            repository: Some("acme/shop".to_owned()),
            received_at: at(seconds),
            ignored,
        }
    }

    #[tokio::test]
    async fn a_delivery_is_recorded_once_and_waits_until_it_is_processed() {
        let (_folder, store) = sample::store().await;
        let watch = store.watch(Topic::Deliveries);
        let (one, two) = (delivery("b", 1, false), delivery("a", 2, false));
        for new in [&two, &one, &delivery("c", 0, true)] {
            assert_eq!(store.record_delivery(new).await.expect("recorded"), Recorded::New);
        }
        assert_eq!(*watch.borrow(), 2, "an ignored delivery wakes nobody");
        let again = Delivery { action: None, ..one.clone() };
        assert_eq!(store.record_delivery(&again).await.expect("seen"), Recorded::Duplicate);
        assert_eq!(*watch.borrow(), 2);
        assert_eq!(store.pending_deliveries(10).await.expect("read"), [one.clone(), two.clone()]);
        assert_eq!(store.pending_deliveries(1).await.expect("read"), [one]);
        store.mark_processed(&["b".to_owned(), "unknown".to_owned()], at(3)).await.expect("marked");
        assert_eq!(store.pending_deliveries(10).await.expect("read"), std::slice::from_ref(&two));
        store.prune(at(4 + crate::DELIVERIES_KEPT.as_secs())).await.expect("pruned");
        assert_eq!(store.pending_deliveries(10).await.expect("read"), [two]);
        assert_eq!(store.record_delivery(&delivery("b", 9, false)).await.expect("recorded"), Recorded::New);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_at_once_each_is_new_for_one_and_nobody_finds_the_database_locked() {
        let (folder, store) = sample::store().await;
        let other =
            Store::open(&folder.path().join("lapdev.db"), &sample::control_plane()).await.expect("opened beside it");
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let store = if task % 2 == 0 { store.clone() } else { other.clone() };
            tasks.spawn(async move {
                let mut new = 0;
                for id in 0..20 {
                    let recorded =
                        store.record_delivery(&delivery(&id.to_string(), id, false)).await.expect("recorded");
                    new += usize::from(recorded == Recorded::New);
                    store.pending_deliveries(100).await.expect("read");
                }
                new
            });
        }
        let new: usize = tasks.join_all().await.into_iter().sum();
        assert_eq!((new, store.pending_deliveries(100).await.expect("read").len()), (20, 20));
    }
}
