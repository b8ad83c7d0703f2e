//! The agent's life: wait for the Lease, work under it, stop when it is lost, begin again; give it back at the end.

use crate::{
    apiserver::{ApiServer, CallError},
    core::{Core, Memory},
    lease::{Keeper, Term},
    policy,
    routes::AdminKey,
    settings::Settings,
    tunnel::{self, Outbox, TunnelSettings, TunnelState},
    watchdog::Vitals,
};
use kube::Client;
use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How often every environment is compared with what was seen of it, and how many of these apply it as a whole.
const RESYNC: Duration = Duration::from_secs(600);
const DEEP: u64 = 6;
const BEAT: Duration = Duration::from_secs(1);
/// Before a term that could not begin is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Works until `stop`, in as many terms as it takes.
pub async fn run(client: Client, settings: &Settings, vitals: &Arc<Vitals>, stop: &CancellationToken) {
    let api = ApiServer::new(client.clone());
    let Some(user) = prepare(&api, settings, vitals, stop).await else { return };
    let keeper = Keeper::new(client, settings.lease(&user));
    while let Some(term) = wait_for_term(&keeper, vitals, stop).await {
        let ended = CancellationToken::new();
        let watch_over = async {
            tokio::select! {
                () = term.lost.cancelled() => {}
                () = stop.cancelled() => {}
                // The work ended by itself.
                () = ended.cancelled() => {}
            }
            ended.cancel();
        };
        let (result, ()) = tokio::join!(work(&api, settings, &keeper, &term, vitals, &ended), watch_over);
        if let Err(error) = result {
            tracing::error!(%error, cause = %error.source, "cannot begin to work");
            pause(stop).await;
        }
        term.release().await;
        if stop.is_cancelled() {
            return;
        }
    }
}

/// Who the agent is, once the API server answers and enforces what it should. None: told to stop first.
async fn prepare(api: &ApiServer, settings: &Settings, vitals: &Vitals, stop: &CancellationToken) -> Option<String> {
    let prepared = async {
        let user = loop {
            match api.myself().await {
                Ok(user) => break user,
                Err(error) => tracing::warn!(%error, cause = %error.source, "cannot begin"),
            }
            pause(stop).await;
            if stop.is_cancelled() {
                return None;
            }
        };
        let active = !settings.require_policy || policy::wait_until_active(api, stop).await;
        active.then_some(user)
    };
    beating(prepared, vitals).await
}

/// The Lease, while the runtime shows that it lives.
async fn wait_for_term(keeper: &Keeper, vitals: &Vitals, stop: &CancellationToken) -> Option<Term> {
    beating(keeper.acquire(stop), vitals).await
}

/// Waits for something, and shows meanwhile that the runtime lives.
async fn beating<T>(wait: impl Future<Output = T>, vitals: &Vitals) -> T {
    let mut beat = tokio::time::interval(BEAT);
    let mut wait = std::pin::pin!(wait);
    loop {
        tokio::select! {
            result = &mut wait => return result,
            _ = beat.tick() => vitals.beat(0, 0),
        }
    }
}

/// One term: the core, its tunnel, and the slow resync.
async fn work(
    api: &ApiServer,
    settings: &Settings,
    keeper: &Keeper,
    term: &Term,
    vitals: &Arc<Vitals>,
    ended: &CancellationToken,
) -> Result<(), CallError> {
    let outbox = Outbox::default();
    let memory: Arc<dyn Memory> = Arc::new(keeper.clone());
    let key = admin_key(settings);
    let started = Core::start(api.clone(), memory, settings.role.clone(), key, outbox.clone());
    let core = tokio::select! {
        core = started => core.inspect_err(|_| ended.cancel())?,
        () = ended.cancelled() => return Ok(()),
    };
    let mut tasks = JoinSet::new();
    let (epoch, epochs) = watch::channel(Some(term.epoch));
    let state = watch::Sender::new(TunnelState::StandBy);
    let tunnel = TunnelSettings::new(settings.url.clone(), settings.token_file.clone(), ca_file(settings));
    tasks.spawn(tunnel::run(tunnel, core.clone(), outbox, epochs, state, ended.clone()));
    tasks.spawn(tend(core.clone(), vitals.clone(), ended.clone()));
    core.work(ended).await;
    // However the workers ended, nothing of this term goes on.
    ended.cancel();
    drop(epoch);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// By what routers know this agent: it follows from the cluster's token, so that a restart changes nothing.
fn admin_key(settings: &Settings) -> AdminKey {
    match std::fs::read_to_string(&settings.token_file) {
        Ok(token) if !token.trim().is_empty() => AdminKey::from_secret(token.trim().as_bytes()),
        // Without it there is no session either, which says so; what is held goes on.
        _ => AdminKey::random(),
    }
}

/// The file of further certificates, if it is there: the chart names it whether or not its Secret has one.
fn ca_file(settings: &Settings) -> Option<PathBuf> {
    let file = settings.ca_file.clone().filter(|file| file.exists());
    if file.is_none() && settings.ca_file.is_some() {
        tracing::info!(file = ?settings.ca_file, "no such file: the system's certificates count alone");
    }
    file
}

async fn tend(core: Arc<Core>, vitals: Arc<Vitals>, ended: CancellationToken) {
    let (mut beat, mut resync) = (tokio::time::interval(BEAT), tokio::time::interval(RESYNC));
    let mut count = 0;
    resync.tick().await;
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = beat.tick() => {
                let (passes, backlog) = core.progress();
                vitals.beat(passes, backlog);
            }
            _ = resync.tick() => {
                count += 1;
                core.resync(count % DEEP == 0);
            }
        }
    }
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(AGAIN) => {}
        () = stop.cancelled() => {}
    }
}
