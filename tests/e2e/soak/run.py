"""One soak from its first fault to its judgement."""

import json
import os
import pathlib
import pickle
import platform
import subprocess
import time
from collections import Counter

from conftest import BINARY, ROOT, wait_for

from .faults import Faults
from .field import Device
from .oracle import Oracle
from .report import compact
from .site import ALLOWANCE_S, COMMIT_S, DISK_BYTES, LAN_PER_S, LINE, Site, log_lines
from .watch import Watch, census, of_process, slope

# Shares of the time: with kills and restarts of the gateway, or calm, when one process lives through all other faults.
# Calm stretches that follow each other are one life, with a look at its descriptors between them.
STRETCHES = [(0.15, False), (0.2, True), (0.2, True), (0.2, True), (0.1, False), (0.05, True), (0.05, True), (0.05, True)]
# The store's files are open once for its writer, and once for its reader as soon as there was a backlog.
STORE_FILES, STORE_OPEN_MAX = ("queue.db", "queue.db-wal"), 2
# Memory moves in steps that become rarer: of two soaks one was level after 40 minutes, and one after 60. Of a shorter
# soak it is a third.
WARM_UP_S = 2400.0
# What is younger is not missed before the end: the cloud may be away, and more than once.
ON_ITS_WAY_S = 120.0
PATIENCE_S = 20.0
FAULTS_WANTED = 500


def machine():
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    memory = next(int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("MemTotal"))
    return {
        "cores": os.cpu_count(), "cpu": cpu, "memory_gib": round(memory / 2**20), "kernel": platform.release(),
        "priority": os.getpriority(os.PRIO_PROCESS, 0), "load_at_start": [round(x, 1) for x in os.getloadavg()],
    }


def described():
    """The commit of this tree."""
    return subprocess.run(["git", "-C", ROOT, "describe", "--always"], capture_output=True, text=True).stdout.strip()


def version(commit):
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {"version": said, "commit": commit or described()}


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run:
    def __init__(self, directory, seconds, seed, every, log):
        self.seconds, self.every, self.log = seconds, every, log
        self.site = Site(directory, seed)
        self.faults = Faults(self.site, seed)
        self.watch = Watch(self.site, min(10.0, max(1.0, seconds / 60)))
        self.quiet_s = min(40.0, seconds / 12)
        self.lives, self.drawn = [], 0
        self.began, self.took = time.time(), 0.0

    def quiet(self, before):
        """All faults over and everything connected again: what descriptors and threads there are then.

        A thread of the pool for blocking work goes 10 s after its last: more than `before` is waited for.
        """
        self.faults.settle()
        if self.site.has_guest:
            self.site.has_guest = False
            self.site.reload()
        end = time.time() + self.quiet_s
        pid = self.site.gateway.child.pid
        found = None
        more = lambda: before and not all(ok for _, _, ok in kept({"life": 0, "checks": [*before, found]}))
        while time.time() < end or found is None or more() and time.time() < end + PATIENCE_S:
            self.site.read_cloud()
            time.sleep(0.5)
            process = of_process(pid)
            # The fewest that there are: our own questions, and threads of its pool, come and go.
            if process and time.time() > end - self.quiet_s / 2:
                fewest = found or process
                kinds = census(pid) if not found or process["fds"] < fewest["fds"] else fewest["kinds"]
                found = {**process, "kinds": kinds} | {key: min(fewest[key], process[key]) for key in ("fds", "threads")}
        return {"t": round(time.time() - self.site.began, 1), "cpu_s": cpu_s(pid), **found}

    def go(self):
        was_calm, due = False, time.time()
        self.began = due
        for share, is_calm in STRETCHES:
            due += share * self.seconds
            if is_calm and not was_calm:
                # A restart that was drawn before may only now be over: that life is not watched.
                first = self.quiet([])
                self.lives.append({"life": self.site.life, "checks": [first]})
            self.stretch(due - self.quiet_s * is_calm, is_calm)
            if is_calm:
                self.lives[-1]["checks"].append(self.quiet(self.lives[-1]["checks"]))
            was_calm = is_calm
        self.faults.settle()
        self.took = time.time() - self.began

    def stretch(self, end, is_calm):
        """Faults at random times, as many as there is room for at the rate wanted."""
        begin, dice = time.time(), self.faults.dice
        n = max(1, round((end - begin + self.quiet_s * is_calm) / self.every))
        for moment in sorted(dice.uniform(0, max(end - begin, 1)) for _ in range(n)):
            while (wait := begin + moment - time.time()) > 0:
                time.sleep(min(wait, 2))
                self.site.read_cloud()
            self.faults.draw(is_calm)
            self.drawn += 1
            if self.drawn % 50 == 0:
                self.tell()

    def tell(self):
        """How it stands, and all that a result would have: the machine may end before the soak."""
        judged = self.site.judge(time.time() - ON_ITS_WAY_S)
        row = self.watch.samples[-1] if self.watch.samples else {}
        brief = {k: judged[k] for k in ("lost", "wrong", "positions_untold", "duplicates", "arrived")}
        line = {"t": round(time.time() - self.site.began), "faults": len(self.faults.done), **brief}
        line |= {"failed": len(self.faults.failed), "rss": row.get("rss"), "fds": row.get("fds"), "life": self.site.life}
        line |= {"violations": self.watch.violations, "examples": judged["lost_examples"][:2] + judged["wrong_examples"][:2]}
        self.log(json.dumps(line))
        self.so_far(judged)
        self.remember()

    def so_far(self, judged):
        status = self.site.gateway.status()
        if status:
            found = result(self, judged, status, *self.known)
            (self.site.directory / "so-far.json").write_text(compact(found))

    def remember(self):
        """What the plant knows, beside what the cloud wrote: to look into a loss afterwards."""
        remember(self.site.directory, self.site.oracle, self.site.source.safe, self.site.subscriber.numbers)

    def drain(self):
        self.site.end_of_load()

        def all_there():
            judged = self.site.judge()
            rest = judged["lost"] + judged["positions_untold"] + judged["lan_lost_to_cloud"] + judged["lan_lost_to_session"]
            return rest == 0

        try:
            wait_for(all_there, min(180, 30 + self.seconds), "everything arrived or explained")
        except AssertionError:
            pass  # The judgement says what is missing.
        self.watch.look()
        return self.site.gateway.wait(lambda s: True)


