//! What people should know of how an environment is routed. Asks nobody: it says what others found out.

use super::{Core, Work};
use crate::{
    apply::namespace,
    registry::Environment,
    routes::{self, mesh},
};
use jiff::Timestamp;

impl Core {
    /// Of a base what waits; of a branch which of its Services were taken over late, or are still to be.
    pub(super) fn routing_notices(&self, held: &Environment, work: &Work) -> Vec<String> {
        if held.end.is_some() {
            return Vec::new();
        }
        let mut notices: Vec<String> = work.pending.iter().cloned().collect();
        self.with_routing(&held.namespace, |all, since| {
            let own = all.branches.get(&held.identity.uid).zip(all.base.as_ref());
            let own = own.map(|(branch, base)| late(branch, base, since)).unwrap_or_default();
            notices.extend(own);
        });
        if held.identity.branch.is_none() {
            notices.extend(self.behind.notices(&held.namespace));
        }
        notices.extend(self.mesh_notice(held));
        notices
    }

    /// Of a base: the mesh that its routed Services are in.
    fn mesh_notice(&self, held: &Environment) -> Option<String> {
        let content = held.bundle.as_ref().filter(|_| held.identity.branch.is_none())?;
        let routed = routes::declared(&content.bundle).ok().filter(|routed| !routed.is_empty())?;
        let namespace = self.index.get(&namespace::id(held.namespace.as_str()));
        let pods = self.index.of_kind("", "Pod", held.namespace.as_str());
        let pods: Vec<_> = pods.iter().map(|(_, pod)| (&pod.metadata, &pod.rest)).collect();
        mesh::notice(&content.bundle, &routed, namespace.as_ref().map(|namespace| &namespace.metadata), &pods)
    }
}

fn late(branch: &routes::Branch, base: &routes::Base, since: &routes::Since) -> Vec<String> {
    let late = branch.routed(&base.desired).filter_map(|name| Some((name, since.of(name)?)));
    late.map(|(name, at)| notice(name, at)).collect()
}

fn notice(service: &str, at: Option<Timestamp>) -> String {
    match at {
        Some(at) => format!(
            "RoutingPending: connections to Service {service} that were opened before {at:.0} bypass the branch; restart their \
             clients if that matters"
        ),
        None => format!("RoutingPending: Service {service} is not routed yet: all its requests reach the baseline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_take_over_says_since_when_and_what_to_do() {
        let at = "2026-11-21T10:30:00.123456Z".parse().expect("a time");
        let expected = "RoutingPending: connections to Service cart that were opened before 2026-11-21T10:30:00Z bypass the \
                        branch; restart their clients if that matters";
        assert_eq!(notice("cart", Some(at)), expected);
        assert!(notice("cart", None).contains("not routed yet"));
    }
}
