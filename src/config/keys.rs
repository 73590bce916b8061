//! Every key of the configuration, section by section.
//!
//! The sections are the single source of what may be written: unknown keys are measured against
//! them, and a test checks that `configs/reference.yaml` shows each of them.

mod sensor;

pub(super) use sensor::*;

/// The keys of one kind of section.
#[derive(Debug)]
pub(super) struct Shape {
    /// Names the section in tests and messages.
    pub name: &'static str,
    pub keys: &'static [&'static str],
    /// Keys that people know from elsewhere, with what to do instead.
    pub refused: &'static [(&'static str, &'static str)],
}

pub(super) static ROOT: Shape = Shape {
    name: "the file",
    keys: &[
        "variables",
        "gateway",
        "buses",
        "profiles",
        "devices",
        "topics",
        "broker",
        "uplinks",
        "store",
        "web",
    ],
    refused: &[],
};

pub(super) static GATEWAY: Shape = Shape {
    name: "gateway",
    keys: &["name", "enterprise", "site", "area", "line", "cell"],
    refused: &[],
};

pub(super) static BUS: Shape = Shape {
    name: "bus",
    keys: &[
        "modbus-tcp",
        "modbus-udp",
        "modbus-rtu",
        "modbus-ascii",
        "serial",
        "pause",
        "trace",
        "share",
    ],
    refused: &[],
};

pub(super) static MODBUS_TCP: Shape = Shape {
    name: "modbus-tcp",
    keys: &[
        "host",
        "port",
        "framing",
        "backup",
        "tls",
        "connections",
        "pipeline",
        "listen",
        "allow",
    ],
    refused: &[],
};

pub(super) static BACKUP: Shape = Shape { name: "backup", keys: &["host", "port"], refused: &[] };

pub(super) static MODBUS_TLS: Shape = Shape {
    name: "modbus tls",
    keys: &["ca", "certificate", "key", "server-name"],
    refused: &[("cert", "our own certificate is called certificate")],
};

pub(super) static SHARE: Shape = Shape {
    name: "share",
    keys: &["listen", "allow", "mode", "write", "stale", "connections"],
    refused: &[("port", "write listen: \"127.0.0.1:1502\"")],
};

pub(super) static WRITABLE: Shape =
    Shape { name: "writable", keys: &["unit", "holding", "coil"], refused: &[] };

pub(super) static MODBUS_UDP: Shape =
    Shape { name: "modbus-udp", keys: &["host", "port", "framing"], refused: &[] };

pub(super) static MODBUS_RTU: Shape = Shape {
    name: "modbus-rtu",
    keys: &["port", "baud", "data-bits", "parity", "stop-bits", "rs485", "rts"],
    refused: &[],
};

pub(super) static MODBUS_ASCII: Shape =
    Shape { name: "modbus-ascii", keys: MODBUS_RTU.keys, refused: &[] };

pub(super) static RS485: Shape = Shape {
    name: "rs485",
    keys: &["rts-on-send", "delay-before", "delay-after", "required"],
    refused: &[("rts-after-send", "after sending RTS is the opposite of rts-on-send")],
};

pub(super) static RTS: Shape = Shape { name: "rts", keys: &["before", "after"], refused: &[] };

pub(super) static DEVICE: Shape = Shape {
    name: "device",
    keys: &[
        "bus",
        "unit",
        "profile",
        "groups",
        "parameters",
        "every",
        "timeout",
        "pause",
        "order",
        "addresses",
        "registers-max",
        "bits-max",
        "write-with",
        "write-expires",
        "class",
        "tags",
    ],
    refused: &[
        ("interval", "the poll interval is called every"),
        ("zero-mode", "write addresses: from-0 or addresses: from-1"),
        ("retries", "a lost answer is asked for again at the next poll; there is nothing to set"),
        ("turnaround", "the time a device needs after its answer is called pause"),
    ],
};

pub(super) static TAG: Shape = Shape {
    name: "tag",
    keys: &[
        "holding",
        "input",
        "coil",
        "discrete",
        "field",
        "type",
        "order",
        "scale",
        "offset",
        "map",
        "scale-register",
        "not-available",
        "labels",
        "count",
        "unit",
        "every",
        "class",
        "topic",
        "publish",
        "write",
    ],
    refused: &[
        ("address", "write the table with the address, as in holding: 100"),
        ("register", "write the table with the address, as in holding: 100"),
        ("enum", "the texts of an enumeration are called labels"),
        ("length", "write the length with the type, as in type: text:8 (registers)"),
        ("deadband", "write publish: { change: … }"),
        ("interval", "the poll interval is called every"),
    ],
};

pub(super) static MAP: Shape =
    Shape { name: "map", keys: &["raw", "value", "clamp"], refused: &[] };

pub(super) static PUBLISH: Shape =
    Shape { name: "publish", keys: &["change", "at-least", "at-most-every"], refused: &[] };

pub(super) static WRITE: Shape = Shape {
    name: "write",
    keys: &["min", "max", "step", "values", "at-most-every", "expires", "verify", "safe"],
    refused: &[
        ("ttl", "how long a command is valid is called expires"),
        ("rate", "write at-most-every: 1s"),
    ],
};

