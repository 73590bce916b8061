//! Wrong texts and what is said about them, word for word.

use super::*;

pub(super) type Rows = [(&'static str, &'static [&'static str])];

pub(super) fn compare(rows: &Rows, said: impl Fn(&str) -> String) {
    for (text, want) in rows {
        assert_eq!(said(text), want.join("\n"), "{text}");
    }
}

#[test]
fn of_buses_devices_and_topics() {
    let rows: &Rows = &[
        (
            "devices: { d: { bus: rtu2, tags: {} }, e: { bus: nope } }",
            &[
                "t:6:22 devices.d.bus: there is no bus \"rtu2\"; did you mean rtu1?",
                "t:6:40 devices.e: the key tags is missing",
                "t:6:50 devices.e.bus: there is no bus \"nope\"",
            ],
        ),
        (
            "devices: { d: { bus: rtu1, tags: { t: { coil: 0 } } }, e: { bus: rtu1, unit: 0, tags: {} }, f: { bus: rtu1, unit: 248, tags: {} }, g: { bus: tcp1, unit: 256, registers-max: 126, profile: x, tags: {} } }",
            &[
                "t:6:12 devices.d: the key unit is missing",
                "t:6:115 devices.f.unit: 248 is out of range; allowed are 0 to 247",
                "t:6:154 devices.g.unit: 256 is out of range; allowed are 0 to 255",
                "t:6:174 devices.g.registers-max: 126 is out of range; allowed are 1 to 125",
                "t:6:188 devices.g.profile: there is no profile \"x\"; fieldhold profile list shows all",
            ],
        ),
        (
            "devices:\n  d: { bus: tcp1, unit: 4, tags: { a: { coil: 0, topic: x }, b: { coil: 1, topic: x }, c: { coil: 2, topic: x/set } } }\n  e: { bus: tcp1, unit: 4, tags: { a: { holding: 0, type: f32 }, b: { holding: 1, type: f32 }, c: { holding: 2, type: u16 } } }",
            &[
                "t:7:83 devices.d.tags.b.topic: the topic \"x\" is already that of devices.d.tags.a in line 7",
                "t:7:109 devices.d.tags.c.topic: the topic \"x/set\" is the one that sets devices.d.tags.a in line 7",
                "t:8:3 warning: devices.e: has the same unit 4 on tcp1 as d in line 7",
                "t:8:66 warning: devices.e.tags.b: begins at 1 within a, which takes 0 to 1 (line 8); check the addresses",
                "t:8:96 warning: devices.e.tags.c: begins at 2 within b, which takes 1 to 2 (line 8); check the addresses",
            ],
        ),
        (
            "topics: { tag: '{device}/x' }",
            &["t:6:16 topics.tag: names no {tag}, so all tags of a device would share one topic"],
        ),
        (
            "topics: { tag: '{gatway}/{tag}', payload: json }",
            &[
                "t:6:16 topics.tag: the placeholder \"gatway\" is unknown; did you mean {gateway}?",
                "t:6:34 topics.payload: an uplink's form is chosen there: uplinks: { NAME: { payload: … } }",
            ],
        ),
        (
            "devices: { d: { bus: rtu1, unit: 3, every: 10ms, tags: { t: { input: 0, type: f32 } } } }",
            &[
                "t:4:3 buses.rtu1: polling needs 138 % of the time of this line; slow down d every 10ms (1 tag, 138 %)",
            ],
        ),
        (
            "devices: { d: { bus: rtu1, unit: 3, every: 20ms, tags: { t: { input: 0, type: f32 }, u: { input: 10, type: u16, every: 1s } } } }",
            &[
                "t:4:3 warning: buses.rtu1: polling takes 95 % of the time of this line if devices answer in 5ms; slow down d every 20ms (1 tag, 93 %), d every 1s (1 tag, 1 %)",
            ],
        ),
        (
            "devices: { d: { bus: tcp1, unit: 3, every: 10ms, tags: { t: { input: 0, type: f32 } } } }",
            &[
                "t:3:3 warning: buses.tcp1: polling takes 100 % of the time of this connection if devices answer in 10ms; slow down d every 10ms (1 tag, 100 %)",
            ],
        ),
    ];
    compare(rows, |rest| said(&format!("{AROUND}{rest}")));
}

#[test]
fn of_a_file() {
    let rows: &Rows = &[
        ("", &["t:1:1 the section gateway is missing; write gateway: { name: … }"]),
        (
            "a",
            &[
                "t:1:1 expected a mapping, found a single value; a configuration starts with gateway:",
            ],
        ),
        ("[]", &["t:1:1 expected a mapping, found a list; a configuration starts with gateway:"]),
        ("gateway:", &["t:1:1 gateway: the key name is missing"]),
        ("gateway: {}", &["t:1:1 gateway: the key name is missing"]),
        (
            "gateway: { name: a/b }",
            &["t:1:18 gateway.name: a name can't hold '/'; use letters, digits, '_', '-' and '.'"],
        ),
        (
            "gateway: { name: a b, site: '' }",
            &[
                "t:1:18 gateway.name: a name can't hold ' '; use letters, digits, '_', '-' and '.'",
                "t:1:29 gateway.site: a name can't be empty",
            ],
        ),
        (
            "gatewy: { name: a }\nweb: { port: 80, lisen: '[::]:80' }",
            &[
                "t:1:1 gatewy: this key is unknown; did you mean gateway?",
                "t:2:8 web.port: write listen: \"0.0.0.0:8443\"",
                "t:2:18 web.lisen: this key is unknown; did you mean listen?",
            ],
        ),
        (
            "gateway: { name: g }",
            &["t:1:1 warning: there is nothing to do: no device has tags and there is no uplink"],
        ),
        (
            "gateway: { name: g }\ngateway: { name: h }\nbroker: {}",
            &["t:2:1 gateway: is written twice, first in line 1"],
        ),
        ("a: [1\nb: 2", &["t:2:2 illegal placement of ':' indicator"]),
        (
            "gateway: { name: g }\n\tbroker: {}",
            &["t:2:2 while parsing a block mapping, did not find expected key"],
        ),
        ("gateway: { name: *x }", &["t:1:18 alias references unknown anchor"]),
        (
            "gateway: { name: g }\n---\nbroker: {}",
            &["t:2:1 a second document starts here; one is read"],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: {} }",
            &[
                "t:3:10 buses.a: the kind of the bus is missing; write modbus-tcp: { host: … } or modbus-rtu: { port: …, baud: … }",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { serial: {} } }",
            &[
                "t:3:15 buses.a.serial: the key port is missing",
                "t:3:15 buses.a.serial: it is not said where a frame ends; write framing: { line: { end: \"\\r\\n\" } }, or a preset",
                "t:3:15 buses.a.serial: it is not said what the frames hold; write parse: … and fields: { … }, or a preset",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { modbus-tpc: { host: h } } }",
            &["t:3:15 buses.a.modbus-tpc: this key is unknown; did you mean modbus-tcp?"],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { modbus-tcp: { host: 'h:502', port: 0 } } }",
            &[
                "t:3:35 buses.a.modbus-tcp.host: \"h:502\" is no host name or address; write the port on its own, as in port: 502",
                "t:3:50 buses.a.modbus-tcp.port: 0 is out of range; allowed are 1 to 65535",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { modbus-tcp: { host: 'tcp://h' } }, b: { modbus-tcp: { host: 10.0.0.256 } } }",
            &[
                "t:3:35 buses.a.modbus-tcp.host: \"tcp://h\" is no host name or address; write the host alone, without a scheme",
                "t:3:75 buses.b.modbus-tcp.host: \"10.0.0.256\" is no host name or address",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { modbus-tcp: { host: h, framing: rtuu } }, b: { modbus-udp: { port: 1, framing: x } }, c: { modbus-rtu: {}, modbus-ascii: { port: p, baud: 1 } }, d: { modbus-ascii: { port: p, baud: 300, data-bits: 6 } } }",
            &[
                "t:3:47 buses.a.modbus-tcp.framing: \"rtuu\" is unknown; did you mean rtu?",
                "t:3:62 buses.b.modbus-udp: the key host is missing",
                "t:3:94 buses.b.modbus-udp.framing: \"x\" is unknown; one of tcp, rtu, ascii",
                "t:3:122 buses.c.modbus-ascii: a bus is either modbus-rtu or modbus-ascii, not both",
                "t:3:212 buses.d.modbus-ascii.data-bits: \"6\" is not possible; Modbus ASCII has 7 or 8",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses:\n  a: { modbus-tcp: { host: h, backup: { host: h, port: 502 }, allow: [] } }\n  b: { modbus-tcp: { host: i, framing: rtu, tls: { key: k } } }\n  c: { modbus-tcp: { listen: ':4001', host: h } }\n  d: { modbus-tcp: { listen: '0.0.0.0:4001' } }\n  e: { modbus-tcp: { listen: '0.0.0.0:4001', allow: [10.0.0.0/33, 10.0.0.1] } }",
            &[
                "t:4:31 buses.a.modbus-tcp.backup: h:502 is the host itself",
                "t:4:70 buses.a.modbus-tcp.allow: allow has no use without listen; write listen: \"0.0.0.0:4001\"",
                "t:5:45 buses.b.modbus-tcp.tls: TLS is for devices that speak Modbus TCP (Modbus/TCP Security); leave out framing or tls",
                "t:5:57 buses.b.modbus-tcp.tls.key: key needs certificate beside it",
                "t:6:30 buses.c.modbus-tcp.listen: \":4001\" is no address with a port; write 0.0.0.0:4001 for all",
                "t:6:45 buses.c.modbus-tcp.host: host has no use where the other side connects (listen)",
                "t:7:30 warning: buses.d.modbus-tcp.listen: whoever connects here is taken for the converter; write allow: [ address of the converter ]",
                "t:8:3 buses.e: \"0.0.0.0:4001\" is also buses.d in line 7; give each converter a port of its own",
                "t:8:54 buses.e.modbus-tcp.allow[0]: \"10.0.0.0/33\" is no address or network; write it as in 10.0.0.7 or 10.0.0.0/24",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses:\n  a: { modbus-tcp: { host: h, connections: 2 } }\n  b: { modbus-tcp: { host: h, connections: 2 } }\n  c: { modbus-tcp: { host: h } }\n  d: { modbus-tcp: { host: i, framing: rtu, connections: 1 } }\n  e: { modbus-tcp: { host: j, connections: 0 } }",
            &[
                "t:6:3 buses.c: \"h:502\" is also buses.a in line 4, with another connections; write the same connections: … on all buses to this host",
                "t:7:58 buses.d.modbus-tcp.connections: buses can't take turns on the frames of one line; put the devices of one line on one bus",
                "t:8:44 buses.e.modbus-tcp.connections: 0 is out of range; allowed are 1 to 64",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses:\n  a: { modbus-tcp: { host: h, pipeline: 17 } }\n  b: { modbus-tcp: { host: i, framing: rtu, pipeline: 4 } }\n  c: { modbus-tcp: { host: j, pipeline: 4 }, pause: 5ms }\n  d: { modbus-tcp: { host: k, pipeline: 4 }, pause: 0ms }\n  e: { modbus-tcp: { listen: '127.0.0.1:4001', pipeline: 2 } }\n  f: { modbus-udp: { host: l, pipeline: 2 } }",
            &[
                "t:4:41 buses.a.modbus-tcp.pipeline: 17 is out of range; allowed are 1 to 16",
                "t:5:55 buses.b.modbus-tcp.pipeline: answers without a transaction id must come one by one; leave out pipeline; it is for devices that speak Modbus TCP",
                "t:6:53 buses.c.pause: reads in flight together have no silence between them; leave out pause, or pipeline of modbus-tcp",
                "t:8:58 buses.e.modbus-tcp.pipeline: pipeline has no use where the other side connects (listen)",
                "t:9:31 buses.f.modbus-udp.pipeline: this key is unknown; known here: host, port, framing",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { modbus-tcp: { host: h, framing: rtu } }, b: { modbus-udp: { host: h } } }\ndevices: { d: { bus: a, tags: { t: { coil: 0 } } }, e: { bus: b, tags: { t: { coil: 0 } } } }",
            &["t:4:12 devices.d: the key unit is missing"],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { a: { modbus-rtu: { port: /dev/ttyS0, baud: 9600, parity: evn, data-bits: 7, stop-bits: 3 } }, c: { modbus-rtu: { port: /dev/ttyS0, baud: fast } } }",
            &[
                "t:3:67 buses.a.modbus-rtu.parity: \"evn\" is unknown; did you mean even?",
                "t:3:83 buses.a.modbus-rtu.data-bits: \"7\" is not possible; Modbus RTU needs 8 data bits",
                "t:3:97 buses.a.modbus-rtu.stop-bits: 3 is out of range; allowed are 1 to 2",
                "t:3:104 buses.c: \"/dev/ttyS0\" is also buses.a in line 3; put the devices of one line on one bus",
                "t:3:147 buses.c.modbus-rtu.baud: \"fast\" is not a whole number; write it as in 100 or 0x64",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: [a]\ndevices: 5",
            &[
                "t:3:8 buses: expected a mapping, found a list",
                "t:4:10 devices: expected a mapping, found a single value",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: { listeners: [ 1883, { tcp: 'localhost:1883' }, { tcp: '0.0.0.0:1883' }, { tcp: ':1883' }, { tcp: '[::]:1884' }, { tls: x }, { tcp: '0.0.0.0:1883' } ] }",
            &[
                "t:2:24 broker.listeners[0]: a listener says what it speaks; write { tcp: \"127.0.0.1:1883\" }",
                "t:2:37 broker.listeners[1].tcp: \"localhost:1883\" is no address with a port; write 127.0.0.1:1883",
                "t:2:64 broker.listeners[2].tcp: nobody can connect: there are no users; write users, or anonymous: true for everybody, or anonymous: read",
                "t:2:89 broker.listeners[3].tcp: \":1883\" is no address with a port; write 0.0.0.0:1883 for all",
                "t:2:107 broker.listeners[4].tcp: nobody can connect: there are no users; write users, or anonymous: true for everybody, or anonymous: read",
                "t:2:122 broker.listeners[5]: a listener tls needs certificate, a PEM file",
                "t:2:122 broker.listeners[5]: a listener tls needs key, a PEM file",
                "t:2:129 broker.listeners[5].tls: \"x\" is no address with a port; write it as in 127.0.0.1:1883 or [::1]:1883",
                "t:2:141 broker.listeners[6].tcp: nobody can connect: there are no users; write users, or anonymous: true for everybody, or anonymous: read",
                "t:2:141 broker.listeners[6].tcp: 0.0.0.0:1883 is listened on in line 2 too",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: { users: {}, limits: { inflight: 0, packet-max: 1MiB, outgoing-bytes: 4KiB, conections: 5 } }",
            &[
                "t:2:42 broker.limits.inflight: 0 is out of range; allowed are 1 to 10000",
                "t:2:79 broker.limits.outgoing-bytes: outgoing-bytes is smaller than one packet (1048576 bytes, packet-max)",
                "t:2:85 broker.limits.conections: this key is unknown; did you mean connections?",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: { listeners: [ {}, { tcp: '127.0.0.1:1883', ws: '127.0.0.1:8083', key: k }, { unix: '' }, { wss: '127.0.0.1:8084', cert: c, key: k }, { tpc: '127.0.0.1:1884' }, { unix: a, connections: 0 }, { unix: a } ] }",
            &[
                "t:2:24 broker.listeners[0]: a listener says what it speaks; one of tcp, tls, ws, wss and unix",
                "t:2:57 broker.listeners[1].ws: a listener speaks one of tcp, tls, ws, wss and unix, here tcp; write two listeners",
                "t:2:75 broker.listeners[1].key: belongs to a listener tls or wss",
                "t:2:93 broker.listeners[2].unix: is empty",
                "t:2:124 broker.listeners[3].cert: the broker's certificate is called certificate",
                "t:2:145 broker.listeners[4].tpc: this key is unknown; did you mean tcp?",
                "t:2:194 broker.listeners[5].connections: 0 is out of range; allowed are 1 to 100000",
                "t:2:207 broker.listeners[6].unix: a is listened on in line 2 too",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: { listeners: [] }",
            &["t:2:11 broker.listeners: is empty; without the section broker there is no broker"],
        ),
        (
            "gateway: { name: g }\nuplinks: { a: {}, b: { url: h }, c: { url: 'http://h' }, d: { url: 'mqtt://me:secret@h' }, e: { url: 'mqtt://h:0' }, f: { url: 'mqtt://h/x' }, g: { url: ['wss://h/a b', 'tcp://h'] }, h: { url: 'mqtt://' } }",
            &[
                "t:2:12 uplinks.a: the key url is missing",
                "t:2:29 uplinks.b.url: the URL has no scheme; write it as in mqtts://host:8883",
                "t:2:44 uplinks.c.url: the scheme \"http\" is unknown; use mqtt, mqtts, ws or wss",
                "t:2:68 uplinks.d.url: the URL holds a user name or password; write username: … and password: { file: … }",
                "t:2:102 uplinks.e.url: \"0\" is no port",
                "t:2:128 uplinks.f.url: an MQTT URL ends after the port; write it as in mqtts://host:8883",
                "t:2:155 uplinks.g.url[0]: the path of the URL holds characters that must be written as %XX",
                "t:2:170 uplinks.g.url[1]: the scheme is tcp://; write mqtt://",
                "t:2:194 uplinks.h.url: \"\" is no host name or address",
            ],
        ),
        (
            "gateway: { name: g }\nuplinks: { a: { url: 'mqtt://h', ca: x, username: u, password: hunter2 }, b: { url: 'mqtts://h', key: k, password: { file: f } }, c: { url: 'mqtt://h', username: u, password: { file: f } } }",
            &[
                "t:2:38 uplinks.a.ca: ca has no use without TLS; write url: mqtts://…",
                "t:2:64 uplinks.a.password: a password never stands in the configuration; write password: { file: … }",
                "t:2:103 uplinks.b.key: key needs certificate beside it",
                "t:2:106 uplinks.b.password: a password needs a username",
                "t:2:166 warning: uplinks.c.password: the password is sent to the broker unencrypted; use mqtts://",
            ],
        ),
        (
            "gateway: { name: g }\nuplinks: { a: { url: [], mqtt: 4, proxy: 'https://p' }, b: { url: 'mqtt://h', alpn: x, sas: { key: abc } }, c: { url: 'wss://h', username: u, password: { file: f }, proxy: { url: 'http://a:b@p', password: { file: f } }, sas: { lifetime: 1s } } }",
            &[
                "t:2:22 uplinks.a.url: is empty",
                "t:2:32 uplinks.a.mqtt: \"4\" is unknown; one of 3.1.1, 5, 5.0",
                "t:2:42 uplinks.a.proxy: the scheme \"https\" is unknown; write it as in http://proxy:3128",
                "t:2:85 uplinks.b.alpn: alpn has no use without TLS; write url: mqtts://…",
                "t:2:88 warning: uplinks.b.sas: the token is sent to the broker unencrypted; use mqtts://",
                "t:2:88 uplinks.b.sas: a token needs a username",
                "t:2:100 uplinks.b.sas.key: a key never stands in the configuration; write key: { file: … }",
                "t:2:180 uplinks.c.proxy.url: the URL holds a user name or password; write proxy: { url: …, username: …, password: { file: … } }",
                "t:2:206 uplinks.c.proxy.password: a password needs a username",
                "t:2:221 uplinks.c.sas: sas stands in the place of password",
                "t:2:221 uplinks.c.sas: the key key is missing",
                "t:2:238 uplinks.c.sas.lifetime: 1s is out of range; allowed are 5min to 365d",
            ],
        ),
        (
            "gateway: { name: g }\nuplinks: { a: { url: 'mqtt://h', mqtt: 4, username: u, sas: { key: { file: k } }}, b: { url: 'mqtt://localhost', username: u, sas: { key: { file: k } }, proxy: { url: 'http://p', username: 'u:x', password: { file: f } } } }",
            &[
                "t:2:40 uplinks.a.mqtt: \"4\" is unknown; one of 3.1.1, 5, 5.0",
                "t:2:56 warning: uplinks.a.sas: the token is sent to the broker unencrypted; use mqtts://",
                "t:2:190 uplinks.b.proxy.username: a proxy takes no user name with a ':'",
            ],
        ),
        (
            "gateway: { name: g }\nuplinks: { a: { url: 'mqtt://h', client-id: x, send: ['a#', 5], receive: 'x/+/set', prefix: 'a/#', backlog: { topic: '{dev}', payload: json }, window: { bytes: 2KiB, messages: 0 }, packet-max: 4KiB, policy: must, keep-alive: 1s }, b: { url: 'mqtt://h', client-id: x } }",
            &[
                "t:2:55 uplinks.a.send[0]: '+' stands for a whole level and '#' for all the last levels",
                "t:2:93 uplinks.a.prefix: a topic name can't hold the wildcards '+' and '#'",
                "t:2:118 uplinks.a.backlog.topic: the placeholder \"dev\" is unknown; known here: {enterprise}, {site}, {area}, {line}, {cell}, {gateway}, {uplink}, {client-id}",
                "t:2:136 uplinks.a.backlog.payload: \"json\" is unknown; one of plain, tag, group, columnar, cbor, line-protocol, senml-json, senml-cbor, thingsboard",
                "t:2:161 uplinks.a.window.bytes: a packet may have 4096 bytes (packet-max), but the window only 2048 (window.bytes)",
                "t:2:177 uplinks.a.window.messages: 0 is out of range; allowed are 1 to 10000",
                "t:2:208 uplinks.a.policy: \"must\" is unknown; one of required, best-effort",
                "t:2:226 uplinks.a.keep-alive: 1s is out of range; allowed are 5s to 65535s",
                "t:2:232 uplinks.b: the client id \"x\" is used at the same broker by the uplink in line 2",
            ],
        ),
        (
            "gateway: { name: g }\nuplinks: { a: { url: 'mqtt://h', topic: '{device}/x', payload: { template: '{valeu}' } }, b: { url: 'mqtt://i', topic: '{cell}-{tag}/{device}', payload: { template: '{\"v\":{value},\"t\":{tag}}' } }, c: { url: 'mqtt://j', payload: { template: '{tag}' }, backlog: { deflate: yes, gzip: 1 } }, d: { url: 'mqtt://k', payload: {} } }",
            &[
                "t:2:41 uplinks.a.topic: names no {device} or no {tag}, so several tags would share one topic; name both, or choose a payload that says of which tag it is",
                "t:2:76 uplinks.a.payload.template: the placeholder \"valeu\" is unknown; did you mean {value}?",
                "t:2:120 uplinks.b.topic: {cell} has no value here",
                "t:2:166 uplinks.b.payload.template: begins like JSON and does not make JSON: expected value at line 1 column 12; {value} makes its own quotes; every other text needs them around it",
                "t:2:240 uplinks.c.payload.template: says nothing of the value; write {value} in it",
                "t:2:271 uplinks.c.backlog.deflate: \"yes\" is neither true nor false",
                "t:2:276 uplinks.c.backlog.gzip: write deflate: true",
                "t:2:311 uplinks.d.payload: the key template is missing",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nuplinks: { a: { url: 'mqtt://h', receive: [ { filter: 'r/#', prefix: cloud }, { filter: 'r/#', under: '$x', qos: 3, retain: on }, { filter: 'a/cloud/#', under: cloud/ }, { under: 'x/+' }, 'x/+/set', 'x/+/set' ] } }",
            &[
                "t:3:62 uplinks.a.receive[0].prefix: what is put before the topics on this network is called under",
                "t:3:103 uplinks.a.receive[1].under: topics that start with $ belong to the broker",
                "t:3:114 uplinks.a.receive[1].qos: \"3\" is unknown; one of 0, 1, 2",
                "t:3:125 uplinks.a.receive[1].retain: \"on\" is neither true nor false",
                "t:3:161 uplinks.a.receive[2].under: nothing would be published: a topic that holds \"cloud\" is taken for one that was here before; choose another one",
                "t:3:171 uplinks.a.receive[3]: the key filter is missing",
                "t:3:180 uplinks.a.receive[3].under: a topic name can't hold the wildcards '+' and '#'",
                "t:3:200 uplinks.a.receive[5]: the filter \"x/+/set\" is written twice",
            ],
        ),
        (
            "gateway: { name: g }\nbuses: { b: { modbus-tcp: { host: h } } }\ndevices: { d: { bus: b, tags: { t: { input: 0, type: u16 } } } }\nuplinks: { a: { url: 'mqtt://h', receive: { filter: 'r/#', under: g } }, b: { url: 'mqtt://i', receive: { filter: 'g/#', under: cloud } } }",
            &[
                "t:4:12 uplinks.a: receives r/# for a LAN broker, and there is none; add the section broker",
                "t:4:74 uplinks.b: receives g/# for a LAN broker, and there is none; add the section broker",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nbuses: { b: { modbus-tcp: { host: h } } }\ndevices: { d: { bus: b, tags: { t: { input: 0, type: u16 } } } }\nuplinks: { a: { url: 'mqtt://h', receive: { filter: 'r/#', under: g } }, b: { url: 'mqtt://i', receive: { filter: 'g/#', under: cloud } } }",
            &[
                "t:5:12 uplinks.a: receives messages under \"g\", where the topic of devices.d.tags.t is; give them a place of their own",
                "t:5:74 warning: uplinks.b: receives \"g/#\", to which it sends devices.d.tags.t itself: its readings come back to this network; choose a narrower filter",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nstore: { path: none, commit: 1ms, max-bytes: 2000000, max-age: 30, ram: 8 }",
            &[
                "t:3:16 warning: store.path: readings are kept in memory only and are lost at every restart; give a directory to keep them",
                "t:3:30 store.commit: 1ms is out of range; allowed are 10ms to 1min",
                "t:3:46 store.max-bytes: \"2000000\" is not a size; write it with its unit, as in 2000000B or 2000000KiB",
                "t:3:64 store.max-age: \"30\" is not a duration; write it with its unit, as in 30ms or 30s",
                "t:3:73 store.ram: \"8\" is not a size; write it with its unit, as in 8B or 8KiB",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nstore: { path: none, mode: save, write-behind: off, endurance: 4, window: 1s }",
            &[
                "t:3:16 warning: store.path: readings are kept in memory only and are lost at every restart; give a directory to keep them",
                "t:3:28 store.mode: \"save\" is unknown; did you mean safe?",
                "t:3:48 store.write-behind: \"off\" is neither true nor false",
                "t:3:64 store.endurance: \"4\" is not a size; write it with its unit, as in 4B or 4KiB",
                "t:3:67 store.window: the commit window is called commit, or chosen by mode",
            ],
        ),
        (
            "gateway: { name: g }\nbroker: {}\nstore: { path: , max_bytes: 2GB }",
            &[
                "t:3:14 store.path: is empty; write a directory, or none to keep everything in memory",
                "t:3:18 store.max_bytes: this key is unknown; did you mean max-bytes?",
            ],
        ),
    ];
    compare(rows, said);
}

/// A hard requirement: ten mistakes of ten kinds in one file are ten problems, each with its place.
#[test]
fn ten_mistakes_are_ten_problems() {
    let text = "\
gateway: { name: press-line-3 }
buses:
  line3: { modbus-tcp: { host: 192.168.1.40, prot: 502 } }
  rs485a: { modbus-rtu: { port: /dev/ttyS0, baud: 19200, parity: evn } }
devices:
  plc:
    bus: line4
    every: 5
    tags:
      flow: { holding: 0, type: float }
      level: { holding: 70000, type: u16 }
      speed: { input: 1, type: u16, write: { min: 0, max: 10 } }
      speed: { input: 2, type: u16 }
  meter:
    bus: rs485a
    unit: 300
    tags:
      power: { input: 0, type: f32, topic: a/b }
      energy: { input: 2, type: f32, topic: a/b }
broker: {}
";
    let want = "\
fieldhold.yaml:3:46 buses.line3.modbus-tcp.prot: this key is unknown; did you mean port?
fieldhold.yaml:4:66 buses.rs485a.modbus-rtu.parity: \"evn\" is unknown; did you mean even?
fieldhold.yaml:7:10 devices.plc.bus: there is no bus \"line4\"; did you mean line3?
fieldhold.yaml:8:12 devices.plc.every: \"5\" is not a duration; write it with its unit, as in 5ms or 5s
fieldhold.yaml:10:33 devices.plc.tags.flow.type: \"float\" is unknown; did you mean f32?
fieldhold.yaml:11:25 devices.plc.tags.level.holding: \"70000\" is no address; allowed are 0 to 65535
fieldhold.yaml:12:37 devices.plc.tags.speed.write: input registers can't be written; only holding addresses can
fieldhold.yaml:13:7 devices.plc.tags.speed: is written twice, first in line 12
fieldhold.yaml:16:11 devices.meter.unit: 300 is out of range; allowed are 0 to 247
fieldhold.yaml:19:45 devices.meter.tags.energy.topic: the topic \"a/b\" is already that of devices.meter.tags.power in line 18";
    let problems = parse(text, "fieldhold.yaml").unwrap_err();
    assert_eq!(problems.to_string(), want);
    assert_eq!(problems.0.len(), 10);
}

#[test]
fn more_problems_than_anyone_reads_are_counted() {
    let mut text = String::from("gateway: { name: g }\nbroker: {}\nbuses:\n");
    for i in 0..PROBLEMS_MAX + 5 {
        text.push_str(&format!("  b{i}: {{ modbus-tcp: {{ host: '' }} }}\n"));
    }
    let problems = parse(&text, "t").unwrap_err().0;
    assert_eq!(problems.len(), PROBLEMS_MAX + 1);
    let last = problems.last().map(ToString::to_string);
    // The bound on buses is one of the problems.
    assert_eq!(last.as_deref(), Some("t 6 more problems are not shown"));
}

#[test]
fn a_password_is_never_repeated() {
    for url in ["mqtt://me:hunter2@h", "me:hunter2@h", "mqtts://me:hunter2@h:8883/x?y"] {
        let text = format!(
            "gateway: {{ name: g }}\nuplinks: {{ u: {{ url: '{url}', username: me, password: hunter2 }} }}"
        );
        let said = said(&text);
        assert!(said.lines().count() == 2 && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_face_says_what_is_wrong_with_it() {
    let text = "\
gateway: { name: g }
buses:
  a: { modbus-tcp: { host: h }, share: { port: 1502 } }
  b: { modbus-tcp: { host: i }, share: { listen: localhost:1502, mode: cache } }
  c: { modbus-tcp: { host: j }, share: { listen: \"127.0.0.1:1502\", allow: [192.168.1] } }
  d: { modbus-tcp: { host: k }, share: { listen: \"127.0.0.1:1502\", write: [ { unit: 3 } ] } }
  e: { modbus-tcp: { host: l }, share: { listen: \"127.0.0.1:1505\", write: [ { unit: 3, coil: 9..4 } ] } }
  f: { modbus-tcp: { host: m }, share: { listen: \"127.0.0.1:1883\", connections: 0 } }
broker: {}
";
    let want = "\
t:3:42 buses.a.share.port: write listen: \"127.0.0.1:1502\"
t:4:50 buses.b.share.listen: \"localhost:1502\" is no address with a port; write 127.0.0.1:1502
t:4:72 buses.b.share.mode: \"cache\" is unknown; did you mean cached?
t:5:76 buses.c.share.allow[0]: \"192.168.1\" is no network; write it as in 192.168.1.0/24 or 192.168.1.7
t:6:77 buses.d.share.write[0]: says what may be written: either holding or coil; write holding: 100..119
t:7:94 buses.e.share.write[0].coil: \"9..4\" ends before it begins
t:8:81 buses.f.share.connections: 0 is out of range; allowed are 1 to 64";
    assert_eq!(said(text), want);
}

#[test]
fn one_address_has_one_listener() {
    let text = "\
gateway: { name: g }
buses:
  a: { modbus-tcp: { host: h }, share: { listen: \"127.0.0.1:1502\" } }
  b: { modbus-tcp: { host: i }, share: { listen: \"127.0.0.1:1502\" } }
  c: { modbus-tcp: { host: j }, share: { listen: \"127.0.0.1:1883\" } }
broker: {}
";
    let said = said(text);
    for line in [
        "t:4:3 buses.b: its share listens on 127.0.0.1:1502, as buses.a does; give each a port of its own",
        "t:5:3 buses.c: its share listens on 127.0.0.1:1883, as broker.listeners does; give each a port of its own",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
