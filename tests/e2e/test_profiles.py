"""Device profiles with the real binary: shipped, one's own, and imported ones."""

import json
import signal
import struct
import subprocess
import sys

from conftest import BINARY, Gateway, Process, Recorder, free_port, listening, wait_for

# A SunSpec device: the common block, a model of our own, a model that nobody has a file for.
MODEL = {
    "id": 64999,
    "group": {
        "name": "plant",
        "label": "Plant",
        "points": [
            {"name": "ID", "type": "uint16", "size": 1},
            {"name": "L", "type": "uint16", "size": 1},
            {"name": "V", "type": "uint16", "size": 1, "sf": "V_SF", "units": "V"},
            {"name": "V_SF", "type": "sunssf", "size": 1},
            {"name": "Tmp", "type": "int16", "size": 1, "sf": "V_SF", "units": "C"},
            {"name": "St", "type": "enum16", "size": 1, "symbols": [{"name": "OFF", "value": 1}, {"name": "ON", "value": 4}]},
            {"name": "N", "type": "uint16", "size": 1},
        ],
        "groups": [{"name": "string", "count": "N", "points": [{"name": "A", "type": "int16", "size": 1}]}],
    },
}
COMMON = {
    "id": 1,
    "group": {
        "name": "common",
        "points": [
            {"name": "ID", "type": "uint16", "size": 1},
            {"name": "L", "type": "uint16", "size": 1},
            {"name": "Mn", "type": "string", "size": 16, "static": "S"},
            {"name": "Md", "type": "string", "size": 16, "static": "S"},
        ],
    },
}


def text(value, registers):
    return list(struct.unpack(f">{registers}H", value.encode().ljust(2 * registers, b"\0")))


def sunspec_registers():
    """From 40000 on."""
    words = [0x5375, 0x6E53, 1, 66, *text("Acme", 16), *text("Sun 5", 16), *[0] * 34]
    words += [64999, 7, 2314, 0xFFFF, 0x8000, 4, 2, 11, 12]
    words += [64111, 3, 0, 0, 0, 0xFFFF, 0]
    return words


def sunspec_server(tmp_path, started):
    port = free_port()
    script = tmp_path / "server.py"
    script.write_text(f"""
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartTcpServer
block = ModbusSequentialDataBlock(40001, {sunspec_registers()})
device = ModbusDeviceContext(hr=block)
StartTcpServer(ModbusServerContext(devices=device, single=True), address=("127.0.0.1", {port}))
""")
    started(Process([sys.executable, script], tmp_path / "server.log"))
    wait_for(lambda: listening(port), what="the pymodbus server")
    return port


