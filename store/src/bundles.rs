//! Bundles, kept gzip'd by the digest of their canonical JSON for as long as a living environment needs them.

use crate::{Store, StoreError, error::Attempt as _, publish::PublishError};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use lapdev_api::{digest::Digest, wire::MAX_BUNDLE};
use sqlx::SqliteConnection;
use std::io::{self, Read as _, Write as _};

/// A bundle as it is stored.
pub(crate) struct Packed {
    digest: Digest,
    gzip: Vec<u8>,
}

impl Store {
    /// The canonical JSON of a bundle, if it is kept.
    ///
    /// # Errors
    ///
    /// When the database fails, or when the bytes are not those that were stored.
    pub async fn bundle(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(gzip) = self.bundle_gzip(digest).await? else { return Ok(None) };
        let digest = *digest;
        let unpacked = tokio::task::spawn_blocking(move || unpack(digest, &gzip)).await;
        unpacked.unwrap_or(Err(StoreError::Interrupted { attempted: "read a bundle" })).map(Some)
    }

    /// The same, gzip'd: as it travels to an agent.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn bundle_gzip(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let select = sqlx::query_scalar("SELECT gzip FROM bundles WHERE digest = $1").bind(digest.to_string());
        select.fetch_optional(&self.readers).await.attempt("read a bundle")
    }
}

/// Checks and compresses bundles, off the async threads.
pub(crate) async fn pack(bundles: Vec<(Digest, Vec<u8>)>) -> Result<Vec<Packed>, PublishError> {
    if bundles.is_empty() {
        return Ok(Vec::new());
    }
    let packed = tokio::task::spawn_blocking(move || bundles.into_iter().map(pack_one).collect()).await;
    packed.unwrap_or(Err(StoreError::Interrupted { attempted: "compress bundles" }.into()))
}

fn pack_one((digest, bytes): (Digest, Vec<u8>)) -> Result<Packed, PublishError> {
    if bytes.len() > MAX_BUNDLE {
        return Err(PublishError::BundleTooLarge { digest, size: bytes.len() });
    }
    let actual = Digest::of(&bytes);
    if actual != digest {
        return Err(PublishError::WrongDigest { digest, actual });
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let gzip = encoder.write_all(&bytes).and_then(|()| encoder.finish()).expect("a vector takes every byte");
    Ok(Packed { digest, gzip })
}

fn unpack(digest: Digest, gzip: &[u8]) -> Result<Vec<u8>, StoreError> {
    let corrupt = |source: io::Error| StoreError::corrupt("the bundle", digest.to_string(), source);
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BUNDLE).unwrap_or(u64::MAX);
    GzDecoder::new(gzip).take(limit).read_to_end(&mut bytes).map_err(corrupt)?;
    if Digest::of(&bytes) == digest {
        Ok(bytes)
    } else {
        Err(StoreError::corrupt("the bundle", digest.to_string(), "its bytes have another digest"))
    }
}

/// Stores bundles; one that is there already is the same.
pub(crate) async fn insert(connection: &mut SqliteConnection, bundles: &[Packed]) -> Result<(), StoreError> {
    for bundle in bundles {
        let insert = "INSERT INTO bundles (digest, gzip) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
        let insert = sqlx::query(insert).bind(bundle.digest.to_string()).bind(bundle.gzip.as_slice());
        insert.execute(&mut *connection).await.attempt("store a bundle")?;
    }
    Ok(())
}

/// Whether a bundle is kept.
pub(crate) async fn exists(connection: &mut SqliteConnection, digest: &Digest) -> Result<bool, StoreError> {
    let select = sqlx::query_scalar("SELECT COUNT(*) FROM bundles WHERE digest = $1").bind(digest.to_string());
    let count: i64 = select.fetch_one(connection).await.attempt("look for a bundle")?;
    Ok(count > 0)
}

/// Deletes the bundles that no living environment needs.
pub(crate) async fn collect_garbage(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let delete = "DELETE FROM bundles
                  WHERE NOT EXISTS (SELECT 1 FROM environments WHERE environments.bundle = bundles.digest)";
    sqlx::query(delete).execute(connection).await.attempt("delete unneeded bundles")?;
    Ok(())
}
