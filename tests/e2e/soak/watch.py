"""The gateway's process from outside, every ten seconds, and whether its memory grows.

A slope is Theil and Sen's median over all pairs of one-minute medians. Its 99 % interval is Sen's, from the
variance of Kendall's S, which is widened by the autocorrelation of what is left when the slope is taken
away (Hamed and Rao): memory moves in steps, and its samples are not independent.
"""

import math
import os
import pathlib
import statistics
import threading
import time

Z99 = 2.58
BUCKET_S = 60.0
# Growth that would be seen within a day, as a share of what the process has: less is no leak that anyone meets.
DAY_SHARE_MAX = 0.05


def of_process(pid):
    """{rss, anon, threads, fds} of a process (KiB, counts), or None if it ended."""
    try:
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        return {
            "rss": int(status["VmRSS"].split()[0]),
            "anon": int(status["RssAnon"].split()[0]),
            "threads": int(status["Threads"]),
            "fds": len(os.listdir(f"/proc/{pid}/fd")),
        }
    except (OSError, KeyError, ValueError):
        return None


def census(pid):
    """What its descriptors are, by kind."""
    kinds = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        path = pathlib.Path(target)
        kind = target.split(":")[0] if not path.is_absolute() else "device" if path.parts[1] == "dev" else path.name
        kinds[kind] = kinds.get(kind, 0) + 1
    return dict(sorted(kinds.items()))


def unbalanced(status):
    """Rows of the accounts in which the equation does not hold."""
    return [
        {"consumer": consumer["name"], **row}
        for consumer in status["store"]["consumers"]
        for row in consumer["classes"]
        if row["appended"] != row["delivered"] + row["excluded"] + row["waiting"] + row["dropped"]
    ]


class Watch(threading.Thread):
    def __init__(self, site, every_s):
        super().__init__(daemon=True)
        self.site, self.every = site, every_s
        self.samples, self.contradictions = [], []
        self.violations = self.restarts = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(self.every):
            self.look()

    def look(self):
        gateway = self.site.gateway
        life, started, pid = self.site.life, self.site.life_started, gateway.child.pid
        process = of_process(pid)
        status = gateway.status()
        if not process or not status or pid != gateway.child.pid:
            return
        row = {"t": round(time.time() - self.site.began, 1), "life": life, "up": round(time.time() - started, 1), **process}
        row["waiting"] = sum(c["waiting"] for consumer in status["store"]["consumers"] for c in consumer["classes"])
        row["store"] = status["store"]["state"]
        self.samples.append(row)
        self.contradictions += unbalanced(status)
        self.violations = max(self.violations, status["store"]["counters"]["violations"], len(status["store"]["violations"]))
        self.restarts = max(self.restarts, sum(unit["restarts"] for unit in status["units"].values()))


def buckets(samples, key):
    """One-minute medians as (seconds, value)."""
    groups = {}
    for row in samples:
        groups.setdefault(int(row["up"] // BUCKET_S), []).append(row)
    return [
        (statistics.median(r["up"] for r in rows), statistics.median(r[key] for r in rows))
        for _, rows in sorted(groups.items())
    ]


def theil_sen(points):
    """(slope, low, high) per second; None where there are too few points to say."""
    n = len(points)
    if n < 10:
        return None
    slopes = sorted((y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :])
    slope = statistics.median(slopes)
    left = [y - slope * x for x, y in points]
    variance = n * (n - 1) * (2 * n + 5) / 18 * autocorrelation(left)
    reach = Z99 * math.sqrt(variance)
    low, high = (len(slopes) - reach) / 2, (len(slopes) + reach) / 2
    at = lambda place: slopes[min(max(round(place), 0), len(slopes) - 1)]
    return slope, at(low), at(high)


def autocorrelation(left):
    """By how much the variance of S is larger than for independent values (at least 1)."""
    n = len(left)
    order = sorted(range(n), key=left.__getitem__)
    ranks = [0.0] * n
    begin = 0
    while begin < n:
        end = begin
        while end < n and left[order[end]] == left[order[begin]]:
            end += 1
        for place in range(begin, end):
            ranks[order[place]] = (begin + end - 1) / 2
        begin = end
    mean = statistics.fmean(ranks)
    spread = sum((r - mean) ** 2 for r in ranks)
    if not spread:
        return 1.0
    total = 0.0
    for lag in range(1, n - 2):
        rho = sum((ranks[i] - mean) * (ranks[i + lag] - mean) for i in range(n - lag)) / spread
        if rho < 0:
            break
        total += (n - lag) * (n - lag - 1) * (n - lag - 2) * rho
    return 1 + 2 / (n * (n - 1) * (n - 2)) * total


def slope(samples, warm_up_s, key="rss"):
    """Judges one life. Within noise: the interval has 0 in it or lies below, or even its upper end would add less than
    DAY_SHARE_MAX in a day."""
    rows = [row for row in samples if row["up"] >= warm_up_s]
    points = buckets(rows, key)
    found = theil_sen(points)
    if not found:
        return None
    middle = statistics.median(y for _, y in points)
    per_hour = [round(3600 * x, 1) for x in found]
    small = found[2] * 86_400 < DAY_SHARE_MAX * middle
    return {
        "minutes": round((points[-1][0] - points[0][0]) / 60, 1), "points": len(points), "median": middle,
        "per_hour": per_hour[0], "interval_per_hour": per_hour[1:],
        "ok": found[1] <= 0 or small,
    }
