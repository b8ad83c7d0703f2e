//! What there is to say about an environment, from the bundle and from what the watches saw. Asks nobody.

use super::{Core, Work};
use crate::{
    health::{self, Facts, Observation, Obstacle, worst_of_pods},
    object::{Desired, ObjectId},
    observe::{Index, Observed},
    registry::{End, Environment},
};
use lapdev_api::{
    name::Uid,
    status::{Health, WorkloadStatus},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

/// Notices that travel with a status.
const NOTICES: usize = 20;

impl Core {
    /// Leaves the environment's status in the outbox.
    pub(super) fn report(&self, uid: &Uid, work: &Work) {
        let Some(held) = self.registry().get(uid).cloned() else { return };
        let mut facts = facts(&held, work, &self.index);
        facts.notices.extend(self.routing_notices(&held, work));
        facts.notices.truncate(NOTICES);
        if let Some(why) = self.refused().get(uid) {
            facts.obstacle = Some(Obstacle::Failed(why.clone()));
        }
        let mut status = health::summarize(facts);
        // Under one lock, since traffic changes what was said last without a pass.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        status.traffic = self.traffic.of(uid);
        said.insert(uid.clone(), status.clone());
        self.outbox.status(status);
    }
}

fn facts(held: &Environment, work: &Work, index: &Index) -> Facts {
    let generation = match &held.end {
        Some(End::Tombstone(tombstone)) => tombstone.generation,
        _ => held.accepted.generation,
    };
    let noticed: BTreeSet<_> =
        work.objects.values().flat_map(|object| &object.notices).chain(&work.drift).cloned().collect();
    Facts {
        uid: held.identity.uid.clone(),
        generation,
        applied: held.applied.map(|applied| applied.digest),
        settled: held.applied == Some(held.accepted),
        ending: held.end.as_ref().map(|end| ending(end, work)),
        obstacle: work.obstacle.clone(),
        pending: work.pending.clone(),
        workloads: workloads(held, index),
        notices: noticed.into_iter().take(NOTICES).collect(),
    }
}

fn ending(end: &End, work: &Work) -> String {
    let why = match end {
        End::Tombstone(tombstone) => tombstone.evidence.clone(),
        End::Expired(at) => format!("its ttl ended at {at}"),
    };
    match &work.obstacle {
        Some(Obstacle::Retrying(obstacle) | Obstacle::Failed(obstacle) | Obstacle::Occupied(obstacle)) => {
            format!("{why}; {obstacle}")
        }
        None => why,
    }
}

fn workloads(held: &Environment, index: &Index) -> Vec<WorkloadStatus> {
    let Some(content) = &held.bundle else { return Vec::new() };
    let objects = content.bundle.objects.iter().filter_map(Desired::read);
    objects.filter_map(|object| status(&object.id, index)).collect()
}

/// The status of one object: of a workload always, of anything else only when it is not as it should be.
fn status(id: &ObjectId, index: &Index) -> Option<WorkloadStatus> {
    let workload = is_workload(id);
    let Some(seen) = index.get(id) else {
        return workload.then(|| row(id, not_seen()));
    };
    if workload && seen.rest.is_null() {
        return Some(row(id, not_seen()));
    }
    let mut observation = health::assess(&id.group, &id.kind, &seen.metadata, &seen.rest);
    if workload {
        explain(&mut observation, id, &seen, index);
    }
    (workload || observation.health != Health::Current).then(|| row(id, observation))
}

fn is_workload(id: &ObjectId) -> bool {
    matches!(
        (id.group.as_str(), id.kind.as_str()),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") | ("", "Pod")
    )
}

fn not_seen() -> Observation {
    Observation { health: Health::InProgress, ready: 0, desired: 0, reason: None, message: None }
}

fn row(id: &ObjectId, observation: Observation) -> WorkloadStatus {
    let Observation { health, ready, desired, reason, message } = observation;
    WorkloadStatus { kind: id.kind.clone(), name: id.name.clone(), health, ready, desired, reason, message }
}

/// Carries the pods' own reason up to a workload that is not ready, or to a Job that only looks so.
fn explain(observation: &mut Observation, id: &ObjectId, seen: &Arc<Observed>, index: &Index) {
    let running_job = id.kind == "Job" && seen.rest.pointer("/status/completionTime").is_none();
    let unready = observation.health == Health::InProgress || (running_job && observation.health == Health::Current);
    if !unready {
        return;
    }
    let pods = pods(id, seen, index);
    let Some(reason) = worst_of_pods(pods.iter().map(|pod| &pod.rest)) else { return };
    if observation.health == Health::Current && !reason.stuck {
        return;
    }
    observation.health = if reason.stuck { Health::Failed } else { Health::InProgress };
    observation.reason = Some(reason.reason);
    observation.message = Some(reason.message);
}

/// The pods of a workload; of a Deployment those of its newest ReplicaSet, since the others are about to go.
fn pods(id: &ObjectId, seen: &Arc<Observed>, index: &Index) -> Vec<Arc<Observed>> {
    if id.kind == "Pod" {
        return vec![seen.clone()];
    }
    let of = |owner: &Observed| -> Vec<Arc<Observed>> {
        let pods = index.of_kind("", "Pod", &id.namespace).into_iter().map(|(_, pod)| pod);
        pods.filter(|pod| is_owned_by(pod, owner) && pod.metadata.deletion_timestamp.is_none()).collect()
    };
    if id.kind != "Deployment" {
        return of(seen);
    }
    let sets = index.of_kind("apps", "ReplicaSet", &id.namespace).into_iter().map(|(_, set)| set);
    sets.filter(|set| is_owned_by(set, seen)).max_by_key(|set| revision(set)).map_or_else(Vec::new, |set| of(&set))
}

fn is_owned_by(object: &Observed, owner: &Observed) -> bool {
    let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|reference| owner.metadata.uid.as_deref() == Some(reference.uid.as_str()))
}

