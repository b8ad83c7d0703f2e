//! The audit: each connected agent says what its cluster really holds, and that is joined with what the store knows.

use super::answers::Failure;
use crate::{agents::Session, hub::Hub, sync};
use futures_util::future::join_all;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use lapdev_api::{
    name::ClusterName,
    record::{EnvironmentRecord, Life},
    view::{AuditReport, Finding},
    wire::{INVENTORY_PATH, Inventory, InventoryItem},
};
use lapdev_store::Which;
use lapdev_tunnel::body;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(70);
const MAX_INVENTORY: usize = 64 << 20;
/// A namespace's end takes minutes at worst.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Joins store and clusters.
pub(super) async fn audit(hub: &Hub) -> Result<AuditReport, Failure> {
    let mut clusters: BTreeSet<ClusterName> = hub.store.clusters().await?.into_iter().map(|c| c.name).collect();
    let living = hub.store.environments(Which::Living).await?;
    clusters.extend(living.iter().map(|record| record.cluster.clone()));
    let asked = join_all(clusters.into_iter().map(|cluster| async {
        let inventory = match hub.agents.of(&cluster) {
            Some(session) => ask(&session).await,
            None => Err("its agent is not connected".to_owned()),
        };
        (cluster, inventory)
    }));
    let asked = asked.await;
    // Read again, after the agents answered: what ended or began meanwhile is no finding.
    let mut records: BTreeMap<ClusterName, Vec<EnvironmentRecord>> = BTreeMap::new();
    for record in hub.store.environments(Which::All).await? {
        records.entry(record.cluster.clone()).or_default().push(record);
    }
    let now = Timestamp::now();
    let findings = asked.iter().flat_map(|(cluster, inventory)| {
        join(cluster, inventory, records.get(cluster).map(Vec::as_slice).unwrap_or_default(), now)
    });
    Ok(AuditReport { findings: findings.collect(), checked: living.len() as u64 })
}

async fn ask(session: &Session) -> Result<Inventory, String> {
    let asked = async {
        let request = sync::request(Method::GET, INVENTORY_PATH, body::empty());
        let answer = session.ask(request, MAX_INVENTORY).await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(String::from_utf8_lossy(answer.body()).trim().to_owned());
        }
        serde_json::from_slice(answer.body()).map_err(|error| error.to_string())
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("its agent did not answer in time".to_owned()))
}

/// Everything that does not fit in one cluster.
fn join(
    cluster: &ClusterName,
    inventory: &Result<Inventory, String>,
    records: &[EnvironmentRecord],
    now: Timestamp,
) -> Vec<Finding> {
    let found = |environment: String, kind: &str, message: String| Finding {
        cluster: cluster.clone(),
        environment,
        kind: kind.to_owned(),
        message,
    };
    let mut findings: Vec<_> = records
        .iter()
        .filter_map(|record| stuck(record, now).map(|m| (record, m)))
        .map(|(record, message)| found(record.identity.name.to_string(), "StuckClosing", message))
        .collect();
    let inventory = match inventory {
        Ok(inventory) => inventory,
        Err(cause) => {
            findings.push(found(
                "*".to_owned(),
                "NotConnected",
                format!("nothing is known of what the cluster holds: {cause}"),
            ));
            return findings;
        }
    };
    let held: BTreeMap<_, _> = inventory.held.iter().map(|item| (&item.uid, item)).collect();
    for record in records {
        if let Some((kind, message)) = differs(record, held.get(&record.identity.uid).copied()) {
            findings.push(found(record.identity.name.to_string(), kind, message));
        }
    }
    let known: BTreeSet<_> =
        records.iter().filter(|r| !matches!(r.life, Life::Closed { .. })).map(|r| &r.identity.uid).collect();
    for item in inventory.held.iter().filter(|item| !known.contains(&item.uid)) {
        let message =
            format!("the cluster holds {} objects of an environment that is not known or closed", item.objects);
        findings.push(found(item.uid.to_string(), "Orphan", message));
    }
    for orphan in &inventory.orphans {
        let namespace = orphan.namespace.as_ref().map(|n| format!("{n}/")).unwrap_or_default();
        let environment = orphan.environment.clone().unwrap_or_default();
        let message =
            format!("{} {namespace}{} belongs to no environment that the agent holds", orphan.kind, orphan.name);
        findings.push(found(environment, "Orphan", message));
    }
    findings
}

