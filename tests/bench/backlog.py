"""A million readings kept while the cloud is away, then drained beside live values.

    target/tests-venv/bin/python tests/bench/backlog.py [columnar | tag]
"""

import json
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from conftest import Gateway, Mosquitto  # noqa: E402
from field import Clock, ClockField  # noqa: E402
from measure import Usage, percentile  # noqa: E402
from subjects import SUBJECTS  # noqa: E402
from subjects.base import Device  # noqa: E402
from subscriber import Subscriber  # noqa: E402

READINGS, TAGS = 1_000_000, 1000
FILLING_MS, LIVE_MS = 40, 1000


def config(form, directory, port, cloud, every_ms):
    subject = SUBJECTS["Fieldhold"](directory, [Device("d0", TAGS, every_ms, port=port)], cloud)
    return subject.text().replace("payload: group", f"payload: group\n    backlog: {{ payload: {form} }}")


def waiting(status):
    return sum(row["waiting"] for consumer in status["store"]["consumers"] for row in consumer["classes"])


def ages_ms(subscriber, read_after):
    """Of values that were read after this moment; older ones are backlog."""
    for arrived, retained, _, payload in subscriber.messages():
        body = json.loads(payload)
        if not retained and "device" in body and body["ts"] > 1000 * read_after:
            yield from (((arrived - v) & 0xFFFF_FFFF) / 10 for v in body["values"].values() if v is not None)


def drain(form, directory):
    field, cloud = ClockField(Clock(), 1), Mosquitto(directory / "cloud")
    text = lambda every: config(form, directory / "gateway", field.ports[0], cloud.port, every)  # noqa: E731
    gateway = Gateway(directory / "gateway", text(FILLING_MS)).start()
    try:
        gateway.wait(lambda s: waiting(s) >= READINGS, 600)
        # Now an ordinary pace again, so that live values and backlog share the uplink.
        gateway.write(text(LIVE_MS))
        gateway.stop()
        gateway.start()
        depth = waiting(gateway.wait(lambda s: waiting(s) >= READINGS))
        cloud.start()
        live = Subscriber(cloud.port)
        gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online", 120)
        wall, start = time.time(), gateway.status()["uplinks"]["cloud"]["acked_rows"]
        before = Usage([gateway.child.pid])
        # Asked seldom: a status of 1,000 tags costs both sides milliseconds. A columnar drain is over
        # within a second, so the first question comes soon.
        pause = 0.05
        while waiting(gateway.status()) > 3 * TAGS:
            time.sleep(pause)
            pause = min(1.0, pause * 2)
        after = Usage([gateway.child.pid])
        acked = gateway.status()["uplinks"]["cloud"]["acked_rows"] - start
        during, messages = list(ages_ms(live, wall)), list(live.messages())
        return {
            "backlog": depth,
            "drain_s": round(after.at - before.at, 2),
            "readings_per_s": round(acked / (after.at - before.at)),
            "cpu_us_per_reading": round(1e6 * (after.cpu - before.cpu) / max(1, acked), 2),
            "messages": len(messages),
            "payload_bytes_per_reading": round(sum(len(m[3]) for m in messages) / max(1, acked), 1),
            "live_ms_during": {f"p{round(100 * p)}": percentile(during, p) for p in (0.5, 0.99)},
            "rss_peak_mb": round(after.peak_kb / 1024, 1),
        }
    finally:
        gateway.kill()
        cloud.kill()
        field.close()


if __name__ == "__main__":
    form = sys.argv[1] if len(sys.argv) > 1 else "columnar"
    with tempfile.TemporaryDirectory() as directory:
        print(json.dumps({form: drain(form, pathlib.Path(directory))}, indent=1))
