"""The site of the soak: a plant, a gateway on a small disk, a LAN and a cloud behind a wire."""

import errno
import hashlib
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import chaos
from conftest import ROOT, Gateway, Process, free_port, listening, wait_for

from .field import SerialDevice, TcpDevice
from .lan import Onlooker, Subscriber, Timed
from .oracle import Oracle

TCP_DEVICES, TCP_TAGS, LINE_TAGS = 8, 24, 6
# A device that the configuration has at some times.
GUEST = "guest"
LINE = "line"
TIMEOUT_S = 0.5
LAN_PER_S = 10
# The default of the store, written out.
COMMIT_S = 1.0
# What a busy machine may add to the window: the transaction, and the way of an answer into the store.
ALLOWANCE_S = 0.5
DISK_BYTES = 96 << 20


class Cloud(Process):
    """A broker that writes before it acknowledges; each life of it into a file of its own."""

    def __init__(self, directory):
        directory.mkdir(parents=True)
        self.directory, self.port, self.lives = directory, free_port(), 0
        super().__init__([], directory / "log")

    def start(self):
        self.lives += 1
        file = self.directory / f"received-{self.lives:05}"
        script = pathlib.Path(__file__).with_name("cloud.py")
        self.arguments = [sys.executable, str(script), str(self.port), str(file)]
        super().start()
        wait_for(lambda: listening(self.port), 30, "the cloud listening")
        return self


class Disk:
    """A small file system for the state where we may mount one, so that it can be full."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True)
        self.is_small = os.geteuid() == 0
        if self.is_small:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", directory], check=True)

    def fill(self):
        """To the last byte, whoever else writes meanwhile."""
        with open(self.directory / "filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(1 << 20)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self):
        (self.directory / "filler").unlink(missing_ok=True)

    def kill(self):
        if self.is_small:
            subprocess.run(["umount", "-l", self.directory], check=False)


def environment():
    """Ours, with what the unit file sets."""
    unit = (ROOT / "systemd/fieldhold.service").read_text()
    return os.environ | dict(re.findall(r"^Environment=(\w+)=(\S+)$", unit, re.MULTILINE))


class Site:
    def __init__(self, directory, seed):
        self.directory, self.began = directory, time.time()
        self.devices = [TcpDevice(k, f"d{k}", TCP_TAGS, seed, TIMEOUT_S) for k in range(TCP_DEVICES)]
        self.devices.append(TcpDevice(TCP_DEVICES, GUEST, TCP_TAGS, seed, TIMEOUT_S))
        link = directory / "by-id" / "usb-soak-if00-port0"
        link.parent.mkdir(parents=True)
        self.line = SerialDevice(TCP_DEVICES + 1, LINE, LINE_TAGS, seed, TIMEOUT_S, link)
        self.devices.append(self.line)
        self.periods = {f"d{k}": 250 for k in range(TCP_DEVICES)}
        self.last_tag = {}  # device → period of its last tag, where it has one of its own
        self.has_guest = False
        self.disk = Disk(directory / "gateway" / "state")
        self.cloud = Cloud(directory / "cloud")
        self.wire_port, self.lan_port = free_port(), free_port()
        self.wire = chaos.Wire(self.wire_port, self.cloud.port, 0.01)
        self.oracle = Oracle(self.devices, self.cloud.directory, COMMIT_S, ALLOWANCE_S)
        self.gateway = Gateway(directory / "gateway", self.config())
        self.gateway.options["env"] = environment()
        self.life, self.life_started = 0, time.time()
        self.source = chaos.Source(self.lan_port, 100, LAN_PER_S)
        self.source.safe = Timed()
        self.subscriber = Subscriber(self.lan_port)
        self.onlooker = Onlooker(self.lan_port, "works/soak/d1/#", self.oracle)
        self.reading = threading.Lock()

    def config(self):
        guest = [GUEST] if self.has_guest else []
        ports = {d.name: d.port for d in self.devices if d is not self.line}
        buses = "".join(
            f"  {name}: {{ modbus-tcp: {{ host: 127.0.0.1, port: {ports[name]} }} }}\n" for name in [*self.periods, *guest]
        )
        devices = "".join(self._device(name, self.periods.get(name, 250)) for name in [*self.periods, *guest])
        tags = "".join(f"      t{i:02}: {{ holding: {4 * i}, type: u64 }}\n" for i in range(LINE_TAGS))
        return f"""
