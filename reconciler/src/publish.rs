//! From a plan and its renderings to what is stored: records that differ, and the bundles that they name. Pure; the
//! store writes it in one transaction, or nothing of it.
//!
//! A generation grows exactly when a digest changes, or an environment ends. A rendering that failed leaves what was
//! published last, and says so.

use crate::{
    plan::{Plan, Planned, Work},
    render::Rendered,
};
use lapdev_api::{
    name::{Commit, Uid},
    record::{EnvironmentRecord, Life, Problem},
    wire::MAX_BUNDLE,
};
use lapdev_store::Publication;
use std::{collections::BTreeMap, sync::Arc};

/// What came of rendering one environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its bundle, and the commit of the catalog's source that it is from.
    Rendered(Arc<Rendered>, Option<Commit>),
    /// Why there is none, in words that say what to change.
    Failed(String),
}

/// What is to be stored so that the ledger says what the plan says.
#[must_use]
pub fn publication(plan: &Plan, outcomes: &BTreeMap<Uid, Outcome>, ledger: &[EnvironmentRecord]) -> Publication {
    let known: BTreeMap<&Uid, &EnvironmentRecord> =
        ledger.iter().map(|record| (&record.identity.uid, record)).collect();
    let mut publication = Publication::default();
    for planned in &plan.environments {
        let (record, rendered) = record(planned, outcomes.get(&planned.record.identity.uid));
        if known.get(&record.identity.uid) == Some(&&record) {
            continue;
        }
        let before = known.get(&record.identity.uid).and_then(|known| known.digest);
        if let Some(rendered) = rendered.filter(|_| record.digest != before) {
            publication.bundles.push((rendered.bundle.digest(), rendered.bundle.bytes().to_vec()));
        }
        publication.records.push(record);
    }
    publication
}

fn record<'o>(planned: &Planned, outcome: Option<&'o Outcome>) -> (EnvironmentRecord, Option<&'o Rendered>) {
    let mut record = planned.record.clone();
    if matches!(planned.work, Work::Keep) || record.life != Life::Live {
        return (record, None);
    }
    match outcome {
        Some(Outcome::Rendered(rendered, source)) => match too_large(rendered.bundle.bytes().len()) {
            None => {
                take(&mut record, rendered, source.clone());
                (record, Some(rendered))
            }
            Some(message) => (failed(record, message), None),
        },
        Some(Outcome::Failed(message)) => (failed(record, message.clone()), None),
        None => (record, None),
    }
}

fn failed(mut record: EnvironmentRecord, message: String) -> EnvironmentRecord {
    record.problems.push(Problem { reason: "RenderFailed".to_owned(), message });
    record
}

/// The store would refuse the whole publication, and everybody's with it.
fn too_large(bytes: usize) -> Option<String> {
    (bytes > MAX_BUNDLE).then(|| {
        format!(
            "its objects have {bytes} bytes, and agents take at most {MAX_BUNDLE}; keep large files out of ConfigMaps"
        )
    })
}

fn take(record: &mut EnvironmentRecord, rendered: &Rendered, source: Option<Commit>) {
    record.reasons.retain(|reason| reason.workload.is_none());
    record.reasons.extend(rendered.notes.reasons.iter().cloned());
    record.problems.extend(rendered.notes.problems.iter().cloned());
    record.previews.clone_from(&rendered.notes.previews);
    record.source = source;
    let digest = rendered.bundle.digest();
    if record.digest != Some(digest) {
        record.digest = Some(digest);
        record.generation = record.generation.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{World, commit, shop};
    use crate::render::{Notes, Rendered};
    use lapdev_api::{
        bundle::{Bundle, BundleNamespace, Target},
        name::Generation,
        record::Reason,
    };

    fn rendered(record: &EnvironmentRecord, content: &str) -> Outcome {
        let bundle = Bundle {
            control_plane: "aaaaaaaaaaaaaaaa".parse().expect("legal"),
            environment: record.identity.clone(),
            target: Target::Host,
            namespaces: vec![BundleNamespace { name: record.namespace.clone(), owned: true }],
            previews: vec![],
            expires_at: None,
            objects: vec![serde_json::json!({ "kind": content })],
        };
        let reason = Reason { workload: Some("web".to_owned()), text: content.to_owned() };
        let notes = Notes { reasons: vec![reason], ..Notes::default() };
        Outcome::Rendered(Arc::new(Rendered { bundle: bundle.canonical(), notes }), Some(commit(0xc0)))
    }

    fn publish(world: &mut World, outcome: impl Fn(&EnvironmentRecord) -> Outcome) -> Publication {
        let plan = world.plan();
        let outcomes = plan.environments.iter().map(|p| (p.record.identity.uid.clone(), outcome(&p.record))).collect();
        let publication = publication(&plan, &outcomes, &world.ledger);
        for record in &publication.records {
            world.ledger.retain(|known| known.identity.uid != record.identity.uid);
            world.ledger.push(record.clone());
        }
        publication
    }

    #[test]
    fn a_generation_grows_only_when_the_digest_changes() {
        let mut world = World::new(shop(vec![]));
        let first = publish(&mut world, |record| rendered(record, "one"));
        assert_eq!((first.records[0].generation, first.bundles.len()), (Generation(1), 1));
        assert_eq!(publish(&mut world, |record| rendered(record, "one")), Publication::default());
        let second = publish(&mut world, |record| rendered(record, "two"));
        assert_eq!((second.records[0].generation, second.bundles.len()), (Generation(2), 1));
        assert_eq!(second.records[0].reasons.last().map(|reason| reason.text.as_str()), Some("two"));
    }

    #[test]
    fn a_rendering_that_failed_keeps_the_last_good_one_until_it_works_again() {
        let mut world = World::new(shop(vec![]));
        let good = publish(&mut world, |record| rendered(record, "one"));
        let broken = publish(&mut world, |_| Outcome::Failed("fix line 3".to_owned()));
        let record = &broken.records[0];
        assert_eq!((record.digest, record.generation), (good.records[0].digest, Generation(1)));
        assert_eq!(record.problems[0].message, "fix line 3");
        assert_eq!(record.reasons, good.records[0].reasons, "they are those of what runs");
        assert!(broken.bundles.is_empty());
        let mended = publish(&mut world, |record| rendered(record, "one"));
        assert_eq!(mended.records, good.records);
    }

    #[test]
    fn a_bundle_that_no_agent_takes_fails_alone() {
        let mut world = World::new(shop(vec![]));
        let good = publish(&mut world, |record| rendered(record, "one"));
        let large = publish(&mut world, |record| rendered(record, &"x".repeat(MAX_BUNDLE)));
        assert_eq!((large.records[0].digest, large.bundles.len()), (good.records[0].digest, 0));
        assert!(
            large.records[0].problems[0].message.contains("agents take at most"),
            "{:?}",
            large.records[0].problems
        );
    }
}
