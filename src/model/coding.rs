//! How registers and a value are made from each other: the description, not the doing.
//!
//! `config` parses it, `codec::registers` carries it out, both ways.

use std::sync::Arc;

/// The four Modbus tables (Modbus Application Protocol V1.1b3, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Read with function 1, written with 5 and 15.
    Coil,
    /// Function 2.
    Discrete,
    /// Read with function 3, written with 6, 16 and 22.
    Holding,
    /// Function 4.
    Input,
}

impl Table {
    /// Coils and discrete inputs hold bits, the other two 16-bit registers.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    pub fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }

    /// As the configuration and people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// Which half of a register an 8-bit value lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    High,
    Low,
}

/// Byte order, named by letters: A is the value's most significant byte, and registers arrive
/// big-endian. 48- and 64-bit values follow the same pattern (CDAB: registers reversed; BADC: bytes
/// within each register swapped, also of values that have one register and of texts; DCBA: both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    #[default]
    Abcd,
    Cdab,
    Badc,
    Dcba,
}

/// What the registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A coil or discrete input; in a register table: not zero.
    Bool,
    /// One bit of a register, 0 = least significant.
    Bit(u8),
    /// `width` bits of a register from bit `from` upwards, unsigned.
    Bits {
        from: u8,
        width: u8,
    },
    /// An 8-bit integer in one half of a register.
    Int8 {
        half: Half,
        signed: bool,
    },
    /// An integer of 16, 24, 32, 48 or 64 bits; 24 bits take two registers, the upper byte unused.
    Int {
        bits: u8,
        signed: bool,
    },
    F16,
    F32,
    F64,
    /// Binary-coded decimal of 8, 16, 32 or 64 bits (2, 4, 8, 16 digits); 8 in the low byte.
    Bcd {
        bits: u8,
    },
    /// Registers of 0..=9999 each, most significant first unless the order says otherwise; 2 to 4.
    Mod10k {
        registers: u8,
    },
    /// Text of this many registers, two characters each, cut at NUL, trailing spaces trimmed.
    Text {
        registers: u8,
    },
    /// The bytes as they are.
    Raw {
        registers: u8,
    },
    /// Seconds since 1970 in 32 bits, published as an ISO 8601 text in UTC.
    UnixSeconds,
    /// Milliseconds since 1970 in 64 bits, published as an ISO 8601 text in UTC.
    UnixMillis,
    /// Six BCD bytes YY MM DD hh mm ss in three registers, published as ISO 8601 without a zone.
    BcdTime,
    /// Four bytes, published as dotted text.
    Ipv4,
    /// Six bytes, published as colon-separated hex.
    Mac,
}

/// `value = raw * factor / divisor + offset`, in decimals as written, so that 2314 * 0.1 is 231.4
/// and not 231.40000000000003.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    pub factor: f64,
    /// A power of ten (or 1): the scale's decimals, divided by instead of multiplied with. For a
    /// two-point mapping the run of the raw numbers, as a whole number above 0.
    pub divisor: f64,
    pub offset: f64,
    /// For a two-point mapping: values are cut to this range and then marked `Clamped`.
    pub clamp: Option<(f64, f64)>,
}

/// A raw code by which a device says "no value here".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotAvailable(pub u64);

/// One entry of an enumeration: the code in the register and its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    pub code: i64,
    pub text: Arc<str>,
}

/// The whole description of a tag's registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Coding {
    pub kind: Kind,
    /// Elements of an array, one after the other; 1 for a plain tag.
    pub count: u16,
    pub order: Order,
    /// `None` leaves integers integers.
    pub linear: Option<Linear>,
    /// The raw number is multiplied by ten to a power that the device says with every answer, in a
    /// register of its own (SunSpec's sunssf); there is no `linear` then.
    pub scale_register: bool,
    pub not_available: Vec<NotAvailable>,
    /// Empty when the tag is no enumeration.
    pub labels: Vec<Label>,
}

impl Coding {
    /// A plain coding of this kind: one element, ABCD, no scale.
    pub fn plain(kind: Kind) -> Self {
        Self {
            kind,
            count: 1,
            order: Order::Abcd,
            linear: None,
            scale_register: false,
            not_available: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Registers (or bits, in a bit table) that one element takes.
    pub fn width(&self) -> u16 {
        match self.kind {
            Kind::Bool | Kind::Bit(_) | Kind::Bits { .. } | Kind::Int8 { .. } | Kind::F16 => 1,
            Kind::Int { bits, .. } | Kind::Bcd { bits } => u16::from(bits.div_ceil(16)),
            Kind::F32 | Kind::UnixSeconds | Kind::Ipv4 => 2,
            Kind::F64 | Kind::UnixMillis => 4,
            Kind::BcdTime | Kind::Mac => 3,
            Kind::Mod10k { registers } | Kind::Text { registers } | Kind::Raw { registers } => {
                u16::from(registers)
            }
        }
    }

    /// Registers (or bits) that the whole tag takes.
    pub fn span(&self) -> u16 {
        self.width().saturating_mul(self.count)
    }
}
