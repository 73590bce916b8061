"""What the harness wants of a subject: an adapter of a few lines."""

import json
import pathlib
import signal
import sys
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))

from conftest import Process, free_port  # noqa: E402


@dataclass
class Device:
    """Tags `t0`, `t1`, …, u32 in ABCD, in the holding registers 2t and 2t + 1, all wanted every so often."""

    name: str
    tags: int
    every_ms: int = 1000
    unit: int = 1
    port: int = 0  # of 127.0.0.1
    line: str = ""  # or this serial port, 9600 8N1


class Subject:
    name = ""
    # Does it read registers itself? Otherwise the harness publishes to it on the LAN (`self.lan`).
    polls = True
    # What it says may be lost by a crash, in seconds.
    window = 0.0
    # In one line, and where its documentation says so.
    settings = ""

    @classmethod
    def install(cls):
        """Makes it ready to run where it is absent; returns its version."""
        raise NotImplementedError

    def __init__(self, directory, devices, cloud, host="127.0.0.1"):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.devices, self.cloud, self.host = directory, devices, cloud, host
        self.state = directory / "state"
        self.state.mkdir(exist_ok=True)
        self.lan = free_port()
        self.every_ms = {d.name: d.every_ms for d in devices}
        self.process = None

    def configure(self):
        """Writes its configuration from `self.devices`, `self.cloud` and `self.every_ms`."""
        raise NotImplementedError

    def command(self):
        """What to run, and with which environment."""
        raise NotImplementedError

    def start(self):
        command, environment = self.command()
        self.process = Process(command, self.directory / "log", cwd=self.directory, env=environment).start()
        return self

    def stop(self):
        """As its service would: SIGTERM, and patience."""
        if self.process and self.process.child.poll() is None:
            self.process.signal(signal.SIGCONT)
            self.process.stop(60)

    def kill(self):
        if self.process:
            self.process.kill()

    def edit(self):
        """Another interval for every device, put into effect as its documentation says."""
        self.every_ms = {name: every + 100 for name, every in self.every_ms.items()}
        self.configure()
        self.apply()

    def apply(self):
        self.stop()
        self.start()

    def beside(self, cloud):
        """What its cloud does apart from passing on messages; something to close, or None."""
        return None

    def pids(self):
        return [self.process.child.pid]

    def buffer(self):
        """The files in which it keeps what waits."""
        return sorted(f for f in self.state.rglob("*") if f.is_file() and f.stat().st_size)

    def values(self, topic, payload):
        """(tag's number, value) of every reading in a message; a value of None says there is none."""
        raise NotImplementedError

    def told(self, topic, payload):
        """How many readings this message says are lost for good."""
        return 0


def numbered(values):
    """{"t17": 5} as (17, 5)."""
    return [(int(name[1:]), value) for name, value in values.items()]


def grouped(payload):
    """The plain form: {"values": {"t0": 1, …}}."""
    return numbered(json.loads(payload).get("values", {}))
