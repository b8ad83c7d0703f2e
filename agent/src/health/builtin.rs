//! The kstatus rules, kind by kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::status::Health;
use serde_json::Value;

/// How one object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// In one word.
    pub health: Health,
    /// Ready pods.
    pub ready: u32,
    /// Wanted pods.
    pub desired: u32,
    /// The condition's reason where it is not Current.
    pub reason: Option<String>,
    /// The sentence that belongs to it.
    pub message: Option<String>,
}

impl Observation {
    fn new(health: Health, reason: &str, message: impl Into<String>) -> Self {
        let (ready, desired) = (0, 0);
        let current = health == Health::Current;
        let (reason, message) = ((!current).then(|| reason.to_owned()), (!current).then(|| message.into()));
        Self { health, ready, desired, reason, message }
    }

    fn current() -> Self {
        Self::new(Health::Current, "", "")
    }

    fn waiting(reason: &str, message: impl Into<String>) -> Self {
        Self::new(Health::InProgress, reason, message)
    }

    fn pods(self, ready: u32, desired: u32) -> Self {
        Self { ready, desired, ..self }
    }
}

/// How an object is; `rest` is all of it beside `metadata`, `apiVersion` and `kind`.
#[must_use]
pub fn assess(group: &str, kind: &str, metadata: &ObjectMeta, rest: &Value) -> Observation {
    let object = Object { metadata, rest };
    let (ready, desired) = object.pod_counts(group, kind);
    if metadata.deletion_timestamp.is_some() {
        return Observation::new(Health::Terminating, "Terminating", "is being deleted").pods(ready, desired);
    }
    let general = object.general();
    let observation = general.unwrap_or_else(|| match (group, kind) {
        ("apps" | "extensions", "Deployment") => object.deployment(),
        ("apps" | "extensions", "ReplicaSet") | ("", "ReplicationController") => object.replica_set(),
        ("apps", "StatefulSet") => object.stateful_set(),
        ("apps" | "extensions", "DaemonSet") => object.daemon_set(),
        ("batch", "Job") => object.job(),
        ("", "Pod") => object.pod(),
        ("", "PersistentVolumeClaim") => object.claim(),
        ("", "Service") => object.service(),
        _ => object.by_ready_condition(),
    });
    observation.pods(ready, desired)
}

struct Object<'a> {
    metadata: &'a ObjectMeta,
    rest: &'a Value,
}

