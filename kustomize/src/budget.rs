//! A bound on what one rendering may build up in memory. A few lines can ask for a patch in fifty
//! thousand objects, or for a copy of a copy of a copy: everything that multiplies is paid here.

use serde_json::Value;
use std::cell::Cell;
use std::rc::Rc;

/// How deep values may become by copying; what is read is bounded by its own, lower limit.
pub const MAX_DEPTH: usize = 512;
/// Steps that a path may have; each can make a level.
pub const MAX_STEPS: usize = 128;

/// Objects that may be looked at for the price of one value.
const LOOKS: usize = 16;

/// What is left to spend in a rendering, shared by all that belongs to it.
#[derive(Clone, Debug)]
pub struct Budget {
    left: Rc<Cell<usize>>,
    total: usize,
}

impl Budget {
    pub fn new(total: usize) -> Self {
        Self { left: Rc::new(Cell::new(total)), total }
    }

    /// What is left to spend.
    pub fn left(&self) -> usize {
        self.left.get()
    }

    /// Pays for looking at so many objects, to find out which of them are meant: a few megabytes of
    /// patches over as many objects would take hours.
    pub fn look(&self, objects: usize) -> Result<(), String> {
        self.pay(1, objects / LOOKS)
    }

    /// Pays `times` a cost; the message says that the budget is gone.
    pub fn pay(&self, times: usize, cost: usize) -> Result<(), String> {
        match times.checked_mul(cost).and_then(|cost| self.left.get().checked_sub(cost)) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(format!("the rendering grows beyond its limit of {} values", self.total)),
        }
    }
}

/// What a value costs: one for itself and each value inside, and for every 32 bytes of text.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => text_weight(text),
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 1 + map.iter().map(|(key, value)| key.len() / 32 + weight(value)).sum::<usize>(),
    }
}

/// What a text costs.
pub fn text_weight(text: &str) -> usize {
    1 + text.len() / 32
}

/// How many levels a value has.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_budget_is_shared_and_ends() {
        let budget = Budget::new(10);
        let same = budget.clone();
        assert_eq!(budget.pay(2, 3), Ok(()));
        assert!(same.pay(5, 1).is_err());
        assert!(same.pay(usize::MAX, 2).is_err());
        assert_eq!(same.pay(4, 1), Ok(()));
    }

    #[test]
    fn weight_and_depth_count_every_level() {
        let value = json!({"a": [1, {"b": "x".repeat(64)}]});
        assert_eq!(weight(&value), 1 + 1 + 1 + 1 + 3);
        assert_eq!(depth(&value), 4);
    }
}
