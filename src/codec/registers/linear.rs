//! Scale and offset, both ways, in decimals: 2314 at 0.1 is 231.4.
//!
//! A decimal scale is a whole factor over a power of ten, so `raw * factor` is computed in whole
//! numbers, the offset is brought to the same denominator, and one division rounds once. What
//! doesn't fit that (fractions, numbers beyond 2^53) is computed plainly and tidied of its rounding.

use super::{EncodeError, float};
use crate::model::Linear;

/// Whole numbers up to 2^53 are exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Decimals of an offset beyond those of the scale.
const OFFSET_DECIMALS_MAX: i32 = 9;

/// How far from an end of its range, as a part of the range, a mapped value still counts as the
/// end; less than any step of 32 bits.
const END_TOLERANCE: f64 = 1e-12;

/// How far from a step, in steps, a value may be for the rounding of its decimals.
const STEP_TOLERANCE: f64 = 1e-9;

/// The value of a raw number, and whether it was cut to the clamp's range.
pub(super) fn apply(linear: &Linear, raw: f64) -> (f64, bool) {
    let value = exact(linear, raw)
        .unwrap_or_else(|| float::tidy(raw * linear.factor / linear.divisor + linear.offset));
    let Some((low, high)) = linear.clamp else { return (value, false) };
    // The end points themselves may miss by a rounding error, to either side.
    let slack = (high - low).abs() * END_TOLERANCE;
    if value < low + slack {
        (low, value < low - slack)
    } else if value > high - slack {
        (high, value > high + slack)
    } else {
        (value, false)
    }
}

fn exact(linear: &Linear, raw: f64) -> Option<f64> {
    let (ten, offset) = whole_offset(linear)?;
    let scaled = raw * linear.factor * ten;
    let sum = scaled + offset;
    let whole = |x: f64| x.fract() == 0.0 && x.abs() <= EXACT_MAX;
    (whole(raw) && whole(linear.factor) && whole(scaled) && whole(sum))
        .then(|| sum / (linear.divisor * ten))
}

/// The offset as a whole number over `divisor * ten`.
fn whole_offset(linear: &Linear) -> Option<(f64, f64)> {
    if linear.offset == 0.0 {
        return Some((1.0, 0.0));
    }
    (0..=OFFSET_DECIMALS_MAX).map(|decimals| 10_f64.powi(decimals)).find_map(|ten| {
        let whole = (linear.offset * linear.divisor * ten).round();
        let same = whole / (linear.divisor * ten) == linear.offset;
        (same && whole.abs() <= EXACT_MAX).then_some((ten, whole))
    })
}

/// The raw number of a value; not rounded.
pub(super) fn invert(linear: &Linear, value: f64) -> Result<f64, EncodeError> {
    if let Some((low, high)) = linear.clamp
        && !(low..=high).contains(&value)
    {
        return Err(EncodeError::OutOfRange {
            value: value.to_string(),
            min: low.to_string(),
            max: high.to_string(),
        });
    }
    let raw = match whole_offset(linear) {
        Some((ten, offset)) => (value * linear.divisor * ten - offset) / (linear.factor * ten),
        None => (value - linear.offset) * linear.divisor / linear.factor,
    };
    let raw = float::tidy(raw);
    if raw.is_finite() { Ok(raw) } else { Err(EncodeError::Magnitude { value }) }
}

/// The whole raw number of a value; the nearest for a two-point mapping.
pub(super) fn invert_whole(linear: &Linear, value: f64) -> Result<i128, EncodeError> {
    let raw = invert(linear, value)?;
    let nearest = raw.round();
    if nearest.abs() > EXACT_MAX {
        return Err(EncodeError::Magnitude { value });
    }
    // Close to a step in steps, or in the value itself where a large offset hides small steps.
    let (step, _) = apply(linear, nearest);
    let rounding = 4.0 * f64::EPSILON * value.abs().max(linear.offset.abs());
    let on_step = (raw - nearest).abs() <= STEP_TOLERANCE || (step - value).abs() <= rounding;
    if linear.clamp.is_none() && !on_step {
        let (a, b) = (apply(linear, raw.floor()).0, apply(linear, raw.ceil()).0);
        return Err(EncodeError::BetweenSteps { value, below: a.min(b), above: a.max(b) });
    }
    Ok(float::to_whole(nearest))
}
