//! The ledger by itself: rows, marks, merging.

use super::*;

fn following(consumers: &[&str]) -> Ledger {
    let mut ledger = Ledger::default();
    consumers.iter().for_each(|consumer| ledger.follow(consumer));
    ledger
}

/// Writes everything, as a transaction would.
fn write(ledger: &mut Ledger, file: &mut BTreeMap<i64, DropRow>) {
    let work = ledger.dirty();
    for id in &work.gone {
        file.remove(id);
    }
    file.extend(work.rows.iter().map(|row| (row.id, row.clone())));
    ledger.written(&work);
    assert!(!ledger.is_dirty());
}

#[test]
fn a_drop_that_goes_on_is_one_row() {
    let mut ledger = following(&["cloud"]);
    let read = Some((Wall(1), Wall(2)));
    ledger.record(&Loss { read, ..Loss::of(Reason::Quota, "cloud", Class::Bulk, 0..10) });
    ledger.record(&Loss::of(Reason::Quota, "cloud", Class::Normal, 10..20));
    let read = Some((Wall(3), Wall(4)));
    ledger.record(&Loss { n: 7, read, ..Loss::of(Reason::Quota, "cloud", Class::Bulk, 10..20) });
    let first = ledger.dirty();
    assert_eq!(first.rows.len(), 2);
    let bulk = &first.rows[0];
    assert_eq!((bulk.seq_from, bulk.seq_to, bulk.n), (0, 20, 17));
    assert_eq!((bulk.wall_from_ms, bulk.wall_to_ms), (Some(1), Some(4)));
    ledger.record(&Loss::of(Reason::Quota, "cloud", Class::Bulk, 20..21));
    ledger.written(&first);
    assert_eq!(ledger.dirty().rows.len(), 1, "the row that grew while it was written");
}

#[test]
fn a_row_that_was_handed_out_never_changes_and_is_told_once() {
    let mut ledger = following(&["cloud", "lab"]);
    let mut file = BTreeMap::new();
    ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 0..10));
    assert_eq!(ledger.hand_out("cloud", 9, true), [], "not before the file has it");
    assert_eq!(ledger.hand_out("cloud", 9, false).len(), 1, "unless there is no file");
    ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 10..20));
    write(&mut ledger, &mut file);
    let out = ledger.hand_out("cloud", 9, true);
    let ranges: Vec<_> = out.iter().map(|row| row.seq_from..row.seq_to).collect();
    assert_eq!(ranges, [0..10, 10..20]);
    assert!(!ledger.has_untold("lab") && ledger.hand_out("lab", 9, true).is_empty());
    ledger.told("cloud", out[0].id);
    assert_eq!(ledger.hand_out("cloud", 9, true), [], "not before the file knows the mark");
    write(&mut ledger, &mut file);
    assert_eq!(ledger.hand_out("cloud", 9, true), out[1..]);
    ledger.told("cloud", out[1].id);
    assert!(!ledger.has_untold("cloud"));
    ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 20..30));
    write(&mut ledger, &mut file);
    let next = ledger.hand_out("cloud", 9, true);
    assert_eq!((next[0].seq_from, next[0].seq_to), (20, 30), "a row of its own");
}

#[test]
fn a_week_of_losses_is_few_rows_and_nothing_is_forgotten() {
    let mut ledger = following(&["cloud", "lab"]);
    let mut file = BTreeMap::new();
    ledger.record(&Loss::of(Reason::Quota, "cloud", Class::Alarm, 7..8));
    write(&mut ledger, &mut file);
    let out = ledger.hand_out("cloud", 1, true);
    for i in 0..5_000 {
        // Other consumers and classes lie between, so nothing continues.
        ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 3 * i..3 * i + 2));
        ledger.record(&Loss::of(Reason::RamFull, "cloud", Class::Normal, 2 * i..2 * i + 1));
        ledger.record(&Loss::of(Reason::Age, "lab", Class::Bulk, 2 * i..2 * i + 1));
        if i % 7 == 0 {
            write(&mut ledger, &mut file);
        }
    }
    write(&mut ledger, &mut file);
    let of = |consumer: &str| -> Vec<DropRow> {
        ledger.rows().filter(|row| row.consumer == consumer).cloned().collect()
    };
    assert_eq!(of("cloud").len(), UNTOLD_MAX + 1, "and the one that was handed out");
    assert_eq!(of("lab").len(), UNTOLD_MAX);
    let n = |class: &str| -> u64 {
        of("cloud").iter().filter(|row| row.class == class).map(|row| row.n).sum()
    };
    assert_eq!((n("bulk"), n("normal"), n("alarm")), (10_000, 5_000, 1));
    let bulk: Vec<_> = of("cloud").into_iter().filter(|row| row.class == "bulk").collect();
    for i in 0..5_000 {
        let inside = |row: &&DropRow| row.seq_from <= 3 * i && 3 * i + 2 <= row.seq_to;
        assert_eq!(bulk.iter().filter(inside).count(), 1, "{i}");
    }
    assert_eq!(ledger.hand_out("cloud", 1, true), out, "it is as it was");
    let in_memory: Vec<_> = ledger.rows().cloned().collect();
    assert!(in_memory.iter().all(|row| file.get(&row.id) == Some(row)));
    assert_eq!(file.len(), in_memory.len(), "what became part of others left the file too");
}

