//! Agents' tokens: 256 random bits each, of which only the SHA-256 is kept. Several per cluster, so that they can be
//! changed without a gap.

use crate::{
    Store, StoreError, Topic,
    convert::{parse, time},
    error::Attempt as _,
    secrets::random,
};
use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use lapdev_api::{
    digest::Digest,
    name::{ClusterName, short_id},
    view::TokenView,
};

/// Lets secret scanners and people tell what it is.
const PREFIX: &str = "lapdev_";

impl Store {
    /// Makes a token. Its secret is in this answer and nowhere else.
    ///
    /// # Errors
    ///
    /// When the database fails, or the system gives no random bytes.
    pub async fn create_token(&self, cluster: &ClusterName, at: Timestamp) -> Result<TokenView, StoreError> {
        let attempted = "create a token";
        let id = short_id(random(attempted)?);
        let bits: [u8; 32] = random(attempted)?;
        let secret = format!("{PREFIX}{}", BASE32_NOPAD.encode(&bits).to_ascii_lowercase());
        let mut transaction = self.begin(attempted).await?;
        sqlx::query("INSERT INTO tokens (id, cluster, secret_sha256, created_at) VALUES ($1, $2, $3, $4)")
            .bind(&id)
            .bind(cluster.as_str())
            .bind(fingerprint(&secret))
            .bind(at.as_microsecond())
            .execute(&mut *transaction)
            .await
            .attempt(attempted)?;
        self.commit(attempted, transaction, Some(Topic::Config)).await?;
        Ok(TokenView { id, cluster: cluster.clone(), created_at: at, last_used_at: None, secret: Some(secret) })
    }

    /// Whose token this is: its id and its cluster; none when it is unknown or revoked. Looking up by the hash tells
    /// nothing about the secret by the time it takes.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn find_token(&self, secret: &str) -> Result<Option<(String, ClusterName)>, StoreError> {
        let select = sqlx::query_as("SELECT id, cluster FROM tokens WHERE secret_sha256 = $1");
        let row: Option<(String, String)> =
            select.bind(fingerprint(secret)).fetch_optional(&self.readers).await.attempt("look for a token")?;
        row.map(|(id, cluster)| Ok((id, parse("the token's cluster", &cluster)?))).transpose()
    }

    /// Notes that an agent used a token.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn token_used(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let update =
            sqlx::query("UPDATE tokens SET last_used_at = $2 WHERE id = $1").bind(id).bind(at.as_microsecond());
        update.execute(&self.writer).await.attempt("note the use of a token")?;
        Ok(())
    }

    /// A cluster's tokens, oldest first, without their secrets.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn list_tokens(&self, cluster: &ClusterName) -> Result<Vec<TokenView>, StoreError> {
        let select = "SELECT id, created_at, last_used_at FROM tokens WHERE cluster = $1 ORDER BY created_at, id";
        let select = sqlx::query_as(select).bind(cluster.as_str());
        let rows: Vec<(String, i64, Option<i64>)> = select.fetch_all(&self.readers).await.attempt("list tokens")?;
        let read = |(id, created, used): (String, i64, Option<i64>)| {
            let created_at = time("the time of the token", &id, created)?;
            let last_used_at = used.map(|used| time("the last use of the token", &id, used)).transpose()?;
            Ok(TokenView { id, cluster: cluster.clone(), created_at, last_used_at, secret: None })
        };
        rows.into_iter().map(read).collect()
    }

    /// Ends a token, and says whether there was one. Whoever keeps sessions is notified by [`Topic::Config`].
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn revoke_token(&self, cluster: &ClusterName, id: &str) -> Result<bool, StoreError> {
        let attempted = "revoke a token";
        let mut transaction = self.begin(attempted).await?;
        let delete = sqlx::query("DELETE FROM tokens WHERE id = $1 AND cluster = $2").bind(id).bind(cluster.as_str());
        let revoked = delete.execute(&mut *transaction).await.attempt(attempted)?.rows_affected() > 0;
        self.commit(attempted, transaction, revoked.then_some(Topic::Config)).await?;
        Ok(revoked)
    }
}

fn fingerprint(secret: &str) -> String {
    Digest::of(secret.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, at, cluster};

    #[tokio::test]
    async fn a_token_opens_its_cluster_until_it_is_revoked() {
        let (_folder, store) = sample::store().await;
        let other: ClusterName = "other".parse().expect("legal");
        let one = store.create_token(&cluster(), at(1)).await.expect("created");
        let two = store.create_token(&cluster(), at(2)).await.expect("created");
        let secret = one.secret.clone().expect("said once");
        assert!(secret.starts_with("lapdev_") && secret.len() == 7 + 52, "{}", secret.len());
        assert_eq!(store.find_token(&secret).await.expect("found"), Some((one.id.clone(), cluster())));
        assert_eq!(store.find_token(&secret.to_uppercase()).await.expect("looked"), None);
        assert_eq!(store.find_token("").await.expect("looked"), None);
        store.token_used(&one.id, at(5)).await.expect("noted");
        let used = TokenView { secret: None, last_used_at: Some(at(5)), ..one.clone() };
        let unused = TokenView { secret: None, ..two.clone() };
        assert_eq!(store.list_tokens(&cluster()).await.expect("listed"), [used, unused]);
        assert_eq!(store.list_tokens(&other).await.expect("listed"), []);
        assert!(!store.revoke_token(&other, &one.id).await.expect("not its token"));
        assert!(store.revoke_token(&cluster(), &one.id).await.expect("revoked"));
        assert!(!store.revoke_token(&cluster(), &one.id).await.expect("revoked before"));
        assert_eq!(store.find_token(&secret).await.expect("looked"), None);
        assert!(store.find_token(&two.secret.expect("said once")).await.expect("found").is_some());
    }

    #[tokio::test]
    async fn no_file_of_the_store_holds_a_tokens_secret() {
        let (folder, store) = sample::store().await;
        let secret = store.create_token(&cluster(), at(1)).await.expect("created").secret.expect("said once");
        let bare = secret.trim_start_matches(PREFIX);
        let mut hashed = false;
        for entry in std::fs::read_dir(folder.path()).expect("listed") {
            let bytes = std::fs::read(entry.expect("listed").path()).expect("read");
            let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!holds(bare));
            hashed |= holds(&fingerprint(&secret));
        }
        assert!(hashed, "the hash is somewhere");
    }
}
