"""The tables of docs/benchmarks.md: the same load for every subject, one after the other.

    target/tests-venv/bin/python tests/bench/tables.py             # all tables, about 35 minutes on a quiet machine
    target/tests-venv/bin/python tests/bench/tables.py 1000        # one of them

Each is run three times for 15 s after the values flow. Device side, broker (Mosquitto) and subscriber are the same
for all. Needs root, for a disk of each subject's own. The results go to tests/bench/results/LOAD.json, from which
report.py makes the document.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import sys
import time
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import measure  # noqa: E402
from conftest import Mosquitto, wait_for  # noqa: E402
from disk import disk  # noqa: E402
from field import Clock, ClockField  # noqa: E402
from lan import ClockPublisher  # noqa: E402
from line import Line  # noqa: E402
from subjects import SUBJECTS  # noqa: E402
from subjects.base import Device  # noqa: E402
from subscriber import Subscriber  # noqa: E402

WORK = measure.ROOT / "target/bench-tables"
POLLERS = ("Fieldhold", "ThingsBoard", "Node-RED")
# With the store as it comes, and with a name of its own for every tag.
VARIANTS = ("Fieldhold", "Fieldhold, default", "ThingsBoard", "ThingsBoard, tag by tag", "Node-RED")
BROKERS = ("Fieldhold, LAN broker", "Mosquitto bridge")
START, WARM_UP = 90, 5
# A subject that brings less of what is asked is measured once: it is not a matter of percents.
CAN_BEAR = 0.5


@dataclass
class Load:
    title: str
    asked: int  # readings a second
    devices: int = 0
    tags: int = 0  # of each device
    line: bool = False
    away: bool = False
    subjects: tuple[str, ...] = POLLERS


LOADS = {
    "1000": Load("1,000 tags each second, one device", 1000, 1, 1000, subjects=VARIANTS),
    "10000": Load("10,000 tags each second, ten devices", 10_000, 10, 1000),
    "50000": Load("50,000 tags each second, fifty devices", 50_000, 50, 1000),
    "64-devices": Load("64 devices with 100 tags each, each second", 6400, 64, 100),
    "9600-baud": Load("A line of 9600 baud: eight slaves with 20 tags each, each second", 160, 8, 20, line=True, subjects=VARIANTS),
    "1000-away": Load("1,000 tags each second while the broker is away", 1000, 1, 1000, away=True),
    "lan-1000": Load("1,000 messages a second from the LAN to the cloud, QoS 1", 1000, subjects=BROKERS),
}


class Stand:
    """A load and what it needs, around one subject."""

    def __init__(self, load, kind, directory, ends):
        shutil.rmtree(directory, ignore_errors=True)
        self.disk = ends.enter_context(disk(directory / "gateway/state"))
        self.load, self.clock, self.line = load, Clock(), None
        self.cloud = Mosquitto(directory / "cloud")
        # Else what it sends waits for the kernel's delayed acknowledgements, 40 ms that are nobody's here.
        with open(directory / "cloud/mosquitto.conf", "a") as conf:
            conf.write("set_tcp_nodelay true\n")
        self.cloud.start()
        ends.callback(self.cloud.kill)
        self.subject = kind(directory / "gateway", self._devices(ends), self.cloud.port)
        if beside := self.subject.beside(self.cloud.port):
            ends.callback(beside.close)
        self.subscriber = Subscriber(self.cloud.port)
        ends.callback(self.subscriber.close)
        self.subject.configure()
        ends.callback(self.subject.kill)
        self.subject.start()
        if not kind.polls:
            wait_for(lambda: self.subject.process.child.poll() is None, START)
            time.sleep(WARM_UP)
            ends.callback(ClockPublisher(self.subject.lan, load.asked).close)

    def _devices(self, ends):
        load = self.load
        if load.line:
            units = range(1, load.devices + 1)
            self.line = Line(self.clock, units)
            ends.callback(self.line.close)
            return [Device(f"d{u}", load.tags, unit=u, line=self.line.path) for u in units]
        if not load.devices:
            return []
        field = ClockField(self.clock, load.devices)
        ends.callback(field.close)
        return [Device(f"d{n}", load.tags, port=port) for n, port in enumerate(field.ports)]

    def settle(self):
        """Until values flow."""
        wait_for(lambda: self.subscriber.received() > 2000, START, "values")
        time.sleep(WARM_UP)
        if self.load.away:
            self.cloud.kill()
            time.sleep(WARM_UP)
        self.subscriber.clear()

    def counts(self):
        usage = measure.Usage(self.subject.pids())
        return usage, self.disk.written(), self.clock.requests.value, self.clock.readings.value

    def ages(self):
        """Milliseconds from the answer to the arrival of every value that came."""
        for arrived, retained, topic, payload in self.subscriber.messages():
            if not retained:
                for _, value in self.subject.values(topic, payload.decode()):
                    if isinstance(value, int):
                        yield ((arrived - value) & 0xFFFF_FFFF) / 10


def run(load, kind, seconds, directory):
    with contextlib.ExitStack() as ends:
        stand = Stand(load, kind, directory, ends)
        stand.settle()
        before, written, requests, readings = stand.counts()
        time.sleep(seconds)
        after, written_after, requests_after, readings_after = stand.counts()
        took, ages = after.at - before.at, list(stand.ages())
        read = readings_after - readings if load.devices else len(ages)
        found = {
            "read_per_s": round(read / took, 1),
            "arrived_per_s": round(len(ages) / took, 1),
            "requests_per_s": round((requests_after - requests) / took, 2),
            "cpu_percent": round(100 * (after.cpu - before.cpu) / took, 2),
            "rss_peak_mb": round(after.peak_kb / 1024, 1),
            "disk_bytes_per_reading": round((written_after - written) / max(1, read), 2),
            "latency_ms": {f"p{round(100 * p)}": measure.percentile(ages, p) for p in (0.5, 0.95, 0.99)},
        }
        if stand.line:
            found["violations"] = stand.line.violations.value
        return found


def attempts(load, kind, seconds, runs, directory):
    done = []
    while len(done) < runs:
        try:
            done.append(run(load, kind, seconds, directory))
        except AssertionError as error:
            print(json.dumps({"subject": kind.name, "failed": str(error)}), file=sys.stderr, flush=True)
            return {"failed": str(error).split("\n")[0]}
        print(json.dumps({"subject": kind.name} | done[-1]), file=sys.stderr, flush=True)
        if done[-1]["read_per_s" if load.away else "arrived_per_s"] < CAN_BEAR * load.asked:
            break
    return {"median": measure.medians(done), "runs": done}


def table(name, subjects, seconds, runs):
    load = LOADS[name]
    kinds = [SUBJECTS[s] for s in load.subjects if not subjects or s in subjects]
    versions = {kind.name: kind.install() for kind in kinds}
    result = {
        "title": load.title, "asked_per_s": load.asked, "away": load.away, "seconds": seconds,
        "command": f"target/tests-venv/bin/python tests/bench/tables.py {name}",
        "machine": measure.machine(), "versions": versions, "settings": {k.name: k.settings for k in kinds},
        "found": {kind.name: attempts(load, kind, seconds, runs, WORK / name / str(n)) for n, kind in enumerate(kinds)},
    }
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loads", nargs="*", default=list(LOADS), metavar="LOAD", help=", ".join(LOADS))
    parser.add_argument("--subjects", default="", help="names as in the tables, with ; between them")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    given = parser.parse_args()
    for name in given.loads:
        wanted = [s for s in given.subjects.split(";") if s]
        found = table(name, wanted, given.seconds, given.runs)
        given.results.mkdir(parents=True, exist_ok=True)
        (given.results / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
