//! Why an environment could not be rendered. Each message says what to change; what was published last stays.

/// A rendering that failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// Secret data in git.
    #[error(
        "{place}: Secret {name} carries data; keep it out of git: create it in the namespace by hand, or use an \
         ExternalSecret or SealedSecret"
    )]
    SecretData {
        /// Where it stands.
        place: String,
        /// Its name.
        name: String,
    },
    /// An object outside of any namespace.
    #[error(
        "{place}: {kind} {name} belongs to the whole cluster; an environment holds namespaced objects only, so \
             install it beside lapdev and take it out of the catalog's source"
    )]
    ClusterScoped {
        /// Where it stands.
        place: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// An object that names a namespace of its own.
    #[error("{place}: {kind} {name} names the namespace {namespace}; remove it, since each environment has its own")]
    ForeignNamespace {
        /// Where it stands.
        place: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What it names.
        namespace: String,
    },
    /// An object without a name: it cannot be applied twice.
    #[error("{place}: {kind} without metadata.name; give it one")]
    Nameless {
        /// Where it stands.
        place: String,
        /// Its kind.
        kind: String,
    },
    /// An override, rule or branch file that names a workload which the source does not have.
    #[error(
        "{asked_by} names the workload {name}, but the catalog's source has no Deployment or StatefulSet of that \
             name; it has {known}"
    )]
    NoSuchWorkload {
        /// Who names it.
        asked_by: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// An image rule or override for a container that the workload does not have.
    #[error("workload {workload} has no container {container}; it has {known}")]
    NoSuchContainer {
        /// The workload.
        workload: String,
        /// The container.
        container: String,
        /// What there is.
        known: String,
    },
    /// `{pathSha}` without a commit.
    #[error(
        "workload {workload}: no commit changed a file under its paths, so `{{pathSha}}` has no value; use `{{sha}}`"
    )]
    NoPathCommit {
        /// The workload.
        workload: String,
    },
    /// A field that is of another type than Kubernetes has it.
    #[error("{place}: {kind} {name}: {field} must be {expected}")]
    Misshapen {
        /// Where it stands.
        place: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Which field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A name that the routed Service's original needs.
    #[error(
        "Service {name} has the name under which the original of the routed Service {service} stands; rename it in the \
         catalog's source"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The routed Service.
        service: String,
    },
    /// A name or mark of the routers.
    #[error("{place}: {kind} {name} {what}, which is the router's own; {mend}")]
    RoutersOwn {
        /// Where it stands.
        place: String,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What it has.
        what: &'static str,
        /// What to do.
        mend: &'static str,
    },
    /// A patch of an override that does not fit.
    #[error("patch {index} of the override for {workload} cannot be applied")]
    Patch {
        /// The workload.
        workload: String,
        /// Which patch, from 1.
        index: usize,
        /// What did not fit.
        #[source]
        source: Box<lapdev_kustomize::Error>,
    },
    /// A patch that changes what the object is.
    #[error("patch {index} of the override for {workload} changes its kind or name; patch other fields only")]
    PatchRenames {
        /// The workload.
        workload: String,
        /// Which patch, from 1.
        index: usize,
    },
    /// More than an agent accepts.
    #[error("the environment is {size} bytes large, over the limit of {limit}; split the catalog")]
    TooLarge {
        /// Bytes of canonical JSON.
        size: usize,
        /// The most that is sent.
        limit: usize,
    },
}
