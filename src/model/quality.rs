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
    /// The sensor says that it is still moving.
    Unstable,
    /// The sensor says that it did not measure but estimated, or was told.
    Estimated,
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
    /// The sensor says that what it measures is above its range.
    Overload,
    /// The sensor says that what it measures is below its range.
    Underload,
    /// The sensor says that it is faulty or can't measure now.
    DeviceError,
    /// The value came in a unit that is not the tag's and can't be converted to it.
    WrongUnit,
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
            Self::Overload => 0x2000,
            Self::Underload => 0x2100,
            Self::DeviceError => 0x2200,
            Self::WrongUnit => 0x2300,
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
            (0x20, 0) => Some(Self::Overload),
            (0x21, 0) => Some(Self::Underload),
            (0x22, 0) => Some(Self::DeviceError),
            (0x23, 0) => Some(Self::WrongUnit),
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
            Self::Unstable => 0x20,
            Self::Estimated => 0x21,
        }
    }

    /// The inverse of [`Doubt::code`].
    pub fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Clamped),
            2 => Some(Self::UnknownLabel),
            0x20 => Some(Self::Unstable),
            0x21 => Some(Self::Estimated),
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
            Self::Overload => f.write_str("overload"),
            Self::Underload => f.write_str("underload"),
            Self::DeviceError => f.write_str("device-error"),
            Self::WrongUnit => f.write_str("wrong-unit"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clamped => "clamped",
            Self::UnknownLabel => "unknown-label",
            Self::Unstable => "unstable",
            Self::Estimated => "estimated",
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
            Fault::Overload,
            Fault::Underload,
            Fault::DeviceError,
            Fault::WrongUnit,
        ];
        for fault in all {
            assert_eq!(Fault::from_code(fault.code()), Some(fault));
        }
        assert_eq!(Fault::from_code(0), None);
        let doubts = [Doubt::Clamped, Doubt::UnknownLabel, Doubt::Unstable, Doubt::Estimated];
        for doubt in doubts {
            assert_eq!(Doubt::from_code(doubt.code()), Some(doubt));
        }
    }
}
