"""The soak in short, and its judge: a leak, a loss and a wrong value that are put in must be found.

`tests/soak HOURS` is the long form. FIELDHOLD_SOAK_SECONDS makes the one here longer.
"""

import json
import math
import os
import random
import types

import pytest
from soak import report, run, values, watch
from soak.cloud import HEAD
from soak.field import MAY, MUST, MUST_NOT, Device
from soak.oracle import Oracle

SECONDS = float(os.environ.get("FIELDHOLD_SOAK_SECONDS", "60"))
EVERY_S = 5.0
TAGS = 4
T0 = 1_800_000_000.0


def test_hours_of_faults_in_a_minute(tmp_path):
    """All criteria but the slope, for which a minute says nothing."""
    result = run.soak(tmp_path / "soak", SECONDS, int(os.environ.get("FIELDHOLD_SOAK_SEED", "7")), EVERY_S)
    missed = [criterion for criterion in result["criteria"] if not criterion["ok"]]
    assert not missed, json.dumps({"missed": missed, "judgement": result["judgement"], "faults": result["fault_list"]}, indent=1)
    assert result["faults"]["n"] >= SECONDS / EVERY_S / 2
    file = tmp_path / "soak.json"
    file.write_text(report.compact(result))
    assert json.loads(file.read_text()) == json.loads(json.dumps(result))
    again = run.judge_again(tmp_path / "soak", json.loads(file.read_text()))
    assert again["criteria"] == json.loads(file.read_text())["criteria"] and again["judgement"] == result["judgement"]
    report.write(file)
    page = file.with_suffix(".md").read_text()
    assert "Every criterion is met." in page and str(tmp_path) not in page + file.read_text()


class Plant:
    """Three devices that answer every 100 ms for a minute, and a cloud that gets what a test lets through."""

    def __init__(self, directory):
        self.devices = [Device(k, name, TAGS, 0) for k, name in enumerate(["d0", "d1", "d2"])]
        self.oracle = Oracle(self.devices, directory, 1.0, 0.5)
        self.file, self.directory = b"", directory
        self.rows = []  # (device, serial, tag, time)
        for step in range(600):
            for device in self.devices:
                serial, _ = device.read(0, 4 * TAGS, MUST)
                now = device.begins[serial] = device.times[serial] = T0 + step / 10
                device.befores[serial] = now - 0.05
                self.rows += [(device.index, serial, tag, device.times[serial]) for tag in range(TAGS)]
        self.notice({"id": "aa-g1", "notice": "new-epoch", "class": "bulk", "prefix": "aa-b", "from": 0})

    def notice(self, body):
        self.put("works/soak/notice", body)

    def put(self, topic, body):
        payload = json.dumps(body).encode()
        self.file += HEAD.pack(len(topic) + len(payload), len(topic)) + topic.encode() + payload

    def send(self, keep=lambda row: True, position=None, row=None):
        """Everything that `keep` lets through, each at its place in the order; or one row at a position of its own."""
        rows = enumerate(self.rows) if row is None else [(position, row)]
        for at, (k, serial, tag, when) in rows:
            if keep(self.rows[at] if row is None else row):
                value = values.make(k, tag, serial)
                self.put("x", {"id": f"aa-b-{at}", "ts": round(1000 * when), "device": f"d{k}", "values": {f"t{tag:02}": value}})

    def bad(self, position, k, tag, when):
        body = {"id": f"aa-b-{position}", "ts": round(1000 * when), "device": f"d{k}", "values": {f"t{tag:02}": None}}
        self.put("x", body | {"q": {f"t{tag:02}": "bad:no-answer"}})

    def judge(self, safe=(), session=()):
        (self.directory / "received-00001").write_bytes(self.file)
        self.oracle.read()
        return self.oracle.judge(dict(safe), dict.fromkeys(session, 1))


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path)


def verdict(found):
    return found["lost"], found["wrong"], found["positions_untold"]


def test_a_run_without_fault_is_clean(plant):
    plant.send()
    found = plant.judge()
    assert verdict(found) == (0, 0, 0) and found["arrived"] == found["served"] == 3 * 600 * TAGS, found


def test_one_lost_reading_is_found(plant):
    plant.send(lambda row: row[:3] != (1, 300, 2))
    assert verdict(plant.judge()) == (1, 0, 1)


def test_a_lost_reading_whose_position_was_given_to_the_next_is_found(plant):
    """Nobody who counts positions would see it."""
    plant.rows.remove((1, 300, 2, T0 + 30))
    plant.send()
    assert verdict(plant.judge()) == (1, 0, 0)


