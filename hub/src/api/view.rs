//! What the store knows, as people and the command see it.

use super::answers::Failure;
use crate::hub::Hub;
use lapdev_api::{
    link,
    name::{ClusterName, EnvironmentName},
    record::{EnvironmentRecord, Life, PreviewRecord},
    standing::Standing,
    status::{EnvironmentStatus, Phase},
    view::{BranchView, ClusterView, EnvironmentList, EnvironmentView, LinkView},
};
use lapdev_store::{ClusterSession, Which};
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Every environment.
pub(super) async fn environments(hub: &Hub, which: Which) -> Result<EnvironmentList, Failure> {
    let records = hub.store.environments(which).await?;
    let statuses = hub.store.statuses().await?;
    let statuses: BTreeMap<_, _> = statuses.iter().map(|(_, status)| (&status.uid, status)).collect();
    let connected = connected(hub).await?;
    let view = |record: &EnvironmentRecord| {
        let status = statuses.get(&record.identity.uid).copied();
        environment_view(hub, record, status, connected.contains(&record.cluster))
    };
    Ok(EnvironmentList { items: records.iter().map(view).collect(), config: hub.store.config().await? })
}

/// One environment: the newest life of that name.
pub(super) async fn environment(hub: &Hub, name: &str) -> Result<EnvironmentView, Failure> {
    let record = record(hub, name).await?;
    let status = hub.store.status(&record.identity.uid).await?;
    let connected = connected(hub).await?.contains(&record.cluster);
    Ok(environment_view(hub, &record, status.as_ref(), connected))
}

/// The newest life of an environment of that name.
pub(super) async fn record(hub: &Hub, name: &str) -> Result<EnvironmentRecord, Failure> {
    let parsed: EnvironmentName = name.parse()?;
    if let Some(record) = hub.store.environment_by_name(&parsed).await? {
        return Ok(record);
    }
    let living = hub.store.environments(Which::Living).await?;
    let known = living.iter().map(|record| record.identity.name.as_str());
    Err(Failure::not_found("environment", name, known, "lapdev get environments"))
}

/// Every cluster that is declared or ever had an agent.
pub(super) async fn clusters(hub: &Hub) -> Result<Vec<ClusterView>, Failure> {
    let mut sessions: BTreeMap<ClusterName, Option<ClusterSession>> =
        hub.store.clusters().await?.into_iter().map(|cluster| (cluster.name, None)).collect();
    sessions.extend(hub.store.sessions().await?.into_iter().map(|session| (session.cluster.clone(), Some(session))));
    let records = hub.store.environments(Which::Living).await?;
    let view = |(name, session): (ClusterName, Option<ClusterSession>)| ClusterView {
        connected: hub.agents.of(&name).is_some(),
        last_seen: session.as_ref().map(|session| session.last_seen),
        agent_version: session.as_ref().map(|session| session.agent_version.clone()),
        kubernetes: session.and_then(|session| session.kubernetes),
        environments: records.iter().filter(|record| record.cluster == name).count() as u64,
        name,
    };
    Ok(sessions.into_iter().map(view).collect())
}

async fn connected(hub: &Hub) -> Result<BTreeSet<ClusterName>, Failure> {
    let sessions = hub.store.sessions().await?;
    Ok(sessions.into_iter().map(|session| session.cluster).filter(|name| hub.agents.of(name).is_some()).collect())
}

fn environment_view(
    hub: &Hub,
    record: &EnvironmentRecord,
    status: Option<&EnvironmentStatus>,
    connected: bool,
) -> EnvironmentView {
    let (phase, message) = phase(record, status, connected);
    let living = matches!(record.life, Life::Live | Life::Queued { .. });
    let previews = record.previews.iter().filter(|_| living);
    let link = |preview| link_view(&hub.settings.external_url, &hub.link_secret, record, preview);
    EnvironmentView {
        name: record.identity.name.clone(),
        uid: record.identity.uid.clone(),
        environment_type: record.identity.environment_type,
        catalog: record.identity.catalog.clone(),
        cluster: record.cluster.clone(),
        namespace: record.namespace.clone(),
        owner: record.owner.clone(),
        branch: branch_view(record),
        life: record.life.clone(),
        phase,
        message,
        generation: record.generation,
        observed_generation: status.map(|status| status.generation),
        links: previews.map(link).collect(),
        workloads: status.map(|status| status.workloads.clone()).unwrap_or_default(),
        reasons: record.reasons.clone(),
        problems: record.problems.clone(),
        notices: status.map(|status| status.notices.clone()).unwrap_or_default(),
        traffic: status.map(|status| status.traffic.clone()).unwrap_or_default(),
        created_at: record.first_seen,
        expires_at: record.expires_at,
    }
}

fn branch_view(record: &EnvironmentRecord) -> Option<BranchView> {
    let branch = record.identity.branch.as_ref()?;
    Some(BranchView {
        key: branch.key.to_string(),
        base: branch.base.clone(),
        repository: branch.repository.to_string(),
        branch: branch.branch.to_string(),
        head: record.head.clone(),
        pull_requests: record.pull_requests.clone(),
    })
}

