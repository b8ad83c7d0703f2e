//! What goes, when, and what stays where it is.

use crate::{
    lab::{Agent, Outcome, settled},
    objects::{branch, config_map, service, shop, workload},
};
use lapdev_agent::tunnel::{Accept, Cluster as _};
use lapdev_api::{name::Generation, status::Phase, wire::Assignment};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn only_members_of_the_own_set_are_pruned() -> Outcome {
    let agent = Agent::start('e').await?;
    let base = shop('e', "prune");
    agent.publish_and_wait(1, &base).await?;
    let objects = || vec![config_map("a--key", "1"), config_map("b--key", "1"), service("web--key")];
    let beside = branch(&base, 'b', "key", objects());
    agent.publish_and_wait(1, &beside).await?;
    agent.kubectl("create configmap b--other --from-literal=key=theirs -n lapdev-env-prune", "").await?;
    let fewer = branch(&base, 'b', "key", objects().into_iter().take(1).collect());
    agent.publish_and_wait(2, &fewer).await?;
    agent.until_missing("configmap b--key -n lapdev-env-prune").await?;
    agent.until_missing("service web--key -n lapdev-env-prune").await?;
    for kept in ["configmap a--key", "configmap b--other", "configmap web", "service web", "deployment web"] {
        agent.get(&format!("{kept} -n lapdev-env-prune")).await?;
    }
    let parent = agent.get("configmap lapdev-beeeeeeeeeeeeeee -n lapdev-env-prune").await?;
    let kinds = &parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"];
    assert_eq!(kinds, "ConfigMap", "narrowed after the apply");
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_tombstone_leaves_nothing_and_the_base_as_it_was() -> Outcome {
    let agent = Agent::start('f').await?;
    let base = shop('f', "ends");
    agent.publish_and_wait(1, &base).await?;
    agent.until_object("deployment web -n lapdev-env-ends", |web| web["status"]["unavailableReplicas"] == 1).await?;
    settled(&agent).await?;
    let before = agent.versions("lapdev-env-ends").await?;
    let mut stateful = workload("StatefulSet", "db--key", "key", "db:1", 1);
    stateful["spec"]["serviceName"] = "db--key".into();
    stateful["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}]);
    let objects = vec![config_map("web--key", "1"), workload("Deployment", "web--key", "key", "web:2", 1), stateful];
    let beside = branch(&base, 'b', "key", objects);
    let (uid, base_uid) = (&beside.environment.uid, &base.environment.uid);
    agent.publish_and_wait(1, &beside).await?;
    agent.until_object("pvc data-db--key-0 -n lapdev-env-ends", |_| true).await?;

    // The base cannot go from under it.
    assert_eq!(agent.core.tombstone(base_uid, Generation(1), "late").await, Accept::Refused(Generation(1)));
    assert_eq!(agent.core.tombstone(uid, Generation(2), "pull request #1 closed").await, Accept::Accepted);
    agent.until_gone(uid).await?;
    assert_eq!(agent.versions("lapdev-env-ends").await?, before);
    agent.until_missing("pvc data-db--key-0 -n lapdev-env-ends").await?;
    let pods = agent.get("pods -n lapdev-env-ends -l lapdev.dev/branch=key").await?;
    assert_eq!(pods["items"], json!([]), "gone means its pods too");
    let late = Assignment { uid: uid.clone(), generation: Generation(9), digest: beside.canonical().digest() };
    assert_eq!(agent.core.assign(&late).await, Accept::Refused(Generation(2)), "no resurrection");

    let another = branch(&base, 'c', "other", vec![config_map("web--other", "1")]);
    agent.publish_and_wait(1, &another).await?;
    assert_eq!(agent.core.tombstone(base_uid, Generation(2), "its file is gone").await, Accept::Accepted);
    agent.until(base_uid, |status| status.message.contains("stays until other ended too")).await?;
    agent.get("configmap web--other -n lapdev-env-ends").await?;
    agent.core.tombstone(&another.environment.uid, Generation(2), "its base is gone").await;
    agent.until_gone(&another.environment.uid).await?;
    agent.until_gone(base_uid).await?;
    agent.until_missing("namespace lapdev-env-ends").await?;
    assert!(agent.core.held().is_empty());
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_ttl_ends_without_a_hub() -> Outcome {
    let agent = Agent::start('h').await?;
    let mut bundle = shop('h', "ttl");
    bundle.expires_at = Some(jiff::Timestamp::now() + Duration::from_secs(4));
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    agent
        .until(uid, |status| status.phase == Phase::Terminating && status.message.contains("its ttl ended at"))
        .await?;
    agent.until_missing("namespace lapdev-env-ttl").await?;
    assert_eq!(agent.core.tombstone(uid, Generation(2), "its ttl ended").await, Accept::Accepted);
    agent.until_gone(uid).await?;
    agent.stop().await.map(drop)
}
