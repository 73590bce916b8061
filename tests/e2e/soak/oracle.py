"""What arrived against what was served: what is lost, what is wrong, what was told.

Pure but for the files that it reads. Every time is wall clock, in seconds; every value says its device,
tag and serial number (`values.py`), so each that arrives is looked up in the memory of the device that
answered it. A value that must have arrived and did not is one of these, in this order:

- told: within the time of a `gap` notice;
- read within the loss window before a kill of the gateway;
- answered too late or in vain, and the gateway says in a bad reading of that tag that it got no answer: one that came after
  the request before was over (a bus has one at a time);
- under way when a bus was stopped (a reload or an orderly end): one request of each bus;
- told: in a queue file that was damaged, in numbers that exceed neither what the notices count nor what was waiting then;
- or lost.
"""

import bisect
import collections
import itertools
import json
import math
import zlib
from array import array
from dataclasses import dataclass, field

from . import values
from .cloud import records
from .field import MUST, MUST_NOT

PAGE = 4096  # Positions of a page.
# How long before its answer was made, or after it was sent, the time in a message may be, on a busy machine.
TIME_S = 5.0
# A request is given up after its timeout, and what a busy machine adds.
GIVEN_UP_S = 1.5
# Times of gaps are those of readings; what was sent last by the device may differ by the way of an answer.
GAP_S = 1.0
# From the device's hand into the gateway's, on a busy machine.
ANSWER_S = 0.25
# A gateway that starts asks nobody for so long: what is answered sooner was asked by the one before.
ASKS_S = 0.005
# Answers closer than this are to requests that had waited together: the plant stood still.
TOGETHER_S = 0.02


@dataclass
class Events:
    """What the faults did, as far as it excuses anything: (from, to) in wall seconds."""

    kills: list = field(default_factory=list)  # SIGKILL to the start of the next
    stops: list = field(default_factory=list)  # SIGTERM to the end of the process; SIGHUP to what it changed
    # A damaged queue file: (from when on read, until when, readings and messages that can have been in it).
    damages: list = field(default_factory=list)


