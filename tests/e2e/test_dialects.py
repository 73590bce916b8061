"""Every dialect of Modbus from servers we did not write: right values at the LAN broker."""

import datetime
import ipaddress
import pathlib
import subprocess
import sys

import pytest

from conftest import BINARY, Gateway, Process, Recorder, free_port, listening, wait_for
from test_values import COILS, REGISTERS, TAGS, check_values

HERE = pathlib.Path(__file__).parent
NAMES = [tag[0] for tag in TAGS]


def server(tmp_path, started, *arguments):
    return started(Process([sys.executable, HERE / "pymodbus_server.py", *arguments], tmp_path / "server.log"))


def config(bus, lan):
    tags = "\n".join(f"      {name}: {{ holding: {address}, {kind} }}" for name, address, kind, _, _ in TAGS)
    return f"""
gateway: {{ name: edge, site: works }}
buses:
  line: {bus}
devices:
  dev:
    bus: line
    unit: 1
    every: 500ms
    tags:
{tags}
      coil2: {{ coil: 2 }}
      in1: {{ input: 1, type: i16 }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
store: {{ path: state, commit: 100ms }}
"""


def run(tmp_path, started, bus):
    lan = free_port()
    gateway = started(Gateway(tmp_path / "gw", config(bus, lan)))
    gateway.wait(lambda s: s["broker"])
    recorder = started(Recorder(lan))
    check_values(recorder, NAMES)
    return gateway


def probe(*arguments):
    command = [BINARY, "probe", *arguments, "--unit", "1", "holding", "0", "4"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "FFFF" in done.stdout and "5678" in done.stdout, done.stdout


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
def test_converter_on_tcp(tmp_path, started, framing):
    port = free_port()
    server(tmp_path, started, "tcp", port, framing)
    wait_for(lambda: listening(port), what="the pymodbus server")
    run(tmp_path, started, f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {port}, framing: {framing} }} }}")
    probe("--tcp", f"127.0.0.1:{port}", "--framing", framing)


def test_udp(tmp_path, started):
    port = free_port()
    server(tmp_path, started, "udp", port, "socket")
    run(tmp_path, started, f"{{ modbus-udp: {{ host: 127.0.0.1, port: {port} }} }}")
    probe("--udp", f"127.0.0.1:{port}")


def test_ascii_over_socat(tmp_path, started):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    pair = [f"pty,raw,echo=0,link={end}" for end in (ours, theirs)]
    started(Process(["socat", *pair], tmp_path / "socat.log"))
    wait_for(lambda: ours.exists() and theirs.exists(), what="the line")
    server(tmp_path, started, "serial", theirs, "ascii")
    run(tmp_path, started, f"{{ modbus-ascii: {{ port: {ours}, baud: 19200, data-bits: 8, parity: none }} }}")


def test_converter_dials_in(tmp_path, started):
    """socat connects the slave's line to the gateway, as a converter in client mode does."""
    theirs, at = tmp_path / "theirs", free_port()
    dial = f"tcp:127.0.0.1:{at},retry=100,interval=0.1"
    started(Process(["socat", f"pty,raw,echo=0,link={theirs}", dial], tmp_path / "socat.log"))
    wait_for(theirs.exists, what="the line")
    server(tmp_path, started, "serial", theirs, "rtu")
    bus = f'{{ modbus-tcp: {{ listen: "127.0.0.1:{at}", allow: [127.0.0.1], framing: rtu }} }}'
    gateway = run(tmp_path, started, bus)
    assert gateway.status()["buses"]["line"]["peer"].startswith("127.0.0.1:")


def openssl(*arguments):
    subprocess.run(["openssl", *[str(a) for a in arguments]], check=True, capture_output=True)


def certificates(directory):
    """An authority, and a certificate for the device and one for the gateway."""
    directory.mkdir()
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca = [directory / "ca.pem", directory / "ca.key"]
    openssl("req", "-x509", *curve, "-subj", "/CN=plant", "-days", "2", "-out", ca[0], "-keyout", ca[1])
    for name in ("device", "gateway"):
        request, extensions = directory / f"{name}.csr", directory / f"{name}.ext"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:plc7\n")
        openssl("req", *curve, "-subj", f"/CN={name}", "-out", request, "-keyout", directory / f"{name}.key")
        signed = ["-in", request, "-out", directory / f"{name}.pem", "-days", "2", "-extfile", extensions]
        openssl("x509", "-req", "-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial", *signed)
    return directory


def test_tls_with_client_certificate(tmp_path, started):
    pki, port = certificates(tmp_path / "pki"), free_port()
    server(tmp_path, started, "tls", port, pki)
    wait_for(lambda: listening(port), what="the pymodbus server")
    files = f"ca: {pki}/ca.pem, certificate: {pki}/gateway.pem, key: {pki}/gateway.key"
    tls = f"tls: {{ {files}, server-name: plc7 }}"
    run(tmp_path, started, f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {port}, {tls} }} }}")
    own = ["--certificate", pki / "gateway.pem", "--key", pki / "gateway.key"]
    probe("--tcp", f"127.0.0.1:{port}", "--tls", "--ca", pki / "ca.pem", *own)
    without = [BINARY, "probe", "--tcp", f"127.0.0.1:{port}", "--tls", "--ca", pki / "ca.pem", "holding", "0"]
    refused = subprocess.run([str(word) for word in without], capture_output=True, text=True, timeout=30)
    # What is said of it depends on how the server ends the connection.
    assert refused.returncode == 1 and "the link can't be used" in refused.stderr, refused.stderr
