"""The program of 64-bit ARM, run under QEMU: the whole way of a value. FIELDHOLD_DIST=1: that which is shipped, and its package."""

import os
import ssl
import subprocess
import urllib.request

import pytest
from conftest import ARM, ROOT, e2e, run, wait_for
from plant import CountingDevice

EMULATED = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"]


@pytest.mark.skipif(not os.environ.get("FIELDHOLD_DIST"), reason="without FIELDHOLD_DIST=1 it is not what is shipped")
def test_the_package_for_arm_is_small_and_as_debian_wants_it(arm):
    """That it is small is the matter of cross/package, which makes no other."""
    package = ROOT / run(ROOT / "cross/package", ARM).splitlines()[-1]
    assert run("dpkg-deb", "-f", package, "Architecture").strip() == "arm64"
    judged = subprocess.run(["lintian", "--fail-on", "error,warning", package], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_demonstration_runs_on_arm(arm, tmp_path):
    """Plant, store, broker, uplink and cloud in one process; the last line is the equation, which must hold."""
    words = "wait 6\ncut\nwait 4\nrestore\nwait 10\nquit\n"
    demo = [*EMULATED, arm, "demo", "--state-dir", tmp_path, "--web", "127.0.0.1:0"]
    result = subprocess.run(demo, input=words, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " = delivered " in result.stdout.strip().splitlines()[-1], result.stdout


def test_values_reach_the_cloud_from_arm_through_an_outage(arm, tmp_path):
    """Poll, store, publish on the LAN, uplink and page; the device counts what it answered."""
    device, cloud = CountingDevice(), e2e.Mosquitto(tmp_path / "cloud").start()
    lan_port, page_port = e2e.free_port(), e2e.free_port()
    gateway = e2e.Gateway(tmp_path / "gateway", f"""
gateway: {{ name: edge, site: works }}
buses: {{ line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }} }}
devices:
  press:
    bus: line
    every: 100ms
    tags: {{ count: {{ holding: 0, type: u32 }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan_port}" }} ] }}
uplinks: {{ cloud: {{ url: "mqtt://127.0.0.1:{cloud.port}", send: [ "#" ] }} }}
web: {{ listen: "127.0.0.1:{page_port}" }}
store: {{ path: state }}
""")
    gateway.arguments = [*EMULATED, arm, *gateway.arguments[1:]]
    ends = [gateway, cloud]
    try:
        gateway.start(ready=False)
        wait_for(gateway.status, 60, "the gateway's status")
        recorder = e2e.Recorder(cloud.port)
        ends.insert(0, recorder)
        wait_for(lambda: e2e.listening(lan_port), 30, "the LAN broker")
        lan = e2e.Recorder(lan_port, ["works/edge/press/count"])
        ends.insert(0, lan)
        wait_for(lambda: device.served >= 20, 30, "polls")
        wait_for(lambda: lan.messages, 30, "a value on the LAN")

        own = ssl.create_default_context()
        own.check_hostname, own.verify_mode = False, ssl.CERT_NONE
        page = lambda path: urllib.request.urlopen(f"https://127.0.0.1:{page_port}{path}", context=own, timeout=20)
        assert wait_for(lambda: page("/readyz").read(), 30, "readiness") == b"ready\n"
        assert "<title>" in page("/").read().decode()

        cloud.stop()
        gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "offline", 30, "the outage")
        target = device.served + 30
        wait_for(lambda: device.served >= target, 60, "polls in the outage")
        gateway.wait(lambda s: waiting(s) >= 20, 30, "a queue")
        before = recorder.subscribed
        gateway.signal(e2e.signal.SIGSTOP)
        cloud.start()
        wait_for(lambda: recorder.subscribed > before, 30, "the recorder's return")
        gateway.signal(e2e.signal.SIGCONT)
        gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online" and waiting(s) < 5, e2e.BACK_ONLINE + 30, "the drain")

        served = device.served
        values = lambda: {v for _, v, quality, _ in e2e.readings(recorder.messages) if quality == "good"}
        wait_for(lambda: max(values(), default=0) >= served, 30, "the newest value")
        bad = {key for _, _, quality, key in e2e.readings(recorder.messages) if quality != "good"}
        missing = set(range(1, served + 1)) - values()
        # A late answer was served and is said to be bad; nothing is missing without a word.
        assert len(missing) <= len(bad), (sorted(missing), bad)
    finally:
        for thing in ends:
            thing.kill() if hasattr(thing, "kill") else thing.close()
        device.close()


def waiting(status):
    return sum(row["waiting"] for consumer in status["store"]["consumers"] for row in consumer["classes"])
