"""The command line on real input."""

import json
import subprocess

from conftest import BINARY, Gateway, free_port
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
    offline = fieldhold("store", "status", gateway.state)
    assert offline.returncode == 0, offline.stderr
    assert json.loads(offline.stdout)["consumers"]
    dead = fieldhold("status", gateway.config)
    assert dead.returncode == 1 and "not running" in dead.stderr


def test_demo_shows_an_outage_and_the_drain():
    """Without a terminal the demo takes its keys as words on standard input."""
    words = "wait 4\ncut\nwait 4\nrestore\nwait 6\nunplug\nwait 2\nplug\nkill\nwait 2\nrevive\nwait 4\nquit\n"
    result = fieldhold("demo", input=words)
    assert result.returncode == 0, result.stderr
    last = result.stdout.strip().splitlines()[-1]
    assert last.startswith("read ") and " = delivered " in last, result.stdout
