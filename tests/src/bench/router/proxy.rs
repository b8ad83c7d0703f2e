//! What is measured: the router, its peers, and no proxy at all.

use super::{
    ground::{ADDRESS, BASELINE, Ground, KEY},
    program::{Program, listens},
};
use crate::{
    bench::released,
    load::Protocol,
    stage::{Error, until},
};
use lapdev_api::route::admin;
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(120);

/// Something between client and backend.
pub struct Proxy {
    /// As the tables call it.
    pub name: &'static str,
    /// Its process; none for the direct way.
    pub program: Option<Program>,
    ports: [u16; 3],
}

impl Proxy {
    /// No proxy: the client asks the baseline itself.
    pub fn direct() -> Self {
        Self { name: "direct", program: None, ports: [BASELINE.port(); 3] }
    }

    /// Debian's haproxy.
    pub async fn haproxy(ground: &Ground) -> Result<Self, Error> {
        let file = ground.folder("haproxy")?.join("haproxy.cfg");
        std::fs::write(&file, include_str!("../peers/haproxy.cfg"))?;
        let mut command = ground.inside().command("haproxy");
        command.arg("-db").arg("-f").arg(file);
        Self::start(ground, "haproxy", command, [7101, 7102, 7102]).await
    }

    /// Debian's nginx.
    pub async fn nginx(ground: &Ground) -> Result<Self, Error> {
        let folder = ground.folder("nginx")?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, include_str!("../peers/nginx.conf"))?;
        let mut command = ground.inside().command("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(file).args(["-e", "stderr"]);
        Self::start(ground, "nginx", command, [7201, 7202, 7203]).await
    }

    async fn start(
        ground: &Ground,
        name: &'static str,
        command: std::process::Command,
        ports: [u16; 3],
    ) -> Result<Self, Error> {
        let program = Program::start(name, command, &ground.log())?;
        let proxy = Self { name, program: Some(program), ports };
        for port in ports {
            let waited = listens(ground.inside(), SocketAddr::from((ADDRESS, port))).await;
            waited.map_err(|error| format!("{name}: {error}\n{}", proxy.said()))?;
        }
        Ok(proxy)
    }

    /// The router for the routes of a Kubernetes namespace, once it is ready. Its admin server listens at `admin`.
    pub async fn router(ground: &Ground, namespace: &'static str, port: u16, admin: u16) -> Result<Self, Error> {
        let mut command = ground.inside().command(released("lapdev-router")?);
        command
            .env("KUBECONFIG", ground.kubeconfig())
            .env("NAMESPACE", namespace)
            .env("LAPDEV_LISTEN_ADDRESS", ADDRESS.to_string())
            .env("LAPDEV_ADMIN_ADDRESS", format!("127.0.0.1:{admin}"));
        let mut program = Program::start(namespace, command, &ground.log())?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, admin));
        let ready = until("the router is ready", LIMIT, async || {
            program.still_runs()?;
            is_ready(ground, at)
        });
        ready.await.map_err(|error| format!("{error}\n{}", program.said()))?;
        Ok(Self { name: "lapdev-router", program: Some(program), ports: [port; 3] })
    }

    /// The end of its log.
    pub fn said(&self) -> String {
        self.program.as_ref().map(Program::said).unwrap_or_default()
    }

    /// Where it is asked.
    pub fn address(&self, protocol: Protocol) -> SocketAddr {
        let [h1, h2, grpc] = self.ports;
        let port = match protocol {
            Protocol::H1 => h1,
            Protocol::H2 => h2,
            Protocol::Grpc => grpc,
        };
        SocketAddr::from((ADDRESS, port))
    }

    /// What it is asked, and who must answer: half of the requests carry the branch's key, in either header. The direct way
    /// leads to the baseline alone.
    pub fn asks(&self) -> Vec<String> {
        let branch = if self.program.is_some() { KEY } else { "baseline" };
        ["-=baseline".to_owned(), format!("{KEY}={branch}"), "-=baseline".to_owned(), format!("baggage:{KEY}={branch}")]
            .to_vec()
    }
}

fn is_ready(ground: &Ground, at: SocketAddr) -> Result<(), Error> {
    let limit = Duration::from_secs(2);
    let mut stream = ground.inside().connect(at, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {} HTTP/1.1\r\nhost: router\r\nconnection: close\r\n\r\n", admin::READY)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().next().unwrap_or_default();
    if line.contains(" 200") { Ok(()) } else { Err(format!("{} answers {line}", admin::READY).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::router::ground::BRANCH;

    #[test]
    fn the_peers_files_name_the_backends_and_the_branch() {
        for file in [include_str!("../peers/haproxy.cfg"), include_str!("../peers/nginx.conf")] {
            for word in [BASELINE.to_string(), BRANCH.to_string(), format!("lapdev={KEY}")] {
                assert!(file.contains(&word), "{word} is missing");
            }
        }
    }
}
