"""The simulator, read by clients we did not write: what they see is what it says it has."""

import pathlib
import re
import shutil
import struct
import subprocess
import time

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException

from conftest import BINARY, Gateway, Process, Recorder, free_port, wait_for

CONFIG = """
gateway: { name: sim, site: works }
buses:
  hall: { modbus-tcp: { host: 192.168.1.40 } }
  line: { modbus-rtu: { port: /dev/ttyUSB0, baud: 19200, parity: none } }
devices:
  press:
    bus: hall
    unit: 1
    registers-max: 50
    tags: &tags
      volts: { input: 0, type: f32, unit: V, order: CDAB }
      energy: { input: 4, type: u64, unit: Wh }
      state: { holding: 10, type: u16, labels: { 1: off, 2: on } }
      ready: { holding: 11, type: "bit:3" }
      number: { holding: 12, type: "text:5" }
      temperature: { holding: 300, type: i16, scale: 0.1, unit: °C }
      setpoint: { holding: 20, type: u16, scale: 0.1, write: { min: 0, max: 80 } }
      lamp: { coil: 7, write: true }
      door: { discrete: 3 }
  meter:
    bus: line
    unit: 3
    tags: *tags
"""
HERE = pathlib.Path(__file__).parent
LINE = re.compile(r"# (\S+)\.(\S+)\s+unit (\d+) (\w+) (\d+)(?: to \d+)? \[([0-9a-f ]+)\]  (.*)")


class Simulator(Process):
    """`fieldhold simulate` with what it printed when it was ready."""

    def __init__(self, tmp_path, *arguments, config=CONFIG):
        file = tmp_path / "simulated.yaml"
        file.write_text(config)
        pty = ["--pty", tmp_path / "rs485"] if "modbus-rtu" in config else []
        super().__init__([BINARY, "simulate", file, *pty, *arguments], tmp_path / "simulate.log")

    def start(self):
        super().start()
        wait_for(lambda: "# meter.door" in self.output() or not self.alive(), what="the simulator")
        said = self.output()
        self.pasted = said
        self.at = dict(re.findall(r"^# bus (\w+) \w+ (\S+)$", said, re.M))
        self.port = int(self.at["hall"].rsplit(":", 1)[1])
        self.values = [
            (device, tag, int(unit), table, int(address), words.split(), shown)
            for device, tag, unit, table, address, words, shown in LINE.findall(said)
        ]
        assert len(self.values) == 18, said
        return self

    def alive(self):
        return self.child.poll() is None

    def of(self, device):
        return [value for value in self.values if value[0] == device]


