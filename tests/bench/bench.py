"""Benchmarks by hand: `target/tests-venv/bin/python tests/bench/bench.py SCENARIO [seconds]`.

Every register of the device holds the low 16 bits of the clock in milliseconds at the moment of the
answer, so that a subscriber on the same machine knows how old each value is. CPU comes from the
scheduler's accounting (utime + stime of the process), memory from VmHWM, both of the release binary.

poll1000    1,000 registers @ 1 s, durable storage, one uplink to mosquitto, one LAN subscriber
poll10000   10,000 registers @ 1 s, likewise
backlog     1,000,000 readings kept while the cloud is away, then drained, columnar
backlog-tag the same, one JSON message per reading
dead9       one serial line (a pty), ten devices, nine of them dead: the living one's rate against alone
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
import tty

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
os.environ.setdefault("FIELDHOLD_BIN", str(HERE.parents[1] / "target/release/fieldhold"))

from conftest import Gateway, Mosquitto, free_port, wait_for  # noqa: E402
import paho.mqtt.client as mqtt  # noqa: E402


def now16():
    return int(time.time() * 1000) & 0xFFFF


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
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = peer.makefile("rb")
        while header := stream.read(7):
            tid, _, length, unit = struct.unpack(">HHHB", header)
            function, _, count = struct.unpack(">BHH", stream.read(length - 1)[:5])
            self.requests += 1
            body = struct.pack(">BB", function, 2 * count) + struct.pack(">H", now16()) * count
            peer.sendall(struct.pack(">HHHB", tid, 0, len(body) + 1, unit) + body)


class Ages:
    """Subscribes and keeps the age of every value in milliseconds."""

    def __init__(self, port, topic="#"):
        self.ages, self.count, self.keep, self.bytes = [], 0, True, 0
        self.ready = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda c, *_: c.subscribe(topic, 0)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(10)

    def _take(self, _client, _userdata, message):
        self.count += 1
        self.bytes += len(message.payload)
        if self.keep and not message.retain and message.payload[:5] == b'{"v":':
            end = message.payload.find(b",")
            value = message.payload[5:end]
            if value.isdigit():
                self.ages.append((now16() - int(value)) & 0xFFFF)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


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


def poll(registers, seconds):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        device, lan = ClockDevice(), free_port()
        cloud = Mosquitto(directory / "cloud").start()
        gateway = Gateway(directory / "gw", config(device, lan, cloud.port, registers)).start()
        try:
            gateway.wait(lambda s: len(s["tags"]) == registers, 60)
            ages = Ages(lan)
            time.sleep(5)
            pid = gateway.child.pid
            ages.ages.clear()
            before = (time.monotonic(), cpu_seconds(pid), device.requests, written_bytes(pid), gateway.status())
            time.sleep(seconds)
            after = (time.monotonic(), cpu_seconds(pid), device.requests, written_bytes(pid), gateway.status())
            took = after[0] - before[0]
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
                "to_subscriber_ms": {p: percentile(ages.ages, p) for p in (0.5, 0.95, 0.99)},
                "received_per_s": round(len(ages.ages) / took),
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
            begun, start = time.monotonic(), gateway.status()["uplinks"]["cloud"]["acked_rows"]
            cpu = cpu_seconds(gateway.child.pid)
            while waiting(gateway.status()) > 3000:
                time.sleep(0.05)
            took = time.monotonic() - begun
            cpu = cpu_seconds(gateway.child.pid) - cpu
            acked = gateway.status()["uplinks"]["cloud"]["acked_rows"] - start
            during, live.ages = list(live.ages), []
            time.sleep(15)
            return {
                "backlog": depth,
                "drain_s": round(took, 2),
                "readings_per_s": round(acked / took),
                "cpu_us_per_reading": round(1e6 * cpu / max(1, acked), 2),
                "messages": live.count,
                "bytes_per_reading": round(live.bytes / max(1, acked), 1),
                "live_ms_during": {p: percentile(during, p) for p in (0.5, 0.99)},
                "live_samples_during": len(during),
                "live_ms_after": {p: percentile(live.ages, p) for p in (0.5, 0.99)},
                "rss_peak_mb": round(memory_kb(gateway.child.pid)["VmHWM"] / 1024, 1),
            }
        finally:
            gateway.kill()
            cloud.kill()


def crc16(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


class SerialSlave:
    """Unit 1 on a pty at a given speed; every other unit is dead. Answers function 3."""

    BAUD = 19200

    def __init__(self):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path, self.served = os.ttyname(slave), 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        data = b""
        while chunk := os.read(self.master, 256):
            data += chunk
            while len(data) >= 8:
                frame, data = data[:8], data[8:]
                assert crc16(frame[:6]) == frame[6:], frame
                unit, _, _, count = struct.unpack(">BBHH", frame[:6])
                if unit != 1:
                    continue
                body = struct.pack(">BBB", 1, 3, 2 * count) + struct.pack(">H", now16()) * count
                # The time the request and the answer would take on the wire.
                time.sleep((8 + len(body) + 2) * 11 / self.BAUD)
                self.served += 1
                os.write(self.master, body + crc16(body))


def dead(units, seconds):
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        slave = SerialSlave()
        devices = "\n".join(
            f"  dev{u}: {{ bus: line, unit: {u}, every: 100ms, tags: {{ a: {{ holding: 0, type: u16 }} }} }}" for u in units
        )
        text = f"""
gateway: {{ name: bench }}
buses:
  line: {{ modbus-rtu: {{ port: {slave.path}, baud: {slave.BAUD}, parity: even }} }}
devices:
{devices}
store: {{ path: state }}
"""
        gateway = Gateway(directory / "gw", text).start()
        try:
            time.sleep(10)  # until the dead are known to be dead
            before, begun = slave.served, time.monotonic()
            time.sleep(seconds)
            return (slave.served - before) / (time.monotonic() - begun)
        finally:
            gateway.kill()


def dead9(seconds):
    alone, among = dead([1], seconds), dead(range(1, 11), seconds)
    return {"alone_per_s": round(alone, 2), "among_nine_dead_per_s": round(among, 2), "share": round(among / alone, 3)}


SCENARIOS = {
    "dead9": dead9,
    "poll1000": lambda seconds: poll(1000, seconds),
    "poll10000": lambda seconds: poll(10_000, seconds),
    "backlog": lambda _: backlog(""),
    "backlog-tag": lambda _: backlog(", backlog: { payload: tag }"),
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in SCENARIOS:
        sys.exit(__doc__)
    print(json.dumps({name: SCENARIOS[name](float(sys.argv[2]) if len(sys.argv) > 2 else 60)}, indent=1))