def test_a_kill_excuses_its_window_and_nothing_before(plant):
    plant.oracle.events.kills.append((T0 + 30.0, T0 + 30.2))
    plant.send(lambda row: not T0 + 28.55 < row[3] < T0 + 30.0)
    found = plant.judge()
    assert found["lost"] == 0 and found["missing"] == {"within the window before a kill": 3 * 14 * TAGS}, found
    assert 1350 <= found["oldest_lost_before_a_kill_ms"] <= 1450, found


def test_what_was_answered_to_a_gateway_that_is_gone_is_in_the_window_of_its_kill(plant):
    """A request that it had sent is answered when the next has been begun."""
    plant.oracle.events.kills.append((T0 + 29.9, T0 + 29.998))
    plant.send(lambda row: not T0 + 29.85 < row[3] < T0 + 30.15)
    assert plant.judge()["missing"] == {"within the window before a kill": 2 * 3 * TAGS, "lost": 3 * TAGS}


def test_what_only_the_lan_saw_is_judged_again(plant, tmp_path):
    plant.send()
    said = {"v": values.make(0, 1, 5), "ts": round(1000 * (T0 + 0.75))}
    plant.oracle.live("plant/d0/t01", json.dumps(said))
    plant.oracle.live("plant/d0/t02", json.dumps(said))
    (tmp_path / "cloud").mkdir()
    plant.oracle.directory = plant.directory = tmp_path / "cloud"
    found = plant.judge()
    assert verdict(found) == (0, 1, 0) and found["time_off_s"] == 0.25, found
    run.remember(tmp_path, plant.oracle, {}, {})
    assert run.judge_again(tmp_path, {"criteria": []})["judgement"] == found


def test_what_was_lost_before_the_window_of_a_kill_is_found(plant):
    plant.oracle.events.kills.append((T0 + 30.0, T0 + 30.2))
    plant.send(lambda row: not T0 + 28.35 < row[3] < T0 + 30.0)
    assert plant.judge()["lost"] == 3


def test_a_gap_excuses_its_time_and_its_number(plant):
    lost = [at for at, row in enumerate(plant.rows) if T0 + 30 <= row[3] < T0 + 31]
    gap = {"id": "aa-g2", "notice": "gap", "class": "bulk", "from": lost[0], "to": lost[-1] + 1, "reason": "ram-full"}
    plant.notice(gap | {"n": len(lost), "ts_from": round(1000 * T0 + 30_000), "ts_to": round(1000 * T0 + 30_900)})
    plant.send(lambda row: not T0 + 30 <= row[3] < T0 + 31)
    found = plant.judge()
    assert verdict(found) == (0, 0, 0) and found["missing"] == {"told as a gap": len(lost)}, found


def test_more_lost_than_a_gap_says_is_found(plant):
    gap = {"id": "aa-g2", "notice": "gap", "class": "bulk", "from": 3600, "to": 3601, "n": 1, "reason": "ram-full"}
    plant.notice(gap | {"ts_from": round(1000 * T0 + 30_000), "ts_to": round(1000 * T0 + 30_900)})
    plant.send(lambda row: not T0 + 30 <= row[3] < T0 + 31)
    found = plant.judge()
    assert found["lost"] == 1 and found["positions_untold"] == 10 * 3 * TAGS - 1, found


def test_a_damaged_file_excuses_no_more_than_was_waiting(plant):
    told = {"id": "aa-g2", "notice": "gap", "class": "bulk", "from": 0, "to": 1_000_000, "n": 1_000_000, "reason": "corrupt"}
    plant.notice(told | {"prefix": "zz-b", "ts_from": None, "ts_to": None})
    plant.oracle.events.damages.append((T0 + 20, T0 + 31, 3 * 5 * TAGS))
    plant.send(lambda row: not T0 + 29.96 < row[3] < T0 + 30.55)
    found = plant.judge()
    assert found["missing"] == {"told as corrupt": 3 * 5 * TAGS, "lost": 3 * TAGS} and found["lost"] == 3, found


def test_what_was_on_its_way_at_a_new_epoch_counts_under_the_prefix_before(plant):
    half = len(plant.rows) // 2
    for at, (k, serial, tag, when) in enumerate(plant.rows):
        if at != half + 30:
            prefix = "aa-b" if at < half + 20 else "bb-b"
            body = {"id": f"{prefix}-{at}", "ts": round(1000 * when), "device": f"d{k}"}
            plant.put("x", body | {"values": {f"t{tag:02}": values.make(k, tag, serial)}})
    plant.notice({"id": "bb-g5", "notice": "new-epoch", "class": "bulk", "prefix": "bb-b", "from": half})
    # A new file begins to count its notices anew.
    plant.notice({"id": "cc-g1", "notice": "new-epoch", "class": "bulk", "prefix": "cc-b", "from": 0})
    found = plant.judge()
    assert verdict(found) == (1, 0, 1) and found["positions_examples"] == {"bb-b": [half + 30]}, found


