//! The keys of serial sensors that don't speak Modbus.

use super::Shape;

pub(in crate::config) static SERIAL: Shape = Shape {
    name: "serial",
    keys: &[
        "port",
        "host",
        "baud",
        "data-bits",
        "parity",
        "stop-bits",
        "preset",
        "poll",
        "init",
        "ack",
        "silent-after",
        "publish",
        "framing",
        "frame-max",
        "body",
        "check",
        "frames",
        "parse",
        "fields",
    ],
    refused: &[
        ("interval", "write poll: { every: … }"),
        (
            "timeout",
            "write poll: { timeout: … }, or silent-after for a sensor that sends by itself",
        ),
        ("protocol", "the format of a known sensor is called preset"),
    ],
};

pub(in crate::config) static POLL: Shape = Shape {
    name: "poll",
    keys: &["send", "every", "timeout", "wake", "wake-pause", "handshake"],
    refused: &[("interval", "the poll interval is called every")],
};

pub(in crate::config) static FRAMING: Shape = Shape {
    name: "framing",
    keys: &["line", "start-stop", "fixed", "length-field", "idle"],
    refused: &[],
};

pub(in crate::config) static LINE: Shape = Shape { name: "line", keys: &["end"], refused: &[] };

pub(in crate::config) static START_STOP: Shape =
    Shape { name: "start-stop", keys: &["start", "end", "after", "escape"], refused: &[] };

pub(in crate::config) static FIXED: Shape =
    Shape { name: "fixed", keys: &["length", "sync"], refused: &[] };

pub(in crate::config) static LENGTH_FIELD: Shape = Shape {
    name: "length-field",
    keys: &["sync", "offset", "width", "order", "adjust"],
    refused: &[],
};

pub(in crate::config) static CHECK: Shape =
    Shape { name: "check", keys: &["kind", "range", "position", "encoding"], refused: &[] };

pub(in crate::config) static FRAME: Shape =
    Shape { name: "frame", keys: &["when", "parse", "fields"], refused: &[] };

pub(in crate::config) static PARSE: Shape =
    Shape { name: "parse", keys: &["regex", "bytes", "split", "key-value"], refused: &[] };

pub(in crate::config) static FRAME_FIELD: Shape = Shape {
    name: "field",
    keys: &[
        "from",
        "type",
        "bits",
        "labels",
        "not-available",
        "scale",
        "offset",
        "decimal",
        "decimals-from",
        "sign-from",
        "unit",
        "unit-from",
        "quality",
        "quality-from",
    ],
    refused: &[],
};
