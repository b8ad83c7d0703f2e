//! One environment in one word and one sentence, from its workloads and from what stood in the way.

use lapdev_api::{
    digest::Digest,
    name::{Generation, Uid},
    status::{EnvironmentStatus, Health, Phase, WorkloadStatus},
};

/// What stands in the way of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Somebody else's object or namespace.
    Occupied(String),
    /// Only a new revision can help.
    Failed(String),
    /// It is tried again.
    Retrying(String),
}

/// What is known of an environment.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Which.
    pub uid: Uid,
    /// What was accepted.
    pub generation: Generation,
    /// What was last applied in full.
    pub applied: Option<Digest>,
    /// Whether that is what was accepted.
    pub settled: bool,
    /// Being deleted, and why.
    pub ending: Option<String>,
    /// What stands in the way.
    pub obstacle: Option<Obstacle>,
    /// What is applied but for this, which waits for one of its own workloads.
    pub pending: Option<String>,
    /// How each workload is.
    pub workloads: Vec<WorkloadStatus>,
    /// What deserves notice.
    pub notices: Vec<String>,
}

/// The status to report.
#[must_use]
pub fn summarize(facts: Facts) -> EnvironmentStatus {
    let (phase, message) = phase(&facts);
    let Facts { uid, generation, applied, workloads, notices, .. } = facts;
    EnvironmentStatus { uid, generation, applied, phase, message, workloads, notices, traffic: Vec::new() }
}

fn phase(facts: &Facts) -> (Phase, String) {
    if let Some(why) = &facts.ending {
        return (Phase::Terminating, why.clone());
    }
    match &facts.obstacle {
        Some(Obstacle::Occupied(why)) => return (Phase::Occupied, why.clone()),
        Some(Obstacle::Failed(why)) => return (Phase::Failed, why.clone()),
        Some(Obstacle::Retrying(why)) => return (Phase::Progressing, format!("{why}; it is tried again")),
        None => {}
    }
    let first = |health: Health| facts.workloads.iter().find(|workload| workload.health == health);
    if let Some(why) = &facts.pending {
        // A workload that fails may be the one that is waited for.
        let failed = first(Health::Failed).map(|workload| (Phase::Failed, sentence(workload)));
        return failed.unwrap_or_else(|| (Phase::Progressing, why.clone()));
    }
    if !facts.settled {
        let phase = if facts.applied.is_some() { Phase::Progressing } else { Phase::Pending };
        return (phase, "is being applied".into());
    }
    if let Some(workload) = first(Health::Failed) {
        return (Phase::Failed, sentence(workload));
    }
    if let Some(workload) = first(Health::InProgress).or_else(|| first(Health::Terminating)) {
        return (Phase::Progressing, sentence(workload));
    }
    (Phase::Ready, String::new())
}

fn sentence(workload: &WorkloadStatus) -> String {
    let WorkloadStatus { kind, name, ready, desired, .. } = workload;
    let mut sentence = match desired {
        0 => format!("{kind} {name}"),
        _ => format!("{kind} {name} ({ready} of {desired} ready)"),
    };
    for part in [&workload.reason, &workload.message].into_iter().flatten() {
        sentence.push_str(": ");
        sentence.push_str(part);
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(name: &str, health: Health) -> WorkloadStatus {
        WorkloadStatus {
            kind: "Deployment".into(),
            name: name.into(),
            health,
            ready: 0,
            desired: 1,
            reason: Some("ImagePullBackOff".into()),
            message: Some("container web: no such image".into()),
        }
    }

    fn facts(workloads: Vec<WorkloadStatus>) -> Facts {
        Facts {
            uid: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
            generation: Generation(1),
            applied: Some(Digest::of(b"x")),
            settled: true,
            ending: None,
            obstacle: None,
            pending: None,
            workloads,
            notices: vec![],
        }
    }

    #[test]
    fn the_worst_workload_speaks_for_the_environment() {
        let status = summarize(facts(vec![
            workload("a", Health::Current),
            workload("b", Health::InProgress),
            workload("c", Health::Failed),
        ]));
        assert_eq!(status.phase, Phase::Failed);
        let expected = "Deployment c (0 of 1 ready): ImagePullBackOff: container web: no such image";
        assert_eq!(status.message, expected);
        assert_eq!(summarize(facts(vec![workload("a", Health::Current)])).phase, Phase::Ready);
        assert_eq!(summarize(facts(vec![])).phase, Phase::Ready);
        assert_eq!(summarize(facts(vec![workload("b", Health::InProgress)])).phase, Phase::Progressing);
    }

    #[test]
    fn what_waits_for_a_workload_is_said_unless_that_workload_fails() {
        let mut facts = facts(vec![workload("lapdev-router", Health::InProgress)]);
        facts.settled = false;
        facts.pending = Some("RoutingPending: no router is ready".into());
        let status = summarize(facts.clone());
        assert_eq!((status.phase, status.message.as_str()), (Phase::Progressing, "RoutingPending: no router is ready"));
        facts.workloads = vec![workload("lapdev-router", Health::Failed)];
        let status = summarize(facts);
        assert_eq!(status.phase, Phase::Failed);
        assert!(status.message.contains("lapdev-router"), "{}", status.message);
    }

    #[test]
    fn what_stands_in_the_way_comes_before_health_and_the_end_before_all() {
        let mut facts = facts(vec![workload("a", Health::Current)]);
        facts.obstacle = Some(Obstacle::Occupied("ConfigMap n/x exists".into()));
        assert_eq!(summarize(facts.clone()).phase, Phase::Occupied);
        facts.ending = Some("branch x is gone".into());
        assert_eq!(summarize(facts.clone()).phase, Phase::Terminating);
        facts.ending = None;
        facts.obstacle = None;
        facts.settled = false;
        assert_eq!(summarize(facts.clone()).phase, Phase::Progressing);
        facts.applied = None;
        assert_eq!(summarize(facts).phase, Phase::Pending);
    }
}
