//! The one line per figure that `./dev bench` collects.

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This value or more.
    AtLeast(f64),
    /// This value or less.
    AtMost(f64),
    /// No target: the figure is shown and judged by nobody.
    Report,
}

impl Target {
    fn verdict(self, value: f64) -> String {
        let word = |met| if met { "met" } else { "missed" };
        match self {
            Target::AtLeast(want) => format!("target >={want} {}", word(value >= want)),
            Target::AtMost(want) => format!("target <={want} {}", word(value <= want)),
            Target::Report => "report".into(),
        }
    }
}

/// Prints [`line`].
pub fn report(
    bench: &str,
    figure: &str,
    value: f64,
    unit: &str,
    target: Target,
    num: f64,
    den: f64,
) {
    println!("{}", line(bench, figure, value, unit, target, num, den));
}

/// `bench NAME/FIGURE VALUE UNIT target >=T met num=… den=…`; the verdict is about the exact
/// value, not the printed one. A value that is not a number meets no target.
pub fn line(
    bench: &str,
    figure: &str,
    value: f64,
    unit: &str,
    target: Target,
    num: f64,
    den: f64,
) -> String {
    let one_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    assert!(one_word(bench) && one_word(figure) && one_word(unit), "each field is one word");
    let (verdict, value) = (target.verdict(value), shown(value));
    format!("bench {bench}/{figure} {value} {unit} {verdict} num={} den={}", shown(num), shown(den))
}

/// Four significant digits or more, without an exponent.
fn shown(value: f64) -> String {
    let places = match value.abs() {
        small if small == 0.0 || small.fract() == 0.0 => 0,
        small if small < 10.0 => 4,
        small if small < 1_000.0 => 2,
        _ => 1,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_or_missed_at_its_edge() {
        let at_least = |value| line("noise", "seal", value, "x", Target::AtLeast(1.5), 30.0, 20.0);
        assert_eq!(at_least(1.5), "bench noise/seal 1.5000 x target >=1.5 met num=30 den=20");
        assert!(at_least(1.499_999_9).contains("target >=1.5 missed"));
        let at_most = |value| line("noise", "bytes", value, "B", Target::AtMost(64.0), 64.0, 1.0);
        assert_eq!(at_most(64.0), "bench noise/bytes 64 B target <=64 met num=64 den=1");
        assert!(at_most(64.5).contains("target <=64 missed"));
    }

    #[test]
    fn without_a_target_nothing_is_judged() {
        let line = line("codec", "read", 1234.56, "ns", Target::Report, 1234.56, 1.0);
        assert_eq!(line, "bench codec/read 1234.6 ns report num=1234.6 den=1");
    }

    #[test]
    fn no_number_meets_no_target() {
        for target in [Target::AtLeast(0.0), Target::AtMost(0.0)] {
            assert!(line("a", "b", f64::NAN, "x", target, 0.0, 0.0).contains("missed"));
        }
    }

    #[test]
    #[should_panic(expected = "one word")]
    fn a_field_of_two_words_would_shift_the_columns() {
        line("noise", "seal and open", 1.0, "x", Target::Report, 1.0, 1.0);
    }
}
