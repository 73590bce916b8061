//! How far a reading can be trusted, with a typed reason.

use std::fmt;

/// The quality of a reading. Missing data is a `Bad` with its cause, never a made-up zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    Good,
    /// There is a value, but with a reason to doubt it.
    Uncertain(Doubt),
    /// There is no value.
    Bad(Fault),
}

/// Why a value is uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// A two-point mapping cut the value at its end.
    Clamped,
    /// The code is not among the tag's enumeration; the number itself is given.
    UnknownLabel,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The device did not answer in time.
    NoAnswer,
    /// The bus itself can't be reached: port missing, connection refused.
    LinkDown,
    /// An answer came, damaged or of the wrong shape.
    BadAnswer,
    /// The device answered with this Modbus exception code (Modbus Application Protocol V1.1b3, 7).
    Exception(u8),
    /// The device sent its "not available" code, or a number that is none (NaN, infinite).
    NotAvailable,
    /// The registers do not hold what the type says: a BCD digit above 9, text that is not UTF-8.
    Undecodable,
}

impl Fault {
    /// Stable code for storage: 16 bits, the exception code in the low byte.
    pub fn code(self) -> u16 {
        match self {
            Self::NoAnswer => 0x0100,
            Self::LinkDown => 0x0200,
            Self::BadAnswer => 0x0300,
            Self::Exception(code) => 0x0400 | u16::from(code),
            Self::NotAvailable => 0x0500,
            Self::Undecodable => 0x0600,
        }
    }

    /// The inverse of [`Fault::code`].
    pub fn from_code(code: u16) -> Option<Self> {
        let [high, low] = code.to_be_bytes();
        match (high, low) {
            (1, 0) => Some(Self::NoAnswer),
            (2, 0) => Some(Self::LinkDown),
            (3, 0) => Some(Self::BadAnswer),
            (4, code) => Some(Self::Exception(code)),
            (5, 0) => Some(Self::NotAvailable),
            (6, 0) => Some(Self::Undecodable),
            _ => None,
        }
    }
}

impl Doubt {
    /// Stable code for storage.
    pub fn code(self) -> u16 {
        match self {
            Self::Clamped => 1,
            Self::UnknownLabel => 2,
        }
    }

    /// The inverse of [`Doubt::code`].
    pub fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Clamped),
            2 => Some(Self::UnknownLabel),
            _ => None,
        }
    }
}

/// The words used in payloads, logs and the page: `no-answer`, `exception-2`, ...
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("no-answer"),
            Self::LinkDown => f.write_str("link-down"),
            Self::BadAnswer => f.write_str("bad-answer"),
            Self::Exception(code) => write!(f, "exception-{code}"),
            Self::NotAvailable => f.write_str("not-available"),
            Self::Undecodable => f.write_str("undecodable"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clamped => "clamped",
            Self::UnknownLabel => "unknown-label",
        })
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Uncertain(doubt) => write!(f, "uncertain:{doubt}"),
            Self::Bad(fault) => write!(f, "bad:{fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_codes_come_back() {
        let all = [
            Fault::NoAnswer,
            Fault::LinkDown,
            Fault::BadAnswer,
            Fault::Exception(2),
            Fault::NotAvailable,
            Fault::Undecodable,
        ];
        for fault in all {
            assert_eq!(Fault::from_code(fault.code()), Some(fault));
        }
        assert_eq!(Fault::from_code(0), None);
        for doubt in [Doubt::Clamped, Doubt::UnknownLabel] {
            assert_eq!(Doubt::from_code(doubt.code()), Some(doubt));
        }
    }
}
