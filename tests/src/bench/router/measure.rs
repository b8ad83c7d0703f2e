//! One measurement: a run of the load client against one proxy, with the processor time that each part took.

use super::{
    ground::{Ground, beside},
    proxy::Proxy,
};
use crate::{
    load::{Outcome, Protocol},
    stage::Error,
};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// How much longer than its time a client may take.
const GRACE: Duration = Duration::from_secs(60);

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub struct Drive {
    /// What is spoken.
    pub protocol: Protocol,
    /// Connections.
    pub connections: usize,
    /// Requests at once on each.
    pub streams: usize,
    /// Requests a second; none: as many as are answered.
    pub rate: Option<u32>,
    /// Seconds, of which the first are not measured.
    pub seconds: f64,
    /// Those first ones.
    pub warm_up: f64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The client's view.
    pub outcome: Outcome,
    /// Cores per 1,000 requests a second: of the proxy.
    pub proxy: f64,
    /// Of both backends.
    pub backends: f64,
    /// Of the client.
    pub client: f64,
}

impl Drive {
    /// Does it.
    pub async fn run(&self, ground: &Ground, proxy: &Proxy) -> Result<Measured, Error> {
        let cpu = || -> Result<(Duration, Duration), Error> {
            let [one, two] = ground.backends();
            let own = proxy.program.as_ref().map_or(Ok(Duration::ZERO), super::program::Program::cpu)?;
            Ok((own, one.cpu()? + two.cpu()?))
        };
        let before = cpu()?;
        let limit = Duration::from_secs_f64(self.seconds) + GRACE;
        let output = tokio::time::timeout(limit, self.command(ground, proxy)?.output()).await??;
        let after = cpu()?;
        if !output.status.success() {
            return Err(format!("load: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let outcome: Outcome = serde_json::from_slice(&output.stdout)?;
        let cores = |time: Duration| time.as_secs_f64() / (outcome.total.max(1) as f64 / 1000.0);
        Ok(Measured {
            proxy: cores(after.0 - before.0),
            backends: cores(after.1 - before.1),
            client: cores(Duration::from_secs_f64(outcome.cpu_seconds)),
            outcome,
        })
    }

    fn command(&self, ground: &Ground, proxy: &Proxy) -> Result<Command, Error> {
        let mut command = ground.inside().command(beside("load")?);
        command.args(["run", &proxy.address(self.protocol).to_string()]);
        command.args(["--protocol", &self.protocol.to_string()]);
        command.args(["--connections", &self.connections.to_string(), "--streams", &self.streams.to_string()]);
        command.args(["--seconds", &self.seconds.to_string(), "--warm-up", &self.warm_up.to_string()]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        for ask in proxy.asks() {
            command.args(["--ask", &ask]);
        }
        let mut command = Command::from(command);
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }
}

/// So many connections that are open and idle, until dropped.
pub async fn idle(ground: &Ground, proxy: &Proxy, connections: usize) -> Result<Child, Error> {
    let mut command = ground.inside().command(beside("load")?);
    command.args(["idle", &proxy.address(Protocol::H1).to_string(), "--connections", &connections.to_string()]);
    let mut command = Command::from(command);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let said = BufReader::new(child.stdout.take().ok_or("load has no standard output")?);
    let line = tokio::time::timeout(GRACE, said.lines().next_line()).await??;
    match line.as_deref() {
        Some("holding") => Ok(child),
        _ => Err(format!("{} idle connections to {} could not be opened", connections, proxy.name).into()),
    }
}
