//! `lapdev serve`: composes webhook, reconciler and hub in one process, which share nothing but the store.
//!
//! SIGTERM and Ctrl-C end it in order: no new requests, agents are told to come back soon, a pass that is under way is
//! given up. What does not end in time is cut off: everything can be killed at any moment anyway.

use crate::{
    data_dir::DataDir,
    exit::Failure,
    settings::{GitHub as GitHubTable, Router, Settings},
};
use lapdev_api::name::ControlPlaneId;
use lapdev_forge::github::{Credentials, GitHub, GitHubSettings};
use lapdev_hub::{HubSettings, Server, TlsFiles};
use lapdev_reconciler::{
    git::{Credential, GitSettings, RepositoryUrl},
    plan::Limits,
    render::RouterSettings,
    run::{Reconciler, Settings as ReconcilerSettings},
};
use lapdev_store::Store;
use lapdev_webhook::WebhookSecret;
use std::{collections::BTreeMap, fmt::Display, path::Path, str::FromStr, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::{Position, Url};
use warp::Filter;

// The keys whose values are parsed in more than one place, as errors name them.
const EXTERNAL_URL: &str = "[server] external_url";
const REPOSITORY: &str = "[config] repository";
const BRANCH: &str = "[config] branch";
const API_URL: &str = "[github] api_url";

/// From the signal to the end: longer than the hub gives requests and then sessions, less than whoever sent it waits.
const END_PATIENCE: Duration = Duration::from_secs(9);

/// Runs it until a signal.
pub async fn run(config: &Path) -> Result<(), Failure> {
    let settings = Settings::read(config).map_err(Failure::not_fine)?;
    log();
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown)?;
    let id = control_plane_id(&settings)?;
    let _held = DataDir::hold(&settings.data_dir).map_err(Failure::not_fine)?;
    let store = Store::open(&settings.data_dir.join("lapdev.db"), &id).await.map_err(Failure::not_fine)?;
    let forge = Arc::new(forge(&settings.github)?);
    let webhook = lapdev_webhook::routes(store.clone(), webhook_secret(&settings.github)?).boxed();
    let reconciler =
        Reconciler::new(reconciler_settings(&settings)?, store.clone(), forge).map_err(Failure::not_fine)?;
    let server = Server::bind(hub_settings(&settings)?, store.clone()).await.map_err(Failure::not_fine)?;
    tracing::info!(listen = %settings.server.listen, "lapdev serves");
    let parts = async {
        tokio::join!(server.run(webhook, shutdown.clone()), reconciler.run(shutdown.clone()));
        store.close().await;
    };
    tokio::select! {
        () = parts => tracing::info!("ended"),
        () = overdue(&shutdown) => tracing::warn!("what did not end in time is cut off"),
    }
    Ok(())
}

async fn overdue(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(END_PATIENCE).await;
}

/// A setting's value; the error names its key.
fn setting<T: FromStr<Err: Display>>(key: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::not_fine(format!("{key} {text:?}: {error}")))
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
fn control_plane_id(settings: &Settings) -> Result<ControlPlaneId, Failure> {
    let config = &settings.config;
    let external: Url = setting(EXTERNAL_URL, &settings.server.external_url)?;
    let (repository, branch) = (setting(REPOSITORY, &config.repository)?, setting(BRANCH, &config.branch)?);
    Ok(ControlPlaneId::derive(external.as_str(), &repository, &branch, &config.path))
}

fn reconciler_settings(settings: &Settings) -> Result<ReconcilerSettings, Failure> {
    let (config, limits) = (&settings.config, &settings.limits);
    let mut repositories = BTreeMap::new();
    for (name, place) in &settings.repositories {
        let url: RepositoryUrl = setting(&format!("[repositories] {name:?} ="), place)?;
        repositories.insert(setting("[repositories]", name)?, url);
    }
    let release = limits.release_deletions_at.as_deref();
    Ok(ReconcilerSettings {
        config_path: config.path.clone(),
        repositories,
        git: git_settings(settings)?,
        remote_bases: remote_bases(&settings.git.remote_bases)?,
        poll: settings.git.poll,
        router: router_settings(&settings.router)?,
        limits: Limits {
            deletion_share: limits.deletion_share,
            deletion_minimum: limits.deletion_minimum,
            release_deletions_at: release.map(|at| setting("[limits] release_deletions_at", at)).transpose()?,
        },
        ..ReconcilerSettings::new(
            setting(REPOSITORY, &config.repository)?,
            setting(BRANCH, &config.branch)?,
            settings.data_dir.join("git"),
            setting(EXTERNAL_URL, &settings.server.external_url)?,
        )
    })
}

fn remote_bases(prefixes: &[String]) -> Result<Vec<RepositoryUrl>, Failure> {
    prefixes.iter().map(|prefix| setting("[git] remote_bases", prefix)).collect()
}

fn router_settings(router: &Router) -> Result<RouterSettings, Failure> {
    let hold_seconds = u32::try_from(router.hold.as_secs()).map_err(Failure::not_fine)?;
    Ok(RouterSettings { image: router.image.clone(), served_by: router.served_by, hold_seconds })
}

/// The forge's token opens its repositories too; what `[git] credentials` says of a longer prefix comes first.
fn git_settings(settings: &Settings) -> Result<GitSettings, Failure> {
    let forge = clone_prefix(&setting(API_URL, &settings.github.api_url)?);
    let own = settings.github.token_file.iter().map(|file| Credential::token(forge.clone(), file));
    let more = settings.git.credentials.iter().map(|entry| Credential::token(&entry.prefix, &entry.token_file));
    Ok(GitSettings {
        deadline: settings.git.timeout,
        credentials: own.chain(more).collect(),
        ca_file: settings.github.ca_file.clone(),
        ..GitSettings::default()
    })
}

/// Where the forge's repositories are cloned from. On github.com the API has a host of its own.
fn clone_prefix(api: &Url) -> String {
    format!("{}/", api[..Position::AfterPort].replacen("://api.", "://", 1))
}

fn hub_settings(settings: &Settings) -> Result<HubSettings, Failure> {
    let server = &settings.server;
    let external = setting(EXTERNAL_URL, &server.external_url)?;
    let tls = server.tls.clone().map(|tls| TlsFiles { certificate: tls.certificate_file, key: tls.key_file });
    Ok(HubSettings::new(server.listen, external, tls, settings.data_dir.clone()))
}

fn forge(github: &GitHubTable) -> Result<GitHub, Failure> {
    let credentials = match (&github.app, &github.token_file) {
        (Some(app), _) => Credentials::App { app_id: app.id, key_file: app.private_key_file.clone() },
        (None, Some(file)) => Credentials::TokenFile(file.clone()),
        (None, None) => return Err(Failure::not_fine("[github] needs token_file or app")),
    };
    let api_url = setting(API_URL, &github.api_url)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forges_token_is_for_the_address_that_its_repositories_have() {
        for (api, clone) in [
            ("https://api.github.com", "https://github.com/"),
            ("https://git.example.com/api/v3", "https://git.example.com/"),
            ("https://git.example.com:8443/api/v3/", "https://git.example.com:8443/"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/"),
        ] {
            assert_eq!(clone_prefix(&api.parse().expect("an address")), clone);
        }
    }
}
