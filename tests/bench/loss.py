"""The loss report: the same faults for every subject, against an oracle that knows every value that was there.

    target/tests-venv/bin/python tests/bench/loss.py                    # all of it, about 20 minutes
    target/tests-venv/bin/python tests/bench/loss.py --faults stalled,edited --subjects "Fieldhold;ThingsBoard"

Subjects run side by side, each with a device, a line and a broker of its own, and so do as many faults as
`--at-once` says. The results go to tests/bench/results/loss.json, from which report.py makes docs/loss-report.md;
what is not run again stays there.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import chaos  # noqa: E402
import cloud  # noqa: E402
import measure  # noqa: E402
from conftest import Process, free_port, listening, wait_for  # noqa: E402
from faults import FAULTS, NEED_ROOT, small_disk  # noqa: E402
from field import CountField  # noqa: E402
from netns import Namespace  # noqa: E402
from oracle import Oracle, Publisher  # noqa: E402
from subjects import SUBJECTS  # noqa: E402
from subjects.base import Device  # noqa: E402

TAGS, EVERY_MS = 10, 500
RESULTS = HERE / "results/loss.json"
WORK = measure.ROOT / "target/bench-loss"
# For the first values; an interpreter with a hundred modules takes a while beside five others.
START = 120
# For a backlog after the outage: the longest wait between attempts of anyone here is a minute.
PATIENCE = 120
# These lose no other values than their like.
LEFT_OUT = ("Fieldhold, default", "ThingsBoard, tag by tag")
SUBJECTS_HERE = [name for name in SUBJECTS if name not in LEFT_OUT]


class Cloud(Process):
    def __init__(self, directory, host="127.0.0.1", prefix=()):
        directory.mkdir(parents=True)
        self.host, self.port, self.received = host, free_port(), directory / "received"
        self.received.touch()
        command = [*prefix, sys.executable, cloud.__file__, host, self.port, self.received]
        super().__init__(command, directory / "log")

    def start(self):
        super().start()
        wait_for(lambda: listening(self.port, self.host), 60, "the cloud listening")
        return self


class Scene:
    """One subject under one fault."""

    def __init__(self, kind, fault, seconds, directory, ends):
        self.seconds, self.net = seconds, None
        directory.mkdir(parents=True)
        if fault == "disk-full":
            ends.enter_context(small_disk(directory / "gateway/state"))
        if fault == "dropped":
            self.net = ends.enter_context(Namespace())
            self.cloud = Cloud(directory / "cloud", self.net.host, self.net.prefix)
            host, port = self.net.host, self.cloud.port
        else:
            self.cloud = Cloud(directory / "cloud")
            self.wire = chaos.Wire(free_port(), self.cloud.port, 0)
            ends.callback(self.wire.close)
            host, port = "127.0.0.1", self.wire.port
        ends.callback(self.cloud.kill)
        self.cloud.start()
        if kind.polls:
            field = CountField(TAGS)
            self.subject = kind(directory / "gateway", [Device("d0", TAGS, EVERY_MS, port=field.ports[0])], port, host)
            served = field.served
        else:
            self.subject = kind(directory / "gateway", [], port, host)
            publisher = Publisher(self.subject.lan, TAGS, EVERY_MS)
            ends.callback(publisher.close)
            served = publisher.served
        self.oracle = Oracle(self.subject, served, self.cloud.received)
        self.subject.configure()
        ends.callback(self.subject.kill)
        self.subject.start()

    def rest(self, seconds):
        """The time that a fault takes."""
        time.sleep(seconds)

    def stop_subject(self):
        begin = time.monotonic()
        self.subject.stop()
        self.oracle.stopped(begin, time.monotonic())


def run(kind, fault, seconds, directory):
    with contextlib.ExitStack() as ends:
        scene = Scene(kind, fault, seconds, directory, ends)
        wait_for(lambda: scene.oracle.look() >= 5 * TAGS, START, f"values of {kind.name}: {directory}")
        scene.rest(5)
        FAULTS[fault](scene)
        scene.rest(5)
        until = time.monotonic()
        end = until + PATIENCE
        while scene.oracle.missing(until) and time.monotonic() < end:
            time.sleep(0.5)
        return scene.oracle.verdict(until) | {"settled_s": round(time.monotonic() - until, 1)}


def attempt(kind, fault, seconds, directory):
    """A subject that does not even start is a result as well."""
    try:
        found = run(kind, fault, seconds, directory)
    except AssertionError as error:
        found = {"failed": str(error).split("\n")[0]}
    print(json.dumps({"fault": fault, "subject": kind.name} | found), file=sys.stderr, flush=True)
    return found


def main(faults, subjects, seconds, at_once, results):
    shutil.rmtree(WORK, ignore_errors=True)
    versions = {name: SUBJECTS[name].install() for name in subjects}
    if os.geteuid() != 0 and (skipped := set(faults) & set(NEED_ROOT)):
        raise SystemExit(f"root is needed for {', '.join(skipped)}; --faults takes others")

    result = json.loads(results.read_text()) if results.exists() else {"versions": {}, "settings": {}, "faults": {}, "found": {}}
    result["versions"] |= versions
    result["settings"] |= {name: SUBJECTS[name].settings for name in subjects}
    result["faults"] |= {fault: FAULTS[fault].__doc__ for fault in faults}
    result |= {
        "command": "target/tests-venv/bin/python tests/bench/loss.py", "machine": measure.machine(),
        "outage_s": seconds, "tags": TAGS, "every_ms": EVERY_MS,
    }

    def all_of(fault):
        kinds = [(number, SUBJECTS[name]) for number, name in enumerate(subjects)]
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
            tries = [pool.submit(attempt, k, fault, seconds, WORK / fault / str(n)) for n, k in kinds]
            return {kind.name: t.result() for (_, kind), t in zip(kinds, tries)}

    results.parent.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for fault, of_all in zip(faults, pool.map(all_of, faults)):
            result["found"].setdefault(fault, {}).update(of_all)
            results.write_text(json.dumps(result, indent=1) + "\n")
    return result["found"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--subjects", default=";".join(SUBJECTS_HERE), help="names as in the tables, with ; between them")
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    given = parser.parse_args()
    main(given.faults.split(","), given.subjects.split(";"), given.seconds, given.at_once, given.results)
