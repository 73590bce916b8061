"""One backlog, three ways up: Fieldhold's uplink, Mosquitto's own bridge, and paho-mqtt.

    target/tests-venv/bin/python tests/bench/drain.py [messages | unacknowledged]

All three drain the same messages (100 bytes, QoS 1) to the same Mosquitto, one after the other, for each
window of 20, 100 and 1,000; first directly, for messages per second and CPU time per message (utime +
stime of the sender's process, by the scheduler's accounting, from the first message that arrives to the
last), then to a broker that announces the window as its receive maximum, takes the messages and acknowledges
none for a while: what came is what the sender has in flight, then through a relay that delays both directions by 50 ms, for the rate against window / RTT and
for the messages that are really in flight: a window that is not obeyed is no window. What arrived is
counted by a subscriber that knows the length of every packet and parses nothing.

Needs the release binary (`cargo build --release`, or FIELDHOLD_BIN) and mosquitto.
"""

import heapq
import itertools
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
os.environ.setdefault("FIELDHOLD_BIN", str(HERE.parents[1] / "target/release/fieldhold"))

import paho.mqtt.client as mqtt  # noqa: E402
from conftest import Gateway, Mosquitto, Process, free_port, listening, wait_for  # noqa: E402
from mqtt_packets import whole  # noqa: E402

TOPIC = "b/t"
PAYLOAD = 100
# Of a PUBLISH with QoS 0: fixed header, length of the topic, topic, payload.
PACKET = 2 + 2 + len(TOPIC) + PAYLOAD
WINDOWS = (20, 100, 1000)
RTT = 0.1
# At the full rate of the relayed runs: what is measured lies between the two, away from both ends.
RELAYED_FROM, RELAYED_TO = 2.0, 8.0
PATIENCE = 600


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Counter:
    """A raw subscriber at QoS 0 that counts bytes, and keeps the process's CPU time with them."""

    def __init__(self, port, messages):
        self.messages, self.bytes, self.pid = messages, 0, None
        self.first = self.last = None
        self.marks = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        connect = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", 7) + b"counter"
        subscribe = b"\x00\x01" + struct.pack(">H", 3) + b"b/#" + b"\x00"
        self.socket.sendall(b"\x10" + bytes([len(connect)]) + connect)
        self._exactly(4)
        self.socket.sendall(b"\x82" + bytes([len(subscribe)]) + subscribe)
        self._exactly(5)
        self.thread = threading.Thread(target=self._count, daemon=True)
        self.thread.start()

    def _exactly(self, count):
        while count:
            count -= len(self.socket.recv(count))

    def _count(self):
        while piece := self.socket.recv(1 << 20):
            now = time.monotonic()
            self.bytes += len(piece)
            if self.first is None:
                self.first = (now, self.bytes, cpu_seconds(self.pid))
            if not self.marks or now - self.marks[-1][0] > 0.05:
                self.marks.append((now, self.bytes))
            if self.bytes >= self.messages * PACKET:
                self.last = (now, self.bytes, cpu_seconds(self.pid))
                return

    def result(self):
        wait_for(lambda: self.last, PATIENCE, f"{self.messages} messages ({self.bytes / PACKET} came)")
        (start, before, cpu), (end, after, cpu_end) = self.first, self.last
        messages = (after - before) / PACKET
        return {
            "messages_per_s": round(messages / (end - start)),
            "cpu_us_per_message": round(1e6 * (cpu_end - cpu) / messages, 2),
        }

    def steady(self):
        """Messages per second between two moments after the first message."""
        enough = lambda: self.last or (self.marks and self.marks[-1][0] - self.first[0] > RELAYED_TO)  # noqa: E731
        wait_for(enough, PATIENCE, "the steady part")
        start = self.first[0]
        inside = [m for m in self.marks if RELAYED_FROM <= m[0] - start <= RELAYED_TO]
        if len(inside) < 2:
            # One that does not obey its window may be through before that.
            inside = [self.first[:2], self.last[:2]]
        (t0, b0), (t1, b1) = inside[0], inside[-1]
        return (b1 - b0) / PACKET / (t1 - t0)


