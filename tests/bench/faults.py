"""The faults of the loss report. Each is done to a running `Scene` and leaves it healed."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import time

# Of the file system that a full disk is made of.
SMALL_DISK = "64m"


def stalled(scene):
    """The broker is stopped (SIGSTOP) and goes on: the connection stays up and says nothing."""
    scene.cloud.signal(signal.SIGSTOP)
    scene.rest(scene.seconds)
    scene.cloud.signal(signal.SIGCONT)


def dropped(scene):
    """Every packet to and from the broker is dropped (iptables in a network namespace), then they pass again."""
    scene.net.drop(True)
    scene.rest(scene.seconds)
    scene.net.drop(False)


def forgotten(scene):
    """Something on the way swallows what is sent, then resets the connection: a NAT that has forgotten it."""
    scene.wire.silence(scene.seconds)
    scene.rest(scene.seconds - 0.5)
    scene.wire.reset()
    scene.rest(0.5)


def broker_killed(scene):
    """The broker is killed (SIGKILL) and comes back."""
    scene.cloud.kill()
    scene.rest(scene.seconds)
    scene.cloud.start()


def gateway_killed(scene):
    """The gateway is killed (SIGKILL) while the broker is away, and started again."""
    with broker_away(scene):
        scene.oracle.kills.append(time.monotonic())
        scene.subject.kill()
        scene.subject.start()


def gateway_restarted(scene):
    """The gateway is stopped (SIGTERM) while the broker is away, and started again."""
    with broker_away(scene):
        scene.stop_subject()
        scene.subject.start()


def edited(scene):
    """The configuration is edited while the broker is away: another interval (a LAN broker: an option)."""
    with broker_away(scene):
        begin = time.monotonic()
        scene.subject.edit()
        scene.oracle.stopped(begin, time.monotonic() + 0.5)
        scene.rest(scene.seconds / 4)


def disk_full(scene):
    """Others fill the disk with the buffer while the broker is away, and make room again."""
    with broker_away(scene):
        fill = scene.subject.state / "others"
        with contextlib.suppress(OSError), open(fill, "wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass
        scene.rest(scene.seconds / 2)
        fill.unlink()


def header_lost(scene):
    """While the gateway is stopped, with the broker away, the first 64 bytes of every file of its buffer become zeros."""
    with broker_away(scene):
        scene.stop_subject()
        for file in scene.subject.buffer():
            with open(file, "r+b") as damaged:
                damaged.write(bytes(min(64, file.stat().st_size)))
        scene.subject.start()


def bits_flipped(scene):
    """Likewise one bit of each 4 KB of these files is flipped, at a place of chance."""
    dice = random.Random(7)
    with broker_away(scene):
        scene.stop_subject()
        for file in scene.subject.buffer():
            content = bytearray(file.read_bytes())
            for page in range(0, len(content), 4096):
                content[dice.randrange(page, min(page + 4096, len(content)))] ^= 1 << dice.randrange(8)
            file.write_bytes(content)
        scene.subject.start()


def cut_short(scene):
    """Likewise every file of the buffer loses its last quarter."""
    with broker_away(scene):
        scene.stop_subject()
        for file in scene.subject.buffer():
            os.truncate(file, file.stat().st_size * 3 // 4)
        scene.subject.start()


@contextlib.contextmanager
def broker_away(scene):
    """Half of the outage before, and a quarter after what happens meanwhile."""
    scene.cloud.kill()
    scene.rest(scene.seconds / 2)
    yield
    scene.rest(scene.seconds / 4)
    scene.cloud.start()


@contextlib.contextmanager
def small_disk(directory):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "fieldhold-bench", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


FAULTS = {
    "stalled": stalled,
    "dropped": dropped,
    "forgotten": forgotten,
    "broker-killed": broker_killed,
    "gateway-killed": gateway_killed,
    "gateway-restarted": gateway_restarted,
    "edited": edited,
    "disk-full": disk_full,
    "header-lost": header_lost,
    "bits-flipped": bits_flipped,
    "cut-short": cut_short,
}
NEED_ROOT = ("dropped", "disk-full")
