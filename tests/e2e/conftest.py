"""The real binary on real input: servers, brokers and lines that the tests start and end themselves."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import paho.mqtt.client as mqtt
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("FIELDHOLD_BIN", ROOT / "target/debug/fieldhold"))


# Below the ports that the system gives to outgoing connections: one of those could take a port between
# its choice and its use, or while a test keeps its server away.
PORTS = iter(random.sample(range(10_000, 32_000), 20_000))


def free_port():
    for port in PORTS:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


# The longest wait of an uplink between two attempts, 60 s, and the attempt.
BACK_ONLINE = 90


def wait_for(condition, seconds=15, what="the condition"):
    """Polls until `condition` returns something true and returns that; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def listening(port, host="127.0.0.1"):
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex((host, port)) == 0


class Process:
    """A child process whose output goes to a file."""

    def __init__(self, arguments, log, **options):
        self.arguments, self.log, self.options = [str(a) for a in arguments], log, options
        self.child = None

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                self.arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **self.options
            )
        return self

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
        if self.child:
            self.child.wait()

    def stop(self, seconds=15):
        self.child.terminate()
        return self.child.wait(seconds)

    def output(self):
        return pathlib.Path(self.log).read_text(errors="replace")


class Mosquitto(Process):
    """Mosquitto playing the cloud; keeps nothing, so what counts is what its subscriber saw."""

    def __init__(self, directory, port=None, host="127.0.0.1", prefix=()):
        self.port, self.host = port or free_port(), host
        directory.mkdir(parents=True, exist_ok=True)
        conf = directory / "mosquitto.conf"
        conf.write_text(
            f"listener {self.port} {host}\nallow_anonymous true\npersistence false\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        super().__init__([*prefix, shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", conf], directory / "log")

    def start(self):
        super().start()
        wait_for(lambda: listening(self.port, self.host), what="mosquitto listening")
        return self


class Recorder:
    """Subscribes and keeps every message in order of arrival.

    With QoS 0: acknowledgements on their way to a broker that is ending would make its kernel reset
    the connection, and the reset would throw away messages that had already been delivered.
    """

    def __init__(self, port, topics=("#",), host="127.0.0.1", version=mqtt.MQTTv311):
        self.messages, self.subscribed = [], 0
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
        self.client.on_connect = lambda c, *_: [c.subscribe(t, 0) for t in topics]
        self.client.on_subscribe = self._subscribed
        self.client.on_message = lambda c, u, m: self.messages.append(m)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect(host, port, keepalive=600)
        self.client.loop_start()
        wait_for(lambda: self.subscribed >= len(topics), what="the subscription")

    def _subscribed(self, *_):
        self.subscribed += 1

    def on(self, topic):
        return [m for m in list(self.messages) if m.topic == topic]

    def last(self, topic):
        found = self.on(topic)
        return json.loads(found[-1].payload) if found else None

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Gateway(Process):
    """The gateway under test."""

    def __init__(self, directory, config):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.config = directory, directory / "fieldhold.yaml"
        self.write(config)
        super().__init__([BINARY, "run", self.config], directory / "gateway.log")

    def write(self, config):
        """Without the web page unless the text has it: gateways side by side can't share its port."""
        if "\nweb:" not in config:
            config = config.rstrip("\n") + "\nweb: off\n"
        self.config.write_text(config)

    @property
    def state(self):
        return self.directory / "state"

    def start(self, ready=True):
        super().start()
        if ready:
            wait_for(self.status, what=f"the gateway's status; its log:\n{self.output()}")
        return self

    def status(self):
        """The status over the control socket, or None while there is none."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(2)
                s.connect(str(self.state / "control.sock"))
                s.sendall(b"status\n")
                reply = b"".join(iter(lambda: s.recv(65536), b""))
            return json.loads(reply)
        except (OSError, ValueError):
            return None

    def wait(self, condition, seconds=20, what="the state"):
        def reached():
            status = self.status()
            return status if status and condition(status) else None

        try:
            return wait_for(reached, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.status(), indent=1)}\n{self.output()[-4000:]}")


def readings(messages):
    """Every reading in messages of an uplink as (topic, value, quality, id), whatever their form."""
    for message in messages:
        body = json.loads(message.payload)
        if "notice" in body:
            continue
        if "rows" not in body:
            yield message.topic, body.get("v"), body.get("q", "good"), body.get("id")
            continue
        for row in body["rows"]:
            seq, column = row[1], 0
            for cell in row[2:]:
                if cell is None or isinstance(cell, dict) and "n" in cell:
                    column += cell["n"] if cell else 1
                    continue
                value, quality = (cell.get("v"), cell["q"]) if isinstance(cell, dict) else (cell, "good")
                yield body["tags"][column], value, quality, f"{body['id']}-{seq}"
                seq, column = seq + 1, column + 1


@pytest.fixture
def started():
    """Collects what a test starts and ends it, newest first, pass or fail."""
    running = []

    def start(thing):
        # Noted first: what fails while it starts is ended all the same.
        running.append(thing)
        if hasattr(thing, "start"):
            thing.start()
        return thing

    yield start
    for thing in reversed(running):
        thing.kill() if hasattr(thing, "kill") else thing.close()


@pytest.fixture
def demo(tmp_path):
    """A demonstration, where nobody has to sign in; where its page is."""
    process = subprocess.Popen(
        [BINARY, "demo", "--state-dir", tmp_path / "demo", "--web", "127.0.0.1:0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        page = re.search(r"http://\S+", process.stdout.readline())[0]
        port = int(page.rsplit(":", 1)[1])
        wait_for(lambda: listening(port), 30, "the page")
        yield page
    finally:
        process.terminate()
        process.wait(20)