class Withholding:
    """A broker that acknowledges nothing but the CONNECT, and counts the messages of QoS 1 that came."""

    # Seconds after the first message. A sender that waits for acknowledgements has nothing to do in them.
    TIME = 3.0

    def __init__(self, port, window):
        self.window, self.count, self.first, self.over = window, 0, None, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        peer, _ = self.listener.accept()
        rest = b""
        while not self.over.is_set() and (piece := peer.recv(1 << 18)):
            end = 0
            for at, body, end in whole(data := rest + piece):
                self._take(peer, data[at] >> 4, data[body:end])
            rest = data[end:]

    def _take(self, peer, kind, body):
        if kind == 1:
            # The level stands behind the name; what is told with it only MQTT 5.0 has a place for.
            told = b"\x03\x21" + struct.pack(">H", self.window) if body[6] == 5 else b""
            peer.sendall(bytes([0x20, 2 + len(told)]) + b"\x00\x00" + told)
        elif kind == 12:
            peer.sendall(b"\xd0\x00")
        elif kind == 3:
            self.count += 1
            self.first = self.first or time.monotonic()

    def result(self):
        wait_for(lambda: self.first and time.monotonic() - self.first > self.TIME, 60, "the first message")
        self.over.set()
        return self.count


class Relay:
    """Passes everything on after half the RTT, and watches QoS 1 messages and their acknowledgements."""

    def __init__(self, target):
        self.target, self.flight, self.most = target, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.flight = 0
            for here, there, kind in ((client, server, 3), (server, client, 4)):
                for s in (here, there):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._direction(here, there, kind)

    def _direction(self, here, there, kind):
        queue, news = [], threading.Condition()
        order = itertools.count()

        def take():
            rest = b""
            while piece := self._read(here):
                due = time.monotonic() + RTT / 2
                rest = self._watch(rest + piece, kind)
                with news:
                    heapq.heappush(queue, (due, next(order), piece))
                    news.notify()
            with news:
                heapq.heappush(queue, (time.monotonic() + RTT / 2, next(order), b""))
                news.notify()

        def give():
            while True:
                with news:
                    news.wait_for(lambda: queue)
                    due, _, piece = heapq.heappop(queue)
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    if not piece:
                        there.shutdown(socket.SHUT_WR)
                        return
                    there.sendall(piece)
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        threading.Thread(target=give, daemon=True).start()

    @staticmethod
    def _read(peer):
        try:
            return peer.recv(1 << 18)
        except OSError:
            return b""

    def _watch(self, data, kind):
        """Counts whole packets of this kind; what is cut off at the end comes back."""
        end, found = 0, 0
        for at, _, end in whole(data):
            found += data[at] >> 4 == kind
        self.flight += found if kind == 3 else -found
        self.most = max(self.most, self.flight)
        return data[end:]


def fill(port, messages):
    """Publishes them all with QoS 1 through mosquitto_pub, which takes the last packet id for the end: so
    no more at once than there are ids."""
    command = [shutil.which("mosquitto_pub"), "-p", str(port), "-q", "1", "-t", TOPIC, "-l"]
    for start in range(0, messages, 50_000):
        numbers = range(start, min(start + 50_000, messages))
        lines = "".join(f"{n:0{PAYLOAD}}\n" for n in numbers)
        subprocess.run(command, input=lines.encode(), check=True, timeout=PATIENCE)


class Fieldhold:
    def __init__(self, directory, port, window, messages):
        lan = free_port()
        self.gateway = Gateway(directory / "gw", f"""
gateway: {{ name: bench }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{port}", mqtt: 5, send: [ "b/#" ], window: {{ messages: {window} }}, notices: off }}
store: {{ path: state }}
""").start()
        fill(lan, messages)
        waiting = lambda s: sum(r["waiting"] for c in s["store"]["consumers"] for r in c["classes"]) >= messages  # noqa: E731
        self.gateway.wait(waiting, 120)
        self.gateway.stop(60)

    def start(self):
        self.gateway.start(ready=False)
        return self.gateway.child.pid

    def stop(self):
        self.gateway.kill()


