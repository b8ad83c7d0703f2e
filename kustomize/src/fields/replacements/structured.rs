//! Replacements inside of a text that is YAML or JSON itself, such as a file in a config map.

use super::value::Copied;
use crate::budget::{Budget, text_weight, weight};
use crate::error::Problem;
use crate::field_path::FieldPath;
use crate::options::Limits;
use crate::yaml::{self, Dialect};
use serde_json::Value;

/// How a value goes into a text.
pub struct Text<'r> {
    pub value: &'r Copied,
    /// Whether fields that are missing are made.
    pub create: bool,
    pub budget: &'r Budget,
    pub limits: &'r Limits,
}

impl Text<'_> {
    /// Calls `set` on what the path leads to inside of a text on its way, and writes the text anew.
    /// Says whether there is such a text, and the path leads anywhere in it. Each time the whole text is read and
    /// written, so that is paid for: a long one and many paths into it would take hours.
    pub fn visit(
        &self,
        object: &mut Value,
        path: &FieldPath,
        set: &mut dyn FnMut(&mut Value) -> Result<(), String>,
    ) -> Result<bool, String> {
        let Some((outer, inner)) = path.around_text(object) else { return Ok(false) };
        let Some(text) = text_at(object, &outer) else { return Ok(false) };
        self.budget.pay(1, text_weight(text))?;
        let before = match yaml::single(text, Dialect::Object, self.limits) {
            Ok(node) => node.into_value(),
            Err((_, problem @ (Problem::TooLarge(..) | Problem::TooDeep(_)))) => return Err(problem.to_string()),
            Err(_) => return Ok(false),
        };
        if !before.is_object() && !before.is_array() {
            return Ok(false);
        }
        self.budget.pay(1, weight(&before))?;
        let mut changed = before.clone();
        let made = self.create.then(|| self.value.made());
        match inner.visit(&mut changed, made.as_ref(), set) {
            Ok(count) if count > 0 => {}
            // The path may still lead somewhere as it stands.
            _ => return Ok(false),
        }
        let written = match text.trim_start().starts_with(['{', '[']) {
            true => json(text, &changed),
            false => yaml::rewrite(text, &before, &changed)?,
        };
        outer.visit(object, None, &mut |field| {
            *field = Value::from(written.as_str());
            Ok(())
        })?;
        Ok(true)
    }
}

fn text_at<'v>(object: &'v Value, path: &FieldPath) -> Option<&'v str> {
    path.get(object).ok().flatten()?.as_str().filter(|text| !text.trim().is_empty())
}

/// JSON as Go writes it, indented if the text was.
fn json(text: &str, value: &Value) -> String {
    let written = match text.contains('\n') && text.contains("  ") {
        true => format!("{value:#}"),
        false => value.to_string(),
    };
    let escapes =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.iter().fold(written, |written, (c, escape)| written.replace(*c, escape))
}
