//! What may be reached, by whom: previews, the Lease, the rights that the chart gives, the chart's values.

use crate::{
    lab::{ACCOUNT, Agent, HOME, Outcome, chart, client, installed},
    objects::{config_map, shop},
};
use lapdev_agent::{
    core::Memory as _,
    lease::{Keeper, LeaseSettings},
    tunnel::Cluster as _,
};
use lapdev_api::{bundle::DialTarget, kinds::Port, name::Generation};
use lapdev_tests::stage::Error;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn previews_are_dialled_only_where_a_bundle_says_so_and_audits_see_orphans() -> Outcome {
    let agent = Agent::start('j').await?;
    let mut bundle = shop('j', "preview");
    let target =
        DialTarget { namespace: "lapdev-env-preview".parse()?, service: "web".into(), port: Port::Name("http".into()) };
    bundle.previews = vec![target.clone()];
    let uid = &bundle.environment.uid;
    agent.publish_and_wait(1, &bundle).await?;
    let address = agent.core.resolve(uid, &target).await?;
    let service = agent.get("service web -n lapdev-env-preview").await?;
    assert_eq!(
        json!(address.to_string()),
        json!(format!("{}:80", service["spec"]["clusterIP"].as_str().unwrap_or("")))
    );
    let other = DialTarget { service: "kubernetes".into(), namespace: "default".parse()?, port: Port::Number(443) };
    assert!(agent.core.resolve(uid, &other).await.is_err());

    let inventory = agent.core.inventory().await?;
    assert_eq!(inventory.orphans, []);
    // Five objects, the parent, the namespace and the agent's RoleBinding.
    assert_eq!((inventory.held.len(), inventory.held[0].objects), (1, 8));
    let mut stray = config_map("stray", "1");
    stray["metadata"]["labels"] =
        json!({"lapdev.dev/control-plane": "jjjjjjjjjjjjjjjj", "lapdev.dev/environment": "zzzzzzzzzzzzzzzz"});
    agent.kubectl("create -n lapdev-env-preview -f -", &stray.to_string()).await?;
    let orphans = agent.core.inventory().await?.orphans;
    assert_eq!(orphans.len(), 1, "{orphans:?}");
    assert_eq!((orphans[0].name.as_str(), orphans[0].kind.as_str()), ("stray", "ConfigMap"));
    agent.core.tombstone(&"zzzzzzzzzzzzzzzz".parse()?, Generation(1), "swept").await;
    agent.until_missing("configmap stray -n lapdev-env-preview").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn one_agent_holds_the_lease_and_each_taking_counts() -> Outcome {
    let (_, kubeconfig) = installed().await?;
    let keeper = async |identity: &str| -> Result<Keeper, Error> {
        let settings = LeaseSettings {
            namespace: HOME.into(),
            name: ACCOUNT.into(),
            identity: identity.into(),
            duration: Duration::from_secs(6),
        };
        Ok(Keeper::new(client(&kubeconfig).await?, settings))
    };
    let (one, two, stop) = (keeper("one").await?, keeper("two").await?, CancellationToken::new());
    let first = one.acquire(&stop).await.ok_or("stopped")?;
    let waiting = tokio::spawn({
        let stop = stop.clone();
        async move { two.acquire(&stop).await }
    });
    one.remember(&"aaaaaaaaaaaaaaaa".parse()?).await?;
    // Longer than the Lease's duration: it is renewed.
    tokio::time::timeout(Duration::from_secs(9), first.lost.cancelled()).await.expect_err("it is not lost");
    assert!(!waiting.is_finished());
    let epoch = first.epoch;
    first.release().await;
    let second = waiting.await?.ok_or("stopped")?;
    assert_eq!(second.epoch, epoch + 1);
    assert_eq!(one.recall().await?, Some("aaaaaaaaaaaaaaaa".parse()?), "remembered over a change of holders");
    second.release().await;
    Ok(())
}

#[tokio::test]
async fn the_api_server_itself_denies_what_the_agent_should_not_do() -> Outcome {
    let agent = Agent::start('l').await?;
    agent.publish_and_wait(1, &shop('l', "denied")).await?;
    agent.kubectl("create namespace lapdev-env-theirs", "").await?;
    let labels = json!({"lapdev.dev/control-plane": "llllllllllllllll", "lapdev.dev/environment": "zzzzzzzzzzzzzzzz"});
    let namespace = |name: &str, labels: &Value| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}).to_string()
    };
    let binding = |namespace: &str, role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "grab", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": HOME}]})
        .to_string()
    };
    let patch = "patch namespace lapdev-env-theirs --type=merge -p {\"metadata\":{\"labels\":{\"lapdev.dev/control-plane\":\"x\"}}}";
    let strip = "label namespace lapdev-env-denied lapdev.dev/control-plane-";
    let attempts = [
        ("create -f -", namespace("lapdev-env-bare", &json!({}))),
        ("create -f -", namespace("elsewhere", &labels)),
        (patch, String::new()),
        (strip, String::new()),
        ("delete namespace lapdev-env-theirs", String::new()),
        ("delete namespace source", String::new()),
        ("create -f -", binding("kube-system", "lapdev-environment")),
        ("create -f -", binding("lapdev-env-theirs", "lapdev-environment")),
        ("create -f -", binding("lapdev-env-denied", "cluster-admin")),
        ("delete rolebinding lapdev-agent -n lapdev-system", String::new()),
        ("get secrets -n kube-system", String::new()),
        ("get secrets -n source", String::new()),
        ("get secrets -n lapdev-system", String::new()),
        ("get configmaps -n default", String::new()),
        ("get configmaps -A", String::new()),
        ("create configmap x -n source", String::new()),
        ("delete validatingadmissionpolicy lapdev-system-lapdev-agent", String::new()),
        ("delete lease other -n lapdev-system", String::new()),
    ];
    let kubeconfig = format!("--kubeconfig={}", agent.kubeconfig.display());
    for (words, input) in attempts {
        let denied = agent.kubectl(&format!("{words} {kubeconfig}"), &input).await;
        let error = denied.err().ok_or_else(|| format!("{words} was allowed: {input}"))?.to_string();
        let said = ["orbidden", "ValidatingAdmissionPolicy"].iter().any(|word| error.contains(word));
        assert!(said, "{words}: {error}");
    }
    agent.kubectl(&format!("get deployments,services,configmaps -n source {kubeconfig}"), "").await?;
    agent.stop().await.map(drop)
}

