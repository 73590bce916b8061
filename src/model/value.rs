//! What a tag can hold.

use std::fmt;
use std::sync::Arc;

/// A value. Integers keep all 64 bits; nothing is squeezed through a float on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Bool(bool),
    I64(i64),
    U64(u64),
    /// Always finite: what is not a number is a reading with a bad quality, not a value.
    F64(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    /// The elements of an array tag, all of one kind.
    List(Arc<[Value]>),
}

impl Value {
    /// The numeric value for limits and dead bands; `None` for text, bytes and lists.
    /// Integers above 2^53 are rounded, which is why this is not the way a value is published.
    #[expect(clippy::cast_precision_loss, reason = "documented: for comparisons only")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::I64(i) => Some(*i as f64),
            Self::U64(u) => Some(*u as f64),
            Self::F64(f) => Some(*f),
            Self::Text(_) | Self::Bytes(_) | Self::List(_) => None,
        }
    }

    /// Memory this value holds beyond its own size, in bytes; for the store's RAM bound.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(t) => t.len(),
            Self::Bytes(b) => b.len(),
            Self::List(l) => l.iter().map(|v| size_of::<Self>() + v.heap_bytes()).sum(),
            Self::Bool(_) | Self::I64(_) | Self::U64(_) | Self::F64(_) => 0,
        }
    }
}

/// For terminals and logs; bytes as hex.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => b.fmt(f),
            Self::I64(i) => i.fmt(f),
            Self::U64(u) => u.fmt(f),
            Self::F64(x) => x.fmt(f),
            Self::Text(t) => f.write_str(t),
            Self::Bytes(b) => b.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::List(l) => {
                f.write_str("[")?;
                for (i, v) in l.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    v.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}
