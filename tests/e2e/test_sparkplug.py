"""The gateway as an edge node of Sparkplug: judged by the specification, read by a host of others, under faults."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import paho.mqtt.client as mqtt
import pytest

from conftest import BINARY, ROOT, Gateway, Mosquitto, wait_for
from plant import CountingDevice

sys.path.insert(0, str(pathlib.Path(__file__).parent / "sparkplug"))
import checker
import protobuf
from proxy import Proxy

FAULTS = int(os.environ.get("FIELDHOLD_SPARKPLUG_FAULTS", "8"))
COMMIT_MS, SLACK_MS = 100, 300
HOST_PYTHON = ROOT / "target/tests-sparkplug/bin/python"


def config(press, port, oven=None, mqtt="3.1.1", host=None, every="100ms"):
    devices, buses = "", ""
    if oven:
        buses = f"  second: {{ modbus-tcp: {{ host: 127.0.0.1, port: {oven.port} }} }}\n"
        devices = """
  oven:
    bus: second
    unit: 1
    every: 100ms
    timeout: 200ms
    tags:
      heat: { holding: 10, type: f32, unit: "°C" }
      on: { holding: 12, type: "bit:0" }
"""
    primary = f", primary-host: {host}" if host else ""
    return f"""
gateway: {{ name: edge, site: works }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {press.port} }} }}
{buses}
devices:
  press:
    bus: line
    unit: 1
    every: {every}
    tags:
      count: {{ holding: 0, type: u32 }}
      setpoint: {{ holding: 100, type: u16, write: {{ min: 0, max: 1000 }} }}
      level: {{ holding: 101, type: i16, write: {{ min: -500, max: 500 }} }}
      constant: {{ holding: 7, type: u16, scale: 0.1, unit: bar }}
{devices}
uplinks:
  scada:
    url: "mqtt://127.0.0.1:{port}"
    mqtt: {mqtt}
    sparkplug: {{ group: plant, node: edge{primary} }}
