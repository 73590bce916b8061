//! The ring: what it keeps, what it counts, what a reader sees.

use super::*;
use crate::model::Wall;

const NOW: Wall = Wall(1_700_000_000_000);

fn page(tap: &Tap, since: u64) -> Page {
    tap.page("modbus-rtu /dev/null".to_owned(), since, NOW)
}

fn exchange(tap: &Tap, bytes: &[u8]) {
    tap.sent(&[1, 2, 3]);
    tap.came(bytes);
    tap.conclude(Verdict::Ok);
}

#[test]
fn keeps_the_newest_within_its_memory_and_says_what_was_lost() {
    let tap = Tap::new(Framing::Rtu, vec!["a".to_owned()], 16 * 1024);
    for n in 0..1000_u16 {
        exchange(&tap, &n.to_be_bytes());
    }
    let kept = page(&tap, 0);
    assert_eq!(kept.next, 1000);
    assert!((20..1000).contains(&kept.exchanges.len()), "{}", kept.exchanges.len());
    assert_eq!(kept.lost + u64::try_from(kept.exchanges.len()).unwrap(), 1000);
    for exchange in &kept.exchanges {
        let n = u16::try_from(exchange.number).unwrap();
        assert_eq!(exchange.parts[1].bytes, n.to_be_bytes());
    }
    let ring = tap.lock();
    assert!(ring.memory <= 16 * 1024);
    assert_eq!(ring.memory, ring.kept.iter().map(Record::memory).sum::<usize>());
}

#[test]
fn one_exchange_is_bounded_and_what_was_cut_is_counted() {
    let tap = Tap::new(Framing::Other, Vec::new(), 1 << 20);
    for _ in 0..3_000 {
        tap.came(&[7; 1]);
    }
    tap.sent(&[1; BYTES_MAX]);
    tap.conclude(Verdict::Noise);
    let [only] = page(&tap, 0).exchanges.try_into().unwrap();
    assert_eq!(only.parts.iter().map(|part| part.bytes.len()).sum::<usize>(), BYTES_MAX);
    assert!(only.parts.len() <= PIECES_MAX + 1);
    assert_eq!(usize::try_from(only.cut).unwrap(), 3_000);
}

#[test]
fn pages_go_on_where_the_last_ended() {
    let tap = Tap::new(Framing::Mbap, Vec::new(), 1 << 20);
    for n in 0..1200_u16 {
        exchange(&tap, &n.to_be_bytes());
    }
    let (mut since, mut numbers) = (0, Vec::new());
    loop {
        let page = page(&tap, since);
        assert_eq!(page.lost, 0);
        numbers.extend(page.exchanges.iter().map(|exchange| exchange.number));
        since = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(numbers, (0..1200).collect::<Vec<_>>());
    assert!(page(&tap, since).exchanges.is_empty());
    assert!(page(&tap, 99_999).exchanges.is_empty(), "a number of another life");
}

#[test]
fn a_page_reads_back_what_was_told() {
    let tap = Tap::new(Framing::Rtu, vec!["meter".to_owned()], 1 << 20);
    tap.about(Some(0), Purpose::Probe);
    tap.sent(&[0x00, 0xFF, 0x10]);
    tap.conclude(Verdict::Exception(2));
    let told = page(&tap, 0);
    let text = serde_json::to_string(&told).unwrap();
    assert!(text.contains("\"bytes\":\"00ff10\""), "{text}");
    let back: Page = serde_json::from_str(&text).unwrap();
    assert_eq!(back.exchanges[0].parts, told.exchanges[0].parts);
    assert_eq!(back.exchanges[0].verdict, Verdict::Exception(2));
    assert_eq!(back.exchanges[0].device.as_deref(), Some("meter"));
    let broken = text.replace("00ff10", "00f");
    assert!(serde_json::from_str::<Page>(&broken).is_err());
}

#[test]
fn a_trace_that_is_off_keeps_nothing() {
    let tap = Tap::off();
    exchange(&tap, &[1]);
    assert!(page(&tap, 0).exchanges.is_empty());
    assert_eq!(tap.lock().open.bytes.capacity(), 0);
}
