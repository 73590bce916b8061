//! Why something was dropped, for people: the one table of the words of the ledger.

/// The reason of a row of the ledger in plain words.
pub fn drop_words(reason: &str) -> &'static str {
    match reason {
        "quota" => "the store had used up its room",
        "disk" => "the disk was full",
        "age" => "older than the store keeps",
        "ram-full" => "the memory was full before the disk took it",
        "corrupt" => "damaged on the disk",
        "consumer-lag" => "a best-effort uplink fell behind",
        "lost" => "in memory only when the gateway ended, or gone from the file",
        "consumer-removed" => "the uplink was taken out of the configuration",
        "skipped" => "positions jumped over after a crash, no loss",
        "salvaged" => "damaged on the disk, and back after all, no loss",
        "new-epoch" => "positions count anew from here, no loss",
        "time-corrected" => "delivered with a wrong time, which is known now, no loss",
        reason if reason.starts_with("dead:") => "the uplink can never deliver it",
        _ => "for another reason",
    }
}