store: {{ path: state, commit: {COMMIT_MS}ms }}
"""


class FaintingDevice(CountingDevice):
    """Hangs up instead of answering while it has fainted."""

    fainted = False

    def _answer(self, pdu):
        if self.fainted:
            raise OSError("fainted")
        return super()._answer(pdu)


class Watcher:
    """Subscribes at the broker itself, past the proxy, and reads what it passed on; speaks for hosts."""

    def __init__(self, port):
        self.messages, self.names, self.subscribed, self.lock = [], {}, 0, threading.Lock()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda c, *_: c.subscribe("spBv1.0/#", 0)
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._heard
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port, keepalive=600)
        self.client.loop_start()
        wait_for(lambda: self.subscribed, what="the subscription")

    def _subscribed(self, *_):
        self.subscribed += 1

    def _heard(self, _, __, message):
        levels = message.topic.split("/")
        if levels[1] == "STATE":
            return
        payload = protobuf.read(message.payload)
        with self.lock:
            for metric in payload.get("metrics", []):
                if "name" in metric and "alias" in metric:
                    self.names[metric["alias"]] = (metric["name"], metric.get("datatype"))
            self.messages.append((levels[2], levels[4] if len(levels) > 4 else None, payload))

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def of(self, *types, device=None):
        with self.lock:
            return [p for t, d, p in self.messages if t in types and device in (None, d)]

    def values(self, device, name, historical=None):
        """(value, historical) of a metric, in order of arrival; null is None."""
        found = []
        for payload in self.of("DBIRTH", "DDATA", device=device):
            for metric in payload.get("metrics", []):
                known, datatype = self.names.get(metric.get("alias"), (None, None))
                old = bool(metric.get("is_historical"))
                if known == name and historical in (None, old):
                    found.append((protobuf.value_of({"datatype": datatype} | metric)[1], old))
        return found

    def publish(self, topic, payload, retain=False, qos=1):
        self.client.publish(topic, payload, qos, retain).wait_for_publish(15)

    def rebirth(self):
        metric = {"name": "Node Control/Rebirth", "timestamp": now(), "datatype": 11, "boolean_value": 1}
        self.publish("spBv1.0/plant/NCMD/edge", protobuf.write({"timestamp": now(), "metrics": [metric]}))

    def state(self, online, timestamp):
        payload = json.dumps({"online": online, "timestamp": timestamp})
        self.publish("spBv1.0/STATE/scada-host", payload, retain=True)


def now():
    return int(time.time() * 1000)


@pytest.fixture
def broker(tmp_path, started):
    broker = started(Mosquitto(tmp_path / "broker"))
    return broker, started(Proxy(broker.port)), started(Watcher(broker.port))


def judge(proxy, **more):
    devices = {"press": ["count", "setpoint", "level", "constant"], "oven": ["heat", "on"]}
    recording = checker.Recording(proxy.snapshot(), devices=devices, writable=["press"], **more)
    found = checker.judge(recording)
    assert found == {}, json.dumps({k: v[:3] for k, v in found.items()}, indent=1)
    return recording


def count_goes_on(watcher, device, seconds=20):
    """A value that was served after now has arrived live."""
    served = device.served
    wait_for(lambda: any(v and v > served for v, _ in watcher.values("press", "count", False)[-200:]), seconds, "live data")


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_session_is_as_the_specification_says(tmp_path, started, broker, version):
    server, proxy, watcher = broker
    press, oven = started(CountingDevice()), started(FaintingDevice())
    gateway = started(Gateway(tmp_path / "gw", config(press, proxy.port, oven, version)))
    wait_for(lambda: watcher.values("press", "count", False), 30, "live data")
    count_goes_on(watcher, press)

    oven.fainted = True
    wait_for(lambda: watcher.of("DDEATH", device="oven"), 30, "the death of the device")
    births = len(watcher.of("DBIRTH", device="oven"))
    oven.fainted = False
    wait_for(lambda: len(watcher.of("DBIRTH", device="oven")) > births, 90, "its birth")
    count_goes_on(watcher, press)

    births = len(watcher.of("NBIRTH"))
    watcher.rebirth()
    watcher.rebirth()
    wait_for(lambda: len(watcher.of("NBIRTH")) > births, what="the rebirth")
    count_goes_on(watcher, press)

    proxy.reset()
    wait_for(lambda: len(proxy.packets("connect")) >= 2, 30, "another connection")
    count_goes_on(watcher, press, 30)
    proxy.refusing = True
    proxy.reset()
    served = press.served
    wait_for(lambda: press.served > served + 20, what="an outage")
    proxy.refusing = False
    count_goes_on(watcher, press, 30)
    wait_for(lambda: watcher.values("press", "count", True), what="historical data")

    gateway.write(config(press, proxy.port, oven, version).replace("constant: { holding: 7", "renamed: { holding: 7"))
    births = len(watcher.of("DBIRTH", device="press"))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: len(watcher.of("DBIRTH", device="press")) > births, 30, "births of the new configuration")
    assert "renamed" in [m["name"] for m in watcher.of("DBIRTH", device="press")[-1]["metrics"]]
    gateway.write(config(press, proxy.port, oven, version))
    births = len(watcher.of("DBIRTH", device="press"))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: len(watcher.of("DBIRTH", device="press")) > births, 30, "births of the old one again")
    count_goes_on(watcher, press)
    assert gateway.stop() == 0
    gateway.start()
    count_goes_on(watcher, press, 30)
    assert gateway.stop() == 0
    wait_for(lambda: proxy.snapshot()[-1]["packet"] == "close", what="the end of the connection")
    # The devices' metrics changed for a while: births are judged by what data they announce.
    recording = checker.Recording(proxy.snapshot(), writable=["press"])
    found = checker.judge(recording)
    assert found == {}, json.dumps({k: v[:3] for k, v in found.items()}, indent=1)
    assert all(s.connect["version"] == (5 if version == "5" else 4) for s in recording.sessions)
    ends = [s for s in recording.sessions if s.client("disconnect")]
    assert len(ends) >= 4, "two changes and two stops end with a death certificate and DISCONNECT"
    assert [s.bd_seq for s in recording.sessions] == list(range(len(recording.sessions)))


def test_the_primary_host(tmp_path, started, broker):
    server, proxy, watcher = broker
    press = started(CountingDevice())
    gateway = started(Gateway(tmp_path / "gw", config(press, proxy.port, host="scada-host")))
    wait_for(lambda: proxy.packets("suback", "server"), 20, "the subscriptions")
    gateway.wait(lambda s: "scada-host" in (s["uplinks"]["scada"].get("reason") or ""), what="the wait for the host")
    served = press.served
    wait_for(lambda: press.served > served + 10, what="values while nobody hears them")
    assert not watcher.messages, "nothing goes out before the host is there"
    watcher.state(True, 1000)
    count_goes_on(watcher, press)
    watcher.state(False, 999)  # of a session of the host that is over
    count_goes_on(watcher, press)
    watcher.state(False, 1000)
    wait_for(lambda: watcher.of("NDEATH"), what="the death of the node")
    wait_for(lambda: len(proxy.packets("connect")) >= 2 and len(proxy.packets("suback", "server")) >= 6, 30, "its return")
    births, held = len(watcher.of("NBIRTH")), press.served
    wait_for(lambda: press.served > held + 20, what="values while the host is away")
    assert len(watcher.of("NBIRTH")) == births, "no birth while the host is away"
    watcher.state(True, 2000)
    count_goes_on(watcher, press)
    wait_for(lambda: {v for v, _ in watcher.values("press", "count")} >= set(range(1, held + 20)), what="every value")
    assert any(v == held + 10 for v, _ in watcher.values("press", "count", True)), "as historical data"
    assert gateway.stop() == 0
    wait_for(lambda: proxy.snapshot()[-1]["packet"] == "close", what="the end of the connection")
    judge(proxy, host="scada-host")


def test_several_servers(tmp_path, started):
    """The node goes where the primary host is, and is on one server at a time."""
    press = started(CountingDevice())
    servers = [started(Mosquitto(tmp_path / name)) for name in "ab"]
    proxies = [started(Proxy(server.port)) for server in servers]
    a, b = [started(Watcher(server.port)) for server in servers]
    a.state(False, 100)
    b.state(True, 50)
    text = config(press, proxies[0].port, host="scada-host")
    urls = ", ".join(f'"mqtt://127.0.0.1:{proxy.port}"' for proxy in proxies)
    gateway = started(Gateway(tmp_path / "gw", text.replace(f'"mqtt://127.0.0.1:{proxies[0].port}"', f"[{urls}]")))
    count_goes_on(b, press, 40)
    assert not a.of("NBIRTH")
    a.state(True, 200)
    b.state(False, 60)
    count_goes_on(a, press, 60)
    wait_for(lambda: b.of("NDEATH"), what="the death certificate on the server that was left")
    last = press.served - 5
    seen = lambda: {v for watcher in (a, b) for v, _ in watcher.values("press", "count")}
    wait_for(lambda: set(range(1, last)) <= seen(), 30, "every value, on one server or the other")
    assert gateway.stop() == 0
    for proxy in proxies:
        wait_for(lambda: proxy.snapshot()[-1]["packet"] == "close", what="the end of the connection")
    records = sorted((r | {"connection": (n, r["connection"])} for n, p in enumerate(proxies) for r in p.snapshot()),
                     key=lambda r: r["t"])
    found = checker.judge(checker.Recording(records, host="scada-host", writable=["press"]))
    assert found == {}, json.dumps({k: v[:3] for k, v in found.items()}, indent=1)


def test_a_host_application_of_others(tmp_path, started, broker):
    server, proxy, watcher = broker
    press = started(CountingDevice())
    script = pathlib.Path(__file__).parent / "sparkplug/host.py"
    host = subprocess.Popen(
        [HOST_PYTHON, script, str(server.port), "plant", "edge"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=open(tmp_path / "host.log", "w"), text=True,
    )
    started(type("Child", (), {"kill": lambda _: (host.kill(), host.wait())})())
    said = []
    threading.Thread(target=lambda: said.extend(map(json.loads, host.stdout)), daemon=True).start()
    log = lambda: (tmp_path / "host.log").read_text()

    def of(kind):
        assert host.poll() is None, log()
        return [m for m in list(said) if m["type"] == kind]

    def ask(**what):
        host.stdin.write(json.dumps(what) + "\n")
        host.stdin.flush()

    def values(name, kind="DDATA"):
        return [m["value"] for d in of(kind) for m in d["metrics"] if m["name"] == name]

    wait_for(lambda: of("ready"), 30, "the host")
    gateway = started(Gateway(tmp_path / "gw", config(press, proxy.port)))
    wait_for(lambda: of("NBIRTH") and of("DBIRTH"), 30, "the births")
    birth = {m["name"]: m for m in of("DBIRTH")[-1]["metrics"]}
    assert {n: m["type"] for n, m in birth.items()} == {
        "count": "INT64", "setpoint": "INT64", "level": "INT64", "constant": "DOUBLE"}
    wait_for(lambda: len(values("count")) > 10, 30, "data")
    ask(rebirth=True)
    wait_for(lambda: len(of("NBIRTH")) >= 2 and len(of("DBIRTH")) >= 2, what="the rebirth")
    constant = [m for m in of("DBIRTH")[-1]["metrics"] if m["name"] == "constant"][0]
    assert constant["value"] == 5.0 and not constant["null"], "the current value stands in the birth"
    # Every way in which a host may say a whole number.
    sent = [("UINT16", 700), ("INT32", 701), ("UINT64", 702), ("INT64", 703), ("UINT32", 704), ("INT16", 705)]
    for datatype, value in sent:
        ask(write=[["press", "setpoint", datatype, value]])
        wait_for(lambda: (100, value) in press.writes, what=f"the write of {datatype}; {gateway.output()[-2000:]}")
        wait_for(lambda: value in values("setpoint"), what="the value that was read back")
    for datatype, value in [("INT8", -5), ("INT16", -500), ("INT64", -1)]:
        ask(write=[["press", "level", datatype, value]])
        wait_for(lambda: (101, value & 0xFFFF) in press.writes, what=f"the write of {datatype} {value}")
        wait_for(lambda: value in values("level"), what="the value that was read back")
    ask(write=[["press", "setpoint", "UINT16", 2000], ["press", "constant", "DOUBLE", 1.0]])
    refused = gateway.wait(
        lambda s: s["commands"]["refused"].get("out-of-limits") and s["uplinks"]["scada"]["commands"]["ignored"],
        what="what is out of limits and what takes no commands")
    assert refused["commands"]["refused"]["out-of-limits"] == 1
    proxy.refusing = True
    proxy.reset()
    served = press.served
    wait_for(lambda: press.served > served + 20, what="an outage")
    proxy.refusing = False
    late = lambda m: m["historical"] and (m["name"], m["value"]) == ("count", served + 10)
    wait_for(lambda: any(late(m) for d in of("DDATA") for m in d["metrics"]), 30, "historical data")
    deaths = len(of("NDEATH"))
    assert gateway.stop() == 0
    wait_for(lambda: len(of("NDEATH")) > deaths, what="the death certificate")
    recording = judge(proxy)
    assert of("NDEATH")[-1]["bd_seq"] == recording.sessions[-1].bd_seq > 0


def said_to_be_late(watcher, device, missing, timeout_s=1, slack_s=1):
    """Those of the missing values at whose moment there is a reading without a value; each such time excuses as many values
    as polls fit into it, since the second null in a row says nothing new and is not sent."""
    at = {}
    for payload in watcher.of("DBIRTH", "DDATA", device="press"):
        for metric in payload.get("metrics", []):
            if watcher.names.get(metric.get("alias"), (None,))[0] == "count":
                at.setdefault(metric["timestamp"], []).append(metric.get("is_null", False))
    times, nulls = sorted(at), []  # [from, to, how many]
    for n, begin in enumerate(times):
        if all(at[begin]):
            end = times[n + 1] if n + 1 < len(times) else begin
            nulls.append([begin, end, 1 + (end - begin) // 20])
    wall = time.time() - time.monotonic()
    around, late = (timeout_s + slack_s) * 1000, set()
    for value in sorted(missing):
        served = (device.served_at[value - 1] + wall) * 1000
        for null in nulls:
            if null[0] - around <= served <= null[1] + around and null[2] > 0:
                null[2] -= 1
                late.add(value)
                break
    return late


def whereabouts(watcher, device, happened, lost):
    """Of each lost value: when it was served after which fault, and what hosts were told of that time."""
    found, wall = {}, time.time() - time.monotonic()
    for value in sorted(lost)[:20]:
        served = device.served_at[value - 1]
        before = [(round(served - t, 2), kind) for t, kind in happened if t <= served][-2:]
        after = [(round(t - served, 2), kind) for t, kind in happened if t > served][:1]
        near = []
        for payload in watcher.of("DBIRTH", "DDATA", device="press"):
            for m in payload.get("metrics", []):
                if watcher.names.get(m.get("alias"), (None,))[0] == "count" and abs(m["timestamp"] - 1000 * (served + wall)) < 300:
                    near.append((round(m["timestamp"] - 1000 * (served + wall)), "null" if m.get("is_null") else m.get("long_value"), bool(m.get("is_historical"))))
        found[value] = {"after": before, "before": after, "told": sorted(set(near))}
    return json.dumps(found)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_no_value_is_lost_under_faults(tmp_path, started, broker, version):
    """Truth is what the broker passed on. After a SIGKILL of the gateway the store may miss its commit window."""
    server, proxy, watcher = broker
    press = started(CountingDevice())
    watcher.state(True, 1)
    gateway = started(Gateway(tmp_path / "gw", config(press, proxy.port, mqtt=version, host="scada-host", every="20ms")))
    count_goes_on(watcher, press, 30)
    seed = random.randrange(1 << 30)
    chance, may_miss, stamp, kinds, happened = random.Random(seed), set(), 1, {}, []
    print("seed", seed)
    for turn in range(FAULTS):
        served = press.served
        target = served + chance.randrange(5, 40)
        wait_for(lambda: press.served >= target, what="some values")
        kind = ["rst", "broker killed", "broker stopped", "gateway killed", "host away", "frozen"][turn % 6]
        kinds[kind] = kinds.get(kind, 0) + 1
        happened.append((time.monotonic(), kind))
        if kind == "rst":
            proxy.reset()
        elif kind == "broker killed":
            proxy.refusing = True
            subscribed = watcher.subscribed
            server.kill()
            server.start()
            wait_for(lambda: watcher.subscribed > subscribed, 30, "the watcher back")
            watcher.state(True, stamp)  # what was retained went with the broker
            proxy.refusing = False
        elif kind == "broker stopped":
            server.signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.5, 12 if FAULTS > 20 else 3))  # the fault itself
            server.signal(signal.SIGCONT)
        elif kind == "frozen":
            proxy.freeze(chance.uniform(0.5, 12 if FAULTS > 20 else 2))
        elif kind == "gateway killed":
            at = time.monotonic()
            gateway.kill()
            # From the commit window on, and until nothing is left of what it had asked.
            wait_for(lambda: press.talking == 0, 30, "the end of its connection")
            with press.lock:
                window = (COMMIT_MS + SLACK_MS) / 1000
                may_miss |= {n for n, t in enumerate(press.served_at, 1) if t >= at - window}
            gateway.start()
        else:
            watcher.state(False, stamp)
            held = press.served
            wait_for(lambda: press.served > held + 20, what="values while the host is away")
            stamp += 1
            watcher.state(True, stamp)
        count_goes_on(watcher, press, 60)
    last = press.served
    seen = lambda: {v for v, _ in watcher.values("press", "count")}
    try:
        wait_for(lambda: not set(range(1, last + 1)) - seen() - may_miss, 30, "every value")
    except AssertionError:
        pass  # Judged below, with those whose answer came too late for the gateway.
    missing = set(range(1, last + 1)) - seen()
    late = said_to_be_late(watcher, press, missing - may_miss)
    lost = missing - may_miss - late
    print(f"{last} served, {len(missing)} missing, {len(missing & may_miss)} of them in the commit window of a kill, "
          f"{len(late)} of which the gateway said at their moment that no answer came, {len(lost)} lost, faults: {kinds}")
    assert not lost, f"lost: {whereabouts(watcher, press, happened, lost)}, seed {seed}"
    assert max(seen() - {None}) <= press.served
    told = lambda: [json.loads(m["string_value"]) for p in watcher.of("NDATA") for m in p["metrics"]]
    wait_for(lambda: any(n["notice"] == "resume" for n in told()), what="the notice of a jump after a kill")
    assert gateway.stop() == 0
    wait_for(lambda: proxy.snapshot()[-1]["packet"] == "close", what="the end of the connection")
    recording = checker.Recording(proxy.snapshot(), host="scada-host", writable=["press"], late_ms=30_000)
    found = checker.judge(recording)
    # A kill between the store's commit and CONNECT leaves out a number; freezing holds packets back in the recorder.
    for assertion in ("message-flow-edge-node-birth-publish-will-message-payload-bdSeq", "topics-nbirth-bdseq-increment"):
        found.pop(assertion, None)
    assert found == {}, json.dumps({k: v[:3] for k, v in found.items()}, indent=1)


def test_check_says_what_is_wrong(tmp_path):
    base = """
