//! `lapdev.toml`: what an operator sets. Reading only; each part has its own settings type, which `serve` fills from here.
//!
//! Unknown keys are errors with their line; relative paths start at the file's folder.

use lapdev_reconciler::render::RouterSettings;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use url::Url;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Database, mirrors, `admin.token`.
    pub data_dir: PathBuf,
    /// The listener.
    pub server: Server,
    /// The config repository.
    pub config: ConfigRepository,
    /// The forge.
    pub github: GitHub,
    /// Fetching.
    #[serde(default)]
    pub git: Git,
    /// Where a repository is fetched from, if not from the forge's own clone address.
    #[serde(default)]
    pub repositories: BTreeMap<String, String>,
    /// Guards.
    #[serde(default)]
    pub limits: Limits,
    /// The routers of each Shared environment.
    #[serde(default)]
    pub router: Router,
}

/// The listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// How people, agents and webhooks reach it.
    pub external_url: String,
    /// Certificate and key; none: plain HTTP.
    pub tls: Option<Tls>,
}

/// Certificate and key, PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, leaf first.
    pub certificate_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// The repository that declares clusters, catalogs and environments.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigRepository {
    /// As on the forge.
    pub repository: String,
    /// Which branch is in force.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// The folder that is read.
    #[serde(default = "lapdev_folder")]
    pub path: String,
}

/// The forge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitHub {
    /// The API's base address.
    #[serde(default = "github_api")]
    pub api_url: String,
    /// A token, in a file.
    pub token_file: Option<PathBuf>,
    /// Or a GitHub App.
    pub app: Option<App>,
    /// What webhooks may be signed with.
    pub webhook_secret_files: Vec<PathBuf>,
    /// A certificate authority of the operator's own.
    pub ca_file: Option<PathBuf>,
}

/// A GitHub App.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Its id.
    pub id: u64,
    /// Its private key, PEM.
    pub private_key_file: PathBuf,
}

/// Fetching.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Git {
    /// Of one fetch.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Between two looks at everything.
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
    /// Tokens for repositories that the forge's own token does not open.
    pub credentials: Vec<GitCredential>,
    /// Where remote bases of kustomizations may be fetched from.
    pub remote_bases: Vec<String>,
}

/// A token for repositories.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitCredential {
    /// Of their addresses.
    pub prefix: String,
    /// The token, in a file.
    pub token_file: PathBuf,
}

impl Default for Git {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { timeout: minute, poll: minute, credentials: Vec::new(), remote_bases: Vec::new() }
    }
}

/// Guards.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// In per cent of the living environments.
    pub deletion_share: u8,
    /// At least so many.
    pub deletion_minimum: usize,
    /// The config commit at which held deletions may go.
    pub release_deletions_at: Option<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deletion_share: 30, deletion_minimum: 3, release_deletions_at: None }
    }
}

/// The routers of each Shared environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// Their image.
    pub image: String,
    /// Whether answers say which version gave them.
    pub served_by: bool,
    /// How long a request waits for a branch's pods.
    #[serde(deserialize_with = "duration")]
    pub hold: Duration,
}

impl Router {
    /// The longest hold; whoever asks has given up by then.
    const LONGEST_HOLD: Duration = Duration::from_secs(600);
}

impl Default for Router {
    fn default() -> Self {
        let RouterSettings { image, served_by, hold_seconds } = RouterSettings::default();
        Self { image, served_by, hold: Duration::from_secs(hold_seconds.into()) }
    }
}

fn main_branch() -> String {
    "main".to_owned()
}

fn lapdev_folder() -> String {
    "lapdev".to_owned()
}

fn github_api() -> String {
    "https://api.github.com".to_owned()
}

fn duration<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    let span: jiff::SignedDuration = text.parse().map_err(|_| {
        serde::de::Error::custom(format!("{text:?} is not a duration; expected for example \"60s\" or \"5m\""))
    })?;
    span.try_into().map_err(|_| serde::de::Error::custom("a duration cannot be negative"))
}

/// A settings file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read {path}; copy lapdev.toml.example from the repository and adapt it")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something that cannot be.
    #[error("{path}:{line}:{column}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What was wrong and expected.
        message: String,
    },
    /// Its keys do not fit together.
    #[error("{path}: {message}")]
    Contradiction {
        /// Which file.
        path: PathBuf,
        /// What to change.
        message: &'static str,
    },
}

