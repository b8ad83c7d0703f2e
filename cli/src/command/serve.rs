//! `lapdev serve`: composes webhook, reconciler and hub in one process, which share nothing but the store.
//!
//! SIGTERM and Ctrl-C end it in order: no new requests, agents are told to come back soon, a pass that is under way ends.

use crate::{
    exit::Failure,
    settings::{GitHub as GitHubTable, Settings},
};
use lapdev_api::name::ControlPlaneId;
use lapdev_forge::github::{Credentials, GitHub, GitHubSettings};
use lapdev_hub::{HubSettings, Server, TlsFiles};
use lapdev_reconciler::{
    git::{Credential, GitSettings, RepositoryUrl},
    plan::Limits,
    run::{Reconciler, Settings as ReconcilerSettings},
};
use lapdev_store::Store;
use lapdev_webhook::WebhookSecret;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use warp::Filter;

/// Runs it until a signal.
pub async fn run(config: &Path) -> Result<(), Failure> {
    let settings = Settings::read(config).map_err(Failure::not_fine)?;
    log();
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown)?;
    std::fs::create_dir_all(&settings.data_dir)
        .map_err(|error| Failure::not_fine(format!("cannot create {}: {error}", settings.data_dir.display())))?;
    let id = control_plane_id(&settings).map_err(Failure::not_fine)?;
    let store = Store::open(&settings.data_dir.join("lapdev.db"), &id).await.map_err(Failure::not_fine)?;
    let forge = Arc::new(forge(&settings.github)?);
    let webhook = lapdev_webhook::routes(store.clone(), webhook_secret(&settings.github)?).boxed();
    let reconciler = reconciler_settings(&settings).map_err(Failure::not_fine)?;
    let reconciler = Reconciler::new(reconciler, store.clone(), forge).map_err(Failure::not_fine)?;
    let server = Server::bind(hub_settings(&settings)?, store.clone()).await.map_err(Failure::not_fine)?;
    tracing::info!(listen = %settings.server.listen, "lapdev serves");
    tokio::join!(server.run(webhook, shutdown.clone()), reconciler.run(shutdown));
    store.close().await;
    tracing::info!("ended");
    Ok(())
}

/// People read lines; programs that collect logs read JSON.
fn log() {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { builder.init() } else { builder.json().init() }
}

fn cancel_on_signal(shutdown: &CancellationToken) -> Result<(), Failure> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal = signal(kind).map_err(Failure::not_fine)?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signal.recv().await;
            tracing::info!("ending");
            shutdown.cancel();
        });
    }
    Ok(())
}

/// Of a new store, so that one whose store is lost takes up again what its agents hold.
fn control_plane_id(settings: &Settings) -> Result<ControlPlaneId, Box<dyn std::error::Error + Send + Sync>> {
    let config = &settings.config;
    let external: url::Url = settings.server.external_url.parse()?;
    let (repository, branch) = (config.repository.parse()?, config.branch.parse()?);
    Ok(ControlPlaneId::derive(external.as_str(), &repository, &branch, &config.path))
}

fn reconciler_settings(settings: &Settings) -> Result<ReconcilerSettings, Box<dyn std::error::Error + Send + Sync>> {
    let (config, limits) = (&settings.config, &settings.limits);
    let mut repositories = BTreeMap::new();
    for (name, place) in &settings.repositories {
        repositories.insert(name.parse()?, place.parse::<RepositoryUrl>()?);
    }
    Ok(ReconcilerSettings {
        config_path: config.path.clone(),
        repositories,
        git: git_settings(settings)?,
        poll: settings.git.poll,
        limits: Limits {
            deletion_share: limits.deletion_share,
            deletion_minimum: limits.deletion_minimum,
            release_deletions_at: limits.release_deletions_at.as_deref().map(str::parse).transpose()?,
        },
        ..ReconcilerSettings::new(
            config.repository.parse()?,
            config.branch.parse()?,
            settings.data_dir.join("git"),
            settings.server.external_url.parse()?,
        )
    })
}

/// The forge's token opens its repositories too; what `[git] credentials` says of a longer prefix comes first.
fn git_settings(settings: &Settings) -> Result<GitSettings, url::ParseError> {
    let api: url::Url = settings.github.api_url.parse()?;
    let host = api.host_str().unwrap_or_default();
    // On github.com the API has a host of its own.
    let forge = format!("{}://{}/", api.scheme(), host.strip_prefix("api.").unwrap_or(host));
    let own = settings.github.token_file.iter().map(|file| Credential::token(forge.clone(), file));
    let more = settings.git.credentials.iter().map(|entry| Credential::token(&entry.prefix, &entry.token_file));
    Ok(GitSettings {
        deadline: settings.git.timeout,
        credentials: own.chain(more).collect(),
        ca_file: settings.github.ca_file.clone(),
        ..GitSettings::default()
    })
}

fn hub_settings(settings: &Settings) -> Result<HubSettings, Failure> {
    let server = &settings.server;
    let external = server
        .external_url
        .parse()
        .map_err(|error| Failure::not_fine(format!("[server] external_url {:?}: {error}", server.external_url)))?;
    let tls = server.tls.clone().map(|tls| TlsFiles { certificate: tls.certificate_file, key: tls.key_file });
    Ok(HubSettings::new(server.listen, external, tls, settings.data_dir.clone()))
}

fn forge(github: &GitHubTable) -> Result<GitHub, Failure> {
    let api_url = github
        .api_url
        .parse()
        .map_err(|error| Failure::not_fine(format!("[github] api_url {:?}: {error}", github.api_url)))?;
    let credentials = match (&github.app, &github.token_file) {
        (Some(app), _) => Credentials::App { app_id: app.id, key_file: app.private_key_file.clone() },
        (None, Some(file)) => Credentials::TokenFile(file.clone()),
        (None, None) => return Err(Failure::not_fine("[github] needs token_file or app")),
    };
    let settings = GitHubSettings { ca_file: github.ca_file.clone(), ..GitHubSettings::new(api_url, credentials) };
    GitHub::new(&settings).map_err(Failure::not_fine)
}

fn webhook_secret(github: &GitHubTable) -> Result<WebhookSecret, Failure> {
    let mut secrets = String::new();
    for file in &github.webhook_secret_files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::not_fine(format!("cannot read the webhook secret {}: {error}", file.display()))
        })?;
        secrets += &text;
        secrets.push('\n');
    }
    WebhookSecret::from_lines(&secrets).map_err(Failure::not_fine)
}