def fieldhold(*arguments, cwd, code=0):
    done = subprocess.run([BINARY, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def config(lan, device):
    return f"""
gateway: {{ name: edge }}
buses: {{ line: {{ modbus-tcp: {{ host: 127.0.0.1, port: PORT }} }} }}
devices: {{ dev: {{ bus: line, {device} }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
store: {{ path: state }}
"""


def value(recorder, tag, wanted, quality="good"):
    def is_it():
        got = recorder.last(f"edge/dev/{tag}")
        return got and got["v"] == wanted and got.get("q", "good") == quality

    wait_for(is_it, 30, f"{tag} = {wanted}, not {recorder.last(f'edge/dev/{tag}')}")


def test_sunspec_import_and_its_profile_polled(tmp_path, started):
    port = sunspec_server(tmp_path, started)
    for name, model in (("a.json", MODEL), ("b.json", COMMON)):
        (tmp_path / name).write_text(json.dumps(model))
    (tmp_path / "gw/profiles").mkdir(parents=True)
    out = "gw/profiles/acme-sun.yaml"
    done = fieldhold("profile", "import", "sunspec", "a.json", "b.json", "--tcp", f"127.0.0.1:{port}", "-o", out, cwd=tmp_path)
    assert "model 64111 at 40079, 3 registers, no file for it" in done.stdout
    assert "model 64111 at 40079 (length 3) is not among the files and is left out" in done.stderr
    made = (tmp_path / out).read_text()
    assert "title: Acme Sun 5" in made, made
    fieldhold("profile", "check", out, cwd=tmp_path)
    # It stays as it is.
    fieldhold("profile", "import", "sunspec", "a.json", "--tcp", f"127.0.0.1:{port}", "-o", out, cwd=tmp_path, code=2)

    lan = free_port()
    device = "profile: acme-sun, every: 200ms"
    gateway = started(Gateway(tmp_path / "gw", config(lan, device).replace("PORT", str(port))))
    recorder = started(Recorder(lan))
    value(recorder, "common_mn", "Acme")
    value(recorder, "plant_v", 231.4)
    value(recorder, "plant_st", "on")
    value(recorder, "plant_string_2_a", 12)
    value(recorder, "plant_tmp", None, "bad:not-available")

    # A changed profile is taken at the next reload.
    path = tmp_path / out
    path.write_text(made.replace("plant_v:", "volts:"))
    gateway.signal(signal.SIGHUP)
    value(recorder, "volts", 231.4)


def test_the_same_chain_without_the_device(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(MODEL))
    done = fieldhold("profile", "import", "sunspec", "a.json", "--chain", "64999@40070:7", "-o", "p.yaml", cwd=tmp_path)
    assert "plant_string repeats as often as a register of the device says" in done.stderr
    assert "scale-register: 40073" in (tmp_path / "p.yaml").read_text()
    fieldhold("profile", "import", "sunspec", "a.json", "--chain", "64999", "-o", "q.yaml", cwd=tmp_path, code=2)


def test_own_profile_from_a_list_in_place_of_a_shipped_one(tmp_path, started):
    port = sunspec_server(tmp_path, started)
    (tmp_path / "gw/profiles").mkdir(parents=True)
    (tmp_path / "list.csv").write_text(
        "Name;Table;Address;Type;Scale;Unit\nvolts;holding;40072;uint16;0,1;V\nstate;holding;40075;uint16;;\n"
    )
    out = "gw/profiles/sunspec-common.yaml"
    fieldhold("profile", "import", "csv", "list.csv", "-o", out, cwd=tmp_path)
    listed = fieldhold("profile", "list", "sunspec-common", "--profiles", "gw/profiles", cwd=tmp_path).stdout
    assert "yours" in listed and "2 tags" in listed
    lan = free_port()
    device = "profile: sunspec-common, every: 200ms, tags: { state: off, n: { holding: 40076, type: u16 } }"
    gateway = started(Gateway(tmp_path / "gw", config(lan, device).replace("PORT", str(port))))
    recorder = started(Recorder(lan))
    value(recorder, "volts", 231.4)
    value(recorder, "n", 2)
    assert recorder.last("edge/dev/state") is None
    said = fieldhold("check", gateway.config, cwd=tmp_path).stdout
    assert "profiles/sunspec-common.yaml, in place of the shipped one" in said


def test_mistakes_of_lists_and_profiles_are_all_said(tmp_path):
    (tmp_path / "list.csv").write_text("name,table,address,type\na,holding,x,u16\nb,nowhere,1,flaot\n")
    done = fieldhold("profile", "import", "csv", "list.csv", "-o", "p.yaml", cwd=tmp_path, code=2)
    for words in ("list.csv:2:3", "list.csv:3:2", "list.csv:3:4"):
        assert words in done.stderr, done.stderr
    assert not (tmp_path / "p.yaml").exists()
    (tmp_path / "p.yaml").write_text("profile: q\nversion: 1\ngroups: {}\n")
    done = fieldhold("profile", "check", "p.yaml", cwd=tmp_path, code=2)
    assert "p.yaml:1:10 profile: the file is called p.yaml" in done.stderr
    assert "the key title is missing" in done.stderr


def test_every_shipped_profile_is_listed_and_shown(tmp_path):
    listed = fieldhold("profile", "list", cwd=tmp_path).stdout.splitlines()
    assert len(listed) >= 40
    for line in listed[::10]:
        name = line.split()[0]
        shown = fieldhold("profile", "show", name, cwd=tmp_path).stdout
        assert f"profile: {name}" in shown and "source: " in shown and "group " in shown
    fieldhold("profile", "show", "nothing-of-the-kind", cwd=tmp_path, code=2)
