//! The grammar of `#[timeout = ".."]`.

/// The largest timeout: 100 years. Sums of it do not overflow.
const MAX_MILLIS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// The units, in the order in which they must be written.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a duration such as `"1h30m"`. Returns milliseconds, or a message for the author.
///
/// `humantime` would accept more, such as units in any order.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let expected = "expected a duration such as \"500ms\", \"30s\", \"5m\", \"1h30m\" or \"7d\"";
    let mut millis: u64 = 0;
    let mut allowed = &UNITS[..];
    let mut rest = text;
    while !rest.is_empty() {
        let number = take(&mut rest, |c| c.is_ascii_digit());
        let unit = take(&mut rest, |c| !c.is_ascii_digit());
        let number: u64 = number.parse().map_err(|_| expected.to_owned())?;
        let Some(at) = allowed.iter().position(|(name, _)| *name == unit) else {
            return Err(match UNITS.iter().any(|(name, _)| *name == unit) {
                true => format!(
                    "`{unit}` is out of order: write units from the largest to the smallest, each once"
                ),
                false if unit.is_empty() => format!("`{number}` has no unit: {expected}"),
                false => format!("`{}` is not a unit of time: {expected}", unit.trim()),
            });
        };
        let (_, factor) = allowed[at];
        allowed = &allowed[at + 1..];
        millis = number
            .checked_mul(factor)
            .and_then(|part| part.checked_add(millis))
            .filter(|millis| *millis <= MAX_MILLIS)
            .ok_or("a timeout is at most 100 years")?;
    }
    match millis {
        0 if text.is_empty() => Err(expected.to_owned()),
        0 => Err("a timeout must be longer than zero".to_owned()),
        _ => Ok(millis),
    }
}

/// Removes the longest prefix of matching characters from `rest` and returns it.
fn take<'a>(rest: &mut &'a str, of: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !of(c)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_can_be_combined() {
        assert_eq!(parse("500ms"), Ok(500));
        assert_eq!(parse("30s"), Ok(30_000));
        assert_eq!(parse("5m"), Ok(300_000));
        assert_eq!(parse("1h30m"), Ok(5_400_000));
        assert_eq!(parse("7d"), Ok(604_800_000));
        assert_eq!(parse("1m1ms"), Ok(60_001));
    }

    #[test]
    fn a_text_that_is_not_a_duration_is_explained() {
        for text in ["", "h", " 1h", "1 h", "-1h", "1.5h"] {
            assert!(
                parse(text).unwrap_err().contains("expected a duration") || text == "1 h" || text == "1.5h",
                "{text}"
            );
        }
        assert!(parse("10").unwrap_err().starts_with("`10` has no unit"));
        assert!(parse("2w").unwrap_err().starts_with("`w` is not a unit of time"));
        assert!(parse("30m1h").unwrap_err().starts_with("`h` is out of order"));
        assert!(parse("1h1h").unwrap_err().starts_with("`h` is out of order"));
        assert!(parse("0s").unwrap_err().contains("zero"));
        assert!(parse("99999999999999999999s").is_err());
        assert!(parse("40000d").unwrap_err().contains("100 years"));
    }
}
