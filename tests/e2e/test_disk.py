"""The disk is full: the gateway goes on, says so, counts what it drops, and recovers."""

import os
import re
import signal
import subprocess
import time

import pytest

from conftest import BACK_ONLINE, Gateway, Mosquitto, Recorder, free_port, readings
from plant import CountingDevice
from test_outage import TOPIC, check_equation, config, consumers, polls

ROOM = 2 << 20
# What is read beside the counter, so that 1 MiB of memory overflows within seconds.
PADDING = 100

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small tmpfs: the full disk is NOT TESTED")


class SmallDisk:
    """A file system of 2 MiB, and a file that takes all the room that is left."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", directory], check=True)

    def fill(self, leave=0):
        room = os.statvfs(self.directory)
        with open(self.directory / "filler", "wb", buffering=0) as filler:
            filler.write(bytes(max(room.f_bavail * room.f_frsize - leave, 0)))

    def free(self):
        (self.directory / "filler").unlink()

    def kill(self):
        subprocess.run(["umount", "-l", self.directory], check=False)


@pytest.fixture
def site(tmp_path, started):
    disk = started(SmallDisk(tmp_path / "gw" / "state"))
    device = started(CountingDevice())
    cloud = Mosquitto(tmp_path / "cloud")
    text = config(device, cloud.port, free_port()).replace("ms }", "ms, ram: 1MiB }")
    tags = "".join(f"      r{r}: {{ holding: {r}, type: u16 }}\n" for r in range(2, 2 + PADDING))
    text = text.replace("type: u32 }\n", "type: u32 }\n" + tags).replace('send: [ "#" ]', f'send: [ "{TOPIC}" ]')
    return disk, device, cloud, started(Gateway(tmp_path / "gw", text))


def waiting(status):
    return sum(row["waiting"] for row in consumers(status))


def ram_only(status):
    return status["store"]["state"] == "ram-only"


def drain(cloud, gateway, started):
    """Starts the cloud; gives the counter's values that arrive by then, and the accounts."""
    gateway.signal(signal.SIGSTOP)
    started(cloud)
    recorder = started(Recorder(cloud.port))
    gateway.signal(signal.SIGCONT)
    status = gateway.wait(lambda s: waiting(s) < 5 * (PADDING + 1), BACK_ONLINE + 30, "the backlog drained")
    for row in consumers(status):
        check_equation(row)
    seen = {}
    for topic, value, quality, key in readings(list(recorder.messages)):
        assert topic == TOPIC, topic
        if quality == "good":
            seen.setdefault(value, set()).add(key)
    assert all(len(keys) == 1 for keys in seen.values()), "a value came under several keys"
    return seen, status


def test_full_disk_is_said_counted_and_recovered_from(site, started):
    disk, device, cloud, gateway = site
    polls(device, 50)
    disk.fill()
    status = gateway.wait(ram_only, 30, "the store says that it can't write")
    assert "full" in status["store"]["why"]
    gateway.wait(lambda s: any("ram-full" in r["dropped_why"] for r in consumers(s)), 60, "drops, counted")
    assert ram_only(gateway.status())
    polls(device, 50)
    assert "on disk again" not in gateway.output()
    disk.free()
    gateway.wait(lambda s: s["store"]["state"] == "ok", 30, "the store on disk again")
    assert gateway.output().count("on disk again") == 1
    polls(device, 20)
    last = device.served
    polls(device, 20)
    seen, status = drain(cloud, gateway, started)
    dropped = sum(row["dropped"] for row in consumers(status))
    missing = [v for v in range(1, last + 1) if v not in seen]
    assert missing and len(missing) * (PADDING + 1) == dropped, (len(missing), dropped)
    assert status["units"]["bus line"]["restarts"] == 0


def test_restart_on_a_full_disk_keeps_the_backlog(site, started):
    disk, device, cloud, gateway = site
    polls(device, 100)
    wrote = device.served
    time.sleep(1)  # several commit windows
    disk.fill()
    gateway.wait(ram_only, 30, "the store says that it can't write")
    gateway.kill()
    gateway.start()
    # Opening the file takes no room, and there is some left in its log.
    gateway.wait(ram_only, 30, "the store says that it can't write")
    polls(device, 300)  # for longer than it takes to try the disk again
    assert ram_only(gateway.status())
    disk.free()
    gateway.wait(lambda s: s["store"]["state"] == "ok", 30, "the store on disk again")
    seen, status = drain(cloud, gateway, started)
    assert status["store"]["quarantined"] == []
    missing = [v for v in range(1, wrote) if v not in seen]
    assert not missing, missing[:20]


def test_stop_on_a_full_disk_says_what_is_lost(site):
    disk, device, _, gateway = site
    polls(device, 50)
    disk.fill()
    gateway.wait(ram_only, 30, "the store says that it can't write")
    polls(device, 20)
    assert gateway.stop() == 0
    lost = re.search(r"could not be written are lost.* unwritten=(\d+)", gateway.output())
    assert lost and int(lost[1]) >= 20 * (PADDING + 1), gateway.output()
