//! Medians and percentiles.

use std::time::Duration;

/// The middle of some values; `None` if there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    percentile(values, 50.0)
}

/// The value that `percent` of all are not above (nearest rank, interpolated in between).
pub(crate) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = percent / 100.0 * sorted.len().checked_sub(1)? as f64;
    let low = *sorted.get(place.floor() as usize)?;
    let high = *sorted.get(place.ceil() as usize)?;
    Some(low + (high - low) * place.fract())
}

/// Durations in microseconds.
pub(crate) fn microseconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(|duration| duration.as_secs_f64() * 1e6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn percentiles_reach_from_the_smallest_to_the_largest() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let found = [0.0, 50.0, 99.0, 100.0].map(|percent| percentile(&values, percent));
        assert_eq!(found, [0.0, 50.0, 99.0, 100.0].map(Some));
    }

    #[test]
    fn durations_become_microseconds() {
        assert_eq!(microseconds(&[Duration::from_millis(2)]), [2_000.0]);
    }
}
