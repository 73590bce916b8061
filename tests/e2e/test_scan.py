"""Scan and probe against simulated devices and servers we did not write."""

import re
import signal
import subprocess
import time

import pytest

from conftest import BINARY, Process, free_port, listening, wait_for
from test_simulate import Simulator
from test_values import ALL, TAGS, pymodbus


def fieldhold(*arguments, **options):
    command = [str(part) for part in (BINARY, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_a_value_is_found_however_it_is_stored(tmp_path, started):
    port = free_port()
    pymodbus(tmp_path, started, "tcp", port)
    wait_for(lambda: listening(port), what="the pymodbus server")
    # f32 in the four orders, and 231.4 as a u16 with a scale: see test_values.
    found = fieldhold("probe", "--tcp", f"127.0.0.1:{port}", "holding", 0, 44, "--find", "231.4", "--at-once", 20)
    assert found.returncode == 0, found.stderr
    lines = [line.split("  #")[0].strip() for line in found.stdout.splitlines()]
    for order, address in [("", 6), (", order: CDAB", 8), (", order: BADC", 10), (", order: DCBA", 12)]:
        assert f"holding_{address}: {{ holding: {address}, type: f32{order} }}" in lines[:5], found.stdout
    assert "holding_26: { holding: 26, type: u16, scale: 0.1 }" in lines, found.stdout
    for shown, words in [("12345678", "type: bcd32"), ("4294967298", "holding: 32"), ("-2", "type: i32, order: CDAB")]:
        found = fieldhold("probe", "--tcp", f"127.0.0.1:{port}", "holding", 0, 44, "--find", shown, "--tolerance", "0.001")
        assert words in found.stdout or shown == "4294967298", (shown, found.stdout)
    none = fieldhold("probe", "--tcp", f"127.0.0.1:{port}", "holding", 0, 44, "--find", "777.77", "--tolerance", "0.001")
    assert none.returncode == 1 and "no register" in none.stdout, none.stdout
    assert set(name for name, *_ in TAGS) == set(ALL)


def test_probe_shows_every_interpretation_in_eighty_columns(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed", "--set", "press.volts=231.42"))
    shown = fieldhold("probe", "--tcp", f"127.0.0.1:{simulator.port}", "input", 0, 8, "--wide")
    assert shown.returncode == 0, shown.stderr
    assert "231.42" in shown.stdout and max(map(len, shown.stdout.splitlines())) <= 100
    for title in ["hex", "u16", "i16", "bcd", "bits", "text", "f32 DCBA", "u32 BADC", "i32 CDAB", "f64 ABCD", "u64 ABCD", "i64 DCBA"]:
        assert title in shown.stdout, shown.stdout
    holes = fieldhold("probe", "--tcp", f"127.0.0.1:{simulator.port}", "holding", 290, 12)
    assert holes.returncode == 0 and "exception 02" in holes.stdout, holes.stdout
    nothing = fieldhold("probe", "--tcp", f"127.0.0.1:{simulator.port}", "holding", 900, 3)
    assert nothing.returncode == 1 and "nothing at 900 to 902" in nothing.stderr, nothing.stderr
    identity = fieldhold("probe", "--rtu", simulator.at["line"], "--parity", "none", "--unit", 3, "--identify")
    assert re.search(r"^product code +meter$", identity.stdout, re.M), (identity.stdout, identity.stderr)


def test_probe_watches(tmp_path, started):
    simulator = started(Simulator(tmp_path))
    watch = started(Process([BINARY, "probe", "--tcp", f"127.0.0.1:{simulator.port}", "input", 0, 4, "--watch"], tmp_path / "watch"))
    wait_for(lambda: re.search(r"^\* +\d", watch.output(), re.M), what="a register that changed")
    watch.signal(signal.SIGINT)
    assert watch.child.wait(10) == 0


def test_scan_finds_units_behind_a_converter_and_gives_yaml(tmp_path, started):
    units = "".join(f"  d{unit}: {{ bus: hall, unit: {unit}, tags: {{ t: {{ holding: 0, type: u16 }} }} }}\n" for unit in (2, 17))
    odd = "  d9: { bus: hall, unit: 9, tags: { t: { input: 700, type: u16 } } }\n"
    config = f"gateway: {{ name: g }}\nbuses: {{ hall: {{ modbus-tcp: {{ host: h }} }} }}\ndevices:\n{units}{odd}"
    file = tmp_path / "hall.yaml"
    file.write_text(config)
    # Unit 4 does not exist, and the converter says so (0B); that is no device.
    port = free_port()
    simulator = started(Process([BINARY, "simulate", file, "--listen", f"127.0.0.1:{port}", "--fault", "exception-11:unit=17:from=1h"], tmp_path / "log"))
    wait_for(lambda: listening(port), what="the simulator")
    gone = free_port()
    scan = fieldhold("scan", "--tcp", f"127.0.0.1:{gone}", "--tcp", f"127.0.0.1:{port}", "--units", "1-20", "--timeout-ms", 150)
    assert scan.returncode == 0, scan.stderr
    assert "connection refused" in scan.stderr, scan.stderr
    assert re.findall(r"^# unit (\d+) ", scan.stdout, re.M) == ["2", "9", "17"], scan.stdout
    assert "exception 2" in scan.stdout and "Fieldhold d17" in scan.stdout
    pasted = tmp_path / "pasted.yaml"
    pasted.write_text(f"gateway: {{ name: g }}\n{scan.stdout}store: {{ path: none }}\n")
    check = fieldhold("check", pasted)
    assert check.returncode == 0, (check.stderr, scan.stdout)
    assert simulator.child.poll() is None


def test_gateway_exceptions_are_no_devices(tmp_path, started):
    file = tmp_path / "hall.yaml"
    devices = "".join(f"  d{unit}: {{ bus: hall, unit: {unit}, tags: {{ t: {{ holding: 0, type: u16 }} }} }}\n" for unit in range(1, 7))
    file.write_text(f"gateway: {{ name: g }}\nbuses: {{ hall: {{ modbus-tcp: {{ host: h }} }} }}\ndevices:\n{devices}")
    port = free_port()
    faults = [f"--fault=exception-{code}:unit={unit}" for unit, code in enumerate([10, 11, 1, 2, 3, 4], 1)]
    started(Process([BINARY, "simulate", file, "--listen", f"127.0.0.1:{port}", *faults], tmp_path / "log"))
    wait_for(lambda: listening(port), what="the simulator")
    scan = fieldhold("scan", "--tcp", f"127.0.0.1:{port}", "--units", "1-6", "--timeout-ms", 300)
    assert re.findall(r"^# unit (\d+) ", scan.stdout, re.M) == ["3", "4", "5", "6"], scan.stdout


def test_a_device_that_takes_any_unit_is_one(tmp_path, started):
    port = free_port()
    pymodbus(tmp_path, started, "tcp", port)
    wait_for(lambda: listening(port), what="the pymodbus server")
    scan = fieldhold("scan", "--tcp", f"127.0.0.1:{port}")
    assert scan.returncode == 0, scan.stderr
    assert scan.stdout.count("any unit") == 1 and scan.stdout.count("unit: 1,") == 1, scan.stdout


def test_scan_of_a_line_says_what_it_found_when_it_is_ended(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed"))
    scan = started(Process([BINARY, "scan", "--rtu", simulator.at["line"], "--timeout-ms", 200], tmp_path / "scan"))
    wait_for(lambda: "found unit 3 at 9600 8N1" in scan.output(), what="the device")
    begun = time.monotonic()
    scan.signal(signal.SIGINT)
    assert scan.child.wait(10) == 0 and time.monotonic() - begun < 5
    said = scan.output()
    assert "unit3: { bus: bus1, unit: 3" in said and "ended before all was tried" in said and "left at most" in said, said


def test_scan_refuses_a_port_that_a_gateway_holds(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed"))
    line = simulator.at["line"]
    holder = started(Process([BINARY, "probe", "--rtu", line, "--parity", "none", "--unit", 3, "--watch", "holding", 10], tmp_path / "holder"))
    wait_for(lambda: "addr" in holder.output(), what="the holder")
    scan = fieldhold("scan", "--rtu", line, "--units", "1-3")
    assert scan.returncode == 1 and "(fieldhold) has it open" in scan.stderr and not scan.stdout, scan.stderr


def test_a_scan_that_reached_nothing_says_why_and_no_more():
    scan = fieldhold("scan", "--tcp", f"127.0.0.1:{free_port()}", "--units", "1-3")
    assert scan.returncode == 1 and "connection refused" in scan.stderr and "tried" not in scan.stderr, scan.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["scan"], ["--rtu", "--tcp"]),
        (["scan", "--rtu", "/dev/x", "--units", "0"], ["1 to 247"]),
        (["scan", "--rtu", "/dev/x", "--units", "9-1"], ["1-10,17"]),
        (["scan", "--tcp", "h:0"], ["1 to 65535"]),
        (["probe", "--tcp", "h", "holding", "0", "2", "--find", "231,4"], ["point"]),
        (["probe", "--tcp", "h", "coil", "0", "2", "--find", "1"], ["registers"]),
        (["probe", "--tcp", "h", "holding", "65535", "2"], ["65535"]),
    ],
)
def test_mistakes_are_named(arguments, words):
    result = fieldhold(*arguments)
    assert result.returncode == 2, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
