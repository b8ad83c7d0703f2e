//! What people may open: one host per preview of the catalog, and where its requests go.

use super::Context;
use lapdev_api::{
    bundle::DialTarget,
    kinds::{AppCatalog, Port},
    name::compose,
    record::{PreviewRecord, Problem},
};
use std::collections::BTreeSet;

/// The Services that previews may lead to, by the names that the catalog knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Those that the branch has copies of.
    pub copied: &'a BTreeSet<String>,
    /// Those of the base.
    pub base: &'a BTreeSet<String>,
    /// Those of them that lead to the right version by themselves, since the base routes them.
    pub routed: &'a BTreeSet<String>,
}

/// The previews of an environment: every one of the catalog, since a page of the baseline shows what its branch answers.
pub(super) fn previews(
    catalog: &AppCatalog,
    context: &Context,
    known: Known<'_>,
) -> (Vec<PreviewRecord>, Vec<Problem>) {
    let Some(domain) = &context.preview_domain else { return (Vec::new(), Vec::new()) };
    let mut problems = Vec::new();
    let mut target = |service: &str, port: &Port| {
        let branch = context.identity.branch.as_ref();
        let copy = branch.filter(|_| known.copied.contains(service) && !known.routed.contains(service));
        if copy.is_none() && !known.base.contains(service) {
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
            branch: known.copied.contains(&preview.service),
        });
    }
    (records, problems)
}

/// Everything that the agent may dial for them.
pub(super) fn targets(previews: &[PreviewRecord]) -> Vec<DialTarget> {
    let targets: BTreeSet<&DialTarget> = previews.iter().flat_map(|p| &p.routes).map(|(_, target)| target).collect();
    targets.into_iter().cloned().collect()
}
