//! Medians and percentiles.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Returns the median.
pub(crate) fn median(values: &[f64]) -> Result<f64> {
    percentile(values, 50.0)
}

/// Returns the median in microseconds.
pub(crate) fn median_of(latencies: &[Duration]) -> Result<f64> {
    median(&latencies.iter().map(|latency| latency.as_secs_f64() * 1e6).collect::<Vec<_>>())
}

/// Returns the value below which `percent` of the values lie, interpolated between the nearest two.
pub(crate) fn percentile(values: &[f64], percent: f64) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = percent / 100.0 * (sorted.len() as f64 - 1.0);
    let value = |rank: f64| sorted.get(rank as usize).context("nothing was measured");
    let (low, high) = (value(rank.floor())?, value(rank.ceil())?);
    Ok(low + (high - low) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]).unwrap(), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]).unwrap(), 2.0);
        assert!(median(&[]).is_err());
        assert_eq!(median_of(&[Duration::from_millis(2)]).unwrap(), 2_000.0);
    }

    #[test]
    fn percentiles_reach_from_the_smallest_to_the_largest() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let found = [0.0, 50.0, 99.0, 100.0].map(|percent| percentile(&values, percent).unwrap());
        assert_eq!(found, [0.0, 50.0, 99.0, 100.0]);
    }
}
