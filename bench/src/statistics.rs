//! The arithmetic of comparisons: the middle and the ends of a few numbers, and ratios of contenders that took turns.

use serde::Serialize;

/// What a quantity was in the turns of one contender.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Returns the spread of some numbers; none if there are none, or one of them is no number.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        if sorted.is_empty() || sorted.iter().any(|number| !number.is_finite()) {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, min: sorted[0], max: sorted[sorted.len() - 1] })
    }

    /// Returns the spread of the ratios of two contenders, turn by turn: turns of one round had the same neighbours on the
    /// machine, so that their ratio is steadier than the ratio of two medians.
    pub(crate) fn of_ratios(numbers: &[f64], limits: &[f64]) -> Option<Self> {
        Self::of(numbers.iter().zip(limits).map(|(number, limit)| number / limit))
    }
}

/// Returns `part / whole`, and 0 for nothing of nothing.
pub(crate) fn per(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

/// Returns a count as a number to calculate with. Counts stay far below 2⁵³ here.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark stay far below 2^53")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[f64], median: f64, min: f64, max: f64) {
        assert_eq!(Spread::of(numbers.iter().copied()), Some(Spread { median, min, max }), "{numbers:?}");
    }

    #[test]
    fn the_median_is_the_middle_one_or_lies_between_the_two_middle_ones() {
        check(&[7.0], 7.0, 7.0, 7.0);
        check(&[3.0, 1.0, 2.0], 2.0, 1.0, 3.0);
        check(&[4.0, 1.0, 3.0, 2.0], 2.5, 1.0, 4.0);
        check(&[1.0, 1000.0, 1.0, 1.0, 1.0], 1.0, 1.0, 1000.0);
    }

    #[test]
    fn what_was_not_measured_has_no_spread() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
        assert_eq!(Spread::of_ratios(&[1.0, 2.0], &[1.0, 0.0]), None);
    }

    #[test]
    fn ratios_are_taken_turn_by_turn() {
        // The machine was twice as slow in the second round; the ratio does not see it.
        let ratio = Spread::of_ratios(&[50.0, 25.0, 50.0], &[100.0, 50.0, 100.0]);
        assert_eq!(ratio, Some(Spread { median: 0.5, min: 0.5, max: 0.5 }));
    }

    #[test]
    fn nothing_of_nothing_is_nothing() {
        assert_eq!(per(0.0, 0.0), 0.0);
        assert_eq!(per(3.0, 2.0), 1.5);
    }
}