pub(super) static SAFE: Shape =
    Shape { name: "safe", keys: &["value", "after", "from-start"], refused: &[] };

pub(super) static TOPICS: Shape = Shape {
    name: "topics",
    keys: &["tag"],
    refused: &[("payload", "an uplink's form is chosen there: uplinks: { NAME: { payload: … } }")],
};

pub(super) static BROKER: Shape = Shape {
    name: "broker",
    keys: &["listeners", "users", "roles", "limits"],
    refused: &[
        ("acl", "what a client may do stands with its user, or in roles"),
        ("anonymous", "write it with a listener, as in { tcp: \"0.0.0.0:1883\", anonymous: read }"),
        ("listen", "write listeners: [ { tcp: \"127.0.0.1:1883\" } ]"),
        ("port", "write listeners: [ { tcp: \"127.0.0.1:1883\" } ]"),
    ],
};

pub(super) static LISTENER: Shape = Shape {
    name: "listener",
    keys: &[
        "tcp",
        "tls",
        "ws",
        "wss",
        "unix",
        "certificate",
        "key",
        "client-ca",
        "identity",
        "anonymous",
        "connections",
    ],
    refused: &[
        ("cert", "the broker's certificate is called certificate"),
        ("ca", "the authority of the clients' certificates is called client-ca"),
    ],
};

pub(super) static USER: Shape = Shape {
    name: "user",
    keys: &["password", "roles", "publish", "subscribe", "retain", "qos-max"],
    refused: &[("role", "write roles: [ read ]")],
};

pub(super) static ROLE: Shape =
    Shape { name: "role", keys: &["publish", "subscribe", "retain", "qos-max"], refused: &[] };

pub(super) static LIMITS: Shape = Shape {
    name: "limits",
    keys: &[
        "connections",
        "half-open",
        "accepts-per-second",
        "packets-per-second",
        "packet-max",
        "inflight",
        "queue-messages",
        "queue-bytes",
        "queue-drops",
        "all-queues-bytes",
        "retained-messages",
        "retained-bytes",
        "subscriptions-per-client",
        "topic-bytes",
        "topic-levels",
        "connect-timeout",
        "keep-alive-max",
        "outgoing-bytes",
    ],
    refused: &[],
};

pub(super) static UPLINK: Shape = Shape {
    name: "uplink",
    keys: &[
        "preset",
        "url",
        "mqtt",
        "client-id",
        "username",
        "password",
        "sas",
        "ca",
        "certificate",
        "key",
        "alpn",
        "server-name",
        "proxy",
        "keep-alive",
        "reconnect-max",
        "send",
        "receive",
        "prefix",
        "topic",
        "payload",
        "backlog",
        "home-assistant",
        "notices",
        "window",
        "rate",
        "packet-max",
        "retain",
        "policy",
        "remote",
        "sparkplug",
    ],
    refused: &[
        ("version", "the version of the protocol is called mqtt"),
        ("host", "write url: mqtts://host:8883"),
        ("port", "write url: mqtts://host:8883"),
        ("sni", "the name that the broker has to have is called server-name"),
        ("cert", "the client's certificate is called certificate"),
        ("user", "the user's name is called username"),
    ],
};

pub(super) static SPARKPLUG: Shape = Shape {
    name: "sparkplug",
    keys: &["group", "node", "primary-host"],
    refused: &[
        ("group-id", "it is called group"),
        ("edge-node-id", "it is called node"),
        ("host", "the host application to wait for is called primary-host"),
        ("device", "every device of the gateway is one, under its own name"),
    ],
};

pub(super) static RECEIVE: Shape = Shape {
    name: "receive",
    keys: &["filter", "under", "qos", "retain"],
    refused: &[
        ("topic", "what is subscribed to is called filter"),
        ("prefix", "what is put before the topics on this network is called under"),
    ],
};

pub(super) static REMOTE: Shape = Shape {
    name: "remote",
    keys: &["keys", "topic", "groups", "group-topic", "confirm"],
    refused: &[
        ("key", "write keys: { ops: … }, a name and a public key for each"),
        ("group", "write groups: [ … ]"),
    ],
};

pub(super) static PASSWORD: Shape = Shape { name: "password", keys: &["file"], refused: &[] };

pub(super) static PROXY: Shape = Shape {
    name: "proxy",
    keys: &["url", "username", "password"],
    refused: &[("host", "write url: http://host:3128"), ("port", "write url: http://host:3128")],
};

pub(super) static SAS: Shape = Shape {
    name: "sas",
    keys: &["key", "lifetime", "resource", "policy"],
    refused: &[("token", "a token expires; write key: { file: … }, of which it is made")],
};

pub(super) static BACKLOG: Shape = Shape {
    name: "backlog",
    keys: &["topic", "payload", "deflate"],
    refused: &[("gzip", "write deflate: true")],
};

pub(super) static PAYLOAD: Shape = Shape { name: "payload", keys: &["template"], refused: &[] };

