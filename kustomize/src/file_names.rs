//! The names under which the reference writes a rendering into a directory, one file for each object.

use crate::object::Object;
use crate::resource::Gvk;
use std::collections::{HashMap, HashSet};

/// The file name of each object, such as `apps_v1_deployment_web.yaml`; with its namespace in front
/// if the objects are of several. The same place in the list is the same object.
///
/// # Errors
/// Names the object whose name is no file's, or the two that would be one file.
pub fn file_names(objects: &[Object]) -> Result<Vec<String>, String> {
    let namespace = |object: &Object| {
        let is_namespaced = !Gvk::of(object.value()).is_cluster_scoped();
        is_namespaced.then(|| object.namespace().unwrap_or("default").to_lowercase())
    };
    let several = objects.iter().filter_map(namespace).collect::<HashSet<_>>().len() > 1;
    let mut taken: HashMap<String, &Object> = HashMap::new();
    let mut names = Vec::with_capacity(objects.len());
    for object in objects {
        let parts = [object.group(), object.version(), object.kind()];
        let kind = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
        let name = format!("{kind}_{}.yaml", object.name()).to_lowercase();
        let name =
            namespace(object).filter(|_| several).map_or(name.clone(), |namespace| format!("{namespace}_{name}"));
        if name.contains(['/', '\\', '\0']) {
            return Err(format!("{}: `{}` cannot be the name of a file", object.place(), object.name()));
        }
        if let Some(other) = taken.insert(name.clone(), object) {
            return Err(format!("{} and {} would both be the file `{name}`", other.place(), object.place()));
        }
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use serde_json::{Value, json};

    fn names(objects: &[Value]) -> Result<Vec<String>, String> {
        let objects: Vec<Object> = objects.iter().map(|value| Object::new(value.clone(), Place::default())).collect();
        file_names(&objects)
    }

    #[test]
    fn names_hold_kind_and_name_and_the_namespace_where_there_are_several() {
        let object = |version: &str, kind: &str, name: &str, namespace: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}});
        let one = [object("apps/v1", "Deployment", "Web", ""), object("v1", "Namespace", "shop", "")];
        let want = ["apps_v1_deployment_web.yaml", "v1_namespace_shop.yaml"];
        assert_eq!(names(&one), Ok(want.map(str::to_owned).to_vec()));
        let two = [one[0].clone(), one[1].clone(), object("v1", "Service", "web", "shop")];
        let want = ["default_apps_v1_deployment_web.yaml", "v1_namespace_shop.yaml", "shop_v1_service_web.yaml"];
        assert_eq!(names(&two), Ok(want.map(str::to_owned).to_vec()));
        assert!(names(&[object("v1", "A", "../../x", "")]).is_err());
        assert!(names(&[object("v1", "A", "x", ""), object("v1", "A", "X", "")]).is_err());
    }
}
