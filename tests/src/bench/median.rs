//! The middle of some figures.

/// Of an even number, the mean of the two in the middle; of none, not a number.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.as_slice() {
        [] => f64::NAN,
        some if some.len() % 2 == 1 => some[half],
        some => f64::midpoint(some[half - 1], some[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn one_odd_round_moves_nothing() {
        assert_eq!(median([3.0, 900.0, 2.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median([1.0, 4.0, 2.0, 900.0]).to_bits(), 3.0_f64.to_bits());
        assert!(median([]).is_nan());
    }
}
