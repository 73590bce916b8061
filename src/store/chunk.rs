//! A chunk: consecutive positions of one class, read during one boot, of one kind, as one row.
//!
//! Readings are kept column by column (tags, times, qualities, values), which makes the bytes so
//! alike that lz4 gets a reading of a typical plant down to about two of them. The CRC covers the
//! body and every column of the row, so a chunk is either exactly what was appended or known to be
//! damaged.

use super::entry::{Body, BootNo, Entry};
use super::packed::{put_packed, read_packed};
use super::values::Shape;
use super::wire::{Input, Malformed, put_bytes, put_signed, put_varint};
use crate::model::{
    Class, Doubt, Fault, Message, Mono, Qos, Quality, Reading, Seq, TagId, TopicName, Value,
};

/// Longest body before compression that is believed; a healthy one stays far below, unless a
/// message or a text is that long.
const BODY_BYTES_MAX: usize = 512 << 20;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Readings = 0,
    Messages = 1,
    /// Readings with the numbers among their values packed to the bit.
    PackedReadings = 2,
}

/// How the body is packed.
const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// One row of a chunk table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub class: Class,
    /// Position of the first item.
    pub seq: u64,
    pub n: u64,
    pub boot: BootNo,
    /// When the oldest item was read.
    pub from: Mono,
    /// When the newest item was read.
    pub to: Mono,
    pub kind: u8,
    pub codec: u8,
    pub crc: u32,
    pub body: Vec<u8>,
}

impl Chunk {
    pub fn of_readings(class: Class, seq: u64, boot: BootNo, readings: &[&Reading]) -> Self {
        let times = readings.iter().map(|reading| reading.at());
        let from = times.clone().min().unwrap_or_default();
        let to = times.max().unwrap_or_default();
        let columns = Columns::of(readings, from);
        let pack = |kind, body| {
            Self::pack(class, seq, readings.len() as u64, boot, (from, to), kind, body)
        };
        let packed = pack(Kind::PackedReadings, columns.packed());
        let plain = pack(Kind::Readings, columns.plain());
        if packed.body.len() < plain.body.len() { packed } else { plain }
    }

    pub fn of_messages(class: Class, seq: u64, boot: BootNo, messages: &[&Message]) -> Self {
        let times = messages.iter().map(|message| message.at);
        let from = times.clone().min().unwrap_or_default();
        let to = times.max().unwrap_or_default();
        let mut body = Vec::new();
        for message in messages {
            put_signed(&mut body, message.at.0.wrapping_sub(from.0));
            body.push(message.qos as u8 | u8::from(message.retain) << 2);
            put_bytes(&mut body, message.topic.as_str().as_bytes());
            put_bytes(&mut body, &message.payload);
        }
        Self::pack(class, seq, messages.len() as u64, boot, (from, to), Kind::Messages, body)
    }

    fn pack(
        class: Class,
        seq: u64,
        n: u64,
        boot: BootNo,
        (from, to): (Mono, Mono),
        kind: Kind,
        plain: Vec<u8>,
    ) -> Self {
        let packed = lz4_flex::compress_prepend_size(&plain);
        let (codec, body) = if packed.len() < plain.len() { (LZ4, packed) } else { (PLAIN, plain) };
        let kind = kind as u8;
        let mut chunk = Self { class, seq, n, boot, from, to, kind, codec, crc: 0, body };
        chunk.crc = chunk.checksum();
        chunk
    }

    fn checksum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(self.class.as_str().as_bytes());
        crc.update(&self.seq.to_le_bytes());
        crc.update(&self.n.to_le_bytes());
        crc.update(&self.boot.0.to_le_bytes());
        crc.update(&self.from.0.to_le_bytes());
        crc.update(&self.to.0.to_le_bytes());
        crc.update(&[self.kind, self.codec]);
        crc.update(&self.body);
        crc.finalize()
    }

    /// Whether this is exactly what was written.
    pub fn is_whole(&self) -> bool {
        self.checksum() == self.crc
    }

    /// What was appended, exactly, or the news that the row is damaged.
    pub fn decode(&self) -> Result<Vec<Entry>, Malformed> {
        if !self.is_whole() {
            return Err(Malformed);
        }
        let plain = match self.codec {
            PLAIN => std::borrow::Cow::Borrowed(self.body.as_slice()),
            LZ4 => unpack(&self.body)?.into(),
            _ => return Err(Malformed),
        };
        let n = usize::try_from(self.n).map_err(|_| Malformed)?;
        let mut input = Input::new(&plain);
        let entries = match self.kind {
            0 | 2 => {
                let packed = self.kind == Kind::PackedReadings as u8;
                let body = Body::Readings(read_readings(&mut input, n, self.from, packed)?);
                vec![Entry { seq: Seq(self.seq), boot: self.boot, body }]
            }
            1 => (0..self.n)
                .map(|i| {
                    let body = Body::Message(read_message(&mut input, self.from)?);
                    Ok(Entry { seq: Seq(self.seq + i), boot: self.boot, body })
                })
                .collect::<Result<_, Malformed>>()?,
            _ => return Err(Malformed),
        };
        if input.is_empty() { Ok(entries) } else { Err(Malformed) }
    }
}