gateway: { name: edge }
buses: { line: { modbus-tcp: { host: 127.0.0.1 } } }
devices: { press: { bus: line, tags: { count: { holding: 0, type: u16, write: { min: 0, max: 5 } } } } }
uplinks: { scada: { url: "mqtt://127.0.0.1", SPARKPLUG } }
store: { path: none }
"""
    def check(text):
        (tmp_path / "c.yaml").write_text(base.replace("SPARKPLUG", text))
        done = subprocess.run([BINARY, "check", tmp_path / "c.yaml"], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    for text, words in [
        ("sparkplug: { group: a/b }", "'/'"),
        ("sparkplug: { group: STATE }", "host applications"),
        ("sparkplug: { node: x }", "group"),
        ("sparkplug: { group: a, node: 'x+' }", "'+'"),
        ("sparkplug: { group: a, primary-host: 'x#' }", "'#'"),
        ("sparkplug: { group: a }, prefix: x", "prefix has no use with sparkplug"),
        ("sparkplug: { group-id: a }", "it is called group"),
    ]:
        code, said = check(text)
        assert code == 2 and words in said and "c.yaml:" in said, (text, said)
    code, said = check("sparkplug: { group: plant, node: n1, primary-host: h }")
    assert code == 0, said
    for words in ["spBv1.0/plant/NBIRTH/n1", "spBv1.0/plant/DDATA/n1/press", "spBv1.0/plant/DCMD/n1/press", "spBv1.0/STATE/h"]:
        assert words in said, said