#[tokio::test]
async fn the_chart_takes_all_its_values_and_says_which_make_no_sense() -> Outcome {
    let (cluster, _) = installed().await?;
    let values = [
        "url=https://localhost",
        "caConfigMapName=ca",
        "secretName=token",
        "controlPlaneId=aaaaaaaaaaaaaaaa",
        "sourceNamespaces={source,default}",
        "environmentRole.name=second",
        "environmentRole.extraRules[0].apiGroups={external-secrets.io}",
        "environmentRole.extraRules[0].resources={externalsecrets}",
        "environmentRole.extraRules[0].verbs={get}",
        "proxy.https=http://proxy:3128",
        "proxy.bypass=localhost",
        "image.pullSecrets={registry}",
        "priorityClassName=system-cluster-critical",
        "nodeSelector.disk=fast",
        "podAnnotations.a=b",
        "tolerations[0].operator=Exists",
    ];
    // The API server also compiles the policy's expressions.
    let rendered = chart("second", &values).await?;
    let said = cluster.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", "-"], &rendered).await?;
    assert_eq!(said.lines().count(), 13, "{said}");
    let without = chart("second", &[&values[..], &["environmentRole.create=false"]].concat()).await?;
    let roles = |chart: &str| chart.lines().filter(|line| *line == "kind: ClusterRole").count();
    assert_eq!((roles(&rendered), roles(&without)), (2, 1), "the environments' role is then the first release's");
    for (value, named) in [("url=lapdev", "/url"), ("namespacePrefix=", "/namespacePrefix"), ("colour=red", "colour")] {
        let refused = chart("second", &["url=https://localhost", value]).await.expect_err("refused").to_string();
        assert!(refused.contains(named), "{refused}");
    }
    Ok(())
}