fn stuck(record: &EnvironmentRecord, now: Timestamp) -> Option<String> {
    match &record.life {
        Life::Closing { at, evidence } if now.duration_since(*at) > STUCK_AFTER => {
            Some(format!("it ended at {at} ({evidence}), but the cluster still holds something of it"))
        }
        _ => None,
    }
}

fn differs(record: &EnvironmentRecord, held: Option<&InventoryItem>) -> Option<(&'static str, String)> {
    if record.life != Life::Live {
        return None;
    }
    let published = record.digest?;
    match held {
        None => Some((
            "Missing",
            format!("generation {} was published, but the cluster holds nothing of it", record.generation),
        )),
        Some(item) if item.digest != Some(published) => {
            let generation = item.generation;
            Some((
                "Stale",
                format!(
                    "generation {} was published, the cluster applied something older (it holds {generation})",
                    record.generation
                ),
            ))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapdev_api::{digest::Digest, name::Generation, record::Evidence, wire::OrphanObject};
    use serde_json::json;

    fn record(letter: char, life: Life, content: Option<&[u8]>) -> EnvironmentRecord {
        let text = json!({
            "identity": {"uid": letter.to_string().repeat(16), "name": letter.to_string(), "type": "Shared", "catalog": "shop", "branch": null},
            "cluster": "dev", "namespace": "n", "owner": null, "life": {"state": "live"},
            "generation": 3, "digest": null, "firstSeen": "2026-01-01T00:00:00Z", "lastChange": "2026-01-01T00:00:00Z",
            "expiresAt": null, "declaration": null, "head": null, "source": null, "pullRequests": [], "reasons": [],
            "previews": [], "problems": [],
        });
        let mut record: EnvironmentRecord = serde_json::from_value(text).expect("a record");
        (record.life, record.digest) = (life, content.map(Digest::of));
        record
    }

    fn item(letter: char, content: &[u8]) -> InventoryItem {
        let uid = letter.to_string().repeat(16).parse().expect("legal");
        InventoryItem { uid, generation: Generation(2), digest: Some(Digest::of(content)), objects: 4 }
    }

    fn kinds(inventory: &Result<Inventory, String>, records: &[EnvironmentRecord]) -> Vec<(String, String)> {
        let now = "2026-01-01T01:00:00Z".parse().expect("a time");
        let findings = join(&"dev".parse().expect("legal"), inventory, records, now);
        findings.into_iter().map(|finding| (finding.environment, finding.kind)).collect()
    }

    #[test]
    fn each_kind_of_difference_is_found_and_nothing_else() {
        let ended = |minute| Life::Closing {
            evidence: Evidence::RefGone { branch: "x".to_owned() },
            at: format!("2026-01-01T00:{minute}:00Z").parse().expect("a time"),
        };
        let records = [
            record('a', Life::Live, Some(b"same")),
            record('b', Life::Live, Some(b"new")),
            record('c', Life::Live, Some(b"c")),
            record('d', Life::Live, None),
            record('e', ended("00"), Some(b"e")),
            record('f', ended("59"), Some(b"f")),
        ];
        let orphan =
            OrphanObject { kind: "Service".to_owned(), namespace: None, name: "x".to_owned(), environment: None };
        let held = vec![item('a', b"same"), item('b', b"old"), item('e', b"e"), item('f', b"f"), item('z', b"z")];
        let expected =
            [("e", "StuckClosing"), ("b", "Stale"), ("c", "Missing"), ("zzzzzzzzzzzzzzzz", "Orphan"), ("", "Orphan")];
        let found = kinds(&Ok(Inventory { held, orphans: vec![orphan] }), &records);
        assert_eq!(found, expected.map(|(environment, kind)| (environment.to_owned(), kind.to_owned())));
        let away = kinds(&Err("away".to_owned()), &records[..1]);
        assert_eq!(away, [("*".to_owned(), "NotConnected".to_owned())]);
    }
}