@pytest.fixture(scope="session")
def libmodbus(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.fail("a C compiler is needed; tests/run installs it")
    client = tmp_path_factory.mktemp("libmodbus") / "client"
    source = HERE / "libmodbus_client.c"
    subprocess.run(["cc", "-O1", "-o", client, source, "-I/usr/include/modbus", "-lmodbus"], check=True)
    return client


def test_libmodbus_reads_what_the_simulator_says(tmp_path, started, libmodbus):
    simulator = started(Simulator(tmp_path, "--fixed"))
    for device, where in [
        ("press", ["tcp", "127.0.0.1", simulator.port]),
        ("meter", ["rtu", simulator.at["line"], 19200, "N"]),
    ]:
        values = simulator.of(device)
        asked = [word for _, _, _, table, address, words, _ in values for word in (table, address, len(words))]
        client = [libmodbus, *where, values[0][2], *asked]
        read = subprocess.run([str(part) for part in client], capture_output=True, text=True, timeout=60)
        assert read.returncode == 0, read.stderr
        assert read.stdout.splitlines() == [" ".join(words) for *_, words, _ in values]
        # A hole reads as zero, a register that no tag is near to is refused, a write is kept.
        more = ["input", 2, 2, "holding", 1000, 1, "input", 0, 51, "write", 20, 123, "holding", 20, 1, "write", 10, 1]
        client = [libmodbus, *where, values[0][2], *more]
        read = subprocess.run([str(part) for part in client], capture_output=True, text=True, timeout=60)
        limit = "Illegal data value" if device == "press" else "Illegal data address"
        assert read.stdout.splitlines() == ["0000 0000", "Illegal data address", limit, "", "007b", "Illegal data address"]


def test_mbpoll_reads_what_the_simulator_says(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed"))
    tables = {"coil": "0", "discrete": "1", "input": "3:hex", "holding": "4:hex"}
    for device, where in [
        ("press", ["-m", "tcp", "-p", simulator.port, "127.0.0.1"]),
        ("meter", ["-m", "rtu", "-b", 19200, "-P", "none", simulator.at["line"]]),
    ]:
        for _, tag, unit, table, address, words, _ in simulator.of(device):
            command = ["mbpoll", "-0", "-1", "-q", "-a", unit, "-t", tables[table], "-r", address, "-c", len(words), *where]
            read = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30)
            got = re.findall(r"^\[\d+\]:\s+(?:0x)?([0-9A-Fa-f]+)", read.stdout, re.M)
            assert [word.lower() for word in got] == words, (tag, read.stdout, read.stderr)


def test_pymodbus_reads_writes_and_identifies(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed"))
    for device, client in [
        ("press", ModbusTcpClient("127.0.0.1", port=simulator.port, timeout=3)),
        ("meter", ModbusSerialClient(simulator.at["line"], baudrate=19200, timeout=3)),
    ]:
        assert client.connect()
        for _, tag, unit, table, address, words, shown in simulator.of(device):
            got = read(client, unit, table, address, len(words))
            assert got == [int(word, 16) for word in words], (tag, got, words)
            if tag == "volts":
                low, high = got
                value = struct.unpack(">f", struct.pack(">HH", high, low))[0]
                assert f"{value:.2f} V" in (shown, shown.replace(" V", "0 V")), (value, shown)
        unit = simulator.of(device)[0][2]
        assert not client.write_registers(20, [456], device_id=unit).isError()
        assert not client.write_coil(7, True, device_id=unit).isError()
        assert read(client, unit, "holding", 20, 1) == [456] and read(client, unit, "coil", 7, 1) == [1]
        refused = client.write_register(300, 1, device_id=unit)
        assert refused.isError() and refused.exception_code == 2
        names = client.read_device_information(read_code=1, object_id=0, device_id=unit).information
        assert names[1] == device.encode(), names
        client.close()


def read(client, unit, table, address, count):
    calls = {
        "coil": client.read_coils,
        "discrete": client.read_discrete_inputs,
        "holding": client.read_holding_registers,
        "input": client.read_input_registers,
    }
    answer = calls[table](address, count=count, device_id=unit)
    assert not answer.isError(), (table, address, answer)
    return answer.registers if hasattr(answer, "registers") and answer.registers else [int(b) for b in answer.bits[:count]]


def test_values_move_and_are_repeatable(tmp_path, started):
    simulator = started(Simulator(tmp_path))
    client = ModbusTcpClient("127.0.0.1", port=simulator.port)
    assert client.connect()
    before = read(client, 1, "input", 0, 8)
    wait_for(lambda: read(client, 1, "input", 0, 8) != before, what="another value")
    client.close()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, again = (started(Simulator(tmp_path / place, "--fixed", "--seed", "7")) for place in "ab")
    assert first.values == again.values != simulator.values


def test_a_gateway_runs_on_what_was_pasted(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed", "--set", "press.volts=231.4", "--set", "meter.state=on"))
    lan = free_port()
    devices = CONFIG[CONFIG.index("devices:") :]
    config = f"""gateway: {{ name: sim, site: works }}
{simulator.pasted}
{devices}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
store: {{ path: state }}
"""
    gateway = started(Gateway(tmp_path / "gw", config))
    gateway.wait(lambda status: status["broker"])
    recorder = started(Recorder(lan))
    for topic, value in [("press/volts", 231.4), ("meter/state", "on")]:
        wait_for(lambda: (recorder.last(f"works/sim/{topic}") or {}).get("v") == value, what=topic)


def test_faults_happen_as_they_are_called(tmp_path, started):
    rules = tmp_path / "rules"
    rules.write_text("# the meter is dead, the press stutters\nsilent:unit=3\n  exception-6:unit=1:every=2 # busy\n")
    simulator = started(Simulator(tmp_path, "--fixed", "--faults", rules, "--fault", "late=300ms:bus=hall"))
    client = ModbusTcpClient("127.0.0.1", port=simulator.port, timeout=3)
    assert client.connect()
    begun = time.monotonic()
    answers = [client.read_holding_registers(10, count=1, device_id=1) for _ in range(4)]
    assert time.monotonic() - begun >= 1.2, "each is 300 ms late"
    assert [answer.isError() and answer.exception_code for answer in answers] == [False, 6, False, 6]
    client.close()
    serial = ModbusSerialClient(simulator.at["line"], baudrate=19200, timeout=0.5, retries=0)
    assert serial.connect()
    with pytest.raises(ModbusIOException):
        serial.read_holding_registers(10, count=1, device_id=3)
    serial.close()


def test_a_line_is_unplugged_and_comes_back(tmp_path, started):
    simulator = started(Simulator(tmp_path, "--fixed", "--fault", "disconnect:bus=line"))
    link = tmp_path / "rs485"
    before = link.readlink()
    serial = ModbusSerialClient(str(link), baudrate=19200, timeout=0.5, retries=0)
    assert serial.connect()
    with pytest.raises((ConnectionException, ModbusIOException)):
        serial.read_holding_registers(10, count=1, device_id=3)
    wait_for(lambda: not link.exists(), what="the unplugged line")
    wait_for(link.exists, what="the line that is back")
    serial.close()
    assert simulator.alive() and before is not None


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--fault", "latte"], ["no fault", "latte", "crc-damage"]),
        (["--fault", "late", "--fault", "wrong-tid:bus=line"], ["--fault wrong-tid:bus=line", "Modbus TCP"]),
        (["--set", "press.volt=1"], ["press.volt", "DEVICE.TAG"]),
        (["--set", "press.setpoint=1.23"], ["press.setpoint", "1.2"]),
        (["--listen", "nowhere"], ["--listen nowhere", "127.0.0.1:5020"]),
        (["--pty", "hall=/tmp/x"], ["hall", "line"]),
        (["--faults", "bad.rules"], ["bad.rules:2:3", "from must be less", "bad.rules:3:1"]),
    ],
)
def test_mistakes_are_named(tmp_path, arguments, words):
    (tmp_path / "simulated.yaml").write_text(CONFIG)
    (tmp_path / "bad.rules").write_text("late\n  late:from=2s:to=1s\nsilent=no\n")
    command = [BINARY, "simulate", "simulated.yaml", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
