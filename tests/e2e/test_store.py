"""`fieldhold store` on the stores of running and stopped gateways, on copies, and on damaged files."""

import csv
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

import pytest

from conftest import BINARY, Gateway, Mosquitto, Process, free_port, wait_for
from page import Page
from plant import CountingDevice
from test_commands import publish
from test_disk import SmallDisk
from test_outage import check_equation, consumers, polls
from test_values import HERE, TAGS
from test_values import config as values_config

WAITING = ["--consumer", "cloud"]


def config(port, cloud_port, every="50ms", store="commit: 100ms", tags="count: { holding: 0, type: u32 }", lan=None):
    return f"""
gateway: {{ name: edge, site: works }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {port} }} }}
devices:
  press: {{ bus: line, unit: 1, every: {every}, tags: {{ {tags} }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan or free_port()}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud_port}", send: [ "#" ] }}
store: {{ path: state, {store} }}
"""


def store(*arguments, code=0, **options):
    ran = subprocess.run(
        [BINARY, "store", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options
    )
    assert code in (None, ran.returncode), (ran.returncode, ran.stdout[-2000:], ran.stderr[-2000:])
    return ran


def ndjson(*arguments, **options):
    said = store("export", *arguments, "--format", "ndjson", **options)
    return [json.loads(line) for line in said.stdout.splitlines()]


def table(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def site(tmp_path, started):
    """A counting device and a gateway whose uplink is away."""
    device = started(CountingDevice())
    return device, started(Gateway(tmp_path / "gw", config(device.port, free_port())))


@pytest.fixture
def stopped(site):
    """The stopped gateway of a site, and how many values the device had served."""
    device, gateway = site
    polls(device, 60)
    assert gateway.stop() == 0
    return gateway, device.served


def test_export_beside_a_running_gateway_is_what_waits(site):
    device, gateway = site
    polls(device, 40)
    before = consumers(gateway.status(), "cloud")
    rows = ndjson(gateway.config, *WAITING)
    after = consumers(gateway.status(), "cloud")
    waiting = [sum(row["waiting"] for row in of) for of in (before, after)]
    assert waiting[0] <= len(rows) <= waiting[1], (waiting, len(rows))
    assert [row["position"] for row in rows] == list(range(len(rows)))
    good = [row["value"] for row in rows if row["quality"] == "good"]
    assert good == sorted(set(good)) and len(good) >= 40
    assert set(good) <= set(range(1, device.served + 1))
    assert {row["topic"] for row in rows} == {"works/edge/press/count"}
    # It reads beside, it does not hold up: the gateway goes on and nothing was lost.
    polls(device, 10)
    for row in consumers(gateway.status()):
        check_equation(row)
        assert row["dropped"] == 0


def test_values_of_a_pymodbus_device_come_out_exactly(tmp_path, started):
    port = free_port()
    started(Process([sys.executable, HERE / "pymodbus_server.py", "tcp", port], tmp_path / "server.log"))
    bus = f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {port} }} }}"
    gateway = started(Gateway(tmp_path / "gw", values_config(bus, free_port(), free_port())))
    gateway.wait(lambda s: s["buses"]["line"]["devices"][0].get("ok", 0) > 5, what="answers")
    got = {row["tag"]: row["value"] for row in ndjson(gateway.config, "--tag", "works/+/dev/#")}
    cells = {row["tag"]: row["value"] for row in table(store("export", gateway.config).stdout)}
    for name, _, _, _, value in TAGS:
        assert got[name] == value and type(got[name]) is type(value), (name, got[name], value)
        if value is None:
            assert cells[name] == ""
        elif isinstance(value, float):
            assert float(cells[name]) == value
        elif isinstance(value, (bool, list)):
            assert json.loads(cells[name]) == value
        else:
            assert cells[name] == str(value)


