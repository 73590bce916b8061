"""What is measured, the same way for every subject: processor time from the scheduler's accounting, peak of
resident memory, each summed over the subject's processes; percentiles and medians; the machine.
"""

import contextlib
import os
import pathlib
import platform
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")


def tree(pids):
    """These processes and all below them."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], list(pids)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


class Usage:
    """What the processes have used until now; two of them, subtracted, are what an interval has used."""

    def __init__(self, pids):
        self.at, self.cpu, self.peak_kb = time.monotonic(), 0.0, 0
        for pid in tree(pids):
            process = pathlib.Path(f"/proc/{pid}")
            with contextlib.suppress(OSError):
                # utime, stime, and those of children that have ended.
                self.cpu += sum(map(int, (process / "stat").read_text().rsplit(")", 1)[1].split()[11:15])) / TICK
                self.peak_kb += field(process / "status", "VmHWM")


def field(file, name):
    return int(next(line for line in file.read_text().splitlines() if line.startswith(name)).split()[1])


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def medians(runs):
    """The median of every number in equal dictionaries; what isn't a number is that of the last run."""
    found = {}
    for key, value in runs[-1].items():
        values = [run[key] for run in runs]
        if isinstance(value, dict):
            found[key] = medians(values)
        elif all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
            found[key] = statistics.median(values)
        else:
            found[key] = value
    return found


def said(*command):
    """The first line that a command says, on either side."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return (done.stdout + done.stderr).strip().split("\n")[0]


def machine():
    cpu = next((l for l in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), ": unknown")
    memory = field(pathlib.Path("/proc/meminfo"), "MemTotal")
    return {
        "cpu": cpu.split(": ", 1)[1],
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e6, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