def soak(directory, seconds, seed, every, commit="", log=lambda line: print(line, flush=True)):
    """Runs and judges; the result as it is written down."""
    log(f"seed {seed}, {seconds:.0f} s, a fault every {every} s on average")
    run = Run(directory, seconds, seed, every, log)
    run.known = (machine(), seed, version(commit))
    try:
        run.site.start()
        run.watch.start()
        run.go()
        status = run.drain()
        code = run.site.gateway.stop(60)
        judged = run.site.judge()
        run.remember()
    finally:
        run.watch.ended.set()
        run.site.kill()
    if code != 0:
        run.faults.failed.append(f"the gateway ended with {code}")
    (directory / "status.json").write_text(json.dumps(status, indent=1))
    return result(run, judged, status, *run.known)


def result(run, judged, status, load, seed, build):
    site, watch = run.site, run.watch
    took = run.took or time.time() - run.began
    lines = log_lines(site.gateway.output())
    kinds = Counter(fault["kind"] for fault in run.faults.done)
    warm_up = min(WARM_UP_S, run.seconds / 3)
    for life in run.lives:
        of = [row for row in watch.samples if row["life"] == life["life"]]
        life["rss"], life["anon"] = slope(of, warm_up), slope(of, warm_up, "anon")
        first, last = life["checks"][0], life["checks"][-1]
        life["cpu_share"] = round((last["cpu_s"] - first["cpu_s"]) / max(last["t"] - first["t"], 1), 4)
    return {
        **build, "date": time.strftime("%Y-%m-%d"), "seed": seed, "hours": round(took / 3600, 4), "machine": load,
        "load_at_end": [round(x, 1) for x in os.getloadavg()],
        "setting": {
            "tcp_devices": len(site.periods), "commit_ms": round(1000 * COMMIT_S), "allowance_ms": round(1000 * ALLOWANCE_S),
            "disk_bytes": DISK_BYTES if site.disk.is_small else None,
            "readings_per_s": round(judged["served"] / took), "lan_messages_per_s": LAN_PER_S, "kinds": len(run.faults.kinds),
            "warm_up_min": round(warm_up / 60),
        },
        "criteria": criteria(run, judged, lines),
        "judgement": judged,
        "gateway_lives": site.life, "long_lives": run.lives,
        "faults": {"n": len(run.faults.done), "by_kind": dict(sorted(kinds.items())), "failed": run.faults.failed},
        "deeds": dict(sum((Counter({k or "right": n for k, n in d.did.items()}) for d in site.devices), Counter())),
        "log": lines, "unit_restarts": watch.restarts,
        "store": {key: status["store"][key] for key in ("counters", "consumers")},
        "damaged_files": [row | {"file": pathlib.Path(row["file"]).name} for row in status["store"]["quarantined"]],
        "watch": [list(row.values()) for row in watch.samples[:: max(1, len(watch.samples) // 240)]],
        "watch_columns": list(watch.samples[0]) if watch.samples else [],
        "fault_list": sorted(run.faults.done, key=lambda f: f["t"]),
    }


def criteria(run, judged, lines):
    """Each with what was wanted, what was found, and whether it is met."""
    watch, faults = run.watch, run.faults
    balance = f"{len(watch.contradictions)} contradictions in {len(watch.samples)} looks"
    wanted = min(FAULTS_WANTED, round(run.seconds / 12))
    rows = [
        (f"at least {wanted} faults in {run.seconds / 3600:g} h", len(faults.done), len(faults.done) >= wanted),
        ("every fault could be done, and the gateway was there again after it", len(faults.failed), not faults.failed),
        *of_values(judged),
        ("the accounts balance in every look", balance, not watch.contradictions),
        ("the store finds no contradiction in them", watch.violations, watch.violations == 0),
        ("no panic", lines["panics"], lines["panics"] == 0),
        ("no part of the gateway had to be started again", watch.restarts, watch.restarts == 0),
    ]
    for life in run.lives:
        rows += kept(life)
        if life["rss"]:
            found = life["rss"]
            low, high = found["interval_per_hour"]
            text = f"{found['per_hour']:+} KiB/h (99 %: {low:+} to {high:+}) of {found['median']:.0f} KiB in {found['minutes']} min"
            rows.append((f"RSS does not grow in life {life['life']}", text, found["ok"]))
    if run.seconds >= 3600:
        judged_lives = sum(bool(life["rss"]) for life in run.lives)
        rows.append(("a life is long enough to say whether RSS grows", judged_lives, judged_lives > 0))
    return [{"what": what, "found": found, "ok": bool(ok)} for what, found, ok in rows]


def of_values(judged):
    """The criteria that the oracle alone decides."""
    window, oldest = round(1000 * (COMMIT_S + ALLOWANCE_S)), judged["oldest_lost_before_a_kill_ms"]
    return [
        ("something arrived", judged["arrived"], judged["arrived"] > 0),
        ("0 readings lost outside the window and not told", judged["lost"], judged["lost"] == 0),
        (f"the oldest lost before a kill is younger than {window} ms", oldest, oldest <= window),
        ("0 positions that neither arrived nor were told", judged["positions_untold"], judged["positions_untold"] == 0),
        ("0 wrong", judged["wrong"], judged["wrong"] == 0),
        ("0 acknowledged LAN messages lost to the cloud", judged["lan_lost_to_cloud"], judged["lan_lost_to_cloud"] == 0),
        ("0 acknowledged LAN messages lost to a session", judged["lan_lost_to_session"], judged["lan_lost_to_session"] == 0),
    ]


def remember(directory, oracle, safe, session):
    memory = {
        "devices": {d.name: (d.begins, d.times, d.befores, d.masks, bytes(d.fates)) for d in oracle.devices},
        "events": vars(oracle.events), "safe": dict(safe), "session": dict(session),
        "lan": {"wrong": oracle.lan.wrong, "time_off": oracle.lan.time_off},
    }
    (directory / "memory.pickle").write_bytes(pickle.dumps(memory))


def judge_again(directory, result):
    """The values of a soak that is over, judged by the oracle as it is now."""
    memory = pickle.loads((directory / "memory.pickle").read_bytes())
    devices = []
    for name, parts in memory["devices"].items():
        device = Device(len(devices), name, max(mask.bit_length() for mask in parts[3] or [1]), 0)
        device.polls_whole = name == LINE
        device.begins, device.times, device.befores, device.masks, device.fates = parts
        devices.append(device)
    oracle = Oracle(devices, directory / "cloud", COMMIT_S, ALLOWANCE_S)
    vars(oracle.events).update(memory["events"])
    vars(oracle.lan).update(memory["lan"])
    oracle.read()
    result["judgement"] = oracle.judge(memory["safe"], memory["session"])
    result["judged_again"] = described()
    found = {what: {"what": what, "found": found, "ok": bool(ok)} for what, found, ok in of_values(result["judgement"])}
    result["criteria"] = [found.get(criterion["what"], criterion) for criterion in result["criteria"]]
    return result


def kept(life):
    """Descriptors and threads of one life: none more at the end than in some moment of quiet before."""
    *before, last = life["checks"]
    before = before or [last]
    more = {}
    for kind, n in last["kinds"].items():
        most = STORE_OPEN_MAX if kind in STORE_FILES else max(check["kinds"].get(kind, 0) for check in before)
        if n > most:
            more[kind] = n - most
    fds, threads = ([check[key] for check in life["checks"]] for key in ("fds", "threads"))
    found = " → ".join(map(str, fds)) + (f", more of {more}" if more else "")
    yield f"no leaked descriptor in life {life['life']}", found, not more
    most = max(check["threads"] for check in before)
    yield f"no leaked thread in life {life['life']}", " → ".join(map(str, threads)), threads[-1] <= most
