//! What kind of values a tag has, as far as its description says.

use super::{Coding, Kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    Bool,
    /// Whole numbers that fit a signed one of 64 bits.
    Integer,
    /// Whole numbers up to the largest of 64 bits, none below zero.
    Unsigned,
    Real,
    Text,
    Bytes,
}

impl Coding {
    /// The kind of its values, of each element if it is an array.
    pub fn value_kind(&self) -> ValueKind {
        let is_scaled = self.linear.is_some() || self.scale_register;
        match self.kind {
            Kind::Text { .. }
            | Kind::UnixSeconds
            | Kind::UnixMillis
            | Kind::BcdTime
            | Kind::Ipv4
            | Kind::Mac => ValueKind::Text,
            Kind::Raw { .. } => ValueKind::Bytes,
            // A code without a label is given as the number that it is.
            _ if !self.labels.is_empty() => ValueKind::Text,
            Kind::Bool | Kind::Bit(_) => ValueKind::Bool,
            Kind::F16 | Kind::F32 | Kind::F64 => ValueKind::Real,
            _ if is_scaled => ValueKind::Real,
            Kind::Int { bits: 64, signed: false } => ValueKind::Unsigned,
            Kind::Bits { .. }
            | Kind::Int8 { .. }
            | Kind::Int { .. }
            | Kind::Bcd { .. }
            | Kind::Mod10k { .. } => ValueKind::Integer,
        }
    }
}
