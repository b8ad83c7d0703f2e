//! Removes what is no longer wanted: members of an environment's own ApplySet, by uid, and nothing that is merely
//! absent from somewhere.

use crate::{
    apiserver::{ApiServer, CallError, Kind},
    apply::order::rank,
    object::{GroupKind, Marks, ObjectId, Standing},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lapdev_api::labels;
use std::collections::BTreeSet;

/// An object of the cluster that belongs to the set.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its kind as the API server serves it.
    pub kind: Kind,
    /// Which object.
    pub id: ObjectId,
    /// Its own uid: the precondition of its deletion.
    pub uid: String,
    /// Whether it is being deleted already.
    pub leaving: bool,
}

/// Lists every member of the set in the kinds that it may contain. A kind that the API server does not serve (any
/// more) has none.
///
/// # Errors
/// When any listing fails: a part is never taken for the whole.
pub async fn members(
    api: &ApiServer,
    kinds: &BTreeSet<GroupKind>,
    namespace: &str,
    marks: &Marks,
    set: &str,
) -> Result<Vec<Member>, CallError> {
    let selector = format!("{}={set}", labels::APPLYSET_PART_OF);
    labelled(api, kinds, namespace, marks, &selector).await
}

/// Lists every object of these kinds that the selector matches and that carries the environment's marks.
///
/// # Errors
/// When any listing fails.
pub async fn labelled(
    api: &ApiServer,
    kinds: &BTreeSet<GroupKind>,
    namespace: &str,
    marks: &Marks,
    selector: &str,
) -> Result<Vec<Member>, CallError> {
    let mut members = Vec::new();
    for group_kind in kinds {
        let kind = match api.preferred_kind(group_kind).await {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        let listed = match api.list(&kind, namespace, selector).await {
            Err(error) if error.is_not_found() => continue,
            other => other?,
        };
        let ours = listed.iter().filter(|metadata| marks.standing(metadata) == Standing::Ours);
        members.extend(ours.filter_map(|metadata| member(&kind, group_kind, namespace, metadata)));
    }
    Ok(members)
}

fn member(kind: &Kind, group_kind: &GroupKind, namespace: &str, metadata: &ObjectMeta) -> Option<Member> {
    let GroupKind { group, kind: name } = group_kind.clone();
    let id = ObjectId { group, kind: name, namespace: namespace.to_owned(), name: metadata.name.clone()? };
    let leaving = metadata.deletion_timestamp.is_some();
    Some(Member { kind: kind.clone(), id, uid: metadata.uid.clone()?, leaving })
}

/// The members that are not wanted, in the order of their removal: what acts on others before what others need.
#[must_use]
pub fn surplus(members: Vec<Member>, wanted: &BTreeSet<ObjectId>) -> Vec<Member> {
    let mut surplus: Vec<_> = members.into_iter().filter(|member| !wanted.contains(&member.id)).collect();
    surplus.sort_by_key(|member| std::cmp::Reverse(rank(&member.id)));
    surplus
}

/// Deletes these, and what they own before them.
///
/// # Errors
/// At the first deletion that fails; the rest stays for the next attempt.
pub async fn delete(api: &ApiServer, members: &[Member]) -> Result<(), CallError> {
    for member in members.iter().filter(|member| !member.leaving) {
        tracing::info!(object = %member.id, "delete");
        api.delete(&member.kind, &member.id, &member.uid).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::{ApiResource, GroupVersionKind};

    fn a(group: &str, kind: &str, name: &str) -> Member {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let id = ObjectId { group: group.into(), kind: kind.into(), namespace: "n".into(), name: name.into() };
        Member { kind: Kind { resource, namespaced: true }, id, uid: name.into(), leaving: false }
    }

    #[test]
    fn only_what_is_not_wanted_goes_and_workloads_go_before_their_configuration() {
        let members = vec![a("", "ConfigMap", "old"), a("", "ConfigMap", "kept"), a("apps", "Deployment", "old")];
        let wanted = BTreeSet::from([a("", "ConfigMap", "kept").id]);
        let surplus: Vec<_> = surplus(members, &wanted).into_iter().map(|member| member.id.to_string()).collect();
        assert_eq!(surplus, ["Deployment n/old", "ConfigMap n/old"]);
    }
}
