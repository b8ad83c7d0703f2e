//! Values: a chart's file, and what the kustomization says inline, in one.

use crate::error::Problem;
use crate::patch::{Schema, Types, strategic_merge};
use crate::source::Source;
use crate::yaml::{self, Dialect, NodeKind};
use serde_json::{Map, Value};

/// Who wins where both say something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValuesMerge {
    /// What is inline.
    #[default]
    Override,
    /// The file.
    Merge,
    /// There is no file.
    Replace,
}

impl ValuesMerge {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "" | "override" => Ok(Self::Override),
            "merge" => Ok(Self::Merge),
            "replace" => Ok(Self::Replace),
            other => {
                let why = format!("`valuesMerge: {other}` is none of `merge`, `override` and `replace`");
                Err(Problem::Invalid(why))
            }
        }
    }
}

/// The values in one file. Mappings merge, lists are replaced, nulls remove.
pub fn merged(
    file: &[u8],
    inline: &Map<String, Value>,
    merge: ValuesMerge,
    source: Source<'_>,
) -> Result<Vec<u8>, String> {
    let inline = Value::Object(inline.clone());
    let values = match merge {
        ValuesMerge::Replace => inline,
        ValuesMerge::Override | ValuesMerge::Merge => {
            let (file, valueless) = parsed(file, source)?;
            let types = Types::default();
            let schema = Schema::new(&types, [None, None]);
            let merged = match merge {
                ValuesMerge::Merge => strategic_merge::merge(inline, file, &[], schema),
                _ => strategic_merge::merge(file, inline, &valueless, schema),
            };
            merged.map_err(|why| format!("the values do not merge: {why}"))?.unwrap_or_default()
        }
    };
    // JSON is YAML too.
    serde_json::to_vec(&values).map_err(|error| format!("the values cannot be written: {error}"))
}

fn parsed(file: &[u8], source: Source<'_>) -> Result<(Value, Vec<String>), String> {
    let text = std::str::from_utf8(file).map_err(|_| "the values file is not UTF-8".to_owned())?;
    let node = yaml::single(text, Dialect::Object, &source.options.limits)
        .map_err(|(at, problem)| format!("the values file, line {}: {problem}", at.line))?;
    match &node.kind {
        NodeKind::Mapping(_) => {
            let valueless = node.valueless();
            Ok((node.into_value(), valueless))
        }
        NodeKind::Null { .. } => Ok((Value::Object(Map::new()), Vec::new())),
        _ => Err("the values file holds no mapping".to_owned()),
    }
}
