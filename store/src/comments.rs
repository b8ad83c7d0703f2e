//! What lapdev last wrote on a forge: the comment of each pull request, the statuses of commits. Knowing it spares
//! calls, and lets a comment be edited rather than repeated.

use crate::{
    Store, StoreError,
    convert::{parse, signed, unsigned},
    error::Attempt as _,
};
use jiff::Timestamp;
use lapdev_api::{
    digest::Digest,
    name::{Commit, RepositoryId},
};

/// The one comment of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommentRecord {
    /// The forge's id of it.
    pub comment_id: u64,
    /// The digest of its text, as last written.
    pub body_digest: Digest,
}

impl Store {
    /// The comment of a pull request, if one was written.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn comment(&self, repository: &RepositoryId, number: u64) -> Result<Option<CommentRecord>, StoreError> {
        let attempted = "read a comment's record";
        let select = "SELECT comment_id, body_digest FROM comments WHERE repository_id = $1 AND number = $2";
        let select = sqlx::query_as(select).bind(repository.as_str()).bind(signed(attempted, number)?);
        let row: Option<(i64, String)> = select.fetch_optional(&self.readers).await.attempt(attempted)?;
        let read = |(id, digest): (i64, String)| {
            let comment_id = unsigned("the comment's id in", repository.as_str(), id)?;
            Ok(CommentRecord { comment_id, body_digest: parse("the digest of a comment", &digest)? })
        };
        row.map(read).transpose()
    }

    /// Remembers the comment of a pull request.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_comment(
        &self,
        repository: &RepositoryId,
        number: u64,
        comment: &CommentRecord,
    ) -> Result<(), StoreError> {
        let attempted = "remember a comment";
        let upsert = sqlx::query(
            "INSERT INTO comments (repository_id, number, comment_id, body_digest) VALUES ($1, $2, $3, $4)
             ON CONFLICT (repository_id, number) DO UPDATE SET comment_id = excluded.comment_id,
                 body_digest = excluded.body_digest",
        )
        .bind(repository.as_str())
        .bind(signed(attempted, number)?)
        .bind(signed(attempted, comment.comment_id)?)
        .bind(comment.body_digest.to_string());
        upsert.execute(&self.writer).await.attempt(attempted)?;
        Ok(())
    }

    /// The digest of what was last written as a commit's status, if anything was. It is forgotten in time; writing
    /// the same status once more does no harm.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn commit_status(
        &self,
        repository: &RepositoryId,
        commit: &Commit,
        context: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let select = "SELECT digest FROM commit_statuses WHERE repository_id = $1 AND commit_id = $2 AND context = $3";
        let select = sqlx::query_scalar(select).bind(repository.as_str()).bind(commit.as_str()).bind(context);
        let digest: Option<String> = select.fetch_optional(&self.readers).await.attempt("read a commit status")?;
        digest.map(|digest| parse("the digest of a commit status", &digest)).transpose()
    }

    /// Remembers what was written as a commit's status.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_commit_status(
        &self,
        repository: &RepositoryId,
        commit: &Commit,
        context: &str,
        digest: &Digest,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let upsert = sqlx::query(
            "INSERT INTO commit_statuses (repository_id, commit_id, context, digest, written_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (repository_id, commit_id, context) DO UPDATE SET digest = excluded.digest,
                 written_at = excluded.written_at",
        )
        .bind(repository.as_str())
        .bind(commit.as_str())
        .bind(context)
        .bind(digest.to_string())
        .bind(at.as_microsecond());
        upsert.execute(&self.writer).await.attempt("remember a commit status")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, at};

    #[tokio::test]
    async fn what_was_last_written_is_known_by_place() {
        let (_folder, store) = sample::store().await;
        let repository: RepositoryId = "42".parse().expect("legal");
        let comment = |id, text: &str| CommentRecord { comment_id: id, body_digest: Digest::of(text.as_bytes()) };
        assert_eq!(store.comment(&repository, 7).await.expect("read"), None);
        store.put_comment(&repository, 7, &comment(1, "one")).await.expect("put");
        store.put_comment(&repository, 7, &comment(1, "two")).await.expect("put");
        store.put_comment(&repository, 8, &comment(2, "three")).await.expect("put");
        assert_eq!(store.comment(&repository, 7).await.expect("read"), Some(comment(1, "two")));
        let commit: Commit = "0123456789012345678901234567890123456789".parse().expect("legal");
        let (one, two) = (Digest::of(b"pending"), Digest::of(b"success"));
        store.put_commit_status(&repository, &commit, "lapdev", &one, at(1)).await.expect("put");
        store.put_commit_status(&repository, &commit, "lapdev", &two, at(2)).await.expect("put");
        assert_eq!(store.commit_status(&repository, &commit, "lapdev").await.expect("read"), Some(two));
        assert_eq!(store.commit_status(&repository, &commit, "other").await.expect("read"), None);
    }
}
