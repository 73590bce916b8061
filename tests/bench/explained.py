"""Why Fieldhold is not ahead where it is not: by (load, column, subject), or for every load by (column, subject)."""

NOTHING_KEPT = "it writes nothing, since it keeps nothing: see the [loss report](loss-report.md)."
AT_ONCE = (
    "probably since Fieldhold reads all devices at the same moment (10,000 tags within 40 ms of each second, as seen at the "
    "device), so that their values queue one behind the other; Node-RED's reads are spread over a quarter of the second. "
    "Whether spreading them would do was not tried."
)
AFTER_COMMIT = (
    "Fieldhold writes and syncs every message before it acknowledges it to the publisher; Mosquitto acknowledges at once, "
    "and writes a snapshot each second. What that costs was not measured apart."
)
PAUSES = (
    "single runs differ by more than that (2.8 to 61 ms for Fieldhold, 2.3 to 3.7 ms for Node-RED; 0.8 to 5.1 ms for "
    "Fieldhold as it comes), on a machine that did other work as well."
)
THROUGH_STORE = "a message goes through the store's queue to the uplink."

EXPLAINED = {
    ("disk_bytes_per_reading", "Node-RED"): NOTHING_KEPT,
    ("p50", "Node-RED"): AT_ONCE,
    ("p95", "Node-RED"): AT_ONCE,
    ("1000", "p95", "Node-RED"): PAUSES,
    ("p99", "Node-RED"): AT_ONCE,
    ("cpu_percent", "Mosquitto bridge"): AFTER_COMMIT,
    ("disk_bytes_per_reading", "Mosquitto bridge"): AFTER_COMMIT,
    ("rss_peak_mb", "Mosquitto bridge"): "a broker and nothing else: no registers, no page, no database.",
    ("p50", "Mosquitto bridge"): THROUGH_STORE,
    ("p95", "Mosquitto bridge"): THROUGH_STORE,
    ("p99", "Mosquitto bridge"): THROUGH_STORE,
}