impl Object<'_> {
    /// The rules for every kind: not observed yet, `Reconciling`, `Stalled`.
    fn general(&self) -> Option<Observation> {
        let observed = self.rest.pointer("/status/observedGeneration").and_then(Value::as_i64);
        if let (Some(observed), Some(generation)) = (observed, self.metadata.generation)
            && observed != generation
        {
            let message = format!("generation is {generation}, but the latest observed generation is {observed}");
            return Some(Observation::waiting("LatestGenerationNotObserved", message));
        }
        let with =
            |health: Health, condition: &Condition<'_>| Observation::new(health, condition.reason, condition.message);
        let reconciling = self.condition("Reconciling").filter(|condition| condition.status == "True");
        let stalled = self.condition("Stalled").filter(|condition| condition.status == "True");
        reconciling
            .map(|condition| with(Health::InProgress, &condition))
            .or_else(|| stalled.map(|condition| with(Health::Failed, &condition)))
    }

    fn deployment(&self) -> Observation {
        let progressing = self.condition("Progressing");
        if let Some(condition) = progressing.as_ref().filter(|condition| condition.reason == "ProgressDeadlineExceeded")
        {
            return Observation::new(Health::Failed, condition.reason, condition.message);
        }
        if let Some(failure) = self.condition("ReplicaFailure").filter(|condition| condition.status == "True") {
            return Observation::new(Health::Failed, failure.reason, failure.message);
        }
        let (wanted, all) = (self.wanted(), self.count("replicas"));
        let (updated, ready, available) =
            (self.count("updatedReplicas"), self.count("readyReplicas"), self.count("availableReplicas"));
        if wanted > all {
            return Observation::waiting("LessReplicas", format!("{all} of {wanted} pods exist"));
        }
        if wanted > updated {
            return Observation::waiting("LessUpdated", format!("{updated} of {wanted} pods are updated"));
        }
        if all > wanted {
            return Observation::waiting("ExtraPods", format!("{} pods are still to go", all - wanted));
        }
        if updated > available {
            return Observation::waiting("LessAvailable", format!("{available} of {updated} pods are available"));
        }
        if wanted > ready {
            return Observation::waiting("LessReady", format!("{ready} of {wanted} pods are ready"));
        }
        let new_set = progressing
            .is_some_and(|condition| condition.status == "True" && condition.reason == "NewReplicaSetAvailable");
        // Without a deadline the controller writes no such condition.
        let deadline = self.rest.pointer("/spec/progressDeadlineSeconds").and_then(Value::as_i64);
        if !new_set && deadline != Some(i64::from(i32::MAX)) {
            return Observation::waiting("ReplicaSetNotAvailable", "its new ReplicaSet is not available yet");
        }
        match self.condition("Available").filter(|condition| condition.status == "True") {
            Some(_) => Observation::current(),
            None => Observation::waiting("DeploymentNotAvailable", "it is not available yet"),
        }
    }

    fn replica_set(&self) -> Observation {
        if let Some(failure) = self.condition("ReplicaFailure").filter(|condition| condition.status == "True") {
            return Observation::new(Health::Failed, failure.reason, failure.message);
        }
        let (wanted, all) = (self.wanted(), self.count("replicas"));
        let (labelled, available, ready) =
            (self.count("fullyLabeledReplicas"), self.count("availableReplicas"), self.count("readyReplicas"));
        if wanted > labelled {
            return Observation::waiting("LessLabelled", format!("{labelled} of {wanted} pods are labelled"));
        }
        if wanted > available {
            return Observation::waiting("LessAvailable", format!("{available} of {wanted} pods are available"));
        }
        if wanted > ready {
            return Observation::waiting("LessReady", format!("{ready} of {wanted} pods are ready"));
        }
        if all > wanted {
            return Observation::waiting("ExtraPods", format!("{} pods are still to go", all - wanted));
        }
        Observation::current()
    }

    fn stateful_set(&self) -> Observation {
        if self.text("/spec/updateStrategy/type") == "OnDelete" {
            return Observation::current();
        }
        let (wanted, all) = (self.wanted(), self.count("replicas"));
        let (ready, current, updated) =
            (self.count("readyReplicas"), self.count("currentReplicas"), self.count("updatedReplicas"));
        if wanted > all {
            return Observation::waiting("LessReplicas", format!("{all} of {wanted} pods exist"));
        }
        if wanted > ready {
            return Observation::waiting("LessReady", format!("{ready} of {wanted} pods are ready"));
        }
        if all > wanted {
            return Observation::waiting("ExtraPods", format!("{} pods are still to go", all - wanted));
        }
        let partition = self.rest.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_u64);
        if let Some(partition) = partition.filter(|partition| *partition > 0) {
            let to_update = wanted.saturating_sub(u32::try_from(partition).unwrap_or(u32::MAX));
            if updated < to_update {
                let message = format!("{updated} of {to_update} pods of the partition are updated");
                return Observation::waiting("PartitionRollout", message);
            }
            return Observation::current();
        }
        if wanted > current {
            return Observation::waiting("LessCurrent", format!("{current} of {wanted} pods are current"));
        }
        if self.text("/status/currentRevision") != self.text("/status/updateRevision") {
            return Observation::waiting("RevisionMismatch", "its rolling update goes on");
        }
        Observation::current()
    }

    fn daemon_set(&self) -> Observation {
        if self.rest.pointer("/status/observedGeneration").is_none() {
            return Observation::waiting("NoObservedGeneration", "its controller has not seen it yet");
        }
        let (wanted, current) = (self.count("desiredNumberScheduled"), self.count("currentNumberScheduled"));
        let (updated, available, ready) =
            (self.count("updatedNumberScheduled"), self.count("numberAvailable"), self.count("numberReady"));
        if wanted > current {
            return Observation::waiting("LessCurrent", format!("{current} of {wanted} pods exist"));
        }
        if wanted > updated {
            return Observation::waiting("LessUpdated", format!("{updated} of {wanted} pods are updated"));
        }
        if wanted > available {
            return Observation::waiting("LessAvailable", format!("{available} of {wanted} pods are available"));
        }
        if wanted > ready {
            return Observation::waiting("LessReady", format!("{ready} of {wanted} pods are ready"));
        }
        Observation::current()
    }

    /// A started Job counts as current: it may run for long. Only one that failed does not.
    fn job(&self) -> Observation {
        if let Some(failed) = self.condition("Failed").filter(|condition| condition.status == "True") {
            return Observation::new(Health::Failed, failed.reason, failed.message);
        }
        let complete = self.condition("Complete").is_some_and(|condition| condition.status == "True");
        if complete || self.rest.pointer("/status/startTime").is_some() {
            return Observation::current();
        }
        Observation::waiting("JobNotStarted", "it has not started yet")
    }

    fn pod(&self) -> Observation {
        match self.text("/status/phase") {
            "Succeeded" => Observation::current(),
            "Failed" => Observation::new(
                Health::Failed,
                non_empty(self.text("/status/reason"), "PodFailed"),
                non_empty(self.text("/status/message"), "it ended without success"),
            ),
            "Running" if self.condition("Ready").is_some_and(|condition| condition.status == "True") => {
                Observation::current()
            }
            "Running" => Observation::waiting("NotReady", "it runs but is not ready"),
            _ => Observation::waiting("Pending", "it has not started yet"),
        }
    }

    fn claim(&self) -> Observation {
        match self.text("/status/phase") {
            "Bound" => Observation::current(),
            phase => Observation::waiting("NotBound", format!("it is {}, not Bound", non_empty(phase, "Pending"))),
        }
    }

    fn service(&self) -> Observation {
        let ingress = self.rest.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
        if self.text("/spec/type") == "LoadBalancer" && ingress.is_none_or(Vec::is_empty) {
            return Observation::waiting("NoIngressAddress", "its load balancer has no address yet");
        }
        Observation::current()
    }

    /// What kstatus does for kinds that it does not know: a `Ready` condition counts if there is one.
    fn by_ready_condition(&self) -> Observation {
        match self.condition("Ready") {
            Some(ready) if ready.status != "True" => Observation::waiting(ready.reason, ready.message),
            _ => Observation::current(),
        }
    }

    fn pod_counts(&self, group: &str, kind: &str) -> (u32, u32) {
        match (group, kind) {
            ("apps" | "extensions", "DaemonSet") => (self.count("numberReady"), self.count("desiredNumberScheduled")),
            ("apps" | "extensions", _) | ("", "ReplicationController") => (self.count("readyReplicas"), self.wanted()),
            ("batch", "Job") => {
                let wanted = self.rest.pointer("/spec/completions").and_then(Value::as_u64).unwrap_or(1);
                (self.count("succeeded") + self.count("ready"), u32::try_from(wanted).unwrap_or(u32::MAX))
            }
            ("", "Pod") => {
                let ready = self.condition("Ready").is_some_and(|condition| condition.status == "True");
                (u32::from(ready), 1)
            }
            _ => (0, 0),
        }
    }

    fn wanted(&self) -> u32 {
        self.rest.pointer("/spec/replicas").and_then(Value::as_u64).map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    fn count(&self, field: &str) -> u32 {
        let value = self.rest.get("status").and_then(|status| status.get(field)).and_then(Value::as_u64);
        value.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    fn text(&self, pointer: &str) -> &str {
        self.rest.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        condition(self.rest, kind)
    }
}

/// One of an object's `status.conditions`.
pub(super) struct Condition<'a> {
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
}