class Bridge:
    def __init__(self, directory, port, window, messages):
        self.port = free_port()
        home = directory / "bridge"
        home.mkdir()
        (home / "mosquitto.conf").write_text(f"""
listener {self.port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {home}/
user root
max_queued_messages 0
max_inflight_messages {window}
connection up
address 127.0.0.1:{port}
bridge_protocol_version mqttv50
topic b/# out 1
cleansession false
notifications false
restart_timeout 1
""")
        self.process = Process([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", home / "mosquitto.conf"], home / "log").start()
        wait_for(lambda: listening(self.port), what="the bridge's broker")
        fill(self.port, messages)
        self.process.stop(120)

    def start(self):
        self.process.start()
        return self.process.child.pid

    def stop(self):
        self.process.kill()


class Paho:
    """A process of its own: this file with the word `paho`."""

    def __init__(self, directory, port, window, messages):
        command = [sys.executable, __file__, "paho", port, window, messages]
        self.process = Process(command, directory / "paho.log")

    def start(self):
        self.process.start()
        return self.process.child.pid

    def stop(self):
        self.process.kill()


def paho(port, window, messages):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho")
    client.max_inflight_messages_set(window)
    client.max_queued_messages_set(0)
    # Else each message of a small window waits for the kernel's delayed acknowledgement, 40 ms.
    client.on_socket_open = lambda _, __, s: s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest = iter(range(messages))

    def give(count):
        for n in itertools.islice(rest, count):
            client.publish(TOPIC, f"{n:0{PAYLOAD}}", qos=1)

    # A message has its packet id from the beginning: more of them than there are ids push each other out.
    client.on_publish = lambda *_: give(1)
    client.connect("127.0.0.1", port)
    # What is published before the CONNACK waits for ever.
    while not client.is_connected():
        client.loop(0.1)
    give(50_000)
    client.loop_forever()


SENDERS = {"fieldhold": Fieldhold, "mosquitto bridge": Bridge, "paho-mqtt": Paho}


def run(sender, window, messages, relayed):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        cloud = Mosquitto(directory / "cloud")
        # Else its small acknowledgements wait for the kernel's delayed ones, 40 ms beside the RTT.
        with open(directory / "cloud" / "mosquitto.conf", "a") as conf:
            conf.write(f"set_tcp_nodelay true\nmax_inflight_messages {window}\n")
        relay = Relay(cloud.port) if relayed else None
        up = sender(directory, relay.port if relay else cloud.port, window, messages)
        cloud.start()
        counter = Counter(cloud.port, messages)
        try:
            counter.pid = up.start()
            if not relay:
                return counter.result()
            rate = counter.steady()
            return {
                "messages_per_s": round(rate),
                "percent_of_window_over_rtt": round(100 * rate * RTT / window, 1),
                "most_in_flight": relay.most,
            }
        finally:
            up.stop()
            cloud.kill()


def unacknowledged(sender, window, messages):
    with tempfile.TemporaryDirectory() as directory:
        port = free_port()
        up = sender(pathlib.Path(directory), port, window, messages)
        cloud = Withholding(port, window)
        try:
            up.start()
            return cloud.result()
        finally:
            up.stop()


def unacknowledged_of_all(messages):
    found = {}
    for window, (name, sender) in itertools.product(WINDOWS, SENDERS.items()):
        found.setdefault(f"window {window}", {})[name] = count = unacknowledged(sender, window, messages)
        print(window, "unacknowledged", name, count, file=sys.stderr, flush=True)
    return found


def main(messages):
    found = {"direct": {}, f"RTT {round(1000 * RTT)} ms": {}}
    for window in WINDOWS:
        for relayed, (_, results) in zip((False, True), found.items()):
            # Enough for the steady part, and for one that does not obey its window.
            count = messages if not relayed else max(30_000, round(window / RTT * (RELAYED_TO + 3)))
            for name, sender in SENDERS.items():
                result = run(sender, window, count, relayed)
                results.setdefault(f"window {window}", {})[name] = result
                print(window, "relayed" if relayed else "direct", name, result, file=sys.stderr, flush=True)
    found["unacknowledged"] = unacknowledged_of_all(30_000)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["paho"]:
        paho(*map(int, sys.argv[2:]))
    elif sys.argv[1:2] == ["unacknowledged"]:
        print(json.dumps(unacknowledged_of_all(30_000), indent=1))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