fn revision(set: &Observed) -> u64 {
    let revision = crate::object::annotation(&set.metadata, "deployment.kubernetes.io/revision");
    revision.and_then(|revision| revision.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
    use serde_json::{Value, json};

    fn put(index: &Index, group: &str, kind: &str, name: &str, owner: Option<&str>, revision: &str, rest: Value) {
        let id = ObjectId { group: group.into(), kind: kind.into(), namespace: "n".into(), name: name.into() };
        let owner = owner.map(|owner| OwnerReference { uid: owner.into(), ..OwnerReference::default() });
        let metadata = ObjectMeta {
            uid: Some(name.into()),
            owner_references: owner.map(|owner| vec![owner]),
            annotations: Some([("deployment.kubernetes.io/revision".to_owned(), revision.to_owned())].into()),
            ..ObjectMeta::default()
        };
        index.put(id, Observed::new(metadata, rest));
    }

    fn waiting(reason: &str) -> Value {
        json!({"status": {"containerStatuses": [{"name": "web", "state": {"waiting": {"reason": reason}}}]}})
    }

    fn web() -> ObjectId {
        ObjectId { group: "apps".into(), kind: "Deployment".into(), namespace: "n".into(), name: "web".into() }
    }

    #[test]
    fn the_newest_replica_sets_pods_speak_for_a_deployment() {
        let index = Index::default();
        put(&index, "apps", "Deployment", "web", None, "10", json!({"spec": {"replicas": 1}, "status": {}}));
        put(&index, "apps", "ReplicaSet", "old", Some("web"), "9", json!({}));
        put(&index, "apps", "ReplicaSet", "new", Some("web"), "10", json!({}));
        put(&index, "", "Pod", "a", Some("old"), "", waiting("CrashLoopBackOff"));
        let before = status(&web(), &index).expect("a workload");
        assert_eq!((before.health, before.reason.as_deref()), (Health::InProgress, Some("LessReplicas")));
        put(&index, "", "Pod", "b", Some("new"), "", waiting("ImagePullBackOff"));
        let after = status(&web(), &index).expect("a workload");
        assert_eq!((after.health, after.reason.as_deref()), (Health::Failed, Some("ImagePullBackOff")));
    }

    #[test]
    fn a_job_that_cannot_start_is_not_current() {
        let index = Index::default();
        let job = ObjectId { group: "batch".into(), kind: "Job".into(), ..web() };
        put(&index, "batch", "Job", "web", None, "", json!({"status": {"startTime": "2026-01-01T00:00:00Z"}}));
        assert_eq!(status(&job, &index).expect("a workload").health, Health::Current);
        put(&index, "", "Pod", "a", Some("web"), "", waiting("ImagePullBackOff"));
        assert_eq!(status(&job, &index).expect("a workload").health, Health::Failed);
    }

    #[test]
    fn what_is_no_workload_shows_only_when_it_is_not_well() {
        let index = Index::default();
        let claim = ObjectId { group: String::new(), kind: "PersistentVolumeClaim".into(), ..web() };
        assert_eq!(status(&claim, &index), None);
        put(&index, "", "PersistentVolumeClaim", "web", None, "", json!({"status": {"phase": "Pending"}}));
        assert_eq!(status(&claim, &index).expect("not bound").health, Health::InProgress);
        put(&index, "", "PersistentVolumeClaim", "web", None, "", json!({"status": {"phase": "Bound"}}));
        assert_eq!(status(&claim, &index), None);
    }
}
