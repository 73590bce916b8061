"""`tests/soak HOURS [--seed N] [--out FILE] [--work DIR]`, `tests/soak --report FILE`, or
`tests/soak --judge DIR [--out FILE]`.

Runs the gateway at $FIELDHOLD_BIN (by default the release build) for so many hours under random faults, then
judges it and writes FILE and, beside it, the page that is made of it. Ends with 1 if a criterion is missed.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("FIELDHOLD_BIN", str(ROOT / "target/release/fieldhold"))

from soak import report, run  # noqa: E402

# Of everything that takes part, where we may: the machine may have other work, and a plant that waits for it proves nothing.
PRIORITY = -10


def main():
    parser = argparse.ArgumentParser(prog="tests/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hours", type=float, nargs="?", help="how long faults come, e.g. 2 or 0.05")
    parser.add_argument("--seed", type=int, help="of the faults; by default another one each time, and printed")
    parser.add_argument("--every", type=float, default=11, help="seconds from fault to fault on average")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/results/soak.json")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/soak", help="states and logs; emptied at first")
    parser.add_argument("--commit", default="", help="of the binary, where it is not the tree's")
    parser.add_argument("--report", type=pathlib.Path, help="make the page of this result again")
    parser.add_argument("--judge", type=pathlib.Path, help="judge the values of the soak in this --work once more, for --out")
    options = parser.parse_args()
    if options.judge:
        result = run.judge_again(options.judge, json.loads(options.out.read_text()))
        options.out.write_text(report.compact(result))
        return finish(result, options.out)
    if options.report:
        report.write(options.report)
        return 0
    if not options.hours:
        parser.error("for how many hours?")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # What was started is ended, and the disk unmounted.
    if os.geteuid() == 0 and os.getpriority(os.PRIO_PROCESS, 0) > PRIORITY:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    shutil.rmtree(options.work, ignore_errors=True)
    seed = options.seed if options.seed is not None else int(time.time())
    result = run.soak(options.work, 3600 * options.hours, seed, options.every, commit=options.commit)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report.compact(result))
    return finish(result, options.out)


def finish(result, out):
    report.write(out)
    for criterion in result["criteria"]:
        print("met   " if criterion["ok"] else "MISSED", criterion["what"], "-", criterion["found"], flush=True)
    return 0 if all(criterion["ok"] for criterion in result["criteria"]) else 1


if __name__ == "__main__":
    sys.exit(main())
