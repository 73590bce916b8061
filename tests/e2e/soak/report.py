"""The result of a soak as JSON, and the page and the picture that are made of it."""

import json

from .watch import slope

# Rows that come one a line.
TABLES = ("watch", "fault_list")
# Of the picture.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 170, 64, 16, 26, 26
COLOURS = {"rss": "#0072b2", "anon": "#009e73", "fds": "#d55e00", "waiting": "#cc79a7"}


def compact(result):
    """JSON with a line for each fault and each look, so that two runs can be compared."""
    rest = {key: value for key, value in result.items() if key not in TABLES}
    text = json.dumps(rest, indent=1, ensure_ascii=False).removesuffix("\n}")
    for key in TABLES:
        lines = ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in result[key])
        text += f',\n "{key}": [\n{lines}\n ]'
    return text + "\n}\n"


def write(file):
    """The page beside the directory of results, the picture beside the result."""
    result = json.loads(file.read_text())
    picture = file.with_suffix(".svg")
    picture.write_text(draw(result))
    page = file.parent.parent / "soak.md" if file.parent.name == "results" else file.with_suffix(".md")
    page.write_text(describe(result, file.relative_to(page.parent), picture.relative_to(page.parent)))


def number(value):
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(number(cell) for cell in row)} |" for row in rows)])


def describe(r, raw, picture):
    judged, machine, setting = r["judgement"], r["machine"], r["setting"]
    missed = [c for c in r["criteria"] if not c["ok"]]
    verdict = "Every criterion is met." if not missed else f"**{len(missed)} of {len(r['criteria'])} criteria missed**, see below."
    again = f" The values were judged again after the run, by the oracle of {r['judged_again'][:12]}." if r.get("judged_again") else ""
    disk = f"a file system of {setting['disk_bytes'] >> 20} MiB" if setting["disk_bytes"] else "an ordinary directory (no root: the disk never got full)"
    criteria = table(["criterion", "found", ""], [(c["what"], c["found"], "met" if c["ok"] else "**missed**") for c in r["criteria"]])
    kinds = table(["fault", "times"], r["faults"]["by_kind"].items())
    deeds = ", ".join(f"{name} {number(n)}" for name, n in sorted(r["deeds"].items(), key=lambda item: -item[1]))
    missing = table(["served, not arrived", "readings"], judged["missing"].items() or [("none", 0)])
    errors = table(["line at ERROR", "times"], [(f"`{what}`", n) for what, n in r["log"]["error"].items()] or [("none", 0)])
    bad = ", ".join(f"`{name}` {number(n)}" for name, n in judged["bad_readings"].items()) or "none"
    told = ", ".join(f"{name} {number(n)}" for name, n in judged["told_reasons"].items()) or "nothing"
    failed = "".join(f"\n\nWas not done, or not to its end: {why}." for why in r["faults"]["failed"])
    lives = table(
        ["life", "RSS KiB", "private KiB", "RSS KiB/h (99 %)", "in its second half", "descriptors", "threads", "CPU of a core"],
        [
            (
                life["life"], *(over(life, key) for key in ("rss", "anon")), growth(life["rss"]), growth(second_half(r, life)),
                *(over(life, key) for key in ("fds", "threads")),
                f"{100 * life['cpu_share']:.1f} %",
            )
            for life in r["long_lives"]
        ],
    )
    return f"""# Soak: hours under random faults

<!-- Made by `tests/soak --report` of the result; don't edit. -->
`tests/soak HOURS` runs the real binary beside a plant that it serves itself, and breaks something every few seconds. Values say whose they
are: device, tag, number of the answer and a checksum, so an oracle knows of every value that was ever answered whether it
must arrive, may (it came late) or must not (it was sent under a wrong id, unit, function or length, or damaged).

{verdict} {r['hours']:.2f} h on {r['date']}, {r['version']} ({r['commit'][:12]}), seed {r['seed']}: {number(r['faults']['n'])} faults, {number(judged['served'])} readings served,
{number(judged['lost'])} lost, {number(judged['wrong'])} wrong.{again} Raw: [{raw.name}]({raw}).

{criteria}

![memory, descriptors and backlog over time]({picture})

## The setting
{setting['tcp_devices']} Modbus TCP devices of 24 tags every 200 to 350 ms, a ninth that comes and goes, an RTU line on a pty: {setting['readings_per_s']} readings/s on average, faults
included. A LAN client publishes {setting['lan_messages_per_s']} messages of QoS 1 a second, another has a session; a third watches live values. The cloud writes what it is
sent, then acknowledges. State on {disk}, `commit: {setting['commit_ms']}ms`, 1 MiB of memory, so that an overflow happens.
The first device is of class alarm, the others of class bulk, the line and the LAN's messages of class normal.

{machine['cores']} cores of an {machine['cpu']}, {machine['memory_gib']} GiB, kernel {machine['kernel']}; load {machine['load_at_start'][0]} at the start and {r['load_at_end'][0]} at the end, since the
machine was building other things; the gateway and the plant ran at priority {machine['priority']}.

## Faults
{setting['kinds']} kinds, drawn at random; faults of different parts overlap. In the two long stretches (marked in the picture) the gateway's process lives on
and everything else is broken, so that its memory can be watched; outside them it is killed and restarted as well: {r['gateway_lives']} lives.

{kinds}

Answers of the devices by what they did: {deeds}.{failed}

## What became of the values
{number(judged['arrived'])} values arrived ({number(judged['readings_received'])} readings with repetitions and bad ones); {number(judged['duplicates'])} came again under their id, the same each time, and
{number(judged['again_after_salvage'])} under a new id after a salvage. Told by notices: {told}. Bad readings: {bad}.
LAN: {number(judged['lan_acknowledged'])} messages acknowledged, {number(judged['lan_duplicates'])} came twice. Largest difference between the time of a reading and that of its answer: {judged['time_off_s']} s.

{missing}

*Within the window*: answered less than the commit window and {setting['allowance_ms']} ms (of the machine) before a SIGKILL; the oldest was {judged['oldest_lost_before_a_kill_ms']} ms old.
*Told as a gap*, *as corrupt*: within the times that a notice says, or waiting in a file that was damaged. Where a page with the accounts
themselves is gone, what is told as corrupt is an upper bound, so the oracle allows no more than was waiting then.
*Under way*: one request of each bus when it was stopped. *No answer*: the gateway itself says in a reading of that tag and time that it has no value; this
machine stood still now and then, and the plant with it.

## Memory and descriptors

{lives}

Slopes are Theil and Sen's over one-minute medians, the first {setting['warm_up_min']} minutes left out; the interval is widened by the samples' autocorrelation. *Within noise*: the
interval reaches down to 0, or even its upper end would add less than 5 % in a day. Memory, descriptors and threads are those of
quiet moments, the first before the first fault of a stretch and the last after its last. RSS contains pages of the binary and of SQLite's files; *private* is what the process itself took.
SQLite's page caches, at most 2 MB of the writer's and 1 MB of the reader's, are given back every minute, and all threads have one heap, and
large buffers are given back when they are freed, as in the service (`MALLOC_ARENA_MAX=1`, `MALLOC_MMAP_THRESHOLD_=131072`).

## The log
{r['log']['panics']} panics.

{errors}

## What it does not show
One machine, hours and not weeks, a tmpfs and no card, faults that this program can think of. How the judge itself is tested: `tests/e2e/test_soak.py`, which also
runs a short form with the other tests.
"""


