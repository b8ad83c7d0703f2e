//! What the agent puts back, and what of others it leaves alone.

use crate::{
    lab::{Agent, Outcome},
    objects::{branch, config_map, shop, workload},
};
use lapdev_api::status::Phase;
use serde_json::json;

#[tokio::test]
async fn drift_is_put_back() -> Outcome {
    let agent = Agent::start('b').await?;
    let bundle = shop('b', "drift");
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    agent.kubectl("set image deployment/web web=evil:1 -n lapdev-env-drift", "").await?;
    let image = "/spec/template/spec/containers/0/image";
    agent.until_object("deployment web -n lapdev-env-drift", |web| web.pointer(image) == Some(&"web:1".into())).await?;
    agent
        .until(uid, |status| {
            status.notices.iter().any(|notice| notice.contains("was changed by kubectl-set; put back"))
        })
        .await?;
    agent.kubectl("delete configmap web -n lapdev-env-drift", "").await?;
    agent.until_object("configmap web -n lapdev-env-drift", |web| web["data"]["key"] == "1").await?;
    agent.kubectl("label service web -n lapdev-env-drift lapdev.dev/environment-", "").await?;
    let label = "/metadata/labels/lapdev.dev~1environment";
    agent
        .until_object("service web -n lapdev-env-drift", |web| web.pointer(label) == Some(&uid.as_str().into()))
        .await?;
    // The ground it stands on: the inventory, and the agent's own right to work there.
    agent.kubectl("delete configmap lapdev-abbbbbbbbbbbbbbb -n lapdev-env-drift", "").await?;
    agent.until_object("configmap lapdev-abbbbbbbbbbbbbbb -n lapdev-env-drift", |_| true).await?;
    agent.kubectl("delete rolebinding lapdev-agent -n lapdev-env-drift", "").await?;
    agent.until_object("rolebinding lapdev-agent -n lapdev-env-drift", |_| true).await?;
    agent.kubectl("delete namespace lapdev-env-drift --wait=false", "").await?;
    agent
        .until_object("deployment web -n lapdev-env-drift", |web| web["metadata"].get("deletionTimestamp").is_none())
        .await?;
    agent.until(uid, |status| status.phase == Phase::Progressing && status.message.contains("web")).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_scalers_replicas_and_another_appliers_fields_are_left_alone() -> Outcome {
    let agent = Agent::start('c').await?;
    let mut bundle = shop('c', "fields");
    let uid = bundle.environment.uid.clone();
    agent.publish_and_wait(1, &bundle).await?;
    agent.kubectl("scale deployment web --replicas=3 -n lapdev-env-fields", "").await?;
    agent
        .until(&uid, |status| status.notices.iter().any(|notice| notice.contains("spec.replicas is held by kubectl")))
        .await?;
    let theirs =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"key": "theirs"}});
    let apply = "apply --server-side --field-manager=argocd --force-conflicts -n lapdev-env-fields -f -";
    agent.kubectl(apply, &theirs.to_string()).await?;
    agent
        .until(&uid, |status| status.notices.iter().any(|notice| notice.contains("data.key is declared by argocd")))
        .await?;
    // A new revision does not fight either, but brings what is undisputed.
    bundle.objects[0] = config_map("web", "2");
    bundle.objects[0]["metadata"]["namespace"] = "lapdev-env-fields".into();
    bundle.objects[0]["data"]["other"] = "2".into();
    bundle.objects[4]["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2".into();
    agent.publish_and_wait(2, &bundle).await?;
    let map = agent.get("configmap web -n lapdev-env-fields").await?;
    assert_eq!((&map["data"]["key"], &map["data"]["other"]), (&"theirs".into(), &"2".into()));
    let web = agent.get("deployment web -n lapdev-env-fields").await?;
    assert_eq!(web["spec"]["replicas"], 3);
    assert_eq!(web.pointer("/spec/template/spec/containers/0/image"), Some(&"web:2".into()));
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_carries_no_label_of_ours_is_occupied_and_untouched() -> Outcome {
    let agent = Agent::start('d').await?;
    agent.kubectl("create namespace lapdev-env-taken", "").await?;
    agent.kubectl("create configmap web --from-literal=key=theirs -n lapdev-env-taken", "").await?;
    let before = agent.get("configmap web -n lapdev-env-taken").await?;
    let taken = shop('d', "taken");
    agent.publish(1, &taken).await?;
    let uid = &taken.environment.uid;
    agent
        .until(uid, |status| status.phase == Phase::Occupied && status.message.contains("Namespace lapdev-env-taken"))
        .await?;
    assert_eq!(agent.get("configmap web -n lapdev-env-taken").await?, before);

    let mut base = shop('d', "object");
    base.environment.uid = crate::objects::uid('b', 'd');
    agent.publish_and_wait(1, &base).await?;
    agent.kubectl("create configmap web--key --from-literal=key=theirs -n lapdev-env-object", "").await?;
    let before = agent.get("configmap web--key -n lapdev-env-object").await?;
    let beside = branch(
        &base,
        'c',
        "key",
        vec![config_map("web--key", "ours"), workload("Deployment", "web--key", "key", "web:2", 1)],
    );
    agent.publish(1, &beside).await?;
    let uid = &beside.environment.uid;
    agent.until(uid, |status| status.phase == Phase::Occupied && status.message.contains("web--key")).await?;
    assert_eq!(agent.get("configmap web--key -n lapdev-env-object").await?, before);
    assert!(
        agent.get("deployment web--key -n lapdev-env-object").await.is_err(),
        "nothing after the stage that failed"
    );
    // Freed by its owner, the way is open; its end then leaves what it made and no more.
    agent.kubectl("delete configmap web--key -n lapdev-env-object", "").await?;
    agent.core.resync(true);
    agent.until(uid, |status| status.phase == Phase::Progressing && status.applied.is_some()).await?;
    agent.stop().await.map(drop)
}
