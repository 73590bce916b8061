"""`fieldhold trace` against running gateways, and its exports as tshark reads them."""

import subprocess
import sys

from conftest import BINARY, Gateway, Process, free_port, listening, wait_for
from plant import CountingDevice
from test_values import HERE

RTU = 'uat:user_dlts:"User 0 (DLT=147)","mbrtu","0","","0",""'


def config(bus, unit=1, every="100ms"):
    return f"""
gateway: {{ name: edge }}
buses: {{ line: {bus} }}
devices:
  meter:
    bus: line
    unit: {unit}
    every: {every}
    timeout: 500ms
    tags:
      count: {{ holding: 0, type: u32 }}
      level: {{ holding: 40, type: u16, unit: mm, write: {{ min: 0, max: 60000 }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{free_port()}" }} ] }}
store: {{ path: state }}
"""


def trace(gateway, *arguments, code=0):
    ran = subprocess.run(
        [BINARY, "trace", "line", gateway.config, *arguments], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout + ran.stderr


def tshark(path, fields, *options):
    """One row per packet, one text per field."""
    arguments = ["tshark", "-r", path, "-T", "fields", *options]
    for field in fields:
        arguments += ["-e", field]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)
    return [dict(zip(fields, line.split("\t"))) for line in ran.stdout.splitlines()]


def polled(gateway, answers):
    gateway.wait(lambda s: s["buses"]["line"]["devices"][0]["ok"] >= answers, what="answers")


def on_tcp(tmp_path, started, **more):
    device = started(CountingDevice())
    bus = f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}"
    return device, started(Gateway(tmp_path / "gw", config(bus, **more)))


def test_what_is_shown(tmp_path, started):
    _, gateway = on_tcp(tmp_path, started)
    polled(gateway, 10)
    shown = trace(gateway, "--last", "6")
    assert shown.splitlines()[0].startswith("Modbus TCP 127.0.0.1:")
    assert shown.count("poll ● ok") == 6
    # Register 40 of the device holds 40 * 7 + 1.
    assert "unit 1: read holding 0..40" in shown or "unit 1: read holding 40" in shown
    assert "level 281 mm" in shown
    assert "count " in shown


def test_a_silent_device_is_shown_and_followed(tmp_path, started):
    device, gateway = on_tcp(tmp_path, started)
    polled(gateway, 3)
    follow = started(Process([BINARY, "trace", "line", gateway.config, "--follow"], tmp_path / "follow.log"))
    wait_for(lambda: follow.output().count("poll ● ok") > 30, what="polls as they happen")
    device.unit = 9  # nobody answers to 1 any more
    wait_for(lambda: "✕ timeout" in follow.output(), what="a timeout")
    wait_for(lambda: "probe ✕ timeout" in follow.output(), what="a probe")
    follow.signal(2)
    assert follow.child.wait(10) == 0
    assert "✕ timeout" in trace(gateway)


def test_the_last_exchanges_outlive_nothing_but_the_bus(tmp_path, started):
    device, gateway = on_tcp(tmp_path, started)
    polled(gateway, 5)
    follow = started(Process([BINARY, "trace", "line", gateway.config, "--follow"], tmp_path / "follow.log"))
    wait_for(lambda: "poll ● ok" in follow.output(), what="polls")
    gateway.write(gateway.config.read_text().replace("every: 100ms", "every: 150ms"))
    gateway.signal(1)
    wait_for(lambda: "started anew" in follow.output(), what="the new bus")
    numbers = wait_for(lambda: follow.output().split("started anew")[1].count("#0 "), what="numbers from 0")
    assert numbers == 1


def test_wrong_words_are_exit_code_2(tmp_path, started):
    _, gateway = on_tcp(tmp_path, started)
    said = subprocess.run([BINARY, "trace", "lime", gateway.config], capture_output=True, text=True)
    assert said.returncode == 2 and "no bus" in said.stderr and "line" in said.stderr
    assert "FILE.pcap" in trace(gateway, "--export", "x.zip", code=2)
    gateway.stop()
    assert "control socket" in trace(gateway, code=1)


