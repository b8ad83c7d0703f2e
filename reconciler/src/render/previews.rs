//! What people may open: one host per preview of the catalog, and where its requests go.

use super::Context;
use lapdev_api::{
    bundle::DialTarget,
    kinds::{AppCatalog, Port},
    name::compose,
    record::{PreviewRecord, Problem},
};
use std::collections::BTreeSet;

/// The previews of an environment. `copied` are the Services that the branch has copies of, `known` those that there
/// are at all.
pub(super) fn previews(
    catalog: &AppCatalog,
    context: &Context,
    copied: &BTreeSet<String>,
    known: &BTreeSet<String>,
) -> (Vec<PreviewRecord>, Vec<Problem>) {
    let Some(domain) = &context.preview_domain else { return (Vec::new(), Vec::new()) };
    let mut problems = Vec::new();
    let mut target = |service: &str, port: &Port| {
        let copy = context.identity.branch.as_ref().filter(|_| copied.contains(service));
        if copy.is_none() && !known.contains(service) {
            let message =
                format!("the catalog shows Service {service}, which its source does not have; correct `previews`");
            problems.push(Problem { reason: "PreviewMissing".to_owned(), message });
            return None;
        }
        let service = copy.map_or_else(|| service.to_owned(), |branch| compose(service, branch.key.as_str()));
        Some(DialTarget { namespace: context.namespace.clone(), service, port: port.clone() })
    };
    let mut records = Vec::new();
    for preview in &catalog.previews {
        let paths = preview.paths.iter().filter_map(|(path, to)| Some((path.clone(), target(&to.service, &to.port)?)));
        let mut routes: Vec<(String, DialTarget)> = paths.filter(|(path, _)| path != "/").collect();
        let Some(root) = target(&preview.service, &preview.port) else { continue };
        routes.push(("/".to_owned(), root));
        routes.sort();
        records.push(PreviewRecord {
            service: preview.service.clone(),
            host: format!("{}.{domain}", compose(&preview.service, context.identity.name.as_str())).to_lowercase(),
            access: preview.access,
            routes,
            branch: copied.contains(&preview.service),
        });
    }
    (records, problems)
}

/// Everything that the agent may dial for them.
pub(super) fn targets(previews: &[PreviewRecord]) -> Vec<DialTarget> {
    let targets: BTreeSet<&DialTarget> = previews.iter().flat_map(|p| &p.routes).map(|(_, target)| target).collect();
    targets.into_iter().cloned().collect()
}
