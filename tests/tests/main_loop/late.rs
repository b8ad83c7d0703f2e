//! A workload outside the catalog's mapping, on a real API server: its Service is to be routed while a branch runs it, over
//! the end of the control plane, and is as it was when the last such branch ended. Without nodes no router is ever ready,
//! so the Service itself must wait; `tests/tests/routing/` has routers.

use crate::{
    looks::{LIMIT, clean_audit, environment_of, gone, like, settled, steady, uid},
    scenario::scenario,
};
use lapdev_tests::stage::{Error, Playbill, Theatre, forge, until, within};

const NAMESPACE: &str = "lapdev-env-staging";
const CATALOG: &str = "lapdev/catalogs/shop.yaml";
/// The rule that is taken away.
const STOCK: &str = "    - name: stock
      repository: acme/shop
      paths: [\"services/stock/**\"]
      image: {container: stock, name: localhost/shop/stock, tag: \"{sha}\"}
";
/// Policies of the shop: closed but for one way.
const POLICIES: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: cart}
spec:
  podSelector: {matchLabels: {app: cart}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: cart}}}], ports: [{port: http}]}]
";

#[tokio::test]
async fn a_service_outside_the_mapping_is_taken_over_for_its_branches_and_put_back_after_the_last() {
    scenario("late take-over", &Playbill::default(), async |theatre| {
        let catalog = theatre.config.read("main", CATALOG)?;
        within(catalog.contains(STOCK), catalog.clone())?;
        theatre.config.write("main", CATALOG, &catalog.replace(STOCK, ""))?;
        let kustomization = theatre.config.read("main", "apps/shop/kustomization.yaml")?;
        theatre.config.write("main", "apps/shop/policies.yaml", POLICIES)?;
        let with_policies = kustomization.replace("  - stock.yaml\n", "  - stock.yaml\n  - policies.yaml\n");
        theatre.config.write("main", "apps/shop/kustomization.yaml", &with_policies)?;
        forge::pushed(&theatre.github, forge::CONFIG)?;
        policies_are(theatre, "cart deny lapdev-router lapdev-router-to-cart web").await?;
        selector_is(theatre, "stock", r#"{"app":"stock","lapdev.dev/branch":"baseline"}"#).await?;
        selector_is(theatre, "cart", r#"{"lapdev.dev/branch":"baseline","lapdev.dev/router":"true"}"#).await?;
        settled(theatre, "staging", None).await?;
        let before = steady(theatre).await?;

        theatre.app.branch("feature/stock", "main")?;
        let head = theatre.app.write("feature/stock", ".lapdev.yaml", "workloads: [stock]\n")?;
        let number = forge::open_pull(&theatre.github, "feature/stock", "More stock")?;
        let name = environment_of(theatre, number).await?;
        let uid = uid(&settled(theatre, &name, Some(&head)).await?)?;
        original_stands(theatre).await?;
        let during = steady(theatre).await?;
        selector_is(theatre, "stock", r#"{"app":"stock","lapdev.dev/branch":"baseline"}"#).await?;

        theatre.plane.kill().await?;
        theatre.plane.restart().await?;
        theatre.connected(true).await?;
        // A broken push renders nothing, and what runs stays routed.
        theatre.app.write("feature/stock", ".lapdev.yaml", "workloads: [stok]\n")?;
        forge::pushed(&theatre.github, forge::APP)?;
        render_failed(theatre, &name).await?;
        like(theatre, &during).await?;

        forge::close_pull(&theatre.github, number)?;
        gone(theatre, &name, &uid).await?;
        like(theatre, &before).await?;
        clean_audit(theatre).await
    })
    .await;
}

async fn policies_are(theatre: &Theatre, wanted: &str) -> Result<(), Error> {
    until("the policies are translated", LIMIT, async || {
        let get = ["get", "networkpolicies", "-n", NAMESPACE, "-o", "jsonpath={.items[*].metadata.name}"];
        let names = theatre.cluster.kubectl(&get, "").await?;
        within(names == wanted, names)
    })
    .await
}

async fn selector_is(theatre: &Theatre, service: &str, wanted: &str) -> Result<(), Error> {
    until(&format!("the selector of Service {service}"), LIMIT, async || {
        let get = ["get", "service", service, "-n", NAMESPACE, "-o", "jsonpath={.spec.selector}"];
        let selector = theatre.cluster.kubectl(&get, "").await?;
        within(selector == wanted, selector)
    })
    .await
}

async fn original_stands(theatre: &Theatre) -> Result<(), Error> {
    until("the original of stock stands", LIMIT, async || {
        let get = ["get", "services", "-n", NAMESPACE, "-o", "name"];
        let services = theatre.cluster.kubectl(&get, "").await?;
        within(services.lines().any(|line| line == "service/stock--baseline"), services)
    })
    .await
}

async fn render_failed(theatre: &Theatre, name: &str) -> Result<(), Error> {
    until("the broken push is said", LIMIT, async || {
        let view = theatre.plane.environment(name).await?;
        let problems = view["problems"].as_array().cloned().unwrap_or_default();
        within(problems.iter().any(|problem| problem["reason"] == "RenderFailed"), view.to_string())
    })
    .await
}
