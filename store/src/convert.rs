//! Between the columns' types and ours: JSON documents, names, microseconds, counters.

use crate::error::StoreError;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error, str::FromStr};

/// Writes a document. Ours have only string keys, so this cannot fail.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our documents have only string keys")
}

/// Reads a document; `key` names it in the error.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, key: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|source| StoreError::corrupt(what, key, source))
}

/// Reads a name, an id or a digest.
pub(crate) fn parse<T>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    text.parse().map_err(|source: T::Err| StoreError::corrupt(what, text, source))
}

/// Reads a time.
pub(crate) fn time(what: &'static str, key: &str, microseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(microseconds).map_err(|source| StoreError::corrupt(what, key, source))
}

/// A counter as the database holds it; SQL has no unsigned numbers.
pub(crate) fn signed(attempted: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::TooLarge { attempted, number })
}

/// A counter as we hold it.
pub(crate) fn unsigned(what: &'static str, key: &str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|source| StoreError::corrupt(what, key, source))
}
