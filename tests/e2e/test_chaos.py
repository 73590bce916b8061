"""Chaos on the way to the cloud: whatever dies, stalls or is reset, nothing is lost that the gateway
said is safe. Truth is the broker's own log of what it acknowledged.

The short form runs with the other tests. The long form: FIELDHOLD_CHAOS_FAULTS=150
FIELDHOLD_CHAOS_MESSAGES=300000 (both are totals over all rounds), with a release build in FIELDHOLD_BIN.
"""

import json
import os
import random
import signal
import sys
import time

import chaos
import pytest
from conftest import BACK_ONLINE, Gateway, Process, free_port, listening, wait_for

FAULTS = int(os.environ.get("FIELDHOLD_CHAOS_FAULTS", "12"))
MESSAGES = int(os.environ.get("FIELDHOLD_CHAOS_MESSAGES", "6000"))
LONG = "FIELDHOLD_CHAOS_FAULTS" in os.environ
# Version, window, payload bytes, round trip in seconds.
ROUNDS = [
    ("3.1.1", 100, 100, 0.0),
    ("5", 20, 60_000, 0.0),
    ("5", 1000, 100, 0.1),
]
if LONG:
    ROUNDS += [
        ("3.1.1", 20, 100, 0.0),
        ("5", 100, 100, 0.0),
        ("3.1.1", 1000, 100, 0.1),
        ("5", 20, 100, 0.1),
        ("3.1.1", 1000, 60_000, 0.0),
        ("3.1.1", 100, 60_000, 0.1),
    ]
# After a kill of the gateway comes again what was acknowledged and not yet written: settled after 50 ms,
# written after 100 ms, and what a busy machine adds.
UNWRITTEN_S = 0.4
# A large message counts as much as so many small ones, in the share of a round.
LARGE = 40


def config(port, lan_port, version, window):
    return f"""
gateway: {{ name: edge, site: works }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan_port}" }} ] }}
uplinks:
  cloud:
    url: "mqtt://127.0.0.1:{port}"
    mqtt: {version}
    send: [ "chaos/#" ]
    notices: off
    window: {{ messages: {window}, bytes: 64MiB }}
store: {{ path: state, commit: 100ms, max-bytes: 2GiB }}
"""


class Cloud(Process):
    def __init__(self, directory):
        directory.mkdir(parents=True)
        self.port, self.received = free_port(), directory / "received"
        super().__init__([sys.executable, chaos.__file__, self.port, self.received], directory / "log")

    def start(self):
        super().start()
        wait_for(lambda: listening(self.port), 30, "the cloud listening")
        return self


def kill_cloud(cloud, wire, gateway, pick):
    cloud.kill()
    cloud.start()


def end_cloud(cloud, wire, gateway, pick):
    cloud.stop()
    cloud.start()


def stop_cloud(cloud, wire, gateway, pick):
    cloud.signal(signal.SIGSTOP)
    time.sleep(pick.uniform(0.5, 12 if LONG else 3))
    cloud.signal(signal.SIGCONT)


def drop_packets(cloud, wire, gateway, pick):
    wire.silence(pick.uniform(0.5, 12 if LONG else 3))
    wait_for(lambda: time.monotonic() > wire.silent_until, 30, "the end of the silence")
    if pick.random() < 0.5:
        wire.reset()


def reset(cloud, wire, gateway, pick):
    wire.reset()


def kill_gateway(cloud, wire, gateway, pick):
    gateway.kill()
    gateway.start()


KINDS = [kill_cloud, end_cloud, stop_cloud, drop_packets, reset, kill_gateway]


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_nothing_is_lost_in_chaos(tmp_path, number):
    version, window, size, rtt = ROUNDS[number]
    pick = random.Random(number)
    faults = -(-FAULTS // len(ROUNDS))
    messages = MESSAGES // len(ROUNDS) // (LARGE if size > 1000 else 1)
    port, lan_port = free_port(), free_port()
    cloud = Cloud(tmp_path / "cloud").start()
    wire = chaos.Wire(port, cloud.port, rtt)
    gateway = Gateway(tmp_path / "gateway", config(port, lan_port, version, window)).start()
    # Not more than the window lets through, or the drain takes longer than the faults.
    rate = min(100 if size > 1000 else 4000 if LONG else 1000, 0.8 * window / rtt if rtt else 4000)
    source = chaos.Source(lan_port, size, rate)
    source.start()
    try:
        for fault in range(faults):
            before = cloud.received.stat().st_size if cloud.received.exists() else 0
            # Something is on its way when it happens, and the fault before is over.
            flowing = lambda before=before: cloud.received.exists() and cloud.received.stat().st_size > before
            wait_for(flowing, BACK_ONLINE, f"messages before fault {fault}: {gateway.status()}")
            time.sleep(pick.uniform(0, 0.3))
            KINDS[(fault + number) % len(KINDS)](cloud, wire, gateway, pick)
        wait_for(lambda: len(source.safe) >= messages, 900 if LONG else 120, "the messages")
        source.stopping = True
        source.join(60)
        assert not source.is_alive(), "the last acknowledgements on the LAN"

        def drained():
            status = gateway.status()
            return status and status["uplinks"]["cloud"]["waiting"] == 0 and status

        status = wait_for(drained, BACK_ONLINE + 300, "everything sent")
    finally:
        source.stopping = True
        gateway.kill()
        wire.close()
        cloud.kill()
    arrived = chaos.received(cloud.received)
    lost = source.safe - set(arrived)
    duplicates = len(arrived) - len(set(arrived))
    ends = status["uplinks"]["cloud"]["ends"]
    print(json.dumps({
        "mqtt": version, "window": window, "bytes": size, "rtt_ms": rtt * 1000, "faults": faults,
        "messages": len(source.safe), "lost": len(lost), "duplicates": duplicates,
        "sent_again_on_lan": source.again, "ends": ends,
    }))
    assert not lost, f"{len(lost)} of {len(source.safe)} lost: {sorted(lost)[:20]}"
    # What was out at a fault comes again, on this side and on the LAN. A fault may end a connection twice.
    kills = sum(KINDS[(fault + number) % len(KINDS)] is kill_gateway for fault in range(faults))
    allowed = faults * 2 * window + source.again + kills * rate * UNWRITTEN_S
    assert duplicates <= allowed, f"{duplicates} duplicates, {allowed} allowed"
