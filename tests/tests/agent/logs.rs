//! What agent and router log while the API server is away: their own words for it, and nothing of their client's.

use crate::lab::Outcome;
use lapdev_tests::stage::{Program, within};
use serde_json::json;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

/// Until each has tried more than once.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_api_server_that_is_away_is_said_in_the_programs_own_words_only() -> Outcome {
    let folder = tempfile::tempdir()?;
    // A port that was free a moment ago; nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let cluster = json!({"name": "away", "cluster": {"server": format!("http://127.0.0.1:{port}")}});
    let context = json!({"name": "away", "context": {"cluster": "away", "user": "nobody", "namespace": "x"}});
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "away", "clusters": [cluster],
        "contexts": [context], "users": [{"name": "nobody", "user": {}}]});
    let (config, token) = (folder.path().join("config"), folder.path().join("token"));
    std::fs::write(&config, kubeconfig.to_string())?;
    std::fs::write(&token, "x")?;
    for (program, own) in [(Program::Agent, "cannot begin"), (Program::Router, "lapdev_router::watch")] {
        let mut command = Command::new(program.path()?);
        command.env_clear().env("KUBECONFIG", &config).env("NAMESPACE", "x").env("LAPDEV_LISTEN_ADDRESS", "127.0.77.1");
        command.env("LAPDEV_URL", "https://localhost").env("LAPDEV_TOKEN_FILE", &token).env("LAPDEV_NAMESPACE", "x");
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("it is piped")?).lines();
        let mut said = Vec::new();
        let told = tokio::time::timeout(LIMIT, async {
            while said.iter().filter(|line: &&String| line.contains(own)).count() < 2 {
                said.push(lines.next_line().await?.ok_or("it ended")?);
            }
            Ok::<_, lapdev_tests::stage::Error>(())
        });
        let told = told.await;
        within(matches!(told, Ok(Ok(()))), format!("{program:?} does not say {own:?}: {said:#?}"))?;
        let clients = said.iter().filter(|line| line.contains("kube_client"));
        within(clients.clone().count() == 0, format!("{program:?}: {:#?}", clients.collect::<Vec<_>>()))?;
    }
    Ok(())
}