pub(super) fn condition<'a>(rest: &'a Value, kind: &str) -> Option<Condition<'a>> {
    let conditions = rest.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))?;
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
    Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
}

fn non_empty<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(group: &str, kind: &str, rest: &Value) -> (Health, String) {
        let metadata = ObjectMeta { generation: Some(1), ..ObjectMeta::default() };
        let observation = assess(group, kind, &metadata, rest);
        (observation.health, observation.reason.unwrap_or_default())
    }

    fn deployment(status: &Value) -> (Health, String) {
        of("apps", "Deployment", &json!({"spec": {"replicas": 2}, "status": status}))
    }

    #[test]
    fn a_deployment_is_current_when_all_its_updated_pods_are_available() {
        let conditions = json!([
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
            {"type": "Available", "status": "True"},
        ]);
        let full = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "conditions": conditions});
        assert_eq!(deployment(&full), (Health::Current, String::new()));
        let with = |field: &str, value: Value| {
            let mut status = full.clone();
            status[field] = value;
            deployment(&status)
        };
        let waiting = |reason: &str| (Health::InProgress, reason.to_owned());
        assert_eq!(with("observedGeneration", json!(0)), waiting("LatestGenerationNotObserved"));
        assert_eq!(with("replicas", json!(1)), waiting("LessReplicas"));
        assert_eq!(with("replicas", json!(3)), waiting("ExtraPods"));
        assert_eq!(with("updatedReplicas", json!(1)), waiting("LessUpdated"));
        assert_eq!(with("availableReplicas", json!(1)), waiting("LessAvailable"));
        assert_eq!(with("readyReplicas", json!(1)), waiting("LessReady"));
        assert_eq!(with("conditions", json!([])), waiting("ReplicaSetNotAvailable"));
        let deadline = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(with("conditions", deadline), (Health::Failed, "ProgressDeadlineExceeded".into()));
        let quota = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]);
        assert_eq!(with("conditions", quota), (Health::Failed, "FailedCreate".into()));
        assert_eq!(deployment(&json!({})), waiting("LessReplicas"));
    }

    #[test]
    fn stateful_and_daemon_sets_wait_for_their_pods() {
        let stateful = |status: Value| of("apps", "StatefulSet", &json!({"spec": {"replicas": 1}, "status": status})).1;
        let full = json!({"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "updatedReplicas": 1,
            "currentRevision": "a", "updateRevision": "a"});
        assert_eq!(stateful(full.clone()), "");
        let mut rolling = full;
        rolling["updateRevision"] = json!("b");
        assert_eq!(stateful(rolling), "RevisionMismatch");
        assert_eq!(stateful(json!({"replicas": 1})), "LessReady");
        let daemon = |status: Value| of("apps", "DaemonSet", &json!({"status": status})).1;
        assert_eq!(daemon(json!({})), "NoObservedGeneration");
        assert_eq!(daemon(json!({"observedGeneration": 1, "desiredNumberScheduled": 2})), "LessCurrent");
        let full = json!({"observedGeneration": 1, "desiredNumberScheduled": 1, "currentNumberScheduled": 1,
            "updatedNumberScheduled": 1, "numberAvailable": 1, "numberReady": 1});
        assert_eq!(daemon(full), "");
    }

    #[test]
    fn jobs_claims_services_and_pods_follow_kstatus() {
        let failed = json!({"status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}]}});
        assert_eq!(of("batch", "Job", &failed), (Health::Failed, "BackoffLimitExceeded".into()));
        assert_eq!(of("batch", "Job", &json!({})).1, "JobNotStarted");
        assert_eq!(of("batch", "Job", &json!({"status": {"startTime": "2026-01-01T00:00:00Z"}})).0, Health::Current);
        assert_eq!(of("", "PersistentVolumeClaim", &json!({"status": {"phase": "Pending"}})).1, "NotBound");
        assert_eq!(of("", "PersistentVolumeClaim", &json!({"status": {"phase": "Bound"}})).0, Health::Current);
        assert_eq!(of("", "Service", &json!({"spec": {"type": "LoadBalancer"}})).1, "NoIngressAddress");
        assert_eq!(of("", "Service", &json!({"spec": {"type": "ClusterIP"}})).0, Health::Current);
        let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(of("", "Pod", &ready).0, Health::Current);
        assert_eq!(of("", "Pod", &json!({"status": {"phase": "Running"}})).1, "NotReady");
        assert_eq!(of("", "Pod", &json!({"status": {"phase": "Failed", "reason": "Evicted"}})).1, "Evicted");
    }

    #[test]
    fn any_kind_may_say_how_it_is_by_conditions() {
        let with = |kind: &str, status: &str| {
            of(
                "example.com",
                "Widget",
                &json!({"status": {"conditions": [
                {"type": kind, "status": status, "reason": "Because", "message": "so"}]}}),
            )
        };
        assert_eq!(with("Stalled", "True"), (Health::Failed, "Because".into()));
        assert_eq!(with("Reconciling", "True"), (Health::InProgress, "Because".into()));
        assert_eq!(with("Ready", "False"), (Health::InProgress, "Because".into()));
        assert_eq!(with("Ready", "True"), (Health::Current, String::new()));
        assert_eq!(of("example.com", "Widget", &json!({})), (Health::Current, String::new()));
    }
}
