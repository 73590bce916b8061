//! Every kind in every order, there and back.

use proptest::prelude::*;

use super::*;

fn kinds() -> impl Strategy<Value = Kind> {
    let half = prop_oneof![Just(Half::High), Just(Half::Low)];
    prop_oneof![
        Just(Kind::Bool),
        (0_u8..16).prop_map(Kind::Bit),
        (0_u8..16, 1_u8..=16)
            .prop_map(|(from, width)| Kind::Bits { from, width: width.min(16 - from) }),
        (half, any::<bool>()).prop_map(|(half, signed)| Kind::Int8 { half, signed }),
        (prop::sample::select(vec![16, 24, 32, 48, 64]), any::<bool>())
            .prop_map(|(bits, signed)| Kind::Int { bits, signed }),
        Just(Kind::F16),
        Just(Kind::F32),
        Just(Kind::F64),
        prop::sample::select(vec![8, 16, 32, 64]).prop_map(|bits| Kind::Bcd { bits }),
        (2_u8..=4).prop_map(|registers| Kind::Mod10k { registers }),
        (1_u8..9).prop_map(|registers| Kind::Text { registers }),
        (1_u8..9).prop_map(|registers| Kind::Raw { registers }),
        Just(Kind::UnixSeconds),
        Just(Kind::UnixMillis),
        Just(Kind::BcdTime),
        Just(Kind::Ipv4),
        Just(Kind::Mac),
    ]
}

/// Words that are often small, decimal digits or text, so that every kind is met with sense.
fn words(count: usize) -> impl Strategy<Value = Vec<u16>> {
    let digit = 0_u16..10;
    let digits = (digit.clone(), digit.clone(), digit.clone(), digit)
        .prop_map(|(a, b, c, d)| a << 12 | b << 8 | c << 4 | d);
    let letters = (32_u16..127, 0_u16..127).prop_map(|(a, b)| a << 8 | b);
    let word = prop_oneof![any::<u16>(), 0_u16..10_000, digits, letters, Just(0), Just(0xFFFF)];
    prop::collection::vec(word, count)
}

fn codings() -> impl Strategy<Value = Coding> {
    (kinds(), prop::sample::select(ORDERS.to_vec()), 1_u16..4)
        .prop_map(|(kind, order, count)| Coding { order, count, ..Coding::plain(kind) })
}

/// Whether all bits of the words mean something.
fn is_tight(kind: Kind) -> bool {
    !matches!(kind, Kind::Bool | Kind::Text { .. } | Kind::Int { bits: 24, .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_read_can_be_written_back(
        (coding, words) in codings().prop_flat_map(|c| (words(c.span().into()), Just(c)).prop_map(|(w, c)| (c, w))),
    ) {
        let words = words.as_slice();
        let bits = coding.kind == Kind::Bool && words[0] & 1 == 0;
        if let Decoded::Good(value) = decode(&coding, bits, words) {
            let encoded = encode(&coding, &value).expect("what was read fits");
            prop_assert_eq!(encoded.words.len(), words.len());
            let again = decode(&coding, bits, &encoded.words);
            prop_assert_eq!(again, Decoded::Good(value));
            if is_tight(coding.kind) {
                let mask = encoded.mask.unwrap_or(0xFFFF);
                let kept: Vec<u16> = words.iter().map(|word| word & mask).collect();
                prop_assert_eq!(encoded.words, kept);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        coding in codings(),
        value in prop_oneof![
            any::<i64>().prop_map(Value::I64),
            any::<u64>().prop_map(Value::U64),
            (-300_i64..70_000).prop_map(Value::I64),
            any::<f64>().prop_map(Value::F64),
            any::<f32>().prop_map(|x| Value::F64(x.into())),
            any::<bool>().prop_map(Value::Bool),
            ".{0,9}".prop_map(|t| Value::Text(t.into())),
        ],
    ) {
        let coding = Coding { count: 1, ..coding };
        if let Ok(encoded) = encode(&coding, &value) {
            let Decoded::Good(back) = decode(&coding, false, &encoded.words) else {
                return Err(TestCaseError::fail("unreadable"));
            };
            match (&value, &back) {
                (Value::Text(sent), Value::Text(back)) => {
                    prop_assert_eq!(sent.trim_end_matches(' '), &**back);
                }
                (Value::F64(sent), Value::F64(back)) if coding.kind != Kind::F64 => {
                    let tolerance = sent.abs() * 1e-3 + 1e-7; // f16
                    prop_assert!((sent - back).abs() <= tolerance);
                }
                _ => prop_assert_eq!(value.as_f64(), back.as_f64()),
            }
        }
    }

    #[test]
    fn scaled_integers_come_back(
        kind in prop::sample::select(vec![int(16, true), int(16, false), int(32, true), int(32, false)]),
        words in prop::collection::vec(any::<u16>(), 2),
        factor in 1_u32..100_000,
        decimals in 0_i32..7,
        offset in -1_000_000_i32..1_000_000,
        offset_decimals in 0_i32..4,
    ) {
        let offset = f64::from(offset) / 10_f64.powi(offset_decimals);
        let coding = scaled(kind, factor.into(), 10_f64.powi(decimals), offset);
        let words = &words[..usize::from(coding.span())];
        let Decoded::Good(value) = decode(&coding, false, words) else {
            return Err(TestCaseError::fail("unreadable"));
        };
        let back = encode(&coding, &value).map(|encoded| encoded.words);
        prop_assert_eq!(back.as_deref(), Ok(words), "{:?}", value);
    }

    #[test]
    fn nothing_panics(
        kind in (any::<u8>(), any::<u8>(), any::<bool>(), 0..6).prop_map(|(a, b, signed, what)| match what {
            0 => Kind::Bit(a),
            1 => Kind::Bits { from: a, width: b },
            2 => Kind::Int { bits: a, signed },
            3 => Kind::Bcd { bits: a },
            4 => Kind::Mod10k { registers: a },
            _ => Kind::Text { registers: a },
        }),
        numbers in (any::<f64>(), any::<f64>(), any::<f64>()),
        words in prop::collection::vec(any::<u16>(), 0..20),
        value in any::<f64>(),
    ) {
        let coding = scaled(kind, numbers.0, numbers.1, numbers.2);
        let span = usize::from(coding.span()).min(words.len());
        decode(&coding, false, &words[..span]);
        decode(&coding, true, &words);
        let _ = encode(&coding, &Value::F64(value));
        let _ = encode(&Coding::plain(kind), &Value::F64(value.trunc()));
    }
}