def test_filters_formats_and_files(stopped, tmp_path):
    gateway, served = stopped
    rows = ndjson(gateway.config)
    assert len(rows) >= 60
    middle = rows[len(rows) // 2]
    later = ndjson(gateway.config, "--from", middle["time"])
    earlier = ndjson(gateway.config, "--to", middle["time"])
    assert [*earlier, *later] == rows and later[0]["ms"] >= middle["ms"] > earlier[-1]["ms"]
    assert ndjson(gateway.config, "--class", "alarm") == []
    assert ndjson(gateway.config, "--tag", "other/#") == []
    cells = table(store("export", "--state-dir", gateway.state).stdout)
    assert [row["id"] for row in cells] == [row["id"] for row in rows]
    assert [row["value"] for row in cells if row["value"]] == [str(r["value"]) for r in rows if r["value"] is not None]
    out = tmp_path / "out.csv"
    store("export", gateway.config, "-o", out)
    assert table(out.read_text()) == cells
    assert "nothing is overwritten" in store("export", gateway.config, "-o", out, code=2).stderr
    assert table(out.read_text()) == cells
    assert "cloud" in store("export", gateway.config, "--consumer", "clout", "-o", tmp_path / "no", code=2).stderr
    assert not (tmp_path / "no").exists()
    store("export", gateway.config, "--from", "yesterday", code=2)
    # Who has had enough is no failure.
    short = subprocess.run(
        f"{BINARY} store export {gateway.config} 2>/dev/null | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, timeout=60,
    )
    assert short.returncode == 0 and short.stdout.startswith("time,class,"), short


def test_a_copy_can_be_read_by_who_may_not_write(stopped):
    gateway, _ = stopped
    expected = ndjson(gateway.config, *WAITING)
    assert expected
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for part in ("queue.db", "queue.db-wal"):
            shutil.copy(gateway.state / "store" / part, place)
            os.chmod(f"{place}/{part}", 0o444)
        who = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        program = shutil.copy(BINARY, place)
        os.chmod(program, 0o755)
        os.chmod(place, 0o555)
        ran = subprocess.run(
            [program, "store", "export", "--file", f"{place}/queue.db", "--format", "ndjson", *WAITING],
            capture_output=True, text=True, timeout=60, cwd=place, **who,
        )
        assert ran.returncode == 0, ran.stderr
        assert [json.loads(line) for line in ran.stdout.splitlines()] == expected
        assert sorted(os.listdir(place)) == sorted([os.path.basename(program), "queue.db", "queue.db-wal"])
        os.chmod(place, 0o755)


def test_other_programs_are_kept_out_while_it_runs(tmp_path, started):
    """SQLite's own tool would bring the log into the file when it ends, and delete it under the gateway's feet."""
    device, port, lan = started(CountingDevice()), free_port(), free_port()
    web = f'web: {{ listen: "127.0.0.1:{port}", tls: off }}\n'
    gateway = started(Gateway(tmp_path / "gw", config(device.port, free_port(), lan=lan) + web))
    wait_for(lambda: ndjson(gateway.config), what="values in the file")
    publish(lan, "lan/kept", "safe", retain=True)
    # Whatever the gateway itself reads of its files, it keeps them.
    assert Page(gateway, port).get("/store/drops")["rows"] == []
    for name in ("queue.db", "broker.db"):
        other = sqlite3.connect(f"file:{gateway.state}/store/{name}?mode=rw", uri=True, timeout=0.1)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        other.close()
    assert not list((gateway.state / "store").glob("*-shm")), "no memory is shared by way of a file"
    store("verify", gateway.config)
    assert gateway.stop() == 0


def test_damaged_chunks_are_left_out_and_told(stopped, tmp_path):
    gateway, _ = stopped
    expected = ndjson(gateway.config)
    path = tmp_path / "queue.db"
    shutil.copy(gateway.state / "store" / "queue.db", path)
    shutil.copy(gateway.state / "store" / "queue.db-wal", tmp_path / "queue.db-wal")
    with sqlite3.connect(path) as db:
        seq, n = db.execute("SELECT seq, n FROM chunk_normal ORDER BY seq LIMIT 1 OFFSET 3").fetchone()
        db.execute("UPDATE chunk_normal SET body = zeroblob(length(body)) WHERE seq = ?", [seq])
    db.close()
    said = store("export", "--file", path, "--format", "ndjson", *WAITING, code=1)
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    assert rows == [row for row in expected if not seq <= row["position"] < seq + n]
    assert f"class normal, positions {seq} to {seq + n - 1} " in said.stderr, said.stderr


def test_tail_follows_what_comes(tmp_path, started):
    device = started(CountingDevice())
    cloud = started(Mosquitto(tmp_path / "cloud"))
    gateway = started(Gateway(tmp_path / "gw", config(device.port, cloud.port)))
    polls(device, 20)
    last = store("tail", gateway.config, "-n", 5).stdout.splitlines()
    assert len(last) == 5 and all("● works/edge/press/count  " in line for line in last), last
    # What was delivered at once never comes into the file, and is shown all the same.
    follow = started(Process([BINARY, "store", "tail", "-f", "--json", "-n", "0", gateway.config], tmp_path / "follow"))
    wait_for(lambda: follow.output().count("\n") >= 1, what="the first row")
    first = json.loads(follow.output().splitlines()[0])["value"]
    polls(device, 60)
    wait_for(lambda: follow.output().count("\n") >= 60, what="rows as they come")
    follow.signal(signal.SIGINT)
    assert follow.child.wait(10) == 0
    rows = [json.loads(line) for line in follow.output().splitlines()]
    assert not any("missed" in row for row in rows)
    good = [row["value"] for row in rows if row["quality"] == "good"]
    positions = [row["position"] for row in rows]
    assert good[0] == first and len(good) >= 50 and good == sorted(set(good))
    assert positions == list(range(positions[0], positions[0] + len(positions))), "none left out"
    assert gateway.stop() == 0
    gone = store("tail", "-f", gateway.config, code=1)
    assert "not running" in gone.stderr


def test_tail_of_a_stopped_store_is_the_end_of_its_file(stopped):
    gateway, _ = stopped
    rows = ndjson(gateway.config)
    tail = store("tail", gateway.config, "-n", 7, "--json").stdout.splitlines()
    assert [json.loads(line) for line in tail] == rows[-7:]


def test_drops_are_told_while_running_and_from_the_file(tmp_path, started):
    device = started(CountingDevice())
    text = config(device.port, free_port())
    more = text.replace("uplinks:\n", f'uplinks:\n  other: {{ url: "mqtt://127.0.0.1:{free_port()}" }}\n')
    gateway = started(Gateway(tmp_path / "gw", more))
    assert "nothing was dropped" in store("drops", gateway.config).stdout
    polls(device, 40)
    gateway.write(text)
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda s: s["store"]["drops"], what="the ledger's row")
    shown = store("drops", gateway.config).stdout
    assert "the uplink was taken out of the configuration (consumer-removed)" in shown, shown
    (running,) = json.loads(store("drops", gateway.config, "--json").stdout)
    assert running["consumer"] == "other" and running["n"] >= 40
    assert gateway.stop() == 0
    (closed,) = json.loads(store("drops", gateway.config, "--json").stdout)
    assert closed == running
    (cells,) = table(store("drops", gateway.config, "--csv").stdout)
    assert (cells["uplink"], cells["count"], cells["reason"]) == ("other", str(running["n"]), "consumer-removed")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_an_overflow_of_memory_is_in_the_ledger_to_the_last_reading(tmp_path, started):
    disk = started(SmallDisk(tmp_path / "gw" / "state"))
    device = started(CountingDevice())
    tags = "count: { holding: 0, type: u32 }, "
    tags += ", ".join(f"r{r}: {{ holding: {r}, type: u16 }}" for r in range(2, 102))
    text = config(device.port, free_port(), every="20ms", store="commit: 100ms, ram: 1MiB", tags=tags)
    gateway = started(Gateway(tmp_path / "gw", text))
    polls(device, 20)
    disk.fill()
    gateway.wait(lambda s: any("ram-full" in r["dropped_why"] for r in consumers(s)), 60, "drops, counted")
    said = store("export", gateway.config, "-o", tmp_path / "part.csv").stderr
    assert "in memory alone is not exported" in said, said
    assert "✕ ram-only" in store("status", gateway.config).stdout
    disk.free()
    gateway.wait(lambda s: s["store"]["state"] == "ok", 30, "the store on disk again")
    shown = store("drops", gateway.config).stdout
    assert "the memory was full before the disk took it (ram-full)" in shown, shown
    assert gateway.stop() == 0
    rows = json.loads(store("drops", gateway.config, "--json").stdout)
    closed = json.loads(store("status", gateway.config, "--json").stdout)
    assert sum(row["n"] for row in rows) == sum(row["dropped"] for row in consumers({"store": closed})) > 0
    for row in consumers({"store": closed}):
        check_equation(row)


def test_status_of_running_and_closed_stores(site):
    device, gateway = site
    polls(device, 20)
    shown = store("status", gateway.config).stdout
    assert "● ok" in shown and "uplink cloud · required" in shown and " = delivered 0 + waiting " in shown, shown
    assert "oldest" in shown
    for row in consumers({"store": json.loads(store("status", gateway.config, "--json").stdout)}):
        check_equation(row)
    assert gateway.stop() == 0
    closed = store("status", "--state-dir", gateway.state).stdout
    assert "no gateway uses it" in closed and "closed in order" in closed and "waiting" in closed, closed
    copied = store("status", "--file", gateway.state / "store" / "queue.db", "--json").stdout
    assert json.loads(copied)["consumers"][0]["name"] == "cloud"