pub(super) static HOME_ASSISTANT: Shape = Shape {
    name: "home-assistant",
    keys: &["discovery", "status"],
    refused: &[
        ("prefix", "the prefix of discovery topics is called discovery"),
        ("availability", "the topic of the gateway's availability is called status"),
    ],
};

pub(super) static NOTICES: Shape = Shape { name: "notices", keys: &["topic"], refused: &[] };

pub(super) static WINDOW: Shape =
    Shape { name: "window", keys: &["messages", "bytes"], refused: &[] };

pub(super) static RATE: Shape = Shape { name: "rate", keys: &["messages", "bytes"], refused: &[] };

pub(super) static STORE: Shape = Shape {
    name: "store",
    keys: &["path", "mode", "commit", "write-behind", "max-bytes", "max-age", "ram", "endurance"],
    refused: &[
        ("window", "the commit window is called commit, or chosen by mode"),
        ("sync", "every commit is synced; how often that is, is chosen by mode"),
    ],
};

pub(super) static WEB: Shape = Shape {
    name: "web",
    keys: &["listen", "tls", "hosts", "connections"],
    refused: &[
        ("port", "write listen: \"0.0.0.0:8443\""),
        ("password", "accounts are made on the page; fieldhold user passwd NAME sets a password"),
        ("users", "accounts are made on the page, or with fieldhold user add NAME"),
    ],
};

pub(super) static WEB_TLS: Shape = Shape {
    name: "tls of the web page",
    keys: &["certificate", "key"],
    refused: &[("cert", "the page's certificate is called certificate")],
};

/// Keys of a device that a profile can't decide.
pub(super) const OF_THE_PLACE: [&str; 6] =
    ["bus", "unit", "profile", "groups", "parameters", "tags"];

pub(super) static PROFILE: Shape = Shape {
    name: "profile",
    keys: &[
        "profile",
        "version",
        "title",
        "vendor",
        "models",
        "kind",
        "source",
        "notes",
        "serial",
        "device",
        "parameters",
        "labels",
        "groups",
    ],
    refused: &[
        ("name", "the name of a profile is written as profile: NAME"),
        ("tags", "tags stand in a group: groups: { basic: { tags: { … } } }"),
        ("enums", "named enumerations are called labels"),
    ],
};

pub(super) static PROFILE_SERIAL: Shape = Shape {
    name: "serial of a profile",
    keys: &["baud", "parity", "stop-bits", "unit"],
    refused: &[],
};

pub(super) static PARAMETER: Shape =
    Shape { name: "parameter", keys: &["default", "min", "max", "about"], refused: &[] };

pub(super) static GROUP: Shape =
    Shape { name: "group", keys: &["about", "default", "every", "tags"], refused: &[] };

/// A cloud service, in a file of its own.
pub(super) static CLOUD: Shape = Shape {
    name: "cloud service",
    keys: &["service", "title", "about", "source", "notes", "limits", "uplink"],
    refused: &[],
};

/// What a cloud service takes.
pub(super) static CLOUD_LIMITS: Shape = Shape {
    name: "limits of a cloud service",
    keys: &[
        "tls",
        "versions",
        "ports",
        "alpn",
        "no-websocket",
        "login",
        "client-id-bytes",
        "packet-max",
        "rate",
        "window",
        "subscriptions",
        "qos-max",
        "retain",
        "topics",
        "topic-bytes",
        "topic-levels",
        "keep-alive",
    ],
    refused: &[],
};

pub(super) static CLOUD_ALPN: Shape =
    Shape { name: "alpn of a cloud service", keys: &["port", "protocol"], refused: &[] };

/// Those of a profile that a configuration has not; `docs/profiles.md` shows each.
#[cfg(test)]
pub(super) static OF_PROFILES: [&Shape; 4] = [&PROFILE, &PROFILE_SERIAL, &PARAMETER, &GROUP];

/// All that a configuration has.
#[cfg(test)]
pub(super) static ALL: [&Shape; 51] = [
    &SERIAL,
    &POLL,
    &FRAMING,
    &LINE,
    &START_STOP,
    &FIXED,
    &LENGTH_FIELD,
    &CHECK,
    &FRAME,
    &PARSE,
    &FRAME_FIELD,
    &ROOT,
    &GATEWAY,
    &BUS,
    &SHARE,
    &WRITABLE,
    &MODBUS_TCP,
    &BACKUP,
    &MODBUS_TLS,
    &MODBUS_UDP,
    &MODBUS_RTU,
    &MODBUS_ASCII,
    &RS485,
    &RTS,
    &DEVICE,
    &TAG,
    &MAP,
    &PUBLISH,
    &WRITE,
    &SAFE,
    &TOPICS,
    &BROKER,
    &LISTENER,
    &USER,
    &ROLE,
    &LIMITS,
    &UPLINK,
    &SPARKPLUG,
    &RECEIVE,
    &REMOTE,
    &PASSWORD,
    &PROXY,
    &SAS,
    &BACKLOG,
    &PAYLOAD,
    &HOME_ASSISTANT,
    &WINDOW,
    &RATE,
    &STORE,
    &WEB,
    &WEB_TLS,
];
