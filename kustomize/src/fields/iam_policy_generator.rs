//! The built-in `IAMPolicyGenerator`: a service account that acts as one of a cloud.

use crate::error::{Error, Problem};
use crate::kustomization::{Field, Fields};
use crate::resource::Resource;
use serde_json::{Map, Value, json};

/// Settings that are there or not.
fn inner<'k>(fields: &Fields<'k>, name: &str, known: &[&'static str]) -> Result<Option<Fields<'k>>, Error> {
    fields.get(name).map(|field| field.mapping(known)).transpose()
}

fn text(fields: Option<&Fields<'_>>, name: &str) -> Result<String, Error> {
    fields.map_or_else(|| Ok(String::new()), |fields| fields.string(name))
}

/// The service account that the settings describe.
pub fn generate(field: &Field<'_>) -> Result<Resource, Error> {
    let fields = field.mapping(&["cloud", "kubernetesService", "serviceAccount"])?;
    let cloud = fields.string("cloud")?;
    if cloud != "gke" {
        let why = format!("the cloud `{cloud}` is not known; `gke` is");
        return Err(fields.get("cloud").unwrap_or_else(|| field.clone()).error(Problem::Invalid(why)));
    }
    let cluster = inner(&fields, "kubernetesService", &["name", "namespace"])?;
    let account = inner(&fields, "serviceAccount", &["name", "projectId"])?;
    let (name, namespace) = (text(cluster.as_ref(), "name")?, text(cluster.as_ref(), "namespace")?);
    if name.is_empty() {
        return Err(field.error(Problem::Invalid("`kubernetesService.name` is missing".to_owned())));
    }
    let (account, project) = (text(account.as_ref(), "name")?, text(account.as_ref(), "projectId")?);
    let identity = format!("{account}@{project}.iam.gserviceaccount.com");
    let mut metadata = Map::from_iter([
        ("annotations".to_owned(), json!({"iam.gke.io/gcp-service-account": identity})),
        ("name".to_owned(), Value::from(name)),
    ]);
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), Value::from(namespace));
    }
    let value = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    Ok(Resource::new(value, field.place()))
}
