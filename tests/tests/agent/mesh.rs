//! A mesh's sidecar in the pods behind a routed Service: it is found, and what it means for routing is said.

use crate::{
    lab::{Agent, Outcome},
    routing::routed_shop,
};
use serde_json::json;

#[tokio::test]
async fn a_sidecar_in_a_pod_behind_a_routed_service_is_explained_until_it_is_gone() -> Outcome {
    let agent = Agent::start('q').await?;
    let base = routed_shop('q', "mesh");
    let uid = &base.environment.uid;
    agent.publish_and_wait(1, &base).await?;
    let pods = "pods -n lapdev-env-mesh -l app=web,lapdev.dev/branch=baseline";
    agent.until_object(pods, |pods| pods["items"].as_array().is_some_and(|pods| pods.len() == 1)).await?;
    let pod = agent.get(pods).await?["items"][0]["metadata"]["name"].as_str().ok_or("a pod has a name")?.to_owned();
    let speaks = |notice: &String| notice.contains("puts sidecars into");
    agent.until(uid, |status| !status.notices.iter().any(speaks)).await?;

    // What an injector added, as the kubelet reports it: Istio's beside the others, Linkerd's as a native sidecar.
    for (place, sidecar, mesh) in [
        ("containerStatuses", "istio-proxy", "Istio"),
        ("initContainerStatuses", "linkerd-proxy", "Linkerd"),
        ("containerStatuses", "linkerd-proxy", "Linkerd"),
    ] {
        let container = json!({"name": sidecar, "image": "x", "imageID": "x", "ready": true, "restartCount": 0});
        let mut status = json!({"containerStatuses": [], "initContainerStatuses": []});
        status[place] = json!([container]);
        let status = json!({ "status": status }).to_string();
        let patch =
            ["patch", "pod", &pod, "-n", "lapdev-env-mesh", "--subresource=status", "--type=merge", "-p", &status];
        agent.cluster.kubectl(&patch, "").await?;
        let says =
            format!("{mesh} puts sidecars into the pods behind web: requests in plain text are routed per branch");
        let explained = |notice: &String| notice.starts_with(&says) && notice.contains("(mTLS)");
        agent.until(uid, |status| status.notices.iter().filter(|notice| explained(notice)).count() == 1).await?;
    }
    let none = json!({"status": {"containerStatuses": [], "initContainerStatuses": []}}).to_string();
    let patch = ["patch", "pod", &pod, "-n", "lapdev-env-mesh", "--subresource=status", "--type=merge", "-p", &none];
    agent.cluster.kubectl(&patch, "").await?;
    agent.until(uid, |status| !status.notices.iter().any(speaks)).await?;
    agent.stop().await.map(drop)
}
