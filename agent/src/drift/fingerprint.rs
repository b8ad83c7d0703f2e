//! Whether an object is still as it was when it was applied, judged by metadata alone. Pure.
//!
//! A resource version would do, but controllers write `status` all the time. Where `status` exists the entries of
//! `managedFields` outside `status`, with their times, and the generation say the same without it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

/// What an object looked like, beside its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Takes it from an object's metadata.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(metadata.uid.as_deref().unwrap_or_default().as_bytes());
        add(&metadata.generation.unwrap_or_default().to_be_bytes());
        add(&[u8::from(metadata.deletion_timestamp.is_some())]);
        for entry in metadata.managed_fields.as_deref().unwrap_or_default() {
            if entry.subresource.as_deref() != Some("status") {
                add(&serde_json::to_vec(entry).expect("managed fields are plain JSON"));
            }
        }
        if metadata.managed_fields.is_none() {
            add(metadata.resource_version.as_deref().unwrap_or_default().as_bytes());
        }
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, Time},
        jiff::Timestamp,
    };
    use serde_json::json;

    fn entry(manager: &str, subresource: Option<&str>, second: i64) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some("Update".into()),
            subresource: subresource.map(Into::into),
            time: Some(Time(Timestamp::from_second(second).expect("in range"))),
            fields_v1: Some(FieldsV1(json!({"f:data": {}}))),
            ..ManagedFieldsEntry::default()
        }
    }

    fn metadata(version: &str, entries: Vec<ManagedFieldsEntry>) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u".into()),
            generation: Some(1),
            resource_version: Some(version.into()),
            managed_fields: Some(entries),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_status_update_is_no_change_and_an_edit_is_one() {
        let applied = Fingerprint::of(&metadata("1", vec![entry("lapdev", None, 1)]));
        let status = metadata("2", vec![entry("lapdev", None, 1), entry("controller", Some("status"), 2)]);
        assert_eq!(Fingerprint::of(&status), applied);
        let edited = metadata("3", vec![entry("lapdev", None, 1), entry("kubectl-edit", None, 3)]);
        assert_ne!(Fingerprint::of(&edited), applied);
        let edited_again = metadata("4", vec![entry("lapdev", None, 1), entry("kubectl-edit", None, 4)]);
        assert_ne!(Fingerprint::of(&edited_again), Fingerprint::of(&edited));
        let mut replaced = metadata("1", vec![entry("lapdev", None, 1)]);
        replaced.uid = Some("v".into());
        assert_ne!(Fingerprint::of(&replaced), applied);
        let mut scaled = metadata("5", vec![entry("lapdev", None, 1)]);
        scaled.generation = Some(2);
        assert_ne!(Fingerprint::of(&scaled), applied);
    }
}
