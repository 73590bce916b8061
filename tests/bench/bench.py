"""Benchmarks by hand: `target/tests-venv/bin/python tests/bench/bench.py SCENARIO [seconds]`.

Every register of the device holds the low 16 bits of the clock in tenths of a millisecond at the
moment of the answer, so that a subscriber on the same machine knows how old each value is. The
subscriber stamps what it receives before it parses anything, so its own slowness does not count. CPU comes from the
scheduler's accounting (utime + stime of the process), memory from VmHWM, both of the release binary.

poll1000    1,000 registers @ 1 s, durable storage, one uplink to mosquitto, one LAN subscriber
poll10000   10,000 registers @ 1 s, likewise
poll1000-away, poll10000-away   the same with the cloud away: every reading is written to the disk
devices64   64 TCP devices with 100 registers each @ 1 s, likewise; devices64-away: with the cloud away
backlog     1,000,000 readings kept while the cloud is away, then drained, columnar
backlog-tag the same, one JSON message per reading
"""

import json
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
os.environ.setdefault("FIELDHOLD_BIN", str(HERE.parents[1] / "target/release/fieldhold"))

from conftest import Gateway, Mosquitto, free_port, wait_for  # noqa: E402
from mqtt_packets import whole  # noqa: E402


def ticks():
    """Tenths of a millisecond."""
    return time.time_ns() // 100_000


def now16():
    return ticks() & 0xFFFF