impl Settings {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let mut settings = Self::parse(path, &text)?;
        settings.start_paths_at(path.parent().unwrap_or(Path::new(".")));
        Ok(settings)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = place(text, error.span().map_or(0, |span| span.start));
            SettingsError::Parse { path: path.to_owned(), line, column, message: error.message().to_owned() }
        })?;
        settings.check().map_err(|message| SettingsError::Contradiction { path: path.to_owned(), message })?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.github.token_file.is_some() == self.github.app.is_some() {
            return Err("[github] needs exactly one of token_file and app");
        }
        if self.github.webhook_secret_files.is_empty() {
            return Err("[github] webhook_secret_files needs at least one file: unsigned webhooks are refused");
        }
        let external = Url::parse(&self.server.external_url).ok();
        let web = external.filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/");
        if web.is_none_or(|url| url.query().is_some() || url.fragment().is_some()) {
            return Err("[server] external_url is an address without a path, such as \"https://lapdev.example.com\"");
        }
        if self.git.timeout.is_zero() || self.git.poll.is_zero() {
            return Err("[git] timeout and poll must be more than nothing, such as \"60s\"");
        }
        if self.limits.deletion_share > 100 {
            return Err("[limits] deletion_share is a percentage: 0 to 100");
        }
        let whole = self.router.hold.subsec_nanos() == 0;
        if !whole || self.router.hold > Router::LONGEST_HOLD {
            return Err("[router] hold is in whole seconds, at most ten minutes, such as \"10s\"");
        }
        if self.router.image.is_empty() || self.router.image.contains(char::is_whitespace) {
            return Err("[router] image is the name of an image with its tag or digest");
        }
        Ok(())
    }

    fn start_paths_at(&mut self, folder: &Path) {
        let github = &mut self.github;
        let tls = self.server.tls.iter_mut().flat_map(|tls| [&mut tls.certificate_file, &mut tls.key_file]);
        let forge = github.token_file.iter_mut().chain(&mut github.ca_file).chain(&mut github.webhook_secret_files);
        let app = github.app.iter_mut().map(|app| &mut app.private_key_file);
        let git = self.git.credentials.iter_mut().map(|entry| &mut entry.token_file);
        for path in tls.chain(forge).chain(app).chain(git).chain([&mut self.data_dir]) {
            *path = folder.join(&*path);
        }
    }
}

/// Line and column, both from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../lapdev.toml.example");

    fn parse(text: &str) -> Result<Settings, SettingsError> {
        Settings::parse(Path::new("lapdev.toml"), text)
    }

    #[test]
    fn the_example_is_read() {
        let settings = parse(EXAMPLE).expect("the example is right");
        assert_eq!(settings.config.repository, "acme/environments");
    }

    /// Takes the `# ` off each commented-out key, so that a key which the example names and the code does not know, or
    /// a default that the example states wrongly, fails here.
    #[test]
    fn the_examples_commented_keys_are_known_and_show_the_defaults() {
        let is_key = |line: &str| line.strip_prefix("# ").is_some_and(|l| l.contains(" = ") && !l.contains(". "));
        let uncommented: String = EXAMPLE
            .lines()
            .map(|line| if is_key(line) && !line.contains("app = ") { &line[2..] } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        let (shown, defaults) = (parse(&uncommented).expect("every key is known"), parse(EXAMPLE).expect("right"));
        assert_eq!(shown.config.branch, defaults.config.branch);
        assert_eq!(shown.config.path, defaults.config.path);
        assert_eq!(shown.github.api_url, defaults.github.api_url);
        assert_eq!((shown.git.timeout, shown.git.poll), (defaults.git.timeout, defaults.git.poll));
        assert_eq!(shown.limits.deletion_share, defaults.limits.deletion_share);
        assert_eq!(shown.limits.deletion_minimum, defaults.limits.deletion_minimum);
        let router = |settings: &Settings| (settings.router.served_by, settings.router.hold);
        assert_eq!(router(&shown), router(&defaults));
        let image = shown.router.image.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(image, defaults.router.image);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let text = EXAMPLE.replace("listen = ", "lisen = ");
        let error = parse(&text).expect_err("lisen is no key").to_string();
        assert!(error.starts_with("lapdev.toml:9:1: unknown field `lisen`"), "{error}");
    }

    #[test]
    fn what_no_link_could_be_made_of_or_would_never_rest_is_refused() {
        let refused = |from: &str, to: &str| parse(&EXAMPLE.replace(from, to)).expect_err(to).to_string();
        for bad in
            ["lapdev.example.com", "ftp://lapdev.example.com", "https://example.com/lapdev", "https://a.example/?b"]
        {
            assert!(refused("https://lapdev.example.com", bad).contains("[server] external_url"), "{bad}");
        }
        assert!(refused("# poll = \"60s\"", "poll = \"0s\"").contains("[git] timeout and poll"));
        assert!(refused("# poll = \"60s\"", "poll = \"1 fortnight\"").contains("is not a duration"));
        for bad in ["1500ms", "1h"] {
            assert!(refused("# hold = \"10s\"", &format!("hold = \"{bad}\"")).contains("[router] hold"), "{bad}");
        }
        assert!(refused("# image = \"lapdev/", "image = \"lapdev /").contains("[router] image"));
    }

    #[test]
    fn both_or_neither_credential_is_refused() {
        let text = EXAMPLE.replace("# app = ", "app = ");
        assert!(parse(&text).expect_err("both").to_string().contains("exactly one of token_file and app"));
    }
}