/// How an environment is, in one word and in one sentence.
fn phase(record: &EnvironmentRecord, status: Option<&EnvironmentStatus>, connected: bool) -> (Phase, String) {
    let away = || format!("cluster {} is not connected; what runs there goes on", record.cluster);
    match Standing::of(record, status, connected) {
        Standing::Queued(reason) => (Phase::Queued, reason.to_owned()),
        Standing::Observed(status) => (status.phase, status.message.clone()),
        Standing::Unpublished => (Phase::Pending, unpublished(record)),
        Standing::Away => (Phase::Pending, away()),
        Standing::RollingOut => (
            Phase::Pending,
            format!("generation {} was published; the agent has not applied it yet", record.generation),
        ),
        Standing::Closing(evidence) if !connected => (Phase::Terminating, format!("{evidence}; {}", away())),
        Standing::Closing(evidence) | Standing::Closed(evidence) => (Phase::Terminating, evidence.to_string()),
    }
}

fn unpublished(record: &EnvironmentRecord) -> String {
    record.problems.first().map_or_else(|| "nothing was published yet".to_owned(), |problem| problem.message.clone())
}

fn link_view(external: &Url, secret: &[u8; 32], record: &EnvironmentRecord, preview: &PreviewRecord) -> LinkView {
    let url = link::address(external.scheme(), external.port(), secret, &record.identity.uid, preview);
    LinkView { service: preview.service.clone(), url, branch: preview.branch }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use lapdev_api::{digest::Digest, name::Generation, record::Evidence};
    use serde_json::json;

    fn record(life: Life, published: bool) -> EnvironmentRecord {
        let text = json!({
            "identity": {"uid": "aaaaaaaaaaaaaaaa", "name": "staging", "type": "Shared", "catalog": "shop", "branch": null},
            "cluster": "dev", "namespace": "lapdev-env-staging", "owner": null, "life": {"state": "live"},
            "generation": 3, "digest": null, "firstSeen": "2026-01-01T00:00:00Z", "lastChange": "2026-01-01T00:00:00Z",
            "expiresAt": null, "declaration": null, "head": null, "source": null, "pullRequests": [], "reasons": [],
            "previews": [], "problems": [],
        });
        let mut record: EnvironmentRecord = serde_json::from_value(text).expect("a record");
        record.life = life;
        record.digest = published.then(|| Digest::of(b"bundle"));
        record
    }

    fn status(generation: u64) -> EnvironmentStatus {
        EnvironmentStatus {
            uid: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
            generation: Generation(generation),
            applied: None,
            phase: Phase::Failed,
            message: "web crashes".to_owned(),
            workloads: vec![],
            notices: vec![],
            traffic: vec![],
        }
    }

    #[test]
    fn a_phase_is_the_agents_word_unless_something_newer_is_known() {
        let (closing, at) = (Evidence::RefGone { branch: "x".to_owned() }, Timestamp::UNIX_EPOCH);
        for (life, published, observed, connected, expected) in [
            (Life::Queued { reason: "full".to_owned() }, true, Some(3), true, (Phase::Queued, "full")),
            (Life::Live, false, None, true, (Phase::Pending, "nothing was published yet")),
            // Adopted: the agent has it from a store that was lost.
            (Life::Live, false, Some(3), true, (Phase::Failed, "web crashes")),
            (
                Life::Live,
                true,
                None,
                true,
                (Phase::Pending, "generation 3 was published; the agent has not applied it yet"),
            ),
            (
                Life::Live,
                true,
                Some(2),
                false,
                (Phase::Pending, "cluster dev is not connected; what runs there goes on"),
            ),
            (Life::Live, true, Some(3), false, (Phase::Failed, "web crashes")),
            (
                Life::Closing { evidence: closing.clone(), at },
                true,
                Some(3),
                true,
                (Phase::Terminating, "branch x is gone"),
            ),
            (Life::Closed { evidence: closing, at }, true, Some(3), false, (Phase::Terminating, "branch x is gone")),
        ] {
            let status = observed.map(status);
            let (phase, message) = phase(&record(life, published), status.as_ref(), connected);
            assert_eq!((phase, message.as_str()), expected);
        }
    }

    #[test]
    fn a_link_carries_its_token_only_where_access_needs_one() {
        let external = Url::parse("https://lapdev.example:8443/").expect("legal");
        let record = record(Life::Live, true);
        let preview: PreviewRecord = serde_json::from_value(json!({
            "service": "web", "host": "web--staging.preview.example", "access": "public", "branch": true,
            "routes": [["/api", {"namespace": "n", "service": "api", "port": 80}], ["/", {"namespace": "n", "service": "web", "port": "http"}]],
        }))
        .expect("a preview");
        let public = link_view(&external, &[7; 32], &record, &preview);
        assert_eq!(
            (public.service.as_str(), public.url.as_str()),
            ("web", "https://web--staging.preview.example:8443/")
        );
        let closed = link_view(
            &external,
            &[7; 32],
            &record,
            &PreviewRecord { access: lapdev_api::kinds::Access::Organization, ..preview },
        );
        let token = closed.url.split_once("/?lapdev-token=").expect("a token").1;
        assert!(link::verify(&[7; 32], &record.identity.uid, "web--staging.preview.example", token));
    }
}
