//! What is done with the times once they are taken: no clock here, so all of it is tested.

/// How `subject` fared against `baseline`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Nanoseconds per iteration of the baseline beside that subject: `ratio * den`.
    pub num: f64,
    /// Median nanoseconds per iteration of the subject.
    pub den: f64,
    /// Median of baseline / subject over all pairs of neighbouring rounds; always `num / den`.
    pub ratio: f64,
}

impl Ratio {
    /// Prints the figure as "times as fast as the baseline", see [`crate::report`].
    pub fn report(&self, bench: &str, figure: &str, target: crate::Target) {
        crate::report(bench, figure, self.ratio, "x", target, self.num, self.den);
    }
}

/// What one candidate of [`crate::compare_many`] took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The candidate's name.
    pub name: String,
    /// Its median nanoseconds per iteration.
    pub ns: f64,
}

/// The quickest of several candidates, `None` of none.
pub fn fastest(timings: &[Timing]) -> Option<&Timing> {
    timings.iter().min_by(|a, b| a.ns.total_cmp(&b.ns))
}

/// The ratio of two lists of rounds that were taken side by side.
pub(crate) fn ratio(baseline: &[f64], subject: &[f64]) -> Ratio {
    assert_eq!(baseline.len(), subject.len(), "rounds come in pairs");
    let pairs: Vec<f64> = baseline.iter().zip(subject).map(|(b, s)| quotient(*b, *s)).collect();
    let (ratio, den) = (median(&pairs), median(subject));
    Ratio { num: ratio * den, den, ratio }
}

/// A body may be optimised to nothing; its time is then below what the clock can show, not zero.
fn quotient(num: f64, den: f64) -> f64 {
    const CLOCK_NS_MIN: f64 = 1e-6;
    num.max(CLOCK_NS_MIN) / den.max(CLOCK_NS_MIN)
}

/// The middle value; of an even number of values the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "no median of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return sorted[middle];
    }
    (sorted[middle - 1] + sorted[middle]) / 2.0
}

/// Iterations that last `round_ns`, given that `iterations` lasted `spent_ns`; at least one.
pub(crate) fn iterations_for(round_ns: f64, spent_ns: f64, iterations: u64) -> u64 {
    (iterations as f64 * quotient(round_ns, spent_ns)).round().clamp(1.0, 1e15) as u64
}

/// Rounds that fill `total_ns` when all candidates together take `one_ns` for one round each.
/// Always even or `min`: the order alternates, and both orders shall count alike.
pub(crate) fn rounds_for(total_ns: f64, one_ns: f64, min: usize) -> usize {
    let fitting = quotient(total_ns, one_ns).clamp(0.0, 1e6) as usize;
    if fitting <= min { min } else { fitting + fitting % 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_takes_the_middle() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn ratio_is_num_over_den_and_above_one_for_a_faster_subject() {
        let found = ratio(&[20.0, 22.0, 18.0], &[10.0, 11.0, 9.0]);
        assert_eq!(found, Ratio { num: 20.0, den: 10.0, ratio: 2.0 });
        assert_eq!(found.num / found.den, found.ratio);
    }

    #[test]
    fn a_machine_that_slows_down_does_not_move_the_ratio() {
        // The second half runs at a third of the speed; every pair still says 2.
        let baseline = [20.0, 20.0, 60.0, 60.0];
        let subject = [10.0, 10.0, 30.0, 30.0];
        assert_eq!(ratio(&baseline, &subject).ratio, 2.0);
    }

    #[test]
    fn one_disturbed_round_does_not_move_the_ratio() {
        let baseline = [20.0, 900.0, 20.0, 20.0, 20.0];
        let subject = [10.0, 10.0, 10.0, 700.0, 10.0];
        assert_eq!(ratio(&baseline, &subject).ratio, 2.0);
    }

    #[test]
    fn an_empty_body_divides_by_the_clock_not_by_zero() {
        assert!(ratio(&[5.0], &[0.0]).ratio.is_finite());
    }

    #[test]
    fn iterations_fill_a_round() {
        assert_eq!(iterations_for(3_000.0, 1_000.0, 10), 30);
        assert_eq!(iterations_for(3_000.0, 9_000_000.0, 1), 1, "a slow body runs once");
    }

    #[test]
    fn rounds_fill_the_time_and_stay_even() {
        assert_eq!(rounds_for(2_000.0, 6.0, 9), 334);
        assert_eq!(rounds_for(2_000.0, 1_000.0, 9), 9, "a slow pair still gets its minimum");
    }

    #[test]
    fn the_fastest_has_the_smallest_time() {
        let of = |name: &str, ns| Timing { name: name.into(), ns };
        let timings = [of("ring", 40.0), of("aws", 30.0), of("rust", 90.0)];
        assert_eq!(fastest(&timings).map(|t| t.name.as_str()), Some("aws"));
        assert_eq!(fastest(&[]), None);
    }
}
