//! `replicas:` sets how many replicas the workloads of a name have.

use crate::error::{Error, Place, Problem};
use crate::field_spec::{self, Create, FieldSpec};
use crate::kustomization::Field;
use crate::resource::{Id, ResourceList};
use serde_json::Value;

/// One entry of `replicas:`.
#[derive(Debug)]
pub struct Replica {
    name: String,
    count: i64,
    place: Place,
}

impl Replica {
    pub const FIELDS: &[&str] = &["name", "count"];

    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(Self::FIELDS)?;
        let count = fields.get("count").map_or(Ok(0), |count| count.integer())?;
        Ok(Self { name: fields.string("name")?, count, place: field.place() })
    }

    /// Sets the count; an error if no workload has the name.
    pub fn apply(&self, list: &mut ResourceList, specs: &[FieldSpec]) -> Result<(), Error> {
        let mut found = false;
        list.look(&self.place)?;
        for resource in list.items_mut() {
            if !resource.is_or_was_named(&self.name) {
                continue;
            }
            for spec in specs {
                let means = |id: &Id| id.name == self.name && spec.selects(&id.gvk);
                if !means(&resource.id()) && !resource.previous_ids().any(|id| means(&id)) {
                    continue;
                }
                found = true;
                let gvk = resource.gvk();
                field_spec::apply(&mut resource.value, &gvk, spec, Create::Scalar, &mut |value| self.set(value))
                    .map_err(|why| Error::new(resource.place.clone(), Problem::Invalid(why)))?;
            }
        }
        match found {
            true => Ok(()),
            false => Err(Error::new(self.place.clone(), Problem::NoMatch(format!("a workload named `{}`", self.name)))),
        }
    }

    fn set(&self, value: &mut Value) -> Result<(), String> {
        if value.is_object() || value.is_array() {
            return Err("a number of replicas was expected".to_owned());
        }
        *value = Value::from(self.count);
        Ok(())
    }
}