def test_a_bad_reading_excuses_one_answer(plant):
    plant.send(lambda row: row[:2] not in [(1, 300), (1, 301)])
    for tag in range(TAGS):
        plant.bad(len(plant.rows) + tag, 1, tag, T0 + 30.3)
    found = plant.judge()
    assert found["missing"] == {"no answer, says a bad reading": TAGS, "lost": TAGS}, found


def test_a_bad_reading_of_another_request_excuses_nothing(plant):
    plant.send(lambda row: row[:2] != (1, 300))
    for tag in range(TAGS):
        plant.bad(len(plant.rows) + tag, 1, tag, T0 + 29.9)
        plant.bad(len(plant.rows) + TAGS + tag, 1, tag, T0 + 31.6)
    assert plant.judge()["missing"] == {"lost": TAGS}


def test_requests_that_waited_together_each_have_their_bad_reading(plant):
    """The plant stood still for two requests, which the gateway gave up one after the other."""
    device = plant.devices[1]
    device.befores[300], device.times[300] = T0 + 29.0, T0 + 30.0
    device.befores[301], device.times[301] = T0 + 30.0, T0 + 30.001
    plant.send(lambda row: row[:2] not in [(1, 300), (1, 301)])
    for tag in range(TAGS):
        plant.bad(len(plant.rows) + tag, 1, tag, T0 + 29.4)
        plant.bad(len(plant.rows) + TAGS + tag, 1, tag, T0 + 29.8)
    assert plant.judge()["missing"] == {"no answer, says a bad reading": 2 * TAGS}


def test_what_was_asked_of_a_line_to_tell_its_answers_apart_is_no_poll(plant):
    for device in plant.devices[:2]:
        device.read(0, 4, MUST)
    plant.devices[1].polls_whole = True
    plant.send(lambda row: row[:2] != (1, 300))
    assert [lost[:2] for lost in map(eval, plant.judge()["lost_examples"])] == [("d0", 600), ("d1", 300)]


def test_one_request_of_each_bus_is_under_way_at_a_stop(plant):
    plant.oracle.events.stops.append((T0 + 30.2, T0 + 30.5))
    plant.send(lambda row: not (row[0] == 1 and row[1] in (300, 301)))
    assert plant.judge()["lost"] == 1


def test_what_was_under_way_at_the_stop_before_a_damage_is_not_what_was_told(plant):
    """Two answers were in the file, and are told; the last one of each device never came."""
    told = {"id": "aa-g2", "notice": "gap", "class": "bulk", "from": 0, "to": 2 * TAGS, "n": 2 * TAGS, "reason": "corrupt"}
    plant.notice(told | {"prefix": "zz-b", "ts_from": None, "ts_to": None})
    plant.oracle.events.stops.append((T0 + 30.3, T0 + 30.45))
    plant.oracle.events.damages.append((T0 + 20, T0 + 31, 1_000))
    plant.send(lambda row: row[1] != 304 and row[:2] not in [(1, 300), (2, 300)])
    found = plant.judge()
    assert found["missing"] == {"told as corrupt": 2 * TAGS, "under way when its bus was stopped": 3 * TAGS}, found
    assert found["lost"] == 0


def one(device, tag, value, position=10_000):
    body = {"id": f"aa-b-{position}", "ts": round(1000 * T0), "device": device, "values": {tag: value}}
    return lambda plant: plant.put("x", body)


def much_later(plant):
    """Served now, and sent with the time of the others."""
    serial, _ = plant.devices[2].read(0, 4 * TAGS, MUST)
    plant.send(row=(2, serial, 0, T0 + 60), position=10_000)


