"""Going back to a version that does not know the form that a newer one gave the queue's file: nothing is lost by that."""

import sqlite3

from conftest import e2e, wait_for
from plant import CountingDevice


def waiting(status):
    return sum(row["waiting"] for consumer in status["store"]["consumers"] for row in consumer["classes"])


def test_the_queue_of_a_newer_version_is_queued_again(tmp_path):
    device, cloud = CountingDevice(), e2e.Mosquitto(tmp_path / "cloud")
    gateway = e2e.Gateway(tmp_path / "gateway", f"""
gateway: {{ name: edge, site: works }}
buses: {{ line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }} }}
devices:
  press: {{ bus: line, every: 20ms, tags: {{ count: {{ holding: 0, type: u32 }} }} }}
uplinks: {{ cloud: {{ url: "mqtt://127.0.0.1:{cloud.port}", send: [ "#" ] }} }}
store: {{ path: state }}
""")
    ends = [gateway, cloud]
    try:
        gateway.start()
        gateway.wait(lambda s: waiting(s) >= 500, 60, "a queue")
        assert gateway.stop() == 0
        queue = gateway.state / "store/queue.db"
        with sqlite3.connect(queue) as newer:
            newer.execute("PRAGMA user_version=99")
        newer.close()

        cloud.start()
        recorder = e2e.Recorder(cloud.port)
        ends.insert(0, recorder)
        gateway.start()
        assert list((gateway.state / "store/quarantine").glob("*.db")), "the newer file was set aside"
        values = lambda: {v for _, v, quality, _ in e2e.readings(recorder.messages) if quality == "good"}
        target = device.served + 50
        wait_for(lambda: max(values(), default=0) >= target, e2e.BACK_ONLINE, "values of now")

        def missing():
            bad = {key for _, _, quality, key in e2e.readings(recorder.messages) if quality != "good"}
            lost = set(range(1, target + 1)) - values()
            return lost if len(lost) > len(bad) else None

        wait_for(lambda: missing() is None, 90, "every value of the time before")
    finally:
        for thing in ends:
            thing.kill() if hasattr(thing, "kill") else thing.close()
        device.close()
