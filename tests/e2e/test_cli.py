"""The command line on real input."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pytest

from conftest import BINARY, ROOT, Gateway, free_port, wait_for
from plant import CountingDevice
from test_outage import check_equation, config, consumers, polls


def fieldhold(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


def test_probe_reads_registers(started):
    device = started(CountingDevice())
    result = fieldhold("probe", "--tcp", f"127.0.0.1:{device.port}", "--unit", 1, "holding", 2, 3)
    assert result.returncode == 0, result.stderr
    assert "15" in result.stdout and "22" in result.stdout and "29" in result.stdout
    gone = fieldhold("probe", "--tcp", f"127.0.0.1:{free_port()}", "--unit", 1, "holding", 2, 3)
    assert gone.returncode == 1 and "refused" in gone.stderr.lower()


def test_status_shows_the_equation(tmp_path, started):
    device = started(CountingDevice())
    gateway = started(Gateway(tmp_path / "gw", config(device, free_port(), free_port())))
    polls(device, 20)
    asked = fieldhold("status", gateway.config, "--json")
    assert asked.returncode == 0, asked.stderr
    status = json.loads(asked.stdout)
    for row in consumers(status):
        check_equation(row)
    shown = fieldhold("status", gateway.config)
    assert "waiting" in shown.stdout and "count" in shown.stdout
    assert gateway.stop() == 0
    offline = fieldhold("store", "status", gateway.config, "--json")
    assert offline.returncode == 0, offline.stderr
    assert json.loads(offline.stdout)["consumers"]
    listed = fieldhold("store", "status", "--state-dir", gateway.state)
    assert "uplink cloud" in listed.stdout and " = delivered " in listed.stdout, listed.stdout
    dead = fieldhold("status", gateway.config)
    assert dead.returncode == 1 and "not running" in dead.stderr


def test_demo_shows_an_outage_and_the_drain():
    """Without a terminal the demo takes its keys as words on standard input."""
    words = "wait 4\ncut\nwait 4\nrestore\nwait 6\nunplug\nwait 2\nplug\nkill\nwait 2\nrevive\nwait 4\nquit\n"
    result = fieldhold("demo", input=words)
    assert result.returncode == 0, result.stderr
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith("read ") and " = delivered " in last, result.stdout


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["check", "missing.yaml"], 2, ["missing.yaml can't be read", "configs/minimal.yaml"]),
        (["run", "."], 2, ["Is a directory", "which file in this directory"]),
        (["status", "missing.yaml"], 2, ["missing.yaml can't be read", "with --state-dir DIR the gateway"]),
        (["store", "status", "--state-dir", "nothing"], 1, ["there is no store file nothing/store/queue.db", "store: path"]),
        (["status", "--state-dir", "nothing"], 1, ["nothing/control.sock", "not running", "fieldhold run"]),
        (["status", "--state-dir", "x" * 120], 1, ["more than 107 bytes", "shorter"]),
        (["probe", "--tcp", "127.0.0.1:x", "coil", 0], 2, ['"x" is not a port']),
        (["probe", "--tcp", "127.0.0.1", "coil", 65000, 3000], 2, ["beyond 65535"]),
        (["probe", "--rtu", "gone", "coil", 0], 1, ["gone: No such file", "plugged in"]),
        (["probe", "--rtu", "/dev/null", "--unit", 0, "coil", 0], 2, ["1 to 247"]),
        (["probe", "--rtu", ".", "coil", 0], 1, ["not a serial port"]),
    ],
)
def test_errors_say_where_what_and_what_to_do(tmp_path, arguments, code, words):
    result = fieldhold(*arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def test_a_second_gateway_is_told_about_the_first(tmp_path, started):
    gateway = started(Gateway(tmp_path / "gw", config(started(CountingDevice()), free_port(), free_port())))
    second = fieldhold("run", gateway.config)
    assert second.returncode == 1 and "in use" in second.stderr and "running already" in second.stderr, second.stderr


@pytest.mark.parametrize("words", ["a=b=c", "inof"])
def test_a_mistake_in_the_words_of_the_log_is_said_and_keeps_nothing_from_starting(tmp_path, started, monkeypatch, words):
    monkeypatch.setenv("FIELDHOLD_LOG", words)
    gateway = started(Gateway(tmp_path / "gw", "gateway: { name: g }\nstore: { path: state }\n"))
    said = gateway.output()
    assert "WARN" in said and "FIELDHOLD_LOG" in said and words in said, said
    assert "INFO" in said and "running" in said, said


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["profile", "list"], 0),
        (["profile", "show", "eastron-sdm630"], 0),
        (["check", ROOT / "configs/minimal.yaml"], 0),
        (["frame", "--list"], 0),
        (["--help"], 0),
        (["check", "missing.yaml"], 2),
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, arguments, code):
    """As in `fieldhold profile list | head -1`, here with a reader that saw nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        child = [BINARY, *map(str, arguments)]
        silent = subprocess.run(child, stdout=writer, stderr=writer, cwd=tmp_path, timeout=60)
        assert silent.returncode == code
        said = subprocess.run(child, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=60)
        assert said.returncode == code and "panic" not in said.stderr, said.stderr
    finally:
        os.close(writer)