def test_text_export_holds_what_is_shown(tmp_path, started):
    _, gateway = on_tcp(tmp_path, started)
    polled(gateway, 5)
    path = tmp_path / "out.txt"
    said = trace(gateway, "--export", path)
    assert "exchanges of Modbus TCP" in said
    assert path.read_text().count("poll ● ok") >= 5


def test_tshark_reads_modbus_tcp(tmp_path, started):
    device, gateway = on_tcp(tmp_path, started)
    polled(gateway, 20)
    # A new connection in the middle is a new conversation.
    path = tmp_path / "out.pcap"
    trace(gateway, "--export", path)
    fields = [
        "modbus.func_code",
        "modbus.reference_num",
        "modbus.word_cnt",
        "modbus.byte_cnt",
        "modbus.regnum16",
        "modbus.regval_uint16",
        "mbtcp.trans_id",
        "tcp.dstport",
        "tcp.len",
        "_ws.malformed",
        "tcp.analysis.flags",
        "tcp.checksum.status",
        "ip.checksum.status",
    ]
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    rows = tshark(path, fields, *checks)
    assert not any(row["_ws.malformed"] or row["tcp.analysis.flags"] for row in rows), rows
    assert {row["tcp.checksum.status"] for row in rows} == {"1"}
    assert {row["ip.checksum.status"] for row in rows} == {"1"}
    requests = [row for row in rows if row["tcp.dstport"] == "502" and row["tcp.len"] != "0"]
    answers = [row for row in rows if row["tcp.dstport"] != "502" and row["tcp.len"] != "0"]
    assert len(requests) >= 20 and abs(len(requests) - len(answers)) <= 1
    assert all(row["modbus.func_code"] == "3" and row["modbus.word_cnt"] for row in requests), requests
    for request, answer in zip(requests, answers):
        assert answer["mbtcp.trans_id"] == request["mbtcp.trans_id"]
        assert int(answer["modbus.byte_cnt"]) == 2 * int(request["modbus.word_cnt"])
        numbers, values = answer["modbus.regnum16"].split(","), answer["modbus.regval_uint16"].split(",")
        held = dict(zip(map(int, numbers), map(int, values)))
        assert held.get(40, 281) == 281
    assert any("40" in row["modbus.regnum16"].split(",") for row in answers)


def test_tshark_reads_rtu(tmp_path, started):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    pair = [f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"]
    started(Process(["socat", *pair], tmp_path / "socat.log"))
    wait_for(lambda: ours.exists() and theirs.exists(), what="the line")
    started(Process([sys.executable, HERE / "pymodbus_server.py", "rtu", theirs], tmp_path / "server.log"))
    bus = f"{{ modbus-rtu: {{ port: {ours}, baud: 19200, parity: none }} }}"
    gateway = started(Gateway(tmp_path / "gw", config(bus)))
    polled(gateway, 10)
    path = tmp_path / "out.pcap"
    trace(gateway, "--export", path)
    fields = ["mbrtu.unit_id", "modbus.func_code", "modbus.word_cnt", "modbus.byte_cnt", "mbrtu.crc16.status",
              "_ws.malformed"]
    rows = tshark(path, fields, "-o", RTU, "-o", "mbrtu.crc_verification:TRUE")
    assert len(rows) >= 20
    assert all(row["mbrtu.unit_id"] == "1" and row["modbus.func_code"] == "3" for row in rows), rows
    assert not any(row["_ws.malformed"] for row in rows), rows
    requests = [row for row in rows if row["modbus.word_cnt"]]
    answers = [row for row in rows if row["modbus.byte_cnt"]]
    assert len(requests) + len(answers) == len(rows) and abs(len(requests) - len(answers)) <= 1
    # What the help says is what was used here.
    said = subprocess.run([BINARY, "trace", "--help"], capture_output=True, text=True).stdout
    assert RTU in said