WRONG = {
    "a value that was never served": lambda plant: plant.send(row=(1, 599_000, 2, T0 + 1), position=10_000),
    "another tag's value": one("d0", "t01", values.make(0, 2, 0)),
    "another device's value": one("d1", "t01", values.make(0, 1, 0)),
    "a damaged value": one("d0", "t01", values.make(0, 1, 0) ^ 1 << 30),
    "no value of quality good": one("d0", "t01", None),
    "a tag that does not exist": one("d0", "t33", values.make(0, 33, 0)),
    "one id with two values": lambda plant: plant.send(row=(1, 5, 2, T0 + 0.5), position=7),
    "a value under a second id": lambda plant: plant.send(row=(1, 5, 2, T0 + 0.5), position=10_000),
    "a time that is not its own": much_later,
    "an answer under a wrong id": lambda plant: plant.devices[2].set_fate(9, MUST_NOT),
    "a notice that changed": lambda plant: plant.notice(
        {"id": "aa-g1", "notice": "new-epoch", "class": "bulk", "prefix": "aa-b", "from": 1}
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(plant, what):
    plant.send()
    WRONG[what](plant)
    assert plant.judge()["wrong"] >= 1


def test_repetitions_and_late_answers_are_right(plant):
    plant.devices[1].set_fate(9, MAY)
    plant.send(lambda row: row[:2] != (1, 9) or row[2] == 0)
    plant.send(lambda row: row[1] == 100)
    found = plant.judge()
    assert (found["lost"], found["wrong"], found["duplicates"]) == (0, 0, 3 * TAGS), found


def test_a_lost_message_of_the_lan_is_found(plant):
    plant.send()
    for number in (1, 2):
        plant.file += HEAD.pack(7 + 16, 7) + b"chaos/x" + b"%016d" % number
    found = plant.judge({1: T0, 2: T0, 3: T0}, [1, 3])
    assert (found["lan_lost_to_cloud"], found["lan_lost_to_session"]) == (1, 1), found


def test_a_torn_record_at_the_end_of_a_life_is_left_out(plant, tmp_path):
    plant.send()
    whole, plant.file = plant.file, plant.file[:-5]
    assert verdict(plant.judge()) == (1, 0, 0)
    (tmp_path / "received-00002").write_bytes(whole)
    found = plant.judge()
    assert verdict(found) == (0, 0, 0) and found["duplicates"] == len(plant.rows) - 1, found


def memory(leak_per_h, minutes, seed, walk=6.0):
    """RSS every 10 s: noise, steps of the allocator up and down around a level, and a leak in KiB per hour."""
    dice, level, rows = random.Random(seed), 0.0, []
    for at in range(0, minutes * 60, 10):
        level = 0.97 * level + dice.gauss(0, walk)
        rss = 30_000 + level + dice.choice([0, 0, 0, 64]) + leak_per_h * at / 3600
        rows.append({"up": float(at), "rss": 4 * round(rss / 4)})
    return rows


def test_a_leak_is_found_and_noise_is_none():
    flat = [watch.slope(memory(0, 45, seed), 600)["ok"] for seed in range(40)]
    leaking = [watch.slope(memory(400, 45, seed), 600)["ok"] for seed in range(40)]
    assert sum(flat) >= 38, flat
    assert not any(leaking), leaking


def test_a_slope_is_right_and_a_short_life_says_nothing():
    found = watch.slope(memory(1000, 60, 1, walk=0), 600)
    assert math.isclose(found["per_hour"], 1000, rel_tol=0.05) and not found["ok"], found
    assert watch.slope(memory(1000, 15, 1), 600) is None
    assert watch.slope([{"up": 10.0 * at, "rss": 30_000} for at in range(400)], 600)["ok"]


def life(*fds, kind="socket"):
    return {"life": 3, "checks": [{"kinds": {kind: n, "queue.db": 1}, "fds": n + 1, "threads": 9} for n in fds]}


def test_the_life_that_is_watched_is_the_one_after_the_last_restart(monkeypatch):
    """A restart that is still going on when a calm stretch begins ends before it is watched."""
    site = types.SimpleNamespace(life=30)
    soaked = object.__new__(run.Run)
    vars(soaked).update(seconds=0, quiet_s=0, lives=[], site=site, faults=types.SimpleNamespace(settle=lambda: None))

    def quiet(before):
        site.life += not before
        return {}

    monkeypatch.setattr(soaked, "quiet", quiet, raising=False)
    monkeypatch.setattr(soaked, "stretch", lambda end, is_calm: None, raising=False)
    soaked.go()
    assert [life["life"] for life in soaked.lives] == [31, 32]


def test_a_leaked_descriptor_is_found():
    ok = lambda life: [row[2] for row in run.kept(life)]
    assert ok(life(20, 20, 20)) == [True, True] and ok(life(20, 21, 20)) == [True, True]
    assert ok(life(20, 20, 21)) == [False, True] and ok(life(20, 21, 22)) == [False, True]
    assert ok(life(1, 1, 1, 2, kind="queue.db-wal")) == [True, True], "the reader's"
    assert ok(life(1, 1, 1, 3, kind="queue.db-wal")) == [False, True]


def test_accounts_that_do_not_balance_are_found():
    row = {"appended": 10, "delivered": 5, "excluded": 1, "waiting": 2, "dropped": 2}
    status = lambda row: {"store": {"consumers": [{"name": "cloud", "classes": [row]}]}}
    assert not watch.unbalanced(status(row)) and watch.unbalanced(status(row | {"delivered": 6}))
