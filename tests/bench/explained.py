"""Why Fieldhold is not ahead where it is not: by (load, column, subject), or for every load by (column, subject)."""

NOTHING_KEPT = "it writes nothing, since it keeps nothing: see the [loss report](loss-report.md)."
AFTER_COMMIT = (
    "Fieldhold writes and syncs every message before it acknowledges it to the publisher; Mosquitto acknowledges at once, "
    "and writes a snapshot each second. What that costs was not measured apart."
)
THROUGH_STORE = "a message goes through the store's queue to the uplink."

EXPLAINED = {
    ("disk_bytes_per_reading", "Node-RED"): NOTHING_KEPT,
    ("cpu_percent", "Mosquitto bridge"): AFTER_COMMIT,
    ("disk_bytes_per_reading", "Mosquitto bridge"): AFTER_COMMIT,
    ("rss_peak_mb", "Mosquitto bridge"): "a broker and nothing else: no registers, no page, no database.",
    ("p50", "Mosquitto bridge"): THROUGH_STORE,
    ("p95", "Mosquitto bridge"): THROUGH_STORE,
    ("p99", "Mosquitto bridge"): THROUGH_STORE,
}
