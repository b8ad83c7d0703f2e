//! What a base routes on account of its branches, from pass to pass.

use super::*;
use lapdev_api::{labels, route::ROUTER};

const ASKS_FOR_MAIL: (&str, &str) = (".lapdev.yaml", "workloads: [mail]\n");
const BROKEN: (&str, &str) = (".lapdev.yaml", "workloads: [mial]\n");

impl Lab {
    /// With a workload that the catalog does not map.
    async fn with_mail() -> Self {
        let mut lab = Self::new().await;
        lab.config.commit("main", &[("apps/shop/mail.yaml", &app("mail"))]);
        lab.nudge("acme/environments").await;
        lab.published("staging").await;
        lab
    }

    async fn pull_request(&mut self, number: u64, branch: &str, file: (&str, &str)) {
        let head = self.shop.commit_onto(branch, "main", &[file]);
        self.open(number, branch, &head);
        self.nudge("acme/shop").await;
    }

    async fn push(&mut self, number: u64, branch: &str, file: (&str, &str)) {
        let head = self.shop.commit(branch, &[file]);
        self.open(number, branch, &head);
        self.nudge("acme/shop").await;
    }

    async fn closed(&mut self, number: u64) {
        self.set_state(number, PullRequestState::Closed);
        self.nudge("acme/shop").await;
    }

    /// The Services of staging that lead to the routers.
    async fn routed(&self) -> Vec<String> {
        let bundle = self.bundle(&self.get("staging").await).await;
        let is_routed = |object: &&serde_json::Value| object["metadata"]["annotations"].get(labels::ROUTED).is_some();
        let routed = bundle.objects.iter().filter(is_routed);
        routed.map(|object| object["metadata"]["name"].as_str().expect("named").to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_inside_the_mapping_changes_nothing_of_its_base() {
    let mut lab = Lab::with_mail().await;
    let base = lab.get("staging").await;
    assert_eq!(lab.routed().await, ["api", "web"]);
    assert!(names(&lab.bundle(&base).await).contains(&format!("Deployment/{ROUTER}")));
    lab.pull_request(7, "feature/x", ("services/web/a", "2")).await;
    let record = lab.published("feature-x").await;
    assert_eq!(record.previews[0].routes[0].1.service, "web", "the key decides");
    lab.closed(7).await;
    assert_eq!(lab.get("staging").await, base);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_branches_run_outside_the_mapping_is_routed_until_the_last_of_them_ends() {
    let mut lab = Lab::with_mail().await;
    let before = lab.get("staging").await;
    lab.pull_request(7, "feature/x", ASKS_FOR_MAIL).await;
    assert_eq!(lab.routed().await, ["api", "mail", "web"]);
    let during = lab.get("staging").await;
    assert_eq!(during.generation, before.generation.next());

    lab.pull_request(8, "feature/y", ASKS_FOR_MAIL).await;
    lab.closed(7).await;
    assert!(matches!(lab.get("feature-x").await.life, Life::Closing { .. }));
    assert_eq!(lab.get("staging").await, during, "another one runs it");

    lab.closed(8).await;
    assert_eq!(lab.routed().await, ["api", "web"]);
    let after = lab.get("staging").await;
    assert_eq!((after.digest, after.generation), (before.digest, during.generation.next()));
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rendering_that_failed_puts_nothing_back_even_over_a_restart() {
    let mut lab = Lab::with_mail().await;
    lab.pull_request(7, "feature/x", ASKS_FOR_MAIL).await;
    let during = lab.get("staging").await;
    lab.push(7, "feature/x", BROKEN).await;
    assert_eq!(lab.get("feature-x").await.problems[0].reason, "RenderFailed");
    assert_eq!(lab.get("staging").await, during);

    lab.stop().await;
    lab.start();
    lab.nudge("acme/shop").await;
    assert_eq!(lab.get("staging").await, during, "what was published is read again");

    lab.push(7, "feature/x", (".lapdev.yaml", "workloads: [web]\n")).await;
    assert!(lab.get("feature-x").await.problems.is_empty());
    assert_eq!(lab.routed().await, ["api", "web"], "now it is known that nobody runs it");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_stays_as_it_is_while_nobody_knows_what_a_branch_of_it_runs() {
    let mut lab = Lab::with_mail().await;
    lab.pull_request(7, "feature/x", ASKS_FOR_MAIL).await;
    let (base, branch) = (lab.get("staging").await, lab.get("feature-x").await);
    let head = lab.shop.commit("feature/x", &[BROKEN]);
    lab.open(7, "feature/x", &head);
    lab.stop().await;

    // The store is lost. The agent still has both, and the branch cannot be rendered.
    let lost = tempfile::tempdir().expect("a folder");
    let id = lab.store.control_plane_id();
    lab.store = Store::open(&lost.path().join("lapdev.db"), &id).await.expect("a store");
    let dev = name("dev");
    lab.store.session_opened(&dev, 1, "0.1.0", Timestamp::now()).await.expect("opened");
    for EnvironmentRecord { identity, namespace, generation, digest, .. } in [&base, &branch] {
        let (identity, namespace) = (identity.clone(), namespace.clone());
        let held = Held { identity, namespace, generation: *generation, digest: *digest, ended: None };
        lab.store.adopt(&dev, &held, Timestamp::now()).await.expect("adopted");
    }
    lab.store.session_adopted(&dev, 1).await.expect("that was all");
    lab.start();
    lab.nudge("acme/shop").await;
    let waiting = lab.get("staging").await;
    assert_eq!((waiting.digest, waiting.problems.len()), (None, 1), "nothing is told to the agent");
    assert!(waiting.problems[0].message.contains("no longer knows"), "{:?}", waiting.problems);

    lab.push(7, "feature/x", ASKS_FOR_MAIL).await;
    assert_eq!(lab.get("staging").await.digest, base.digest);
    lab.stop().await;
}
