//! Units as a person writes them: `1-10,17`.

/// The units, each once, in the order they are written.
///
/// # Errors
/// In words, for who wrote it.
pub fn units(text: &str) -> Result<Vec<u8>, String> {
    let mut units = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        match (from.trim().parse::<u8>(), to.trim().parse::<u8>()) {
            (Ok(from), Ok(to)) if from <= to => {
                units.extend((from..=to).filter(|unit| !units.contains(unit)).collect::<Vec<_>>());
            }
            _ => return Err(format!("{part:?} is no unit and no range; write it as in 1-10,17")),
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_numbers_and_ranges() {
        assert_eq!(units("1-3, 9,2"), Ok(vec![1, 2, 3, 9]));
        assert_eq!(units("0-255").map(|units| units.len()), Ok(256));
        for wrong in ["", "1-", "3-1", "256", "1;2", "a"] {
            assert!(units(wrong).is_err(), "{wrong}");
        }
    }
}
