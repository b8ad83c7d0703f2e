//! What a JSON patch does to every number of the object that it changes: the reference reads the
//! object as JSON with numbers of 53 bits.

use serde_json::{Number, Value};

/// Whole numbers up to here are exact in 53 bits.
const EXACT: u64 = 1 << 53;

/// Rounds every large whole number of a value as the reference does.
pub fn round(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(round),
        Value::Object(map) => map.values_mut().for_each(round),
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if size.is_some_and(|size| size > EXACT)
                && let Some(rounded) = number.as_f64().and_then(rounded)
            {
                *number = rounded;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The shortest digits that mean the same to 53 bits: whole as long as 64 bits hold them.
fn rounded(float: f64) -> Option<Number> {
    let digits = float.to_string();
    let whole = digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from));
    whole.ok().or_else(|| Number::from_f64(float))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn large_whole_numbers_are_rounded_and_others_left() {
        let mut value = json!({
            "exact": [1, -5, 9_007_199_254_740_992_u64, 1.5, "9007199254740993"],
            "a": 9_007_199_254_740_993_u64,
            "b": 12_345_678_901_234_567_890_u64,
            "c": -9_223_372_036_854_775_807_i64,
            "d": u64::MAX,
        });
        round(&mut value);
        let expected = json!({
            "exact": [1, -5, 9_007_199_254_740_992_u64, 1.5, "9007199254740993"],
            "a": 9_007_199_254_740_992_u64,
            "b": 12_345_678_901_234_567_000_u64,
            "c": -9.223_372_036_854_776e18,
            "d": 1.844_674_407_370_955_2e19,
        });
        assert_eq!(value, expected);
    }
}
