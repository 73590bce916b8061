"""Makes docs/benchmarks.md, docs/loss-report.md and their plots from tests/bench/results/*.json.

    python3 tests/bench/report.py            # writes them
    python3 tests/bench/report.py --check    # fails if they are not what it would write

What is said in words stands in `words/*.md` beside this file; the numbers come from the results alone. A value in
which Fieldhold is not ahead has to be explained in EXPLAINED, or nothing is made.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import plot  # noqa: E402
from explained import EXPLAINED  # noqa: E402

RESULTS, WORDS = HERE / "results", HERE / "words"
DOCS = HERE.parents[1] / "docs"
OURS = ("Fieldhold", "Fieldhold, LAN broker")
LOADS = ["1000", "10000", "50000", "64-devices", "9600-baud", "1000-away", "lan-1000"]
# Name in the results, heading, is less better?, how it is shown.
COLUMNS = [
    ("arrived_per_s", "values/s arrived", False, lambda v: f"{v:,.0f}"),
    ("read_per_s", "values/s read", False, lambda v: f"{v:,.0f}"),
    ("requests_per_s", "requests/s", True, lambda v: f"{v:,.1f}"),
    ("cpu_percent", "CPU, % of a core", True, lambda v: f"{v:.1f}"),
    ("rss_peak_mb", "memory, peak MB", True, lambda v: f"{v:.0f}"),
    ("p50", "p50 ms", True, lambda v: f"{v:,.1f}"),
    ("p95", "p95 ms", True, lambda v: f"{v:,.1f}"),
    ("p99", "p99 ms", True, lambda v: f"{v:,.1f}"),
    ("disk_bytes_per_reading", "bytes to disk per value", True, lambda v: f"{v:,.0f}"),
]
# Of two numbers that differ by less none is ahead.
TIE = 0.05


def load(name):
    return json.loads((RESULTS / f"{name}.json").read_text())


def numbers(found):
    """Of a subject, flat; those that say nothing are left out."""
    if "failed" in found:
        return {}
    median = found["median"]
    return {k: v for k, v in (median | median["latency_ms"]).items() if isinstance(v, (int, float))}


def columns(result):
    """Requests where there are devices, latencies where something arrives."""
    hidden = {"read_per_s"} if not result["away"] else {"arrived_per_s", "p50", "p95", "p99"}
    if all(not n.get("requests_per_s") for n in map(numbers, result["found"].values())):
        hidden.add("requests_per_s")
    return [c for c in COLUMNS if c[0] not in hidden]


def behind(name, result):
    """(column, subject) wherever a subject that bears the load has a better number than Fieldhold."""
    ours, bearing = None, {}
    for subject, found in result["found"].items():
        values = numbers(found)
        if subject in OURS:
            ours = values
        elif bears(result, values) and not subject.startswith(OURS[0]):
            bearing[subject] = values
    for key, heading, less, _ in columns(result):
        for subject, values in bearing.items():
            mine, theirs = ours.get(key), values.get(key)
            if mine is None or theirs is None or abs(mine - theirs) <= TIE * max(mine, theirs):
                continue
            if (theirs < mine) == less:
                yield key, heading, subject


def bears(result, values):
    return values.get("read_per_s" if result["away"] else "arrived_per_s", 0) >= 0.9 * result["asked_per_s"]


def table(name):
    result = load(name)
    shown = columns(result)
    lines = [f"## {result['title']}", "", f"`{result['command']}`; asked: {result['asked_per_s']:,} values a second.", ""]
    lines += ["| |" + "|".join(heading for _, heading, _, _ in shown) + "|", "|---" * (len(shown) + 1) + "|"]
    for subject, found in result["found"].items():
        values = numbers(found)
        if not values:
            lines.append(f"| {subject} | {found['failed']}" + " |" * len(shown))
            continue
        cells = [show(values[key]) if key in values else "–" for key, _, _, show in shown]
        runs = "" if len(found["runs"]) > 1 else " (one run)"
        mark = "" if bears(result, values) else " **does not bear it**"
        lines.append(f"| {subject}{mark}{runs} | " + " | ".join(cells) + " |")
    lines.append("")
    # One line for all columns of a subject that have the same reason.
    reasons = {}
    for key, heading, subject in behind(name, result):
        reasons.setdefault((subject, explained(name, key, subject)), []).append(f"*{heading}*")
    lines += [f"- Not ahead of {subject} in {', '.join(of)}: {why}" for (subject, why), of in reasons.items()]
    return "\n".join(lines).rstrip() + "\n"


def explained(load_name, key, subject):
    for wanted in ((load_name, key, subject), (key, subject)):
        if wanted in EXPLAINED:
            return EXPLAINED[wanted]
    raise SystemExit(f"not ahead, and not explained: {load_name}, {key}, {subject}")


def machine(result):
    m = result["machine"]
    return f"{m['cores']} cores ({m['cpu']}), {m['memory_gb']:.0f} GB, {m['kernel']}, {m['date']}"


def versions(*results):
    rows = {}
    for result in results:
        for subject, version in result["versions"].items():
            rows[subject] = f"| {subject} | {version} | {result['settings'][subject]} |"
    return "\n".join(["| subject | version | settings |", "|---|---|---|", *rows.values()])


def benchmarks():
    results = [load(name) for name in LOADS]
    words = (WORDS / "benchmarks.md").read_text()
    return words.format(
        machine=machine(results[0]), versions=versions(*results), tables="\n".join(map(table, LOADS)),
        seconds=round(results[0]["seconds"]),
    )


def benchmark_plots():
    """What 1,000 tags cost, and what arrives of 1,000, 10,000 and 50,000."""
    first = load("1000")
    rows = lambda result, key: [(s, numbers(f).get(key)) for s, f in result["found"].items()]  # noqa: E731
    costs = ("requests_per_s", "cpu_percent", "rss_peak_mb", "p99")
    groups = [(heading, rows(first, key)) for key, heading, _, _ in COLUMNS if key in costs]
    cost = plot.bars(first["title"], groups, lambda v: f"{v:,.1f}")
    groups = [(load(name)["title"], rows(load(name), "arrived_per_s")) for name in ("1000", "10000", "50000")]
    arrived = plot.bars("Values a second that arrived", groups, lambda v: f"{v:,.0f}")
    return {"benchmarks-1000.svg": cost, "benchmarks-arrived.svg": arrived}


def share(found):
    """Lost of sent, in percent."""
    return None if "failed" in found else 100 * found["lost"] / max(1, found["sent"])


def percent(lost):
    if not lost:
        return "**0**" if lost == 0 else "–"
    return f"{lost:.0f} %" if lost >= 1 else f"{lost:.1f} %"


def loss_summary(result):
    subjects = list(result["versions"])
    lines = ["| fault | " + " | ".join(subjects) + " |", "|---" * (len(subjects) + 1) + "|"]
    for fault, found in result["found"].items():
        lines.append(f"| {fault} | " + " | ".join(percent(share(found[s])) for s in subjects) + " |")
    return "\n".join(lines)


def loss_tables(result):
    parts = []
    for fault, found in result["found"].items():
        heads = "| | sent | arrived | lost | in its window | no value, said so | wrong | duplicated |"
        parts += [f"### {fault}", "", result["faults"][fault], "", heads, "|---" * 8 + "|"]
        for subject, of in found.items():
            if "failed" in of:
                parts.append(f"| {subject} | {of['failed']} | | | | | | |")
                continue
            cells = {key: f"{of[key]:,}" for key in ("sent", "arrived", "lost", "in_window", "said_no_value", "wrong", "duplicated")}
            if of["told"]:
                cells["lost"] += f" ({of['told']:,} told)"
            parts.append(f"| {subject} | " + " | ".join(cells.values()) + " |")
        parts.append("")
    return "\n".join(parts).rstrip()


def loss_report():
    result = load("loss")
    words = (WORDS / "loss-report.md").read_text()
    return words.format(
        machine=machine(result), command=result["command"], outage=round(result["outage_s"]), tags=result["tags"],
        per_second=round(1000 * result["tags"] / result["every_ms"]), versions=versions(result),
        summary=loss_summary(result), tables=loss_tables(result),
    )


def loss_plot():
    result = load("loss")
    groups = [(fault, [(s, share(found[s])) for s in result["versions"]]) for fault, found in result["found"].items()]
    show = lambda v: percent(v).strip("*")  # noqa: E731
    return {"loss-report.svg": plot.bars("Lost, % of what was there to be read", groups, show, 100)}


def documents():
    made = {DOCS / "benchmarks.md": benchmarks(), DOCS / "loss-report.md": loss_report()}
    return made | {DOCS / "plots" / name: svg for name, svg in (benchmark_plots() | loss_plot()).items()}


if __name__ == "__main__":
    made = documents()
    if sys.argv[1:] == ["--check"]:
        stale = [str(f) for f, content in made.items() if not f.exists() or f.read_text() != content]
        sys.exit(f"not what the results make: {', '.join(stale)}" if stale else 0)
    for file, content in made.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