def test_a_disk_that_takes_no_output_is_said():
    with open("/dev/full", "w") as full:
        result = subprocess.run([BINARY, "profile", "list"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert result.returncode == 1, result.stderr
    assert result.stderr == "fieldhold: can't write to standard output: No space left on device (os error 28)\n"


def test_what_follows_ends_with_its_reader(tmp_path, started):
    gateway = started(Gateway(tmp_path / "gw", config(started(CountingDevice()), free_port(), free_port())))
    child = subprocess.Popen(
        [BINARY, "trace", "line", gateway.config, "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline()
        child.stdout.close()
        assert child.wait(15) == 0, child.stderr.read()
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def test_demo_refuses_a_taken_port(started):
    device = started(CountingDevice())
    result = fieldhold("demo", "--lan", f"127.0.0.1:{device.port}", input="quit\n")
    assert result.returncode == 1 and "can't listen" in result.stderr, result.stderr


def test_demo_draws_and_gives_the_terminal_back(tmp_path):
    """On a pseudo terminal of 80x24: the picture fits, SIGTERM ends it in order, the terminal is as before."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(side)
    child = subprocess.Popen([BINARY, "demo"], stdin=side, stdout=side, stderr=side, env={**os.environ, "TMPDIR": str(tmp_path)})
    seen = bytearray()

    def read():
        with contextlib.suppress(OSError):  # the last of the terminal's users has gone
            while True:
                seen.extend(os.read(main, 65536))

    threading.Thread(target=read, daemon=True).start()
    try:
        wait_for(lambda: "● online".encode() in seen, what="the picture")
        os.write(main, b"x")
        wait_for(lambda: b"there is no key" in seen, what="the note about the key")
        os.write(main, b"c")
        wait_for(lambda: "✕ offline".encode() in seen and b"RESTORE" in seen, what="the outage")
        child.terminate()
        assert child.wait(15) == 0
        wait_for(lambda: b"= delivered" in seen.split(b"\x1b[?1049l")[-1], what="the last line")
        picture = bytes(seen).split(b"\x1b[?1049l")[0]
        assert b"\n" not in picture, "a line feed would scroll"
        rows = {int(row) for row in re.findall(rb"\x1b\[(\d+);1H", picture)}
        assert max(rows) <= 24, rows
        wait_for(lambda: b"\x1b[?25h" in seen, what="the cursor")
        assert termios.tcgetattr(side) == before
        assert not list(tmp_path.iterdir()), "the temporary store was left behind"
    finally:
        child.kill()
        child.wait()
        os.close(side)