gateway: {{ name: soak, site: works }}
buses:
{buses}  line: {{ modbus-rtu: {{ port: {self.line.link}, baud: 115200 }} }}
devices:
{devices}  line:
    bus: line
    unit: 1
    every: 500ms
    timeout: {int(1000 * TIMEOUT_S)}ms
    tags:
{tags}broker: {{ listeners: [ {{ tcp: "127.0.0.1:{self.lan_port}" }} ] }}
uplinks:
  cloud:
    url: "mqtt://127.0.0.1:{self.wire_port}"
    send: [ "#" ]
    payload: group
    reconnect-max: 5s
    keep-alive: 10s
store: {{ path: state, commit: {int(1000 * COMMIT_S)}ms, ram: 1MiB }}
"""

    def _device(self, name, period):
        """The first is of class alarm, all others of class bulk: class normal is the LAN's messages' and the line's."""
        tags = ""
        for i in range(TCP_TAGS):
            own = f", every: {self.last_tag[name]}ms" if i == TCP_TAGS - 1 and name in self.last_tag else ""
            tags += f"      t{i:02}: {{ holding: {4 * i}, type: u64{own} }}\n"
        kind = "alarm" if name == "d0" else "bulk"
        head = f"bus: {name}, unit: 1, every: {period}ms, timeout: {int(1000 * TIMEOUT_S)}ms, class: {kind}"
        return f"  {name}:\n" + "".join(f"    {part}\n" for part in head.split(", ")) + f"    tags:\n{tags}"

    def start(self):
        self.cloud.start()
        self.start_gateway()
        for client in (self.subscriber, self.source, self.onlooker):
            client.start()
        return self

    def start_gateway(self):
        self.gateway.start(ready=False)
        self.life += 1
        self.life_started = time.time()
        wait_for(self.gateway.status, 60, f"the gateway's status; its log ends with:\n{self.gateway.output()[-2000:]}")

    def kill_gateway(self):
        """The moment of the kill."""
        if self.gateway.child.poll() is not None:
            raise AssertionError(f"the gateway was dead before it was killed: {self.gateway.child.returncode}")
        when = time.time()
        self.gateway.kill()
        return when

    def reload(self):
        """Writes the configuration and waits until it runs."""
        self.gateway.write(self.config())
        wanted = hashlib.sha256(self.gateway.config.read_bytes()).hexdigest()
        began = time.time()
        self.gateway.signal(signal.SIGHUP)
        self.gateway.wait(lambda s: s["configuration"]["sha256"] == wanted, 30, "the new configuration running")
        self.oracle.events.stops.append((began, time.time()))

    def read_cloud(self):
        with self.reading:
            self.oracle.read()

    def judge(self, until=math.inf):
        with self.reading:
            self.oracle.read()
            return self.oracle.judge(dict(self.source.safe), self.subscriber.numbers, until)

    def end_of_load(self):
        """Nothing new is read or published from here on."""
        self.source.stopping = True
        self.source.join(60)
        for device in self.devices:
            device.misbehave("silent", 1e9)

    def kill(self):
        for client in (self.source, self.subscriber, self.onlooker):
            client.stopping = True
        self.gateway.kill()
        self.cloud.kill()
        self.wire.close()
        self.disk.kill()


LEVEL = re.compile(r"\b(ERROR|WARN)\b")


def log_lines(text):
    """How often each line of WARN and ERROR stands in a log, without its numbers; and panics."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    found = {"ERROR": {}, "WARN": {}}
    panics = text.count("panicked at")
    for line in text.splitlines():
        level = LEVEL.search(line[:60])
        if level:
            what = re.sub(r"/\S+|\d+", "N", line[level.end() :].strip())[:110]
            found[level[1]][what] = found[level[1]].get(what, 0) + 1
    top = lambda kinds: dict(sorted(kinds.items(), key=lambda item: -item[1])[:25])
    return {"panics": panics, "error": top(found["ERROR"]), "warn": top(found["WARN"])}
