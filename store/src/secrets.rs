//! Keys that the control plane makes for itself, once, such as the one that signs links.

use crate::{Store, StoreError, error::Attempt as _};
use data_encoding::HEXLOWER;

impl Store {
    /// The key of that name; made at the first call, the same ever after.
    ///
    /// # Errors
    ///
    /// When the database fails, or gives no random bytes.
    pub async fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        if let Some(known) = self.known_secret(name).await? {
            return Ok(known);
        }
        let attempted = "make a key";
        let fresh: [u8; 32] = random(attempted)?;
        let insert = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        let mut transaction = self.begin(attempted).await?;
        let value = HEXLOWER.encode(&fresh);
        sqlx::query(insert).bind(name).bind(value).execute(&mut *transaction).await.attempt(attempted)?;
        self.commit(attempted, transaction, None).await?;
        // Another call may have been first: what is stored counts.
        Ok(self.known_secret(name).await?.unwrap_or(fresh))
    }

    async fn known_secret(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let select = sqlx::query_scalar("SELECT value FROM secrets WHERE name = $1").bind(name);
        let value: Option<String> = select.fetch_optional(&self.readers).await.attempt("read a key")?;
        value.map(|text| decode(name, &text)).transpose()
    }
}

fn decode(name: &str, text: &str) -> Result<[u8; 32], StoreError> {
    // The error must not carry the key.
    let corrupt = || StoreError::corrupt("the key", name, "it is not 32 bytes of hexadecimal");
    HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(corrupt)
}

/// Random bytes from the system.
pub(crate) fn random<const N: usize>(attempted: &'static str) -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|source| StoreError::Random { attempted, source })?;
    Ok(bytes)
}
