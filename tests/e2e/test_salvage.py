"""Files that go bad under the gateway: what is whole in them is delivered after all, and `store verify` and
`store salvage` say and do what they promise."""

import json
import random
import shutil
import signal
import sqlite3
import time

import pytest

from conftest import Gateway, Mosquitto, Recorder, free_port, readings, wait_for
from plant import CountingDevice
from test_outage import check_equation, consumers, polls
from test_store import config, store


def damage(file, seed=1):
    """Random bytes over a page in the middle, and over the head of the file."""
    size, rng = file.stat().st_size, random.Random(seed)
    with open(file, "r+b") as f:
        for at in (size // 2 // 4096 * 4096, 16):
            f.seek(at)
            f.write(rng.randbytes(64))


def into_the_file(database):
    """What the log has is brought into the file, as a checkpoint would."""
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()


@pytest.fixture
def away(tmp_path, started):
    """A device, and a gateway whose cloud was never there."""
    device = started(CountingDevice())
    cloud_port = free_port()
    gateway = started(Gateway(tmp_path / "gw", config(device.port, cloud_port, every="10ms")))
    polls(device, 1000, 60)
    return device, gateway, cloud_port


def test_a_damaged_file_comes_back_while_the_gateway_goes_on(away, tmp_path, started):
    device, gateway, cloud_port = away
    waiting = sum(row["waiting"] for row in consumers(gateway.wait(lambda s: True), "cloud"))
    gateway.signal(signal.SIGKILL)
    gateway.child.wait()
    before = device.served
    database = gateway.state / "store" / "queue.db"
    into_the_file(database)
    damage(database)

    began = time.monotonic()
    gateway.start()
    gateway.wait(lambda s: s["store"]["state"] == "ok", 5, "the store")
    took = time.monotonic() - began
    assert took < 3, f"{took} s, with the process and a debug build"
    status = gateway.wait(lambda s: all(q["done"] for q in s["store"]["quarantined"]), 60, "the salvage")
    [aside] = status["store"]["quarantined"]
    assert aside["salvaged"] > 0 and aside["salvaged"] + aside["lost"] >= waiting - 50, aside
    for row in consumers(status, "cloud"):
        check_equation(row)

    cloud = started(Mosquitto(tmp_path / "cloud", cloud_port))
    recorder = started(Recorder(cloud.port))
    status = gateway.wait(lambda s: sum(r["waiting"] for r in consumers(s, "cloud")) < 5, 60, "the drain")
    rows = consumers(status, "cloud")
    dropped = sum(row["dropped"] for row in rows)
    for row in rows:
        check_equation(row)
    served = device.served
    wait_for(lambda: any(v == served or (v or 0) > served for _, v, _, _ in readings(recorder.messages)), 20, "the newest")
    seen = [v for _, v, q, _ in readings(recorder.messages) if q == "good"]
    missing = set(range(1, before)) - set(seen)
    # What was read within the commit window before the kill is not in the file.
    assert len(missing) <= dropped + 60, (len(missing), dropped, aside)
    assert dropped == aside["lost"], (dropped, aside)

    def corrupt_less_back():
        told = [json.loads(m.payload) for m in recorder.messages if m.topic.endswith("/notice")]
        corrupt = sum(t["n"] for t in told if t["notice"] == "gap" and t["reason"] == "corrupt")
        back = sum(t["n"] for t in told if t["notice"] == "salvaged")
        return corrupt - back if back else None

    # A notice is told when it is in the file, and what comes after it one pause of notices later.
    wait_for(lambda: corrupt_less_back() == dropped, 20, "the notices of the loss and of what is back")
    said = store("status", gateway.config).stdout
    assert "was set aside" in said and f"{aside['salvaged']} are back" in said, said
    assert gateway.stop() == 0


def test_verify_says_what_is_wrong(away, tmp_path):
    _, gateway, _ = away
    beside = store("verify", gateway.config)
    assert "sound" in beside.stdout, beside.stdout
    assert gateway.stop() == 0
    database = gateway.state / "store" / "queue.db"
    into_the_file(database)
    found = json.loads(store("verify", "--file", database, "--json").stdout)
    assert found["sound"] and found["items"] > 150 and found["problems"] == [], found

    flipped = tmp_path / "flipped.db"
    shutil.copy(database, flipped)
    connection = sqlite3.connect(flipped)
    seq, body = connection.execute("SELECT seq, body FROM chunk_normal ORDER BY seq LIMIT 1").fetchone()
    body = bytes([body[0] ^ 1]) + body[1:]
    connection.execute("UPDATE chunk_normal SET body = ? WHERE seq = ?", (body, seq))
    connection.commit()
    connection.close()
    said = store("verify", "--file", flipped, code=1).stdout
    assert "damaged" in said and str(seq) in said, said

    missing = tmp_path / "missing.db"
    shutil.copy(database, missing)
    connection = sqlite3.connect(missing)
    connection.execute("DELETE FROM chunk_normal WHERE seq = ?", (seq,))
    connection.commit()
    connection.close()
    found = json.loads(store("verify", "--file", missing, "--json", code=1).stdout)
    assert not found["sound"] and found["problems"], found
    store("verify", "--file", tmp_path / "none.db", code=1)


def test_salvage_brings_a_file_into_another_store(away, tmp_path, started):
    device, gateway, cloud_port = away
    assert gateway.stop() == 0
    served = device.served
    database = gateway.state / "store" / "queue.db"
    into_the_file(database)
    card = tmp_path / "card.db"
    shutil.move(database, card)
    for leftover in gateway.state.glob("store/queue.db-*"):
        leftover.unlink()
    damage(card, 2)
    gateway.start()
    refused = store("salvage", card, "--into", gateway.state, code=1)
    assert "can't salvage" in refused.stderr, refused.stderr
    assert gateway.stop() == 0
    before = card.read_bytes()
    ran = store("salvage", card, "--into", gateway.state, "--json", code=None)
    aside = json.loads(ran.stdout)
    assert aside["done"] and aside["salvaged"] > 100, aside
    assert ran.returncode == (1 if aside["lost"] else 0)
    assert card.read_bytes() == before, "the file itself stays as it is"

    cloud = started(Mosquitto(tmp_path / "cloud", cloud_port))
    recorder = started(Recorder(cloud.port))
    gateway.start()
    status = gateway.wait(lambda s: sum(r["waiting"] for r in consumers(s, "cloud")) < 5, 60, "the drain")
    for row in consumers(status, "cloud"):
        check_equation(row)

    def old():
        return {v for _, v, q, _ in readings(recorder.messages) if q == "good" and v <= served}

    wait_for(lambda: len(old()) + aside["lost"] >= served - 2, 20, "what was on the card")
    assert gateway.stop() == 0
