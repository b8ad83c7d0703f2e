//! What is applied, once and not again, and what is said of what cannot be.

use crate::{
    lab::{Agent, LIMIT, Outcome, settled},
    objects::{config_map, deployment, shared, shop},
};
use lapdev_api::{
    name::Generation,
    status::{Health, Phase},
};
use lapdev_tests::stage::{until, within};
use serde_json::{Value, json};

#[tokio::test]
async fn a_bundle_is_applied_and_passes_over_it_write_nothing() -> Outcome {
    let agent = Agent::start('a').await?;
    let bundle = shop('a', "noop");
    agent.publish_and_wait(1, &bundle).await?;
    let parent = agent.get("configmap lapdev-aaaaaaaaaaaaaaaa -n lapdev-env-noop").await?;
    let annotations = &parent["metadata"]["annotations"];
    assert_eq!(annotations["lapdev.dev/generation"], "1");
    assert_eq!(annotations["lapdev.dev/digest"], bundle.clone().canonical().digest().to_string());
    let kinds = "ConfigMap,Deployment.apps,Role.rbac.authorization.k8s.io,Service,ServiceAccount";
    let mut listed: Vec<_> =
        annotations["applyset.kubernetes.io/contains-group-kinds"].as_str().unwrap_or_default().split(',').collect();
    listed.sort_unstable();
    assert_eq!(listed.join(","), kinds);
    let set = &parent["metadata"]["labels"]["applyset.kubernetes.io/id"];
    let web = agent.get("deployment web -n lapdev-env-noop").await?;
    let labels = &web["metadata"]["labels"];
    assert_eq!(&labels["applyset.kubernetes.io/part-of"], set);
    assert_eq!(labels["lapdev.dev/environment"], "aaaaaaaaaaaaaaaa");
    assert!(web["metadata"]["annotations"].get("lapdev.dev/generation").is_none());

    // The Deployment's own controller settles first: it writes status and a revision.
    agent.until_object("deployment web -n lapdev-env-noop", |web| web["status"]["unavailableReplicas"] == 1).await?;
    let written = settled(&agent).await?;
    let before = agent.versions("lapdev-env-noop").await?;
    for deep in [false, false, true] {
        let (passes, _) = agent.core.progress();
        agent.core.resync(deep);
        until("another pass", LIMIT, async || {
            let (now, backlog) = agent.core.progress();
            within(now > passes && backlog == 0, format!("{passes} {now} {backlog}"))
        })
        .await?;
        if !deep {
            assert_eq!(agent.core.writes(), written, "a pass over an unchanged environment sends no write");
        }
    }
    assert_eq!(agent.versions("lapdev-env-noop").await?, before, "and a deep one changes nothing");
    // Nor does an agent that starts anew and knows nothing of what it did.
    let (plane, memory) = agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(&bundle.environment.uid, |status| status.applied.is_some()).await?;
    settled(&agent).await?;
    assert_eq!(agent.versions("lapdev-env-noop").await?, before, "nor does a new start");
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn a_bundle_that_is_too_large_to_keep_is_asked_for_again() -> Outcome {
    let agent = Agent::start('n').await?;
    // Digests do not compress: three ConfigMaps of 600 KiB each.
    let noise = |from: u32| (from..from + 9600).map(|n| lapdev_api::digest::Digest::of(&n.to_be_bytes()).to_string());
    let maps = (0..3).map(|map| config_map(&format!("m-{map}"), &noise(map * 10_000).collect::<String>()));
    let bundle = shared('n', "large", maps.collect());
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    let (plane, memory) = agent.stop().await?;
    let agent = Agent::start_with(plane, memory).await?;
    agent.until(uid, |status| status.generation == Generation(1) && status.applied.is_some()).await?;
    assert_eq!(agent.core.held()[0].digest, None, "its bytes are not held");
    agent.get("configmap m-2 -n lapdev-env-large").await?;
    agent.begin().await;
    agent.publish_and_wait(1, &bundle).await?;
    assert_eq!(agent.core.held()[0].digest, Some(bundle.clone().canonical().digest()));
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn health_carries_the_pods_own_reason_up() -> Outcome {
    let agent = Agent::start('i').await?;
    let bundle = shared('i', "health", vec![deployment("web", "web:1", 1)]);
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    let pods = "pods -n lapdev-env-health -l app=web";
    agent.until_object(pods, |pods| pods["items"].as_array().is_some_and(|pods| pods.len() == 1)).await?;
    let pod = agent.get(pods).await?["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let report = async |state: Value, phase: &str, ready: &str| {
        let container = json!({"name": "web", "image": "web:1", "imageID": "", "ready": ready == "True", "restartCount": 0,
            "started": true, "state": state});
        let conditions = json!([{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        let status = json!({"status": {"phase": phase, "conditions": conditions, "containerStatuses": [container]}});
        let words = ["patch", "pod", &pod, "-n", "lapdev-env-health", "--subresource=status", "--type=merge", "-p"];
        agent.cluster.kubectl(&[&words[..], &[status.to_string().as_str()]].concat(), "").await
    };
    report(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}), "Pending", "False").await?;
    agent
        .until(uid, |status| {
            let web = &status.workloads[0];
            status.phase == Phase::Failed
                && web.health == Health::Failed
                && web.reason.as_deref() == Some("ImagePullBackOff")
                && status.message.contains("no such image")
        })
        .await?;
    report(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), "Running", "True").await?;
    agent.until(uid, |status| status.phase == Phase::Ready && status.workloads[0].ready == 1).await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn what_cannot_be_applied_says_why_and_what_runs_goes_on() -> Outcome {
    let agent = Agent::start('k').await?;
    let good = shop('k', "broken");
    let uid = &good.environment.uid;
    agent.publish_and_wait(1, &good).await?;
    let mut bad = good.clone();
    bad.objects[4]["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    bad.objects.remove(0);
    agent.publish(2, &bad).await?;
    agent.until(uid, |status| status.phase == Phase::Failed && status.message.contains("Deployment")).await?;
    let status = agent.core.status(uid).ok_or("held")?;
    assert_eq!((status.generation, status.applied), (Generation(2), Some(good.clone().canonical().digest())));
    agent.get("configmap web -n lapdev-env-broken").await?;
    let mut unknown = good.clone();
    unknown.objects.push(json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "w", "namespace": "lapdev-env-broken"}}));
    agent.publish(3, &unknown).await?;
    agent.until(uid, |status| status.message.contains("install its CustomResourceDefinition first")).await?;
    agent.publish_and_wait(4, &good).await?;
    let mut secret = good.clone();
    secret.objects.push(json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="},
        "metadata": {"name": "s", "namespace": "lapdev-env-broken"}}));
    let refused = agent.publish(5, &secret).await.expect_err("a Secret with data").to_string();
    assert!(refused.contains("external-secrets"), "{refused}");
    agent.until(uid, |status| status.phase == Phase::Failed && status.message.contains("refused")).await?;
    agent.publish_and_wait(6, &good).await?;
    agent.stop().await.map(drop)
}
