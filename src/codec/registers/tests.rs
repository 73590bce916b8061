//! Known vectors for every kind and order, refusals, and round trips.

mod round_trip;

use super::*;
use crate::model::{Half, Label, Linear, NotAvailable, Order};

const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

fn int(bits: u8, signed: bool) -> Kind {
    Kind::Int { bits, signed }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn ordered(kind: Kind, order: Order) -> Coding {
    Coding { order, ..Coding::plain(kind) }
}

fn scaled(kind: Kind, factor: f64, divisor: f64, offset: f64) -> Coding {
    Coding { linear: Some(Linear { factor, divisor, offset, clamp: None }), ..Coding::plain(kind) }
}

fn labelled(kind: Kind) -> Coding {
    let label = |(code, text): (i64, &str)| Label { code, text: text.into() };
    let labels = [(0, "off"), (1, "on"), (-1, "fault")].map(label).to_vec();
    Coding { labels, ..Coding::plain(kind) }
}

/// Decodes to the value, and the value encodes to the words.
#[expect(clippy::needless_pass_by_value, reason = "reads better in the tables")]
fn both_ways(coding: &Coding, words: &[u16], value: Value) {
    assert_eq!(decode(coding, false, words), Decoded::Good(value.clone()), "{coding:?}");
    assert_eq!(encode(coding, &value).unwrap().words, words, "{coding:?} {value:?}");
}

fn error(coding: &Coding, value: &Value) -> String {
    encode(coding, value).unwrap_err().to_string()
}

#[test]
fn t6_wide_values_in_all_orders() {
    let i64_value = Value::I64(0x0102_0304_0506_0708);
    let f64_value = Value::F64(f64::from_bits(0x0102_0304_0506_0708));
    let eight: [[u16; 4]; 4] = [
        [0x0102, 0x0304, 0x0506, 0x0708],
        [0x0708, 0x0506, 0x0304, 0x0102],
        [0x0201, 0x0403, 0x0605, 0x0807],
        [0x0807, 0x0605, 0x0403, 0x0201],
    ];
    let float: [[u16; 2]; 4] =
        [[0x47F1, 0x2000], [0x2000, 0x47F1], [0xF147, 0x0020], [0x0020, 0xF147]];
    let six: [[u16; 3]; 4] = [
        [0xFFFE, 0x0304, 0x0506],
        [0x0506, 0x0304, 0xFFFE],
        [0xFEFF, 0x0403, 0x0605],
        [0x0605, 0x0403, 0xFEFF],
    ];
    for (i, order) in ORDERS.into_iter().enumerate() {
        both_ways(&ordered(int(64, true), order), &eight[i], i64_value.clone());
        both_ways(&ordered(int(64, false), order), &eight[i], Value::U64(0x0102_0304_0506_0708));
        both_ways(&ordered(Kind::F64, order), &eight[i], f64_value.clone());
        both_ways(&ordered(Kind::F32, order), &float[i], Value::F64(123_456.0));
        both_ways(&ordered(int(32, false), order), &float[i], Value::U64(0x47F1_2000));
        both_ways(&ordered(int(48, true), order), &six[i], Value::I64(-0x0001_FCFB_FAFA));
        both_ways(&ordered(int(48, false), order), &six[i], Value::U64(0xFFFE_0304_0506));
    }
}

#[test]
fn single_registers_swap_their_bytes_only() {
    let words: [[u16; 1]; 4] = [[0xFE0C], [0xFE0C], [0x0CFE], [0x0CFE]];
    for (i, order) in ORDERS.into_iter().enumerate() {
        both_ways(&ordered(int(16, true), order), &words[i], Value::I64(-500));
        both_ways(&ordered(int(16, false), order), &words[i], Value::U64(0xFE0C));
    }
}

#[test]
fn integers_at_their_ends() {
    both_ways(&Coding::plain(int(64, false)), &[0xFFFF; 4], Value::U64(u64::MAX));
    both_ways(&Coding::plain(int(64, true)), &[0x8000, 0, 0, 0], Value::I64(i64::MIN));
    both_ways(&Coding::plain(int(64, true)), &[0xFFFF; 4], Value::I64(-1));
    both_ways(&Coding::plain(int(64, false)), &[0x0020, 0, 0, 1], Value::U64((1 << 53) + 1));
    both_ways(&Coding::plain(int(32, true)), &[0x8000, 0], Value::I64(i32::MIN.into()));
    both_ways(&Coding::plain(int(24, true)), &[0xFF80, 0], Value::I64(-0x0080_0000));
    both_ways(&Coding::plain(int(24, false)), &[0x00FF, 0xFFFF], Value::U64(0x00FF_FFFF));
    let unused = decode(&Coding::plain(int(24, true)), false, &[0x7F12, 0x3456]);
    assert_eq!(unused, Decoded::Good(Value::I64(0x0012_3456)), "the upper byte means nothing");
}

#[test]
fn parts_of_a_register_come_with_their_mask() {
    let cases = [
        (Kind::Bit(0), 0x0001, 0x0001, Value::Bool(true)),
        (Kind::Bit(15), 0x8000, 0x8000, Value::Bool(true)),
        (Kind::Bit(4), 0x0000, 0x0010, Value::Bool(false)),
        (Kind::Bits { from: 4, width: 3 }, 0x0050, 0x0070, Value::U64(5)),
        (Kind::Bits { from: 0, width: 16 }, 0xBEEF, 0xFFFF, Value::U64(0xBEEF)),
        (Kind::Int8 { half: Half::High, signed: true }, 0x8000, 0xFF00, Value::I64(-128)),
        (Kind::Int8 { half: Half::Low, signed: true }, 0x00FF, 0x00FF, Value::I64(-1)),
        (Kind::Int8 { half: Half::Low, signed: false }, 0x00FF, 0x00FF, Value::U64(255)),
        (Kind::Bcd { bits: 8 }, 0x0042, 0x00FF, Value::U64(42)),
    ];
    for (kind, word, mask, value) in cases {
        let coding = Coding::plain(kind);
        both_ways(&coding, &[word], value.clone());
        assert_eq!(encode(&coding, &value).unwrap().mask, Some(mask), "{kind:?}");
        // What the other bits hold changes nothing.
        assert_eq!(decode(&coding, false, &[word | !mask]), Decoded::Good(value.clone()));
        let swapped = ordered(kind, Order::Badc);
        both_ways(&swapped, &[word.swap_bytes()], value.clone());
        assert_eq!(encode(&swapped, &value).unwrap().mask, Some(mask.swap_bytes()));
    }
    assert_eq!(encode(&Coding::plain(int(16, true)), &Value::I64(1)).unwrap().mask, None);
}

#[test]
fn bits_of_bit_tables() {
    let coil = ordered(Kind::Bool, Order::Dcba);
    assert_eq!(decode(&coil, true, &[1]), Decoded::Good(Value::Bool(true)));
    assert_eq!(encode(&coil, &Value::Bool(true)).unwrap(), Encoded { words: vec![1], mask: None });
    assert_eq!(encode(&coil, &Value::I64(0)).unwrap().words, [0]);
    assert!(error(&coil, &Value::I64(2)).contains("outside 0 to 1"));
    let row = Coding { count: 3, ..Coding::plain(Kind::Bool) };
    let list = Value::List([true, false, true].map(Value::Bool).into());
    assert_eq!(decode(&row, true, &[1, 0, 1]), Decoded::Good(list.clone()));
    assert_eq!(encode(&row, &list).unwrap().words, [1, 0, 1]);
    let wrong = decode(&Coding::plain(int(16, false)), true, &[1]);
    assert_eq!(wrong, Decoded::Bad(Fault::Undecodable));
    assert_eq!(decode(&coil, false, &[0x0100]), Decoded::Good(Value::Bool(true)));
}

#[test]
fn floats_show_their_shortest_decimal() {
    for shown in [231.42_f32, 0.1, -3.3e-5, 1.0e-45, f32::MAX, f32::MIN_POSITIVE, 16_777_217.0] {
        let [a, b, c, d] = shown.to_be_bytes();
        let words = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        both_ways(
            &Coding::plain(Kind::F32),
            &words,
            Value::F64(shown.to_string().parse().unwrap()),
        );
    }
    both_ways(&Coding::plain(Kind::F32), &[0x4367, 0x6B85], Value::F64(231.42));
    both_ways(&Coding::plain(Kind::F16), &[0x2E66], Value::F64(0.1));
    both_ways(&Coding::plain(Kind::F16), &[0xC24D], Value::F64(-3.15));
    both_ways(&Coding::plain(Kind::F16), &[0x7BFF], Value::F64(65_504.0));
    for (kind, words) in [
        (Kind::F32, vec![0x7FC0, 0]),
        (Kind::F32, vec![0x7F80, 0]),
        (Kind::F16, vec![0xFC00]),
        (Kind::F64, vec![0xFFF8, 0, 0, 0]),
    ] {
        let got = decode(&Coding::plain(kind), false, &words);
        assert_eq!(got, Decoded::Bad(Fault::NotAvailable), "{kind:?}");
    }
}

#[test]
fn decimal_kinds() {
    both_ways(&Coding::plain(Kind::Bcd { bits: 16 }), &[0x1234], Value::U64(1234));
    both_ways(&Coding::plain(Kind::Bcd { bits: 32 }), &[0x1234, 0x5678], Value::U64(12_345_678));
    both_ways(
        &Coding::plain(Kind::Bcd { bits: 64 }),
        &[0x9999; 4],
        Value::U64(9_999_999_999_999_999),
    );
    both_ways(
        &ordered(Kind::Bcd { bits: 32 }, Order::Cdab),
        &[0x5678, 0x1234],
        Value::U64(12_345_678),
    );
    both_ways(&Coding::plain(Kind::Mod10k { registers: 2 }), &[12, 3456], Value::U64(123_456));
    both_ways(
        &ordered(Kind::Mod10k { registers: 3 }, Order::Cdab),
        &[1, 2, 3],
        Value::U64(300_020_001),
    );
    both_ways(
        &Coding::plain(Kind::Mod10k { registers: 4 }),
        &[9999; 4],
        Value::U64(9_999_999_999_999_999),
    );
    for (kind, words) in [
        (Kind::Bcd { bits: 16 }, vec![0x12A4]),
        (Kind::Bcd { bits: 8 }, vec![0x00F0]),
        (Kind::Mod10k { registers: 2 }, vec![0, 10_000]),
    ] {
        let got = decode(&Coding::plain(kind), false, &words);
        assert_eq!(got, Decoded::Bad(Fault::Undecodable), "{kind:?}");
    }
}

#[test]
fn t7_texts_of_any_length() {
    let words = [0x4669, 0x656C, 0x6468, 0x6F6C, 0x6420, 0x3132];
    let six = Kind::Text { registers: 6 };
    both_ways(&Coding::plain(six), &words, text("Fieldhold 12"));
    both_ways(&ordered(six, Order::Badc), &words.map(u16::swap_bytes), text("Fieldhold 12"));
    // Registers of a text are never reversed.
    both_ways(&ordered(six, Order::Dcba), &words.map(u16::swap_bytes), text("Fieldhold 12"));
    both_ways(&ordered(six, Order::Cdab), &words, text("Fieldhold 12"));
    let two = Coding::plain(Kind::Text { registers: 2 });
    both_ways(&two, &[0x6100, 0], text("a"));
    both_ways(&two, &[0xC3B6, 0x6C00], text("öl"));
    assert_eq!(decode(&two, false, &[0x6120, 0x2000]), Decoded::Good(text("a")));
    assert_eq!(decode(&two, false, &[0x6100, 0xFFFF]), Decoded::Good(text("a")), "NUL ends it");
    assert_eq!(decode(&two, false, &[0x61FF, 0x6200]), Decoded::Bad(Fault::Undecodable));
    assert!(error(&two, &text("abcde")).contains("5 bytes, and there is room for 4"));
    assert!(error(&two, &text("a\0b")).contains("NUL"));
    let raw = Coding { order: Order::Dcba, ..Coding::plain(Kind::Raw { registers: 2 }) };
    both_ways(&raw, &[0x0102, 0x0304], Value::Bytes([1, 2, 3, 4].into()));
    assert!(encode(&raw, &Value::Bytes([1].into())).is_err());
}

#[test]
fn moments_and_addresses() {
    let seconds = Coding::plain(Kind::UnixSeconds);
    both_ways(&seconds, &[0, 0], text("1970-01-01T00:00:00Z"));
    both_ways(&seconds, &[0x6553, 0xF100], text("2023-11-14T22:13:20Z"));
    both_ways(&seconds, &[0xFFFF, 0xFFFF], text("2106-02-07T06:28:15Z"));
    let millis = Coding::plain(Kind::UnixMillis);
    both_ways(&millis, &[0, 0x018B, 0xCFE5, 0x687B], text("2023-11-14T22:13:20.123Z"));
    assert_eq!(decode(&millis, false, &[0xFFFF; 4]), Decoded::Bad(Fault::Undecodable));
    let bcd = Coding::plain(Kind::BcdTime);
    both_ways(&bcd, &[0x2402, 0x2923, 0x5959], text("2024-02-29T23:59:59"));
    for words in
        [[0x2302, 0x2900, 0], [0x2413, 0x0100, 0], [0x2401, 0x0124, 0], [0x240A, 0x0100, 0], [0; 3]]
    {
        assert_eq!(decode(&bcd, false, &words), Decoded::Bad(Fault::Undecodable), "{words:04x?}");
    }
    both_ways(&Coding::plain(Kind::Ipv4), &[0xC0A8, 0x0128], text("192.168.1.40"));
    both_ways(&Coding::plain(Kind::Mac), &[0x001B, 0x2C3D, 0x4E5F], text("00:1b:2c:3d:4e:5f"));
    both_ways(
        &ordered(Kind::Mac, Order::Dcba),
        &[0x5F4E, 0x3D2C, 0x1B00],
        text("00:1b:2c:3d:4e:5f"),
    );
    for (coding, wrong) in [
        (&seconds, "2023-11-14 22:13:20Z"),
        (&seconds, "2023-11-14T22:13:20"),
        (&seconds, "2023-11-14T22:13:20.5Z"),
        (&seconds, "2107-01-01T00:00:00Z"),
        (&seconds, "2023-02-29T00:00:00Z"),
        (&seconds, "1969-12-31T23:59:59Z"),
        (&bcd, "1999-01-01T00:00:00"),
        (&bcd, "2024-01-01T00:00:00Z"),
    ] {
        assert!(error(coding, &text(wrong)).contains("is not a time"), "{wrong}");
    }
}

#[test]
fn scales_are_decimal() {
    both_ways(&scaled(int(16, false), 1.0, 10.0, 0.0), &[2314], Value::F64(231.4));
    both_ways(&scaled(int(16, true), 1.0, 10.0, -40.1), &[234], Value::F64(-16.7));
    both_ways(&scaled(int(16, false), 36.0, 10_000.0, 0.0), &[2778], Value::F64(10.0008));
    both_ways(&scaled(int(16, false), 5.0, 1.0, 0.0), &[7], Value::F64(35.0));
    both_ways(&scaled(int(16, false), 1.0, 1.0, -273.15), &[300], Value::F64(26.85));
    both_ways(&scaled(int(32, true), -1.0, 1000.0, 0.0), &[0, 1], Value::F64(-0.001));
    both_ways(&scaled(Kind::Bcd { bits: 16 }, 1.0, 100.0, 0.0), &[0x1234], Value::F64(12.34));
    let float = scaled(Kind::F32, 1.0, 10.0, 0.0);
    both_ways(&float, &[0x41B8, 0xCCCD], Value::F64(2.31));
    both_ways(&float, &[0x3F33, 0x3333], Value::F64(0.07));
    let all = scaled(int(16, false), 1.0, 10.0, 0.0);
    for raw in 0..=u16::MAX {
        let want = format!("{}.{}", raw / 10, raw % 10).parse().unwrap();
        assert_eq!(decode(&all, false, &[raw]), Decoded::Good(Value::F64(want)));
        assert_eq!(encode(&all, &Value::F64(want)).unwrap().words, [raw]);
    }
    // Beyond 2^53 nothing is cut to fewer digits than an f64 has.
    let wide = scaled(int(64, false), 1.0, 10.0, 0.0);
    let got = decode(&wide, false, &[0x1122, 0x10F4, 0x7DE9, 0x8115]);
    assert_eq!(got, Decoded::Good(Value::F64(123_456_789_012_345_678.9)));
}

#[test]
fn values_between_two_steps_are_refused() {
    let tenth = scaled(int(16, false), 1.0, 10.0, 0.0);
    let message = error(&tenth, &Value::F64(231.45));
    assert_eq!(message, "231.45 is between two steps of this tag; the nearest are 231.4 and 231.5");
    let message = error(&tenth, &Value::F64(6553.6));
    assert_eq!(message, "6553.6 is outside 0 to 6553.5, which is all the registers can hold");
    assert!(error(&tenth, &Value::I64(-1)).contains("outside 0 to 6553.5"));
    let falling = scaled(int(16, false), -1.0, 10.0, 0.0);
    assert!(error(&falling, &Value::F64(1.0)).contains("outside -6553.5 to "));
    assert!(error(&tenth, &text("1")).contains("takes a number"));
    assert!(error(&tenth, &Value::F64(1e300)).contains("too large"));
}

#[test]
fn two_point_mappings_clamp_and_take_the_nearest_step() {
    // 0..27648 is 0..100.
    let linear =
        Linear { factor: 100.0, divisor: 27_648.0, offset: 0.0, clamp: Some((0.0, 100.0)) };
    let coding = Coding { linear: Some(linear), ..Coding::plain(int(16, true)) };
    both_ways(&coding, &[27_648], Value::F64(100.0));
    both_ways(&coding, &[0], Value::F64(0.0));
    both_ways(&coding, &[13_824], Value::F64(50.0));
    let over = decode(&coding, false, &[27_649]);
    assert_eq!(over, Decoded::Uncertain(Value::F64(100.0), Doubt::Clamped));
    let under = decode(&coding, false, &[0xFFFF]);
    assert_eq!(under, Decoded::Uncertain(Value::F64(0.0), Doubt::Clamped));
    assert_eq!(encode(&coding, &Value::F64(33.3)).unwrap().words, [9207]);
    assert!(error(&coding, &Value::F64(100.1)).contains("outside 0 to 100"));
    // The same with a fraction as the factor: its rounding is no clamping.
    let linear = Linear { factor: 100.0 / 27_648.0, divisor: 1.0, ..linear };
    let coding = Coding { linear: Some(linear), ..coding };
    for raw in 0..=27_648_u16 {
        let Decoded::Good(value) = decode(&coding, false, &[raw]) else { panic!("{raw}") };
        assert_eq!(encode(&coding, &value).unwrap().words, [raw]);
    }
}

#[test]
fn the_ends_of_a_mapping_are_exact() {
    for (from, to) in [(819_u16, 4095_u16), (3277, 16_383), (5530, 27_648), (0, 4095)] {
        for (low, high) in [(0.0, 100.0), (-50.0, 150.0), (-1.0, 2.5), (0.0, 6.0)] {
            let factor = (high - low) / f64::from(to - from);
            let offset = low - f64::from(from) * factor;
            let linear = Linear { factor, divisor: 1.0, offset, clamp: Some((low, high)) };
            let coding = Coding { linear: Some(linear), ..Coding::plain(int(16, false)) };
            both_ways(&coding, &[from], Value::F64(low));
            both_ways(&coding, &[to], Value::F64(high));
            let beyond = decode(&coding, false, &[to + 1]);
            assert_eq!(beyond, Decoded::Uncertain(Value::F64(high), Doubt::Clamped));
        }
    }
    // 4 to 20 mA over a written offset: plainly computed, 4 mA is 7e-15.
    let linear =
        Linear { factor: 250.0 / 3276.0, divisor: 1.0, offset: -62.5, clamp: Some((0.0, 250.0)) };
    let coding = Coding { linear: Some(linear), ..Coding::plain(int(16, false)) };
    both_ways(&coding, &[819], Value::F64(0.0));
}

#[test]
fn labels_both_ways() {
    for kind in [int(16, true), int(64, true), Kind::Int8 { half: Half::Low, signed: true }] {
        let coding = labelled(kind);
        let words = encode(&coding, &text("fault")).unwrap().words;
        assert_eq!(decode(&coding, false, &words), Decoded::Good(text("fault")));
        assert_eq!(encode(&coding, &Value::I64(-1)).unwrap().words, words);
        let five = encode(&coding, &Value::I64(5)).unwrap().words;
        let unknown = Decoded::Uncertain(Value::I64(5), Doubt::UnknownLabel);
        assert_eq!(decode(&coding, false, &five), unknown);
    }
    let coding = labelled(Kind::Bit(3));
    both_ways(&coding, &[0x0008], text("on"));
    assert_eq!(encode(&coding, &Value::Bool(true)).unwrap().words, [8]);
    let message = error(&coding, &text("open"));
    assert_eq!(message, r#""open" is none of "off", "on", "fault""#);
    assert!(error(&labelled(int(16, false)), &text("fault")).contains("outside 0 to 65535"));
    let wide = decode(&labelled(int(64, false)), false, &[0xFFFF; 4]);
    assert_eq!(wide, Decoded::Uncertain(Value::U64(u64::MAX), Doubt::UnknownLabel));
}

#[test]
fn codes_for_no_value_are_compared_raw() {
    let cases = [
        (int(16, true), vec![0x8000], 0x8000),
        (int(16, false), vec![0xFFFF], 0xFFFF),
        (int(24, true), vec![0x1280, 0], 0x0080_0000),
        (int(64, true), vec![0x8000, 0, 0, 0], 0x8000_0000_0000_0000),
        (Kind::F32, vec![0xC61C, 0x3C00], 0xC61C_3C00),
        (Kind::Bcd { bits: 16 }, vec![0xFFFF], 0xFFFF),
        (Kind::Bits { from: 4, width: 4 }, vec![0x00F3], 0xF),
        (Kind::UnixSeconds, vec![0, 0], 0),
    ];
    for (kind, words, code) in cases {
        for linear in [None, scaled(kind, 1.0, 10.0, 0.0).linear] {
            let not_available = vec![NotAvailable(1), NotAvailable(code)];
            let coding = Coding { not_available, linear, ..Coding::plain(kind) };
            let got = decode(&coding, false, &words);
            assert_eq!(got, Decoded::Bad(Fault::NotAvailable), "{kind:?}");
        }
    }
    let coding =
        Coding { not_available: vec![NotAvailable(0xFFFF)], ..Coding::plain(int(16, true)) };
    assert_eq!(encode(&coding, &Value::I64(-1)), Err(EncodeError::NotAvailable));
}

#[test]
fn arrays_are_as_good_as_their_worst_element() {
    let coding = Coding {
        count: 2,
        order: Order::Cdab,
        not_available: vec![NotAvailable(0)],
        ..labelled(int(32, false))
    };
    let list = Value::List([text("on"), Value::U64(7)].into());
    assert_eq!(
        decode(&coding, false, &[1, 0, 7, 0]),
        Decoded::Uncertain(list.clone(), Doubt::UnknownLabel)
    );
    assert_eq!(encode(&coding, &list).unwrap().words, [1, 0, 7, 0]);
    assert_eq!(decode(&coding, false, &[1, 0, 0, 0]), Decoded::Bad(Fault::NotAvailable));
    assert!(error(&coding, &text("on")).contains("a list of 2 values, not 1"));
    assert!(
        error(&coding, &Value::List([text("on")].into())).contains("a list of 2 values, not 1")
    );
    let single = Coding::plain(int(16, false));
    assert!(error(&single, &Value::List([Value::I64(1)].into())).contains("not a list"));
}

#[test]
fn a_wrong_number_of_words_is_a_bad_answer() {
    for words in [&[][..], &[1], &[1, 2, 3]] {
        let got = decode(&Coding::plain(Kind::F32), false, words);
        assert_eq!(got, Decoded::Bad(Fault::BadAnswer));
    }
    let none = Coding { count: 0, ..Coding::plain(Kind::F32) };
    assert_eq!(decode(&none, false, &[]), Decoded::Bad(Fault::BadAnswer));
}

#[test]
fn what_does_not_fit_is_refused() {
    let byte = Coding::plain(Kind::Int8 { half: Half::Low, signed: true });
    let cases = [
        (&byte, Value::I64(128), "128 is outside -128 to 127"),
        (&byte, Value::F64(1.5), "1.5 is not a whole number"),
        (&byte, Value::Bool(true), "this tag takes a whole number"),
        (&Coding::plain(int(16, false)), Value::I64(-1), "-1 is outside 0 to 65535"),
        (&Coding::plain(int(16, false)), Value::U64(u64::MAX), "outside 0 to 65535"),
        (&Coding::plain(int(64, true)), Value::U64(u64::MAX), "outside -9223372036854775808 to"),
        (&Coding::plain(int(64, true)), Value::F64(1e18), "too large or too small"),
        (&Coding::plain(int(24, true)), Value::I64(0x0080_0000), "outside -8388608 to 8388607"),
        (&Coding::plain(Kind::Bits { from: 4, width: 3 }), Value::I64(8), "outside 0 to 7"),
        (&Coding::plain(Kind::Bcd { bits: 16 }), Value::I64(10_000), "outside 0 to 9999"),
        (&Coding::plain(Kind::Mod10k { registers: 2 }), Value::I64(100_000_000), "0 to 99999999"),
        (&Coding::plain(Kind::F32), Value::F64(1e39), "too large or too small"),
        (&Coding::plain(Kind::F32), Value::F64(1e-50), "too large or too small"),
        (&Coding::plain(Kind::F32), Value::I64(16_777_217), "the nearest is 16777216"),
        (&Coding::plain(Kind::F16), Value::I64(2049), "the nearest is 2048"),
        (&Coding::plain(Kind::F16), Value::I64(65_536), "too large or too small"),
        (
            &Coding::plain(Kind::F64),
            Value::U64(u64::MAX),
            "can't hold 18446744073709551615 exactly",
        ),
        (&Coding::plain(Kind::F64), Value::F64(f64::NAN), "too large or too small"),
        (&Coding::plain(Kind::Ipv4), text("1.2.3"), "is not an IPv4 address"),
        (&Coding::plain(Kind::Mac), text("00:1b:2c:3d:4e"), "is not a MAC address"),
        (&Coding::plain(Kind::Text { registers: 1 }), Value::I64(1), "this tag takes a text"),
    ];
    for (coding, value, want) in cases {
        let got = error(coding, &value);
        assert!(got.contains(want), "{got:?} for {want:?}");
    }
    // Rounding a fraction to what a float can hold is what floats are for.
    assert_eq!(
        encode(&Coding::plain(Kind::F32), &Value::F64(0.1)).unwrap().words,
        [0x3DCC, 0xCCCD]
    );
    assert_eq!(encode(&Coding::plain(int(16, true)), &Value::F64(-3.0)).unwrap().words, [0xFFFD]);
}

#[test]
fn the_scale_comes_with_the_answer() {
    let dynamic = |kind| Coding { scale_register: true, ..Coding::plain(kind) };
    let coding = dynamic(int(16, true));
    for (raw, power, want) in [
        (2314_i16, -1_i16, 231.4),
        (2314, -3, 2.314),
        (-5, 2, -500.0),
        (7, 0, 7.0),
        (1, 10, 1e10),
        (1, -10, 1e-10),
        (32767, -10, 0.0000032767),
    ] {
        let now = at_power(&coding, power.cast_unsigned()).unwrap();
        let got = decode(&now, false, &[raw.cast_unsigned()]);
        assert_eq!(got, Decoded::Good(Value::F64(want)), "{raw} * 10^{power}");
        let back = encode(&now, &Value::F64(want)).unwrap();
        assert_eq!(back.words, [raw.cast_unsigned()], "{want} / 10^{power}");
    }
    for (power, fault) in [
        (i16::MIN, Fault::NotAvailable),
        (11, Fault::Undecodable),
        (-11, Fault::Undecodable),
        (i16::MAX, Fault::Undecodable),
    ] {
        assert_eq!(at_power(&coding, power.cast_unsigned()), Err(fault));
    }
    // Without the scale there is no value, either way.
    assert_eq!(decode(&coding, false, &[1]), Decoded::Bad(Fault::Undecodable));
    assert_eq!(encode(&coding, &Value::I64(1)), Err(EncodeError::ScaleUnknown));
    let between = at_power(&coding, 1)
        .and_then(|c| encode(&c, &Value::F64(5.0)).map_err(|_| Fault::Undecodable));
    assert!(between.is_err(), "5 is no multiple of ten");
}