/// Appends what a chunk of these readings takes as a record of its own: for measuring the store
/// against other ways to write the same bytes.
#[doc(hidden)]
pub fn pack_readings(seq: Seq, readings: &[&Reading], out: &mut Vec<u8>) {
    let chunk = Chunk::of_readings(Class::Normal, seq.0, BootNo(1), readings);
    for number in [chunk.seq, chunk.n, u64::from(chunk.crc), chunk.body.len() as u64] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for number in [chunk.from.0, chunk.to.0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&chunk.body);
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, Malformed> {
    let (size, packed) = lz4_flex::block::uncompressed_size(body).map_err(|_| Malformed)?;
    if size > BODY_BYTES_MAX {
        return Err(Malformed);
    }
    lz4_flex::decompress(packed, size).map_err(|_| Malformed)
}

/// Runs of equal things: the thing, how often.
fn put_runs(out: &mut Vec<u8>, codes: impl Iterator<Item = u64>) {
    let mut run: Option<(u64, u64)> = None;
    for code in codes {
        run = match run {
            Some((same, n)) if same == code => Some((same, n + 1)),
            Some((other, n)) => {
                put_varint(out, other);
                put_varint(out, n);
                Some((code, 1))
            }
            None => Some((code, 1)),
        };
    }
    if let Some((code, n)) = run {
        put_varint(out, code);
        put_varint(out, n);
    }
}

fn read_runs(input: &mut Input<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    let mut codes = Vec::new();
    while codes.len() < count {
        let code = input.varint()?;
        let n = input.count(count - codes.len())?;
        if n == 0 {
            return Err(Malformed);
        }
        codes.resize(codes.len() + n, code);
    }
    Ok(codes)
}

fn quality_code(quality: Quality) -> u64 {
    match quality {
        Quality::Good => 0,
        Quality::Uncertain(doubt) => 0x1_0000 | u64::from(doubt.code()),
        Quality::Bad(fault) => 0x2_0000 | u64::from(fault.code()),
    }
}

/// Readings column by column, as far as both ways to write their values have it in common.
struct Columns<'a> {
    /// Everything before the values.
    head: Vec<u8>,
    values: Vec<(Shape, &'a Value)>,
}

impl<'a> Columns<'a> {
    fn of(readings: &[&'a Reading], from: Mono) -> Self {
        let mut head = Vec::with_capacity(readings.len() * 3);
        let mut last = 0;
        for reading in readings {
            let tag = i64::from(reading.tag().0);
            put_signed(&mut head, tag - last);
            last = tag;
        }
        let mut last = from.0;
        for reading in readings {
            put_signed(&mut head, reading.at().0.wrapping_sub(last));
            last = reading.at().0;
        }
        put_runs(&mut head, readings.iter().map(|reading| quality_code(reading.quality())));
        let mut shape = Shape(0);
        let mut values = Vec::with_capacity(readings.len());
        for value in readings.iter().filter_map(|reading| reading.value()) {
            shape = Shape::of(value, shape);
            values.push((shape, value));
        }
        put_runs(&mut head, values.iter().map(|(shape, _)| u64::from(shape.0)));
        Self { head, values }
    }

    /// Value by value.
    fn plain(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        for (shape, value) in &self.values {
            shape.put(&mut out, value);
        }
        out
    }

    /// First all numbers, packed, then the other values.
    fn packed(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        let numbers = self.values.iter().filter_map(|(shape, value)| shape.number(value));
        put_packed(&mut out, &numbers.collect::<Vec<_>>());
        for (shape, value) in self.values.iter().filter(|(shape, _)| !shape.is_number()) {
            shape.put(&mut out, value);
        }
        out
    }
}

fn read_readings(
    input: &mut Input<'_>,
    n: usize,
    from: Mono,
    packed: bool,
) -> Result<Vec<Reading>, Malformed> {
    if n > input.remaining() {
        return Err(Malformed);
    }
    let mut tags = Vec::with_capacity(n);
    let mut last = 0_i64;
    for _ in 0..n {
        last = last.checked_add(input.signed()?).ok_or(Malformed)?;
        tags.push(TagId(u32::try_from(last).map_err(|_| Malformed)?));
    }
    let mut times = Vec::with_capacity(n);
    let mut last = from.0;
    for _ in 0..n {
        last = last.wrapping_add(input.signed()?);
        times.push(Mono(last));
    }
    let qualities = read_runs(input, n)?;
    let with_value = qualities.iter().filter(|code| **code < 0x2_0000).count();
    let shapes = read_runs(input, with_value)?;
    let shapes = shapes.into_iter().map(|shape| u8::try_from(shape).map(Shape));
    let shapes = shapes.collect::<Result<Vec<_>, _>>().map_err(|_| Malformed)?;
    let count = if packed { shapes.iter().filter(|shape| shape.is_number()).count() } else { 0 };
    let mut numbers = read_packed(input, count)?.into_iter();
    let mut shapes = shapes.into_iter();
    let mut readings = Vec::with_capacity(n);
    for ((tag, at), code) in tags.into_iter().zip(times).zip(qualities) {
        let low = u16::try_from(code & 0xffff).map_err(|_| Malformed)?;
        let mut value = || {
            let shape = shapes.next().ok_or(Malformed)?;
            let number = if shape.is_number() { numbers.next() } else { None };
            match number {
                Some(number) => shape.of_number(number),
                None => shape.read(input),
            }
        };
        readings.push(match code >> 16 {
            0 if low == 0 => Reading::good(tag, at, value()?),
            1 => Reading::uncertain(tag, at, value()?, Doubt::from_code(low).ok_or(Malformed)?),
            2 => Reading::bad(tag, at, Fault::from_code(low).ok_or(Malformed)?),
            _ => return Err(Malformed),
        });
    }
    Ok(readings)
}

fn read_message(input: &mut Input<'_>, from: Mono) -> Result<Message, Malformed> {
    let at = Mono(from.0.wrapping_add(input.signed()?));
    let flags = input.byte()?;
    let qos = match flags & 3 {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        2 => Qos::ExactlyOnce,
        _ => return Err(Malformed),
    };
    let topic = std::str::from_utf8(input.bytes()?).map_err(|_| Malformed)?;
    let topic = TopicName::new(topic).map_err(|_| Malformed)?;
    let payload = input.bytes()?.into();
    Ok(Message { topic, payload, qos, retain: flags & 4 != 0, at })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float() -> impl Strategy<Value = f64> {
        prop_oneof![
            prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
            (-1_000_000_i32..1_000_000, 0_i32..6).prop_map(|(m, e)| f64::from(m) / 10_f64.powi(e)),
            any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(f64::from),
            (-9_999_i16..9_999).prop_map(|m| f64::from(f32::from(m) / 100.0)),
            any::<i32>().prop_map(|i| f64::from(i) * 1e9),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::I64),
            any::<u64>().prop_map(Value::U64),
            float().prop_map(Value::F64),
            float().prop_map(Value::F64),
            ".{0,12}".prop_map(|text| Value::Text(text.into())),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(|items| Value::List(items.into()))
        })
    }

    fn fault() -> impl Strategy<Value = Fault> {
        prop_oneof![
            Just(Fault::NoAnswer),
            Just(Fault::LinkDown),
            Just(Fault::BadAnswer),
            any::<u8>().prop_map(Fault::Exception),
            Just(Fault::NotAvailable),
            Just(Fault::Undecodable),
            Just(Fault::Overload),
            Just(Fault::WrongUnit),
        ]
    }

    fn reading() -> impl Strategy<Value = Reading> {
        let tag = prop_oneof![0_u32..200, any::<u32>()].prop_map(TagId);
        let at = prop_oneof![0_i64..100_000, any::<i64>()].prop_map(Mono);
        let doubt =
            prop_oneof![Just(Doubt::Clamped), Just(Doubt::UnknownLabel), Just(Doubt::Unstable)];
        (tag, at, value(), doubt, fault(), 0..6).prop_map(
            |(tag, at, value, doubt, fault, which)| match which {
                0 => Reading::bad(tag, at, fault),
                1 => Reading::uncertain(tag, at, value, doubt),
                _ => Reading::good(tag, at, value),
            },
        )
    }

    /// Equal, and equal in the sign of zero, which `==` does not see.
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
            }
            _ => a == b,
        }
    }

    proptest! {
        #[test]
        fn readings_come_back_exactly(readings in prop::collection::vec(reading(), 0..80), seq in 0..u64::MAX / 2) {
            let borrowed: Vec<&Reading> = readings.iter().collect();
            let chunk = Chunk::of_readings(Class::Normal, seq, BootNo(3), &borrowed);
            let entries = chunk.decode().unwrap();
            prop_assert_eq!(entries.len(), 1);
            prop_assert_eq!((entries[0].seq, entries[0].boot), (Seq(seq), BootNo(3)));
            let Body::Readings(back) = &entries[0].body else { panic!("kind") };
            prop_assert_eq!(back, &readings);
            for (a, b) in back.iter().zip(&readings) {
                prop_assert!(a.value().zip(b.value()).is_none_or(|(a, b)| same(a, b)));
            }
        }

        #[test]
        fn messages_come_back_exactly(list in prop::collection::vec(
            ("[^+#\0]{1,30}", prop::collection::vec(any::<u8>(), 0..200), 0_usize..3, any::<bool>(), any::<i64>()), 0..20))
        {
            let messages: Vec<Message> = list.into_iter().map(|(topic, payload, qos, retain, at)| Message {
                topic: TopicName::new(&topic).unwrap(),
                payload: payload.into(),
                qos: [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][qos],
                retain,
                at: Mono(at),
            }).collect();
            let borrowed: Vec<&Message> = messages.iter().collect();
            let chunk = Chunk::of_messages(Class::Bulk, 7, BootNo(1), &borrowed);
            let back: Vec<Message> = chunk.decode().unwrap().into_iter().map(|entry| match entry.body {
                Body::Message(message) => message,
                Body::Readings(_) => panic!("kind"),
            }).collect();
            prop_assert_eq!(back, messages);
        }

        /// Any single bit that flips is noticed, in the body and in the row.
        #[test]
        fn a_flipped_bit_is_noticed(readings in prop::collection::vec(reading(), 1..20), place in any::<prop::sample::Index>(), field in 0..7) {
            let borrowed: Vec<&Reading> = readings.iter().collect();
            let mut chunk = Chunk::of_readings(Class::Normal, 99, BootNo(3), &borrowed);
            let bit = place.index(chunk.body.len() * 8);
            match field {
                0 => chunk.seq ^= 1 << (bit % 64),
                1 => chunk.n ^= 1 << (bit % 64),
                2 => chunk.boot.0 ^= 1 << (bit % 32),
                3 => chunk.from.0 ^= 1 << (bit % 63),
                4 => chunk.codec ^= 1 << (bit % 8),
                5 => chunk.crc ^= 1 << (bit % 32),
                _ => chunk.body[bit / 8] ^= 1 << (bit % 8),
            }
            prop_assert_eq!(chunk.decode(), Err(Malformed));
        }

        #[test]
        fn bytes_from_outside_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), n in 0_u64..300, kind in 0_u8..4, codec in 0_u8..3) {
            let mut chunk = Chunk { class: Class::Bulk, seq: 1, n, boot: BootNo(1), from: Mono(0), to: Mono(0), kind, codec, crc: 0, body };
            chunk.crc = chunk.checksum();
            let _ = chunk.decode();
        }
    }

    /// The figure the wear of the card hangs on; the workload is the design's.
    #[test]
    fn a_typical_reading_takes_few_bytes() {
        let readings: Vec<Reading> = (0..1_000_u32)
            .map(|i| {
                let at = Mono(i64::from(5_000 + i / 50 * 7));
                let value = 200.0 + f64::from(i * 37 % 1_000) / 10.0;
                Reading::good(TagId(i + 1), at, Value::F64(value))
            })
            .collect();
        let borrowed: Vec<&Reading> = readings.iter().collect();
        let chunk = Chunk::of_readings(Class::Normal, 1, BootNo(1), &borrowed);
        assert!(chunk.body.len() < 1_500, "{} bytes per 1,000 readings", chunk.body.len());
    }
}
