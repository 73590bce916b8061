//! The code for making the first account: proof that someone can see the gateway's console or its
//! journal. It lives in memory, for one run.

use super::secret::{Digest, NoRandomness, fill};

/// Without those that look like others (Crockford's letters, without U).
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Five bits each: 40 bits, of which a throttle leaves no chance to guess.
const LENGTH: usize = 8;
const GROUP: usize = 4;

#[derive(Clone, PartialEq, Eq)]
pub struct SetupCode(String);

impl SetupCode {
    pub fn new() -> Result<Self, NoRandomness> {
        let mut bytes = [0; LENGTH];
        fill(&mut bytes)?;
        let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied().map(char::from);
        Ok(Self(bytes.iter().filter_map(letter).collect()))
    }

    /// In groups, as people read it.
    pub fn shown(&self) -> String {
        let letters: Vec<char> = self.0.chars().collect();
        let groups: Vec<String> =
            letters.chunks(GROUP).map(|group| group.iter().collect()).collect();
        groups.join("-")
    }

    /// Whether this is it, as people type it: in any case, with or without separators, and with
    /// the letters that look like digits.
    pub fn is(&self, typed: &str) -> bool {
        let typed = typed.chars().filter(|c| !matches!(c, '-' | ' ')).take(LENGTH + 1);
        let plain: String = typed
            .map(|c| match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            })
            .collect();
        // By their digests: how long that takes says nothing of how much was right.
        Digest::of(&plain) == Digest::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_in_groups_and_typed_in_any_way() {
        let code = SetupCode("0K1PA29M".to_owned());
        assert_eq!(code.shown(), "0K1P-A29M");
        for right in ["0K1P-A29M", "0k1pa29m", " ok1p a29m ", "OKLP-A29M", "0-k-i-p-a-2-9-m"] {
            assert!(code.is(right), "{right}");
        }
        for wrong in ["", "0K1P-A29", "0K1P-A29MM", "0K1P-A29N", "0K1P\0A29M"] {
            assert!(!code.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn every_run_has_its_own() {
        let (one, two) = (SetupCode::new().unwrap(), SetupCode::new().unwrap());
        assert!(one != two);
        assert_eq!(one.shown().len(), 9);
        assert!(one.is(&one.shown()) && !one.is(&two.shown()));
    }
}
