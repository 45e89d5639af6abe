//! Amounts and fee rates, as people write them.

use bitcoin::{Amount, Denomination};

/// `25000sat`, `25_000 sat` or `0.00025btc`.
pub fn sat(text: &str) -> Result<u64, String> {
    let wrong = |why: &str| format!("'{text}' is no amount such as 25000sat or 0.00025btc{why}");
    let plain = text.replace(['_', ' '], "").to_ascii_lowercase();
    let (digits, unit) = match plain.strip_suffix("sat") {
        Some(digits) => (digits, Denomination::Satoshi),
        None => match plain.strip_suffix("btc") {
            Some(digits) => (digits, Denomination::Bitcoin),
            None => return Err(wrong(": a unit is missing")),
        },
    };
    if digits.starts_with(['-', '+']) {
        return Err(wrong(": it has no sign"));
    }
    let amount = Amount::from_str_in(digits, unit).map_err(|why| wrong(&format!(": {why}")))?;
    if amount > Amount::MAX_MONEY {
        return Err(wrong(": there are only 21 million bitcoins"));
    }
    Ok(amount.to_sat())
}

/// The same, or in thousandths of a satoshi: `1500msat`.
pub fn msat(text: &str) -> Result<u64, String> {
    let wrong = |why: &str| format!("'{text}' is no amount such as 25sat or 1500msat{why}");
    let plain = text.replace(['_', ' '], "").to_ascii_lowercase();
    let Some(digits) = plain.strip_suffix("msat") else {
        return sat(text).map(|sat| sat * 1_000);
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong(""));
    }
    let msat: u64 = digits.parse().map_err(|why| wrong(&format!(": {why}")))?;
    let max = Amount::MAX_MONEY.to_sat() * 1_000;
    if msat > max { Err(wrong(": there are only 21 million bitcoins")) } else { Ok(msat) }
}

/// From sat/vB, with up to three digits behind the point, to satoshis for 1,000 virtual bytes.
pub fn sat_per_kvb(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no fee rate in sat/vB, such as 2 or 1.5");
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(whole) || !digits(rest) || whole.len() > 9 || rest.len() > 3 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let rest: u64 = format!("{rest:0<3}").parse().map_err(|_| wrong())?;
    Ok(whole * 1_000 + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit_and_no_sign() {
        let right = [
            ("1sat", 1),
            ("25_000 sat", 25_000),
            ("0.00000001btc", 1),
            ("1BTC", 100_000_000),
            ("21000000btc", 2_100_000_000_000_000),
        ];
        for (text, want) in right {
            assert_eq!(sat(text), Ok(want), "{text}");
        }
        let wrong = [
            "",
            "1",
            "sat",
            "-1sat",
            "+1sat",
            "1.5sat",
            "0.000000001btc",
            "21000001btc",
            "1e3sat",
            "99999999999999999999999sat",
            "1msat",
            "one sat",
            "0x10sat",
            "１sat",
        ];
        for text in wrong {
            let fault = sat(text).expect_err(text);
            assert!(fault.contains(&format!("'{text}' is no amount")), "{fault}");
        }
    }

    #[test]
    fn thousandths_have_a_unit_of_their_own() {
        let right = [("1msat", 1), ("1_500 msat", 1_500), ("25sat", 25_000), ("0msat", 0)];
        for (text, want) in right {
            assert_eq!(msat(text), Ok(want), "{text}");
        }
        for text in ["msat", "-1msat", "1.5msat", "9999999999999999999999msat", "5"] {
            msat(text).expect_err(text);
        }
        msat("2100000000000000001msat").expect_err("there is not so much");
    }

    #[test]
    fn rates_are_exact() {
        let right = [("0", 0), ("1", 1_000), ("1.5", 1_500), ("0.001", 1), ("10000", 10_000_000)];
        for (text, want) in right {
            assert_eq!(sat_per_kvb(text), Ok(want), "{text}");
        }
        for text in ["", "-1", "1.", ".5", "1.0001", "1,5", "9999999999", "1e3", "NaN"] {
            sat_per_kvb(text).expect_err(text);
        }
    }
}