def over(life, key):
    return " → ".join(number(check[key]) for check in life["checks"])


def second_half(r, life):
    """The slope when the first half of a life counts as warming up, of the looks that are in the result."""
    rows = [dict(zip(r["watch_columns"], row, strict=True)) for row in r["watch"]]
    of = [row for row in rows if row["life"] == life["life"]]
    return slope(of, max(row["up"] for row in of) / 2) if of else None


def growth(found):
    return f"{found['per_hour']:+,.0f} ({found['interval_per_hour'][0]:+,.0f} to {found['interval_per_hour'][1]:+,.0f})" if found else "too short"


def draw(r):
    """Three strips over one time axis: memory, descriptors, readings that wait."""
    columns = {name: i for i, name in enumerate(r["watch_columns"])}
    rows = r["watch"]
    if not rows:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    end = rows[-1][columns["t"]] or 1
    strips = [("memory, MiB", ("rss", "anon"), 1024), ("descriptors", ("fds",), 1), ("readings that wait", ("waiting",), 1)]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * len(strips)}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT * len(strips)}" fill="#ffffff"/>',
    ]
    x = lambda t: LEFT + (WIDTH - LEFT - RIGHT) * t / end
    for place, (title, keys, unit) in enumerate(strips):
        top, bottom = place * HEIGHT + TOP, (place + 1) * HEIGHT - BOTTOM
        for life in r["long_lives"]:
            begin, width = x(life["checks"][0]["t"]), x(life["checks"][-1]["t"]) - x(life["checks"][0]["t"])
            out.append(f'<rect x="{begin:.0f}" y="{top}" width="{max(width, 0):.0f}" height="{bottom - top}" fill="#eeeeee"/>')
        most = max(max(row[columns[key]] for row in rows) for key in keys) / unit or 1
        y = lambda value: bottom - (bottom - top) * value / (1.1 * most)
        out.append(f'<path d="M{LEFT} {top}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="#333333"/>')
        out += [f'<text x="{LEFT - 6}" y="{y(v) + 4:.0f}" text-anchor="end">{v:,.0f}</text>' for v in (0, most / 2, most)]
        for at, key in enumerate(keys):
            points, life = [], None
            for row in rows:
                points.append(f"{'L' if row[columns['life']] == life else 'M'}{x(row[0]):.1f} {y(row[columns[key]] / unit):.1f}")
                life = row[columns["life"]]
            out.append(f'<path d="{"".join(points)}" fill="none" stroke="{COLOURS[key]}" stroke-width="1.5"/>')
            name = {"rss": "RSS", "anon": "private"}.get(key, "")
            out.append(f'<text x="{LEFT + 150 + 70 * at}" y="{top - 8}" fill="{COLOURS[key]}">{name}</text>')
        out.append(f'<text x="{LEFT}" y="{top - 8}">{title}</text>')
    out += [f'<text x="{x(end * part / 4):.0f}" y="{HEIGHT * len(strips) - 8}" text-anchor="middle">{end * part / 4 / 60:.0f} min</text>' for part in range(5)]
    return "\n".join([*out, "</svg>", ""])
