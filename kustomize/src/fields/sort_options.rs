//! `sortOptions:` and the order of the output: the legacy order by kind, or as accumulated.

use crate::error::{Error, Problem};
use crate::kustomization::Field;
use crate::resource::{Id, KINDS_FIRST, KINDS_LAST, Resource};
use std::collections::HashMap;

/// The order of the output.
#[derive(Clone, Debug)]
pub enum Order {
    /// As accumulated, depth first.
    Fifo,
    /// Some kinds first, some last, the others by type, namespace and name.
    Legacy { first: Vec<String>, last: Vec<String> },
}

impl Default for Order {
    /// What the reference's command does by default.
    fn default() -> Self {
        let owned = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Self::Legacy { first: owned(KINDS_FIRST), last: owned(KINDS_LAST) }
    }
}

impl Order {
    pub fn decode(field: &Field<'_>) -> Result<Self, Error> {
        let fields = field.mapping(&["order", "legacySortOptions"])?;
        let legacy = fields.get("legacySortOptions");
        match (fields.string("order")?.as_str(), legacy) {
            ("fifo", None) => Ok(Self::Fifo),
            ("fifo", Some(options)) => {
                Err(options.error(Problem::Invalid("these options need `order: legacy`".to_owned())))
            }
            ("legacy", None) => Ok(Self::default()),
            ("legacy", Some(options)) => {
                let fields = options.mapping(&["orderFirst", "orderLast"])?;
                let kinds = |name| Ok(fields.texts(name)?.into_iter().map(|text| text.value).collect());
                Ok(Self::Legacy { first: kinds("orderFirst")?, last: kinds("orderLast")? })
            }
            (other, _) => {
                Err(field.error(Problem::Invalid(format!("the order `{other}` is neither `legacy` nor `fifo`"))))
            }
        }
    }

    /// Puts objects into this order.
    pub fn sort(&self, resources: &mut [Resource]) {
        let Self::Legacy { first, last } = self else { return };
        let mut ranks: HashMap<&str, i64> = HashMap::new();
        let rank = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
        for (at, kind) in first.iter().enumerate() {
            ranks.insert(kind, rank(at) - rank(first.len()));
        }
        for (at, kind) in last.iter().enumerate() {
            ranks.insert(kind, rank(at) + 1);
        }
        resources.sort_by_cached_key(|resource| {
            let (id, namespace) = (resource.id(), resource.namespace());
            let rank = ranks.get(id.gvk.kind.as_str()).copied().unwrap_or(0);
            (rank, type_key(&id, rank != 0), object_key(&id, namespace))
        });
    }
}

/// The reference compares types as text, where the separators and stand-ins count.
fn type_key(id: &Id, is_ranked: bool) -> String {
    // Among objects called so, the real ones come first; unranked, they stand among all kinds.
    match is_ranked && id.gvk.kind == "Namespace" && id.gvk.group.is_empty() {
        true => String::new(),
        false => id.gvk.order_text(),
    }
}

fn object_key(id: &Id, namespace: &str) -> String {
    let or = |text: &str, stand_in: &str| if text.is_empty() { stand_in.to_owned() } else { text.to_owned() };
    let gvk = &id.gvk;
    let kind = format!("{}.{}.{}", or(&gvk.kind, "[noKind]"), or(&gvk.version, "[noVer]"), or(&gvk.group, "[noGrp]"));
    format!("{kind}|{}|{}", or(namespace, "~X"), or(&id.name, "~N"))
}