class ClockDevice:
    """Answers functions 3 and 4; every register is the clock."""

    def __init__(self):
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            self._exchange(peer)
        except OSError:
            pass  # the gateway was stopped

    def _exchange(self, peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = peer.makefile("rb")
        while header := stream.read(7):
            tid, _, length, unit = struct.unpack(">HHHB", header)
            function, _, count = struct.unpack(">BHH", stream.read(length - 1)[:5])
            self.requests += 1
            body = struct.pack(">BB", function, 2 * count) + struct.pack(">H", now16()) * count
            peer.sendall(struct.pack(">HHHB", tid, 0, len(body) + 1, unit) + body)


class Ages:
    """A raw MQTT 3.1.1 subscriber at QoS 0: stamps each piece it receives, parses afterwards."""

    def __init__(self, port, topic="#"):
        self.pieces = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        name = b"ages"
        connect = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
        subscribe = b"\x00\x01" + struct.pack(">H", len(topic)) + topic.encode() + b"\x00"
        self.socket.sendall(b"\x10" + bytes([len(connect)]) + connect)
        assert self._exactly(4)[:4] == b"\x20\x02\x00\x00"
        self.socket.sendall(b"\x82" + bytes([len(subscribe)]) + subscribe)
        assert self._exactly(5)[0] == 0x90
        threading.Thread(target=self._take, daemon=True).start()

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            data += self.socket.recv(count - len(data))
        return data

    def _take(self):
        while piece := self.socket.recv(1 << 18):
            self.pieces.append((ticks(), piece))

    def clear(self):
        """Forgets what came; a packet that is cut in two here is skipped when parsing."""
        self.pieces = [(0, b"".join(p for _, p in self.pieces))]

    def parse(self):
        """(arrived, retained, payload) of every PUBLISH since the last clear()."""
        data, stamps, at, found = b"".join(p for _, p in self.pieces), [], 0, []
        for stamp, piece in self.pieces:
            at += len(piece)
            stamps.append((at, stamp))
        index = 0
        for position, body, end in whole(data):
            while stamps[index][0] < end:
                index += 1
            if data[position] >> 4 == 3 and stamps[index][1]:
                topic = struct.unpack_from(">H", data, body)[0]
                found.append((stamps[index][1], data[position] & 1, data[body + 2 + topic : end]))
        return found

    def ages_ms(self, read_after=0.0):
        """Of single readings that were read after this wall time; older ones are backlog."""
        ages = []
        for arrived, retained, payload in self.parse():
            if not retained and payload.startswith(b'{"v":'):
                reading = json.loads(payload)
                if reading["v"] is not None and reading["ts"] > 1000 * read_after:
                    ages.append(((arrived - reading["v"]) & 0xFFFF) / 10)
        return ages


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {key: int(next(l for l in text.splitlines() if l.startswith(key)).split()[1]) for key in ("VmHWM", "VmRSS")}


def written_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/io").read_text()
    return int(next(l for l in text.splitlines() if l.startswith("write_bytes")).split()[1])


def config(device, lan, cloud, registers, every="1s", uplink=""):
    # Several units, so that 10,000 registers fit their 16-bit address space comfortably.
    devices = []
    for unit in range(1, (registers + 999) // 1000 + 1):
        tags = "\n".join(f"      r{r}: {{ holding: {r}, type: u16 }}" for r in range(min(1000, registers)))
        devices.append(f"  dev{unit}:\n    bus: line{unit}\n    unit: {unit}\n    every: {every}\n    tags:\n{tags}")
    buses = "\n".join(
        f"  line{u + 1}: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}" for u in range(len(devices))
    )
    return f"""
gateway: {{ name: bench }}
buses:
{buses}
devices:
{chr(10).join(devices)}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud}", send: [ "#" ]{uplink} }}
store: {{ path: state }}
"""


def config64(devices, lan, cloud):
    """One bus, one connection and one device for each."""
    tags = "\n".join(f"      r{r}: {{ holding: {r}, type: u16 }}" for r in range(100))
    buses = "\n".join(f"  line{i}: {{ modbus-tcp: {{ host: 127.0.0.1, port: {d.port} }} }}" for i, d in enumerate(devices))
    devices = "\n".join(f"  dev{i}:\n    bus: line{i}\n    every: 1s\n    tags:\n{tags}" for i in range(len(devices)))
    return f"""
gateway: {{ name: bench }}
buses:
{buses}
devices:
{devices}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud}", send: [ "#" ] }}
store: {{ path: state }}
"""


def poll(registers, seconds, away=False):
    device = ClockDevice()
    return measure([device], lambda lan, cloud: config(device, lan, cloud, registers), registers, seconds, away)


def devices64(seconds, away=False):
    devices = [ClockDevice() for _ in range(64)]
    return measure(devices, lambda lan, cloud: config64(devices, lan, cloud), 6400, seconds, away)


def measure(devices, text, registers, seconds, away):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        lan = free_port()
        cloud = Mosquitto(directory / "cloud")
        if not away:
            cloud.start()
        gateway = Gateway(directory / "gw", text(lan, cloud.port)).start()
        try:
            gateway.wait(lambda s: len(s["tags"]) == registers, 60)
            ages = Ages(lan)
            time.sleep(5)
            pid = gateway.child.pid
            ages.clear()
            before = (time.monotonic(), cpu_seconds(pid), sum(d.requests for d in devices), written_bytes(pid), gateway.status())
            time.sleep(seconds)
            after = (time.monotonic(), cpu_seconds(pid), sum(d.requests for d in devices), written_bytes(pid), gateway.status())
            took, ages = after[0] - before[0], ages.ages_ms()
            missed = sum(sum_missed(b) for b in after[4]["buses"].values()) - sum(sum_missed(b) for b in before[4]["buses"].values())
            readings = after[4]["store"]["counters"]["appended"] - before[4]["store"]["counters"]["appended"]
            return {
                "seconds": round(took),
                "cpu_percent_of_a_core": round(100 * (after[1] - before[1]) / took, 2),
                "rss_mb": round(memory_kb(pid)["VmRSS"] / 1024, 1),
                "rss_peak_mb": round(memory_kb(pid)["VmHWM"] / 1024, 1),
                "requests_per_s": round((after[2] - before[2]) / took, 2),
                "readings_per_s": round(readings / took),
                "missed_ticks": missed,
                "to_subscriber_ms": {p: percentile(ages, p) for p in (0.5, 0.95, 0.99)},
                "received_per_s": round(len(ages) / took),
                "disk_bytes_per_reading": round((after[3] - before[3]) / max(1, readings), 2),
            }
        finally:
            gateway.kill()
            cloud.kill()


def sum_missed(bus):
    """Missed ticks, wherever the bus status keeps them."""
    if isinstance(bus, dict):
        return sum(v if k == "missed_ticks" else sum_missed(v) for k, v in bus.items())
    return sum(map(sum_missed, bus)) if isinstance(bus, list) else 0


def waiting(status):
    return sum(row["waiting"] for c in status["store"]["consumers"] for row in c["classes"])


def backlog(uplink, readings=1_000_000):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        device, lan = ClockDevice(), free_port()
        cloud = Mosquitto(directory / "cloud")
        gateway = Gateway(directory / "gw", config(device, lan, cloud.port, 1000, "40ms", uplink)).start()
        try:
            gateway.wait(lambda s: waiting(s) >= readings, 600)
            # Now an ordinary pace again, so that live values and backlog share the uplink.
            gateway.write(config(device, lan, cloud.port, 1000, "1s", uplink))
            gateway.stop()
            gateway.start()
            depth = waiting(gateway.wait(lambda s: waiting(s) >= readings))
            cloud.start()
            live = Ages(cloud.port, "bench/#")
            gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online", 120)
            wall = time.time()
            begun, start = time.monotonic(), gateway.status()["uplinks"]["cloud"]["acked_rows"]
            cpu = cpu_seconds(gateway.child.pid)
            # Asked seldom: a status of 1,000 tags costs both sides milliseconds. A columnar drain
            # is over within a second, so the first question comes soon.
            pause = 0.05
            while waiting(gateway.status()) > 3000:
                time.sleep(pause)
                pause = min(1.0, pause * 2)
            took = time.monotonic() - begun
            cpu = cpu_seconds(gateway.child.pid) - cpu
            acked = gateway.status()["uplinks"]["cloud"]["acked_rows"] - start
            messages = live.parse()
            during = live.ages_ms(wall)
            live.clear()
            time.sleep(15)
            after = live.ages_ms()
            return {
                "backlog": depth,
                "drain_s": round(took, 2),
                "readings_per_s": round(acked / took),
                "cpu_us_per_reading": round(1e6 * cpu / max(1, acked), 2),
                "messages": len(messages),
                "payload_bytes_per_reading": round(sum(len(m[2]) for m in messages) / max(1, acked), 1),
                "live_ms_during": {p: percentile(during, p) for p in (0.5, 0.99)},
                "live_samples_during": len(during),
                "live_ms_after": {p: percentile(after, p) for p in (0.5, 0.99)},
                "rss_peak_mb": round(memory_kb(gateway.child.pid)["VmHWM"] / 1024, 1),
            }
        finally:
            gateway.kill()
            cloud.kill()


SCENARIOS = {
    "poll1000": lambda seconds: poll(1000, seconds),
    "poll10000": lambda seconds: poll(10_000, seconds),
    "poll1000-away": lambda seconds: poll(1000, seconds, away=True),
    "poll10000-away": lambda seconds: poll(10_000, seconds, away=True),
    "devices64": devices64,
    "devices64-away": lambda seconds: devices64(seconds, away=True),
    "backlog": lambda _: backlog(""),
    "backlog-tag": lambda _: backlog(", backlog: { payload: tag }"),
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in SCENARIOS:
        sys.exit(__doc__)
    print(json.dumps({name: SCENARIOS[name](float(sys.argv[2]) if len(sys.argv) > 2 else 60)}, indent=1))
