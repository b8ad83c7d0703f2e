//! `lapdev serve` as a process, with settings, certificates and secrets of its own, and the command that talks to it.

use super::{
    Error,
    programs::{Program, Running},
    wait::until,
};
use crate::cluster::OUT_NAME;
use serde_json::Value;
use std::{
    ffi::OsStr,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

const START: Duration = Duration::from_secs(30);

/// Where processes run.
#[derive(Debug, Clone)]
pub struct Place {
    /// What enters it, such as `nsenter --net=… --`; empty: the host.
    pub prefix: Vec<String>,
    /// Where the control plane listens there.
    pub listen: SocketAddr,
    /// How people reach it, where that differs: written into links, and what the command dials (on the host).
    pub external_url: Option<String>,
}

impl Place {
    /// The host itself, on a free port of loopback.
    pub fn host() -> Result<Self, Error> {
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { prefix: Vec::new(), listen, external_url: None })
    }

    fn external_url(&self) -> String {
        self.external_url.clone().unwrap_or_else(|| format!("https://{}", self.listen))
    }
}

/// What a control plane is told.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it runs.
    pub place: Place,
    /// Settings, secrets and data.
    pub folder: PathBuf,
    /// The API of the forge.
    pub github: String,
    /// Between two looks at everything.
    pub poll: Duration,
    /// `owner/name` → where it is fetched from. The config repository is `acme/environments`.
    pub repositories: Vec<(String, PathBuf)>,
    /// Further lines of lapdev.toml.
    pub more: String,
}

/// One control plane.
pub struct ControlPlane {
    setup: Setup,
    process: Running,
}

impl ControlPlane {
    /// Writes its settings and starts it; returns when it is ready.
    pub async fn start(setup: Setup) -> Result<Self, Error> {
        write_settings(&setup)?;
        let process = launch(&setup)?;
        let mut plane = Self { setup, process };
        plane.ready().await?;
        Ok(plane)
    }

    /// Kills it as the kernel would, mid-whatever.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.process.kill().await
    }

    /// Ends it as an upgrade does.
    pub async fn terminate(&mut self) -> Result<(), Error> {
        let status = self.process.terminate().await?;
        if status.success() { Ok(()) } else { Err(format!("lapdev serve ended with {status}").into()) }
    }

    /// Starts it again on the same data; returns when it is ready.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.process = launch(&self.setup)?;
        self.ready().await
    }

    /// Starts it again with other further lines in its settings, as an operator who edits them.
    pub async fn restart_with(&mut self, more: &str) -> Result<(), Error> {
        self.terminate().await?;
        more.clone_into(&mut self.setup.more);
        write_settings(&self.setup)?;
        self.restart().await
    }

    /// Where agents dial it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.setup.place.listen)
    }

    /// Where it listens.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.setup.place.listen
    }

    /// How people reach it.
    #[must_use]
    pub fn external_url(&self) -> String {
        self.setup.place.external_url()
    }

    /// What a person must set to use the command against it.
    #[must_use]
    pub fn client_environment(&self) -> [(&'static str, String); 3] {
        [
            ("LAPDEV_SERVER", self.setup.place.external_url()),
            ("LAPDEV_CA_FILE", self.ca_file().display().to_string()),
            ("LAPDEV_ADMIN_TOKEN_FILE", self.setup.folder.join("data/admin.token").display().to_string()),
        ]
    }

    /// The certificate authority that an agent or a browser must trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.setup.folder.join("ca.crt")
    }

    /// What it printed last.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Runs the command against it: exit code, stdout, stderr.
    pub async fn lapdev(&self, arguments: &[&str]) -> Result<(i32, String, String), Error> {
        let mut command = Command::new(Program::Lapdev.path()?);
        command.args(arguments).envs(self.client_environment()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
    }

    /// Runs a command that must succeed; its stdout.
    pub async fn say(&self, arguments: &[&str]) -> Result<String, Error> {
        let (code, stdout, stderr) = self.lapdev(arguments).await?;
        if code == 0 { Ok(stdout) } else { Err(format!("lapdev {arguments:?} exited {code}: {stdout}{stderr}").into()) }
    }

    /// One environment, as `lapdev get environment NAME -o json` shows it.
    pub async fn environment(&self, name: &str) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.say(&["get", "environment", name, "-o", "json"]).await?)?)
    }

    /// Every environment and the state of the config repository.
    pub async fn environments(&self) -> Result<Value, Error> {
        Ok(serde_json::from_str(&self.say(&["get", "environments", "-o", "json"]).await?)?)
    }

    /// A token for a cluster's agent.
    pub async fn token(&self, cluster: &str) -> Result<String, Error> {
        Ok(self.say(&["token", "create", cluster]).await?.trim().to_owned())
    }

    async fn ready(&mut self) -> Result<(), Error> {
        until("lapdev serve answers", START, async || {
            self.process.still_runs()?;
            self.environments().await.map(drop)
        })
        .await
    }
}

fn launch(setup: &Setup) -> Result<Running, Error> {
    let settings = setup.folder.join("lapdev.toml");
    let arguments = [OsStr::new("serve"), OsStr::new("--config"), settings.as_os_str()];
    let environment = [("RUST_LOG", OsStr::new("info"))];
    Running::start(
        &Program::Lapdev.path()?,
        &setup.place.prefix,
        &arguments,
        &environment,
        &setup.folder.join("serve.log"),
    )
}

fn write_settings(setup: &Setup) -> Result<(), Error> {
    std::fs::create_dir_all(&setup.folder)?;
    write_certificates(&setup.folder, setup.place.listen)?;
    write_secret(&setup.folder.join("github-token"), super::forge::TOKEN)?;
    write_secret(&setup.folder.join("webhook"), super::forge::SECRET)?;
    let repositories: String = setup
        .repositories
        .iter()
        .map(|(name, path)| format!("{name:?} = {:?}\n", path.display().to_string()))
        .collect();
    let text = format!(
        r#"data_dir = "data"
[server]
listen = "{listen}"
external_url = "{external_url}"
tls = {{ certificate_file = "tls.crt", key_file = "tls.key" }}
[config]
repository = "acme/environments"
[github]
api_url = "{github}"
token_file = "github-token"
webhook_secret_files = ["webhook"]
[git]
poll = "{poll}ms"
[repositories]
{repositories}
{more}"#,
        listen = setup.place.listen,
        external_url = setup.place.external_url(),
        github = setup.github,
        poll = setup.poll.as_millis(),
        more = setup.more,
    );
    Ok(std::fs::write(setup.folder.join("lapdev.toml"), text)?)
}

/// A certificate authority and a certificate for the listener: kept over restarts, as an operator would.
fn write_certificates(folder: &Path, listen: SocketAddr) -> Result<(), Error> {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
    if folder.join("ca.crt").exists() {
        return Ok(());
    }
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // A name of its own: a certificate whose issuer has its own name counts as self-signed.
    authority.distinguished_name.push(DnType::CommonName, "the stage's certificate authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut server = CertificateParams::new(["localhost", "*.preview.localhost", OUT_NAME].map(str::to_owned))?;
    server.subject_alt_names.push(SanType::IpAddress(listen.ip()));
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    std::fs::write(folder.join("ca.crt"), authority.pem())?;
    std::fs::write(folder.join("tls.crt"), certificate.pem())?;
    write_secret(&folder.join("tls.key"), &key.serialize_pem())
}

fn write_secret(path: &Path, content: &str) -> Result<(), Error> {
    std::fs::write(path, content)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}