class Arrived:
    """Ids and values as they came to the cloud."""

    def __init__(self, devices, tags_of):
        self.names = {name: index for index, name in enumerate(devices)}
        self.tags_of = tags_of
        self.masks = [array("Q") for _ in devices]  # per device and serial: the tags that came
        self.pages = {}  # (prefix, page) → what came under each position, 0 for nothing
        self.highest = {}
        self.bad = collections.defaultdict(lambda: array("d"))  # (device, tag) → times
        self.bad_words = collections.Counter()
        self.numbers = collections.Counter()
        self.notices = {}
        self.wrong, self.again = [], []
        self.readings = self.duplicates = self.others = 0
        self.time_off = 0.0

    def fault(self, what):
        if len(self.wrong) < 1000:
            self.wrong.append(what)

    def message(self, topic, payload, served):
        if topic.startswith("chaos/"):
            self.numbers[int(payload[:16])] += 1
            return
        body = json.loads(payload)
        if "notice" in body:
            kept = self.notices.setdefault(body["id"], body)
            if kept != body:
                self.fault(f"notice {body['id']} came as {kept} and as {body}")
        elif "values" in body:
            self._group(body, served)
        elif "rows" in body:
            self._columnar(body, served)
        else:
            self.others += 1

    def _group(self, body, served):
        prefix, position = body["id"].rsplit("-", 1)
        places = body.get("at") or range(len(body["values"]))
        for place, (tag, value) in zip(places, body["values"].items(), strict=True):
            quality = body.get("q", {}).get(tag, "good")
            self._reading(prefix, int(position) + place, body["device"], tag, value, quality, body["ts"], served)

    def _columnar(self, body, served):
        tags = [topic.split("/")[-2:] for topic in body["tags"]]
        for shift, position, *cells in body["rows"]:
            column = 0
            for cell in cells:
                if cell is None or isinstance(cell, dict) and "n" in cell:
                    column += cell["n"] if cell else 1
                    continue
                value, quality = (cell.get("v"), cell["q"]) if isinstance(cell, dict) else (cell, "good")
                device, tag = tags[column]
                self._reading(body["id"], position, device, tag, value, quality, body["ts"] + shift, served)
                position, column = position + 1, column + 1

    def _reading(self, prefix, position, device, tag, value, quality, ts, served):
        self.readings += 1
        k, number = self.names.get(device), int(tag[1:])
        if k is None or number >= self.tags_of[k]:
            self.fault(f"{prefix}-{position}: no such tag: {device}/{tag}")
            return
        if quality == "good":
            came = value if type(value) is int and 0 < value < 1 << 64 else 1
        else:
            came = 2 + (zlib.crc32(f"{k}/{number}/{quality}/{ts}".encode()))
        page = self.pages.get((prefix, position // PAGE))
        if page is None:
            page = self.pages[prefix, position // PAGE] = array("Q", bytes(8 * PAGE))
        before = page[position % PAGE]
        if before:
            self.duplicates += 1
            if before != came:
                self.fault(f"{prefix}-{position} came as {before} and as {came}: {device}/{tag} {value} {quality}")
            return
        page[position % PAGE] = came
        self.highest[prefix] = max(self.highest.get(prefix, 0), position)
        if quality != "good":
            if value is not None or not quality.startswith("bad:"):
                self.fault(f"{prefix}-{position}: {value} of quality {quality}")
            self.bad_words[quality] += 1
            self.bad[k, number].append(ts / 1000)
            return
        serial = self.check(f"{prefix}-{position}", k, number, value, ts, served)
        if serial is None:
            return
        masks = self.masks[k]
        if len(masks) <= serial:
            masks.extend([0] * (serial + 1 - len(masks)))
        if masks[serial] >> number & 1:
            self.again.append((k, serial, f"{prefix}-{position}"))
        masks[serial] |= 1 << number

    def check(self, what, k, number, value, ts, served):
        """The serial of a good value, if it is one that its device served for this tag then."""
        taken = values.take(value)
        if taken is None or taken[:2] != (k, number):
            self.fault(f"{what}: device {k} tag {number} has {value}, which is {taken}")
            return None
        serial, memory = taken[2], served[k]
        if serial >= len(memory.times) or not memory.masks[serial] >> number & 1:
            self.fault(f"{what}: device {k} tag {number} never served number {serial}")
            return None
        if memory.fates[serial] == MUST_NOT:
            self.fault(f"{what}: device {k} number {serial} was sent in a frame that is no answer")
            return None
        at = ts / 1000
        off = at - min(max(at, memory.begins[serial]), memory.times[serial])
        if abs(off) > abs(self.time_off):
            self.time_off = off
        if abs(off) > TIME_S:
            self.fault(f"{what}: device {k} number {serial} served {off:+.1f} s away from its time")
        return serial


class Oracle:
    def __init__(self, devices, directory, window_s, allowance_s):
        self.devices, self.directory = devices, directory
        self.window_s, self.allowance_s = window_s, allowance_s
        self.events = Events()
        self.arrived = Arrived([d.name for d in devices], [d.tags for d in devices])
        # The LAN's on their own: there is no file to read them from again.
        self.lan = Arrived([d.name for d in devices], [d.tags for d in devices])
        self.places = {}
        self.live_seen = 0

    def read(self):
        """Takes in what the cloud wrote since the last time."""
        for file in sorted(self.directory.glob("received-*")):
            for topic, payload, end in records(file, self.places.get(file, 0)):
                self.places[file] = end
                self.arrived.message(topic, payload, self.devices)

    def live(self, topic, payload):
        """A value on the LAN."""
        *_, device, tag = topic.split("/")
        body = json.loads(payload)
        if body.get("q", "good") == "good":
            self.live_seen += 1
            k = self.lan.names[device]
            self.lan.check(f"live {topic}", k, int(tag[1:]), body["v"], body["ts"], self.devices)

    def judge(self, safe, session, until=math.inf):
        """`until`: what is younger may still be on its way."""
        return Judgement(self, safe, session, until).result


class Judgement:
    def __init__(self, oracle, safe, session, until):
        self.until = until
        self.arrived, self.events, self.devices = oracle.arrived, oracle.events, oracle.devices
        self.window, self.allowance = oracle.window_s, oracle.allowance_s
        self.lost, self.fates = [], collections.Counter()
        self.oldest_in_window = 0.0
        self._told()
        self._bad()
        self.stopped, self.corrupt = collections.Counter(), collections.Counter()
        for device in self.devices:
            self._device(device)
        salvaged = max((until for _, until, _ in self.events.damages), default=0.0)
        twice = [(k, serial, key) for k, serial, key in self.arrived.again if self.devices[k].times[serial] > salvaged]
        lan_cloud = [n for n, when in safe.items() if when <= until and n not in self.arrived.numbers and not self._is_damage(when, 1)]
        wrong = [*self.arrived.wrong, *oracle.lan.wrong]
        lan_session = [n for n, when in safe.items() if when <= until and n not in session]
        if self.told_used > self.told_n:
            self.lost.append(f"{self.told_used} missing as told, {self.told_n} were told")
        positions = self._positions()
        self.result = {
            "lost": len(self.lost),
            "lost_examples": [str(what) for what in self.lost[:20]],
            "wrong": len(wrong) + len(twice),
            "wrong_examples": [*wrong[:20], *(f"{key}: device {k} number {s} under a second id" for k, s, key in twice[:20])],
            "positions_untold": sum(len(found) for found in positions.values()),
            "positions_examples": {prefix: found[:10] for prefix, found in positions.items() if found},
            "served": sum(bin(mask).count("1") for d in self.devices for mask, fate in zip(d.masks, d.fates) if fate == MUST),
            "arrived": sum(bin(mask).count("1") for masks in self.arrived.masks for mask in masks),
            "readings_received": self.arrived.readings,
            "bad_readings": dict(self.arrived.bad_words.most_common()),
            "duplicates": self.arrived.duplicates,
            "again_after_salvage": len(self.arrived.again) - len(twice),
            "missing": dict(self.fates),
            "oldest_lost_before_a_kill_ms": round(1000 * self.oldest_in_window),
            "told": self.told_n, "told_reasons": dict(self.told_reasons),
            "notices": dict(collections.Counter(n["notice"] for n in self.arrived.notices.values())),
            "time_off_s": round(max(self.arrived.time_off, oracle.lan.time_off, key=abs), 3),
            "lan_acknowledged": len(safe),
            "lan_lost_to_cloud": len(lan_cloud), "lan_lost_to_session": len(lan_session),
            "lan_examples": sorted(lan_cloud)[:10] + sorted(lan_session)[:10],
            "lan_duplicates": sum(self.arrived.numbers.values()) - len(self.arrived.numbers),
        }

    def _told(self):
        """Gaps with their times, and how many readings all notices give up."""
        self.gaps, self.told_n, self.told_used, self.told_reasons = [], 0, 0, collections.Counter()
        for notice in self.arrived.notices.values():
            if notice["notice"] == "gap":
                self.told_n += notice["n"]
                self.told_reasons[notice["reason"]] += notice["n"]
                if notice.get("ts_from") and notice["reason"] != "corrupt":
                    self.gaps.append((notice["ts_from"] / 1000 - GAP_S, (notice.get("ts_to") or notice["ts_from"]) / 1000 + GAP_S))
            elif notice["notice"] == "salvaged":
                self.told_n -= notice["n"]
                self.told_reasons["salvaged"] -= notice["n"]

    def _bad(self):
        self.bad = {key: sorted(times) for key, times in self.arrived.bad.items()}

    def _is_damage(self, when, n):
        """Whether it may have been in a file that was damaged: counted against what was told."""
        for number, (since, until, most) in enumerate(self.events.damages):
            if since <= when <= until and self.corrupt[number] + n <= most and self.told_used + n <= self.told_n:
                self.corrupt[number] += n
                self.told_used += n
                return True
        return False

    def _device(self, device):
        masks = self.arrived.masks[device.index]
        for serial, (when, mask, fate) in enumerate(zip(device.times, device.masks, device.fates)):
            if fate != MUST or when > self.until or device.polls_whole and mask != (1 << device.tags) - 1:
                continue
            missing = mask & ~(masks[serial] if serial < len(masks) else 0)
            if not missing:
                continue
            n = bin(missing).count("1")
            why = self._why(device, serial, missing, n)
            if why:
                self.fates[why] += n
            else:
                self.lost.append((device.name, serial, round(when, 3), f"{missing:x}"))
                self.fates["lost"] += n

    def _why(self, device, serial, missing, n):
        when = device.times[serial]
        if any(start <= when <= end for start, end in self.gaps):
            self.told_used += n
            return "told as a gap"
        for kill, back in self.events.kills:
            if kill - self.window - self.allowance <= when <= back + ASKS_S:
                self.oldest_in_window = max(self.oldest_in_window, kill - when)
                return "within the window before a kill"
        if self._answered_late(device, serial, missing):
            return "no answer, says a bad reading"
        for number, (start, end) in enumerate(self.events.stops):
            if start - ANSWER_S <= when <= end and not self.stopped[device.index, number]:
                self.stopped[device.index, number] += 1
                return "under way when its bus was stopped"
        # Last, for it counts: what is told must not be used up by what was never read.
        return "told as corrupt" if self._is_damage(when, n) else None

    def _answered_late(self, device, serial, missing):
        """One bad reading of each missing tag, each used for one value."""
        found, first = [], serial
        while first and device.times[first] - device.times[first - 1] < TOGETHER_S:
            first -= 1
        for tag in range(device.tags):
            if missing >> tag & 1:
                times = self.bad.get((device.index, tag), [])
                at = bisect.bisect_left(times, device.befores[first])
                if at >= len(times) or times[at] > device.times[serial] + GIVEN_UP_S:
                    return False
                found.append((times, at))
        for times, at in found:
            del times[at]
        return True

    def _has(self, prefix, position):
        page = self.arrived.pages.get((prefix, position // PAGE))
        return page is not None and page[position % PAGE]

    def _positions(self):
        """By prefix, the positions below the highest that neither arrived nor were told.

        Where a file went bad in use, counting goes on, and what was on its way arrives under the prefix before.

        Class normal is left out: forwarded LAN messages have positions there and no id. So are prefixes
        that ended with a damaged file, whose losses are counted by `corrupt`.
        """
        notices = list(self.arrived.notices.values())
        order = collections.defaultdict(list)
        # In the order in which they came: a new file may count its notices from 1 again.
        for n in notices:
            if n["notice"] == "new-epoch":
                order[n["class"]].append(n)
        untold = {}
        for prefix, highest in self.arrived.highest.items():
            if prefix.endswith("-n"):
                continue
            kind = {"a": "alarm", "b": "bulk"}[prefix[-1]]
            epochs = order[kind]
            if self.events.damages and (not epochs or epochs[-1]["prefix"] != prefix):
                continue
            begins = max((n["from"] for n in epochs if n["prefix"] == prefix), default=0)
            before = [n["prefix"] for n in itertools.takewhile(lambda n: n["prefix"] != prefix, epochs)]
            earlier = before[-1:] if begins else []
            spans = sorted(
                (n["from"], n["to"]) for n in notices
                if n["notice"] in ("gap", "resume") and n["class"] == kind and n.get("prefix", prefix) == prefix
            )
            missing, at, span = [], begins, 0
            while at <= highest:
                while span < len(spans) and spans[span][1] <= at:
                    span += 1
                if span < len(spans) and spans[span][0] <= at:
                    at = spans[span][1]
                    continue
                if not any(self._has(name, at) for name in [prefix, *earlier]):
                    missing.append(at)
                    if len(missing) > 100_000:
                        break
                at += 1
            untold[prefix] = missing
        return untold
