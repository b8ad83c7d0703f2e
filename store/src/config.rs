//! What is in force out of the config repository, as far as others than the reconciler need it: its state for people,
//! and each cluster's policy for the hub.

use crate::{
    Store, StoreError, Topic,
    convert::{from_json, to_json},
    error::Attempt as _,
};
use lapdev_api::{kinds::Cluster, view::ConfigView};

const STATE: &str = "config";
const CLUSTERS: &str = "clusters";

impl Store {
    /// The state of the config repository; the empty one before the first load.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn config(&self) -> Result<ConfigView, StoreError> {
        let json = self.document(STATE).await?;
        json.map_or_else(|| Ok(ConfigView::default()), |json| from_json("the state of", STATE, &json))
    }

    /// Replaces the state of the config repository. The same once more writes nothing and notifies nobody.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_config(&self, view: &ConfigView) -> Result<(), StoreError> {
        self.put_document(STATE, to_json(view)).await
    }

    /// The clusters that are declared, in their given order.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, StoreError> {
        let json = self.document(CLUSTERS).await?;
        json.map_or_else(|| Ok(Vec::new()), |json| from_json("the list of", CLUSTERS, &json))
    }

    /// Replaces the list of clusters. The same once more writes nothing and notifies nobody.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_clusters(&self, clusters: &[Cluster]) -> Result<(), StoreError> {
        self.put_document(CLUSTERS, to_json(&clusters)).await
    }

    async fn document(&self, name: &str) -> Result<Option<String>, StoreError> {
        let select = sqlx::query_scalar("SELECT value FROM documents WHERE name = $1").bind(name);
        select.fetch_optional(&self.readers).await.attempt("read the config repository's state")
    }

    async fn put_document(&self, name: &str, json: String) -> Result<(), StoreError> {
        let attempted = "write the config repository's state";
        let mut transaction = self.begin(attempted).await?;
        let upsert = sqlx::query(
            "INSERT INTO documents (name, value) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE documents.value <> excluded.value",
        );
        let upsert = upsert.bind(name).bind(json).execute(&mut *transaction).await;
        if upsert.attempt(attempted)?.rows_affected() == 0 {
            return Ok(());
        }
        self.commit(attempted, transaction, Some(Topic::Config)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use lapdev_api::kinds::Permissions;

    #[tokio::test]
    async fn the_config_repositorys_state_is_replaced_and_only_news_notifies() {
        let (_folder, store) = sample::store().await;
        let watch = store.watch(Topic::Config);
        assert_eq!(store.config().await.expect("read"), ConfigView::default());
        assert_eq!(store.clusters().await.expect("read"), []);
        let view = ConfigView { errors: vec!["clusters/dev.yaml:3:1: unknown field".to_owned()], ..Default::default() };
        let dev = Cluster {
            name: sample::cluster(),
            labels: [("tier".to_owned(), "dev".to_owned())].into(),
            permissions: Permissions { shared: true, ..Default::default() },
            source_namespaces: vec!["shop".parse().expect("legal")],
            namespace_prefix: "lapdev-env-".to_owned(),
            preview_domain: Some("preview.dev.example.com".to_owned()),
        };
        for _ in 0..2 {
            store.put_config(&view).await.expect("put");
            store.put_clusters(std::slice::from_ref(&dev)).await.expect("put");
        }
        assert_eq!(*watch.borrow(), 2);
        assert_eq!(store.config().await.expect("read"), view);
        assert_eq!(store.clusters().await.expect("read"), [dev]);
        store.put_clusters(&[]).await.expect("put");
        assert_eq!(store.clusters().await.expect("read"), []);
        assert_eq!(*watch.borrow(), 3);
    }
}
