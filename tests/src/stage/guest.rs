//! The visitor's pod, and what tests and the demo have it do.

use super::{Cast, Error, images, until, within};
use crate::{
    cluster::Tools,
    visitor::{Plan, Question, Record, Reply},
};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

const LIMIT: Duration = Duration::from_secs(60);
/// After it was told to stop, the requests that are under way are still answered.
const END: Duration = Duration::from_secs(60);

impl Cast {
    /// Starts the visitor's pod.
    pub async fn invite(&self) -> Result<(), Error> {
        let image = format!("--image={}", images::VISITOR);
        self.cluster.kubectl(&["run", "visitor", &image, "--restart=Never"], "").await?;
        until("the visitor's pod runs", LIMIT, async || {
            let get = ["get", "pod", "visitor", "-o", "jsonpath={.status.containerStatuses[0].ready}"];
            let ready = self.cluster.kubectl(&get, "").await?;
            within(ready == "true", format!("ready: {ready}"))
        })
        .await
    }

    /// Has it ask, one after the other on kept connections.
    pub async fn ask(&self, questions: &[Question]) -> Result<Vec<Reply>, Error> {
        let lines = questions.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?.join("\n");
        let said = self.cluster.kubectl(&["exec", "-i", "visitor", "--", "/visitor", "ask"], &lines).await?;
        let replies = said.lines().map(serde_json::from_str).collect::<Result<Vec<Reply>, _>>()?;
        within(replies.len() == questions.len(), format!("{} replies to {}", replies.len(), questions.len()))?;
        Ok(replies)
    }

    /// Has it run `curl`; what that printed.
    pub async fn curl(&self, arguments: &[&str]) -> Result<String, Error> {
        let curl =
            ["exec", "visitor", "--", "curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "20"];
        Ok(self.cluster.kubectl(&[&curl, arguments].concat(), "").await?)
    }

    /// Has it ask without a pause until [`Soak::end`].
    pub fn soak(&self, plan: &Plan) -> Result<Soak, Error> {
        let mut child = Command::new(Tools::find("kubectl")?.path("kubectl"))
            .arg(format!("--kubeconfig={}", self.cluster.kubeconfig_path().display()))
            .args(["exec", "-i", "visitor", "--", "/visitor", "soak", &serde_json::to_string(plan)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it is piped")?).lines();
        let (count, counted) = watch::channel(0);
        let reader = tokio::spawn(async move {
            let mut records = Vec::new();
            while let Some(line) = lines.next_line().await? {
                records.push(serde_json::from_str(&line)?);
                count.send_replace(records.len());
            }
            Ok(records)
        });
        Ok(Soak { child, counted, reader })
    }
}

/// Requests without a pause.
pub struct Soak {
    child: Child,
    counted: watch::Receiver<usize>,
    reader: JoinHandle<Result<Vec<Record>, Error>>,
}

impl Soak {
    /// How many requests were answered so far, or were not.
    #[must_use]
    pub fn so_far(&self) -> usize {
        *self.counted.borrow()
    }

    /// Waits until there are so many more records, at most `limit`.
    pub async fn more(&mut self, more: usize, limit: Duration) -> Result<(), Error> {
        let wanted = self.so_far() + more;
        let reached = async { self.counted.wait_for(|count| *count >= wanted).await.is_ok() };
        match tokio::time::timeout(limit, reached).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the visitor's soak ended by itself".into()),
            Err(_) => Err(format!("{} of {wanted} requests within {limit:?}", self.so_far()).into()),
        }
    }

    /// Stops it; every record.
    pub async fn end(mut self) -> Result<Vec<Record>, Error> {
        drop(self.child.stdin.take());
        let records = tokio::time::timeout(END, &mut self.reader).await.map_err(|_| "it does not stop")???;
        let status = tokio::time::timeout(END, self.child.wait()).await??;
        within(status.success(), format!("kubectl exec: {status}"))?;
        Ok(records)
    }
}
