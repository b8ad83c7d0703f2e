//! A double with one repository, and lapdev's view of it.

use lapdev_api::name::RepositoryName;
use lapdev_forge::{
    Forge, ForgeError,
    github::{Credentials, GitHub, GitHubSettings},
};
use lapdev_tests::github::{Double, NewPull, Options};
use std::{
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;
pub type Outcome = Result<(), Failed>;

pub const REPOSITORY: &str = "acme/shop";
pub const MARKER: &str = "<!-- lapdev: acme/shop -->";

/// A double with one repository, and lapdev's view of it.
pub struct Stage {
    pub double: Arc<Double>,
    pub forge: Arc<GitHub>,
    pub repository: RepositoryName,
    pub folder: TempDir,
}

impl Stage {
    pub async fn new() -> Result<Self, Failed> {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut GitHubSettings)) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let double = Double::start(Options::new(folder.path())).await?;
        double.create_repository(REPOSITORY)?;
        let token = folder.path().join("token");
        std::fs::write(&token, double.create_token("lapdev-bot")?)?;
        let mut settings = GitHubSettings::new(double.url().parse()?, Credentials::TokenFile(token));
        settings.request_timeout = Duration::from_secs(60);
        change(&mut settings);
        let forge = Arc::new(GitHub::new(&settings)?);
        Ok(Self { double: Arc::new(double), forge, repository: REPOSITORY.parse()?, folder })
    }

    /// Opens a pull request from a new branch.
    pub fn pull(&self, branch: &str) -> Result<u64, Failed> {
        self.double.commit(REPOSITORY, branch, &[(&format!("{branch}.txt"), "new\n")])?;
        Ok(self.double.open_pull(REPOSITORY, NewPull { head: branch.to_owned(), ..NewPull::default() })?)
    }

    /// Opens many.
    pub fn pulls(&self, count: u64) -> Outcome {
        (0..count).try_for_each(|i| self.pull(&format!("b{i}")).map(drop))
    }

    pub async fn numbers(&self) -> Result<Vec<u64>, ForgeError> {
        Ok(self.forge.open_pull_requests(&self.repository).await?.iter().map(|pull| pull.number).collect())
    }

    pub async fn comment(&self, number: u64, known: Option<u64>, body: &str) -> Result<u64, ForgeError> {
        let body = format!("{MARKER}\n{body}");
        self.forge.upsert_comment(&self.repository, number, known, MARKER, &body).await
    }

    /// The statuses of the answers to requests whose method and path contain these, in order.
    pub fn answers(&self, method: &str, path: &str) -> Vec<u16> {
        let exchanges = self.double.exchanges();
        let wanted = exchanges.iter().filter(|exchange| exchange.method == method && exchange.path.contains(path));
        wanted.map(|exchange| exchange.status).collect()
    }

    /// Another view that remembers nothing.
    pub fn again(&self, patience: Duration) -> Result<GitHub, Failed> {
        let credentials = Credentials::TokenFile(self.folder.path().join("token"));
        let mut settings = GitHubSettings::new(self.double.url().parse()?, credentials);
        settings.request_timeout = patience;
        Ok(GitHub::new(&settings)?)
    }

    /// Fails unless everything that was said fits GitHub's published description.
    pub fn fits_the_description(&self) -> Outcome {
        let recording = self.folder.path().join("recording.json");
        let both = serde_json::json!({"exchanges": self.double.exchanges(), "deliveries": self.double.deliveries()});
        std::fs::write(&recording, both.to_string())?;
        let check = tools_folder().join("check.mjs");
        let output =
            Process::new("node").arg(check).arg(&recording).env("LAPDEV_GITHUB_TOOLS", installed()?).output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Ok(())
    }
}

fn tools_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/github")
}

/// Where GitHub's description and samples are installed.
pub fn installed() -> Result<PathBuf, Failed> {
    let output = Process::new(tools_folder().join("install")).stderr(Stdio::inherit()).output()?;
    assert!(output.status.success(), "tests/tools/github/install failed");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
