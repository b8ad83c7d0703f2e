//! What the tests here store: small records that differ by a number.

use crate::Store;
use jiff::Timestamp;
use lapdev_api::{
    bundle::Identity,
    digest::Digest,
    kinds::EnvironmentType,
    name::{ClusterName, ControlPlaneId, Generation, Uid, short_id},
    record::{EnvironmentRecord, Evidence, Life},
    status::{EnvironmentStatus, Phase},
    wire::Held,
};
use tempfile::TempDir;

/// A new store, gone with its folder.
pub(crate) async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("lapdev.db"), &control_plane()).await.expect("opened");
    (folder, store)
}

pub(crate) fn control_plane() -> ControlPlaneId {
    "a".repeat(16).parse().expect("legal")
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
}

pub(crate) fn cluster() -> ClusterName {
    "dev".parse().expect("legal")
}

pub(crate) fn uid(number: u8) -> Uid {
    let mut bytes = [0; 10];
    bytes[9] = number;
    short_id(bytes).parse().expect("legal")
}

pub(crate) fn evidence() -> Evidence {
    Evidence::PullRequestClosed { numbers: vec![7] }
}

pub(crate) fn bundle(number: u8) -> (Digest, Vec<u8>) {
    let bytes = format!("{{\"bundle\":{number}}}").into_bytes();
    (Digest::of(&bytes), bytes)
}

pub(crate) fn record(number: u8, generation: u64) -> EnvironmentRecord {
    EnvironmentRecord {
        identity: Identity {
            uid: uid(number),
            name: format!("env-{number:03}").parse().expect("legal"),
            environment_type: EnvironmentType::Personal,
            catalog: "shop".parse().expect("legal"),
            branch: None,
        },
        cluster: cluster(),
        namespace: format!("lapdev-env-{number}").parse().expect("legal"),
        owner: Some("alice".to_owned()),
        life: Life::Live,
        generation: Generation(generation),
        digest: None,
        first_seen: at(0),
        last_change: at(1),
        expires_at: None,
        declaration: None,
        head: None,
        source: None,
        pull_requests: vec![7],
        reasons: vec![],
        previews: vec![],
        problems: vec![],
    }
}

/// The same as another life.
pub(crate) fn renamed(mut record: EnvironmentRecord, number: u8) -> EnvironmentRecord {
    record.identity.uid = uid(number);
    record
}

pub(crate) fn held(record: &EnvironmentRecord, generation: u64, digest: Option<Digest>) -> Held {
    let (identity, namespace) = (record.identity.clone(), record.namespace.clone());
    Held { identity, namespace, generation: Generation(generation), digest, ended: None }
}

pub(crate) fn status(record: &EnvironmentRecord, phase: Phase) -> EnvironmentStatus {
    EnvironmentStatus {
        uid: record.identity.uid.clone(),
        generation: record.generation,
        applied: record.digest,
        phase,
        message: String::new(),
        workloads: vec![],
        notices: vec![],
        traffic: vec![],
    }
}
