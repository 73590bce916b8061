//! Integers in as few bits as their neighbourhood needs.
//!
//! Registers that stand side by side hold numbers of about the same size, so a block of them is
//! kept as the least one and the distances from it, all in the width of the largest. Where values
//! repeat, varints under lz4 are smaller; `chunk.rs` tries both.

use super::wire::{Input, Malformed, put_signed};

/// A width of its own for every so many: three bytes against a wide one spoiling the rest.
const BLOCK: usize = 128;

pub fn put_packed(out: &mut Vec<u8>, numbers: &[i64]) {
    for block in numbers.chunks(BLOCK) {
        let least = block.iter().copied().min().unwrap_or_default();
        let distance = |number: &i64| number.wrapping_sub(least).cast_unsigned();
        let most = block.iter().map(distance).max().unwrap_or_default();
        let width = u64::BITS - most.leading_zeros();
        put_signed(out, least);
        out.push(u8::try_from(width).unwrap_or(u8::MAX));
        put_bits(out, block.iter().map(distance), width);
    }
}

/// Lowest bit first, the last byte filled up with zeros.
fn put_bits(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, width: u32) {
    let (mut bits, mut filled) = (0_u128, 0);
    for number in numbers {
        bits |= u128::from(number) << filled;
        filled += width;
        while filled >= 8 {
            out.push((bits & 0xff) as u8);
            bits >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push((bits & 0xff) as u8);
    }
}

/// The inverse of [`put_packed`] for so many numbers. The caller bounds `count`: equal numbers
/// take no bytes.
pub fn read_packed(input: &mut Input<'_>, count: usize) -> Result<Vec<i64>, Malformed> {
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let least = input.signed()?;
        let width = u32::from(input.byte()?);
        if width > u64::BITS {
            return Err(Malformed);
        }
        let n = BLOCK.min(count - numbers.len());
        let bytes = (n * usize::from(u16::try_from(width).map_err(|_| Malformed)?)).div_ceil(8);
        let mut packed = input.take(bytes)?.iter();
        let (mut bits, mut filled) = (0_u128, 0);
        for _ in 0..n {
            while filled < width {
                bits |= u128::from(*packed.next().ok_or(Malformed)?) << filled;
                filled += 8;
            }
            let number = bits & ((1_u128 << width) - 1);
            bits >>= width;
            filled -= width;
            let distance = u64::try_from(number).map_err(|_| Malformed)?;
            numbers.push(least.wrapping_add(distance.cast_signed()));
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            numbers in prop::collection::vec(
                prop_oneof![any::<i64>(), -500_i64..500, Just(i64::MIN), Just(i64::MAX), Just(7)],
                0..300,
            ),
            plain in prop::collection::vec(2_000_i64..3_000, 0..300),
        ) {
            for numbers in [numbers, plain] {
                let mut out = Vec::new();
                put_packed(&mut out, &numbers);
                let mut input = Input::new(&out);
                prop_assert_eq!(read_packed(&mut input, numbers.len()).unwrap(), numbers);
                prop_assert!(input.is_empty());
            }
        }

        #[test]
        fn bytes_from_outside_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0_usize..300) {
            let _ = read_packed(&mut Input::new(&bytes), n);
        }
    }

    #[test]
    fn neighbours_of_one_size_take_their_bits() {
        let numbers: Vec<i64> = (0..640).map(|i| 2_000 + i * 37 % 1_000).collect();
        let mut out = Vec::new();
        put_packed(&mut out, &numbers);
        assert_eq!(out.len(), 640 * 10 / 8 + 5 * 3);
    }
}
