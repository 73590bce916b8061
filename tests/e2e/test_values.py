"""Values of every type, from servers we did not write, right at the cloud and on the LAN."""

import json
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest

from conftest import Gateway, Mosquitto, Process, Recorder, free_port, listening, wait_for

HERE = pathlib.Path(__file__).parent

# (tag, table, address, YAML of the type, registers as the device holds them, value published)
TAGS = [
    ("u16", 0, "type: u16", [65535], 65535),
    ("i16", 1, "type: i16", [0x8000], -32768),
    ("u32", 2, "type: u32", [0x1234, 0x5678], 0x12345678),
    ("i32_cdab", 4, "type: i32, order: CDAB", [0xFFFE, 0xFFFF], -2),
    ("f32", 6, "type: f32", [0x4367, 0x6B85], 231.42),
    ("f32_cdab", 8, "type: f32, order: CDAB", [0x6B85, 0x4367], 231.42),
    ("f32_badc", 10, "type: f32, order: BADC", [0x6743, 0x856B], 231.42),
    ("f32_dcba", 12, "type: f32, order: DCBA", [0x856B, 0x6743], 231.42),
    ("u64", 14, "type: u64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF], 2**64 - 1),
    ("i64", 18, "type: i64", [0x8000, 0, 0, 0], -(2**63)),
    ("f64", 22, "type: f64", list(struct.unpack(">4H", struct.pack(">d", 0.1))), 0.1),
    ("scaled", 26, "type: u16, scale: 0.1", [2314], 231.4),
    ("offset", 27, "type: i16, scale: 0.5, offset: -40", [100], 10.0),
    ("bit3", 28, '"type": "bit:3"', [0b1000], True),
    ("bcd32", 29, "type: bcd32", [0x1234, 0x5678], 12345678),
    ("u48", 31, "type: u48", [0x0001, 0x0000, 0x0002], 2**32 + 2),
    ("text", 34, '"type": "text:6"', list(struct.unpack(">6H", b"PRESS LINE 3")), "PRESS LINE 3"),
    ("state", 40, "type: u16, labels: { 0: off, 1: running, 2: fault }", [1], "running"),
    ("missing", 41, "type: i16, not-available: 0x8000", [0x8000], None),
    ("u8_high", 42, "type: u8-high", [0xAB12], 0xAB),
    ("array", 43, "type: u16, count: 3", [1, 2, 3], [1, 2, 3]),
]
REGISTERS = [0] * 64
for _, address, _, words, _ in TAGS:
    REGISTERS[address : address + len(words)] = words
COILS = [True, False, True, True]


def config(bus, cloud_port, lan_port, unit=1, only=None):
    tags = "\n".join(
        f"      {name}: {{ holding: {address}, {kind} }}"
        for name, address, kind, _, _ in TAGS
        if only is None or name in only
    )
    return f"""
gateway: {{ name: edge, site: works }}
buses:
  line: {bus}
devices:
  dev:
    bus: line
    unit: {unit}
    every: 500ms
    tags:
{tags}
      coil2: {{ coil: 2 }}
      in1: {{ input: 1, type: i16 }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan_port}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud_port}", send: [ "#" ] }}
store: {{ path: state, commit: 100ms }}
"""


def check_values(recorder, names, seconds=30):
    wanted = {f"works/edge/dev/{name}": value for name, _, _, _, value in TAGS if name in names}
    wanted |= {"works/edge/dev/coil2": True, "works/edge/dev/in1": -32768}
    for topic, value in wanted.items():
        # A server that is still starting may have cost the first polls.
        starting = ("bad:no-answer", "bad:link-down")
        wait_for(lambda: (recorder.last(topic) or {"q": "bad:no-answer"}).get("q") not in starting, seconds, topic)
        got = recorder.last(topic)
        assert got["v"] == value and type(got["v"]) is type(value), (topic, got, value)
        assert got.get("q", "good") == ("bad:not-available" if value is None else "good"), got


ALL = [t[0] for t in TAGS]


def run(tmp_path, started, bus, unit=1, only=None):
    cloud = started(Mosquitto(tmp_path / "cloud"))
    at_cloud = started(Recorder(cloud.port))
    lan = free_port()
    gateway = started(Gateway(tmp_path / "gw", config(bus, cloud.port, lan, unit, only)))
    gateway.wait(lambda s: s["broker"])
    on_lan = started(Recorder(lan))
    check_values(at_cloud, only or ALL)
    check_values(on_lan, only or ALL)
    return gateway, lan


def pymodbus(tmp_path, started, *arguments):
    return started(Process([sys.executable, HERE / "pymodbus_server.py", *arguments], tmp_path / "server.log"))


def test_pymodbus_tcp(tmp_path, started):
    port = free_port()
    pymodbus(tmp_path, started, "tcp", port)
    wait_for(lambda: listening(port), what="the pymodbus server")
    _, lan = run(tmp_path, started, f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {port} }} }}")
    seen = subprocess.run(
        ["mosquitto_sub", "-p", str(lan), "-t", "works/edge/dev/f32", "-C", "1", "-W", "10"],
        capture_output=True,
        check=True,
    )
    assert json.loads(seen.stdout)["v"] == 231.42


def test_pymodbus_rtu_over_socat(tmp_path, started):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    started(
        Process(
            ["socat", f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"], tmp_path / "socat.log"
        )
    )
    wait_for(lambda: ours.exists() and theirs.exists(), what="the line")
    pymodbus(tmp_path, started, "rtu", theirs)
    run(tmp_path, started, f"{{ modbus-rtu: {{ port: {ours}, baud: 19200, parity: none }} }}")


def test_libmodbus_tcp(tmp_path, started):
    if not shutil.which("cc"):
        pytest.fail("a C compiler is needed; tests/run installs it")
    server, port = tmp_path / "server", free_port()
    subprocess.run(
        ["cc", "-O1", "-o", server, HERE / "libmodbus_server.c", "-I/usr/include/modbus", "-lmodbus"], check=True
    )
    words = [str(w) for w in REGISTERS]
    started(Process([server, port, *words], tmp_path / "server.log"))
    wait_for(lambda: listening(port), what="the libmodbus server")
    run(tmp_path, started, f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {port} }} }}")
