//! The test cluster itself: it starts, does what a Kubernetes does, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use lapdev_tests::cluster::ApiCluster;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Processes whose command line names the run folder: every component's does.
fn processes_naming(run: &Path) -> Vec<String> {
    let run = run.display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux has /proc").flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&run) {
            found.push(line);
        }
    }
    found
}

/// Waits for a condition, at most 30 s.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_api_level_cluster_serves_and_leaves_nothing_behind() -> Outcome {
    let began = Instant::now();
    let cluster = ApiCluster::start().await?;
    eprintln!("api level up in {:.1} s", began.elapsed().as_secs_f32());

    let deployment = ["create", "deployment", "web", "--image=localhost/web:1", "--replicas=2"];
    cluster.kubectl(&deployment, "").await?;
    let wait = ["wait", "--for=create", "pod", "--selector=app=web", "--timeout=20s"];
    cluster.kubectl(&wait, "").await?;

    // A ServiceAccount without a role is known, and may do nothing.
    cluster.kubectl(&["create", "serviceaccount", "agent"], "").await?;
    let account = cluster.service_account_kubeconfig("default", "agent").await?;
    let flag = format!("--kubeconfig={}", account.display());
    let name = "--output=jsonpath={.status.userInfo.username}";
    let whoami = cluster.kubectl(&["auth", "whoami", name, &flag], "").await?;
    assert_eq!(whoami, "system:serviceaccount:default:agent");
    let denied = cluster.kubectl(&["get", "pods", &flag], "").await.expect_err("it has no role");
    assert!(denied.to_string().contains("Forbidden"), "{denied}");

    let run = cluster.run_folder().to_owned();
    assert!(processes_naming(&run).len() >= 4, "four components run");
    let began = Instant::now();
    cluster.stop()?;
    eprintln!("api level down in {:.1} s", began.elapsed().as_secs_f32());
    assert_eq!(processes_naming(&run), Vec::<String>::new());
    assert!(!run.exists(), "the run folder is gone");
    Ok(())
}