#[test]
fn a_restart_knows_what_may_have_been_handed_out() {
    let mut ledger = following(&["cloud"]);
    let mut file = BTreeMap::new();
    for i in 0..40 {
        ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 10 * i..10 * i + 1));
    }
    write(&mut ledger, &mut file);
    let out = ledger.hand_out("cloud", usize::MAX, true);
    assert_eq!(out.len(), NOTICES_MAX);
    ledger.told("cloud", out[1].id);
    let told = ledger.dirty().told;
    let mut again = Ledger::resume(file.into_values(), 40, told);
    again.skip_ids();
    for i in 40..1_000 {
        again.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 10 * i..10 * i + 1));
    }
    let first = again.hand_out("cloud", usize::MAX, true);
    assert_eq!(first[..14], out[2..], "no merging touched what may be on its way");
    let ids: Vec<_> = again.rows().map(|row| row.id).collect();
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| *id <= 40 || *id > IDS_SKIPPED), "{ids:?}");
}

#[test]
fn only_the_last_new_epoch_is_told_and_unequal_shifts_are_not_added_up() {
    let mut ledger = following(&["cloud"]);
    for at in [5, 9] {
        ledger.record(&Loss::of(Reason::NewEpoch, "cloud", Class::Bulk, at..at));
    }
    let shift = |range, by| Loss {
        shift_ms: Some(by),
        ..Loss::of(Reason::TimeCorrected, "cloud", Class::Bulk, range)
    };
    ledger.record(&shift(0..10, 700));
    ledger.record(&shift(10..20, 700));
    ledger.record(&shift(20..30, 900));
    let rows = ledger.hand_out("cloud", 9, false);
    let seen: Vec<_> = rows.iter().map(|r| (r.seq_from..r.seq_to, r.shift_ms)).collect();
    assert_eq!(seen, [(9..9, None), (0..20, Some(700)), (20..30, Some(900))]);
    let mut both = rows[1].clone();
    both.span(&rows[2]);
    assert_eq!((both.seq_from, both.seq_to, both.shift_ms), (0, 30, None));
}

#[test]
fn a_new_consumer_is_not_told_of_what_was_before_it() {
    let mut ledger = Ledger::default();
    ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 0..10));
    ledger.follow("cloud");
    assert!(!ledger.has_untold("cloud"));
    ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 10..20));
    assert!(ledger.has_untold("cloud"), "not part of the row of old");
    ledger.unfollow("cloud");
    assert_eq!(ledger.hand_out("cloud", 9, false), []);
}

#[test]
fn memory_of_what_was_told_is_bounded() {
    let mut ledger = following(&["cloud"]);
    let mut file = BTreeMap::new();
    for i in 0..1_000 {
        ledger.record(&Loss::of(Reason::Age, "cloud", Class::Bulk, 2 * i..2 * i + 1));
        write(&mut ledger, &mut file);
        for row in ledger.hand_out("cloud", 9, true) {
            ledger.told("cloud", row.id);
        }
    }
    assert_eq!(ledger.rows().count(), ROWS_IN_MEMORY_MAX);
    assert_eq!(ledger.rows().last().map(|row| row.id), Some(1_000));
}

#[test]
fn memory_of_what_was_told_is_bounded_without_a_file_too() {
    let mut ledger = following(&["cloud"]);
    for i in 0..10_000 {
        ledger.record(&Loss::of(Reason::RamFull, "cloud", Class::Bulk, 2 * i..2 * i + 1));
        for row in ledger.hand_out("cloud", 9, false) {
            ledger.told("cloud", row.id);
        }
    }
    assert!(ledger.rows().count() <= ROWS_IN_MEMORY_MAX, "{}", ledger.rows().count());
    assert_eq!(ledger.rows().map(|row| row.n).sum::<u64>(), 10_000);
    assert_eq!(ledger.rows().last().map(|row| row.id), Some(10_000));
}
