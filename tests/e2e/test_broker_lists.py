"""`fieldhold broker clients | kick | topics | retained` against a gateway that runs."""

import json
import resource
import socket
import struct
import subprocess

import paho.mqtt.client as mqtt
import pytest

from conftest import BINARY, Gateway, free_port, listening, wait_for
from plant import CountingDevice

TAG = "edge/press/count"


@pytest.fixture
def gateway(tmp_path, started):
    device = started(CountingDevice())
    gateway = Gateway(tmp_path, "")
    gateway.port = free_port()
    gateway.write(f"""
gateway: {{ name: edge }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}
devices:
  press: {{ bus: line, unit: 1, every: 50ms, tags: {{ count: {{ holding: 0, type: u32 }} }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{gateway.port}" }} ] }}
store: {{ path: {tmp_path}/state }}
""")
    started(gateway)
    wait_for(lambda: listening(gateway.port), what="the listener")
    return gateway


class Client:
    """A paho client that notes how its connections end."""

    def __init__(self, port, name, version=mqtt.MQTTv5, topics=(), will=None):
        self.connects, self.ends, self.messages, self.granted = 0, [], [], 0
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda c, u, f, reason, p: self.ends.append(reason)
        self.client.on_subscribe = lambda *_: setattr(self, "granted", self.granted + 1)
        self.client.on_message = lambda c, u, m: self.messages.append((m.topic, m.payload.decode(), m.retain))
        self.client.reconnect_delay_set(1, 1)
        self.topics = topics
        if will:
            self.client.will_set(*will)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_for(lambda: self.granted >= len(topics) and self.connects, what="the connection")

    def _connected(self, *_):
        self.connects += 1
        for topic in self.topics:
            self.client.subscribe(topic, 1)

    def kill(self):
        self.client.disconnect()
        self.client.loop_stop()


def ask(gateway, *words, code=0):
    asked = subprocess.run([BINARY, "broker", *words], capture_output=True, text=True, timeout=30, cwd=gateway.directory)
    assert asked.returncode == code, asked
    return asked.stderr if code else asked.stdout


def rows(gateway, *words):
    return [json.loads(line) for line in ask(gateway, *words, "--json").splitlines()]


def test_clients_are_shown_and_one_is_kicked_and_comes_back(gateway, started):
    watch = started(Client(gateway.port, "watch", topics=["gone"]))
    hmi = started(Client(gateway.port, "hmi", topics=["edge/#", "x"], will=("gone", "hmi")))
    old = started(Client(gateway.port, "plc", version=mqtt.MQTTv311))
    old.client.publish("x", "1", 1).wait_for_publish(10)
    shown = {row["id"]: row for row in rows(gateway, "clients")}
    assert set(shown) == {"hmi", "plc", "watch"}
    assert (shown["hmi"]["version"], shown["plc"]["version"]) == ("5.0", "3.1.1")
    assert shown["hmi"]["subscriptions"] == 2 and shown["hmi"]["connected"] and shown["hmi"]["user"] is None
    assert shown["hmi"]["address"].startswith("127.0.0.1:") and shown["plc"]["received"] == 1
    # Twenty readings a second go to it; the rate is that of the last whole five seconds.
    wait_for(lambda: 5 < {r["id"]: r for r in rows(gateway, "clients")}["hmi"]["sent_per_s"] < 40, what="the rate")
    table = ask(gateway, "clients").splitlines()
    assert table[0].split()[:4] == ["client", "user", "address", "MQTT"] and len(table) == 4
    assert table[1].startswith("hmi ") and "● here" in table[1]

    said = ask(gateway, "kick", "hmi")
    assert "hmi was disconnected" in said and "may come back" in said
    wait_for(lambda: hmi.ends, what="the end")
    assert hmi.ends[0].value == 0x98, "administrative action"
    wait_for(lambda: ("gone", "hmi", False) in watch.messages, what="the will")
    wait_for(lambda: hmi.connects == 2, what="its return")
    ask(gateway, "kick", "plc")
    wait_for(lambda: old.ends and old.connects == 2, what="the same of a 3.1.1 client")
    assert 'no client "nobody"' in ask(gateway, "kick", "nobody", code=1)


def test_a_session_without_its_client(gateway, started):
    """3.1.1 keeps a session for ever, unless somebody ends it."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="logger", clean_session=False, protocol=mqtt.MQTTv311)
    client.connect("127.0.0.1", gateway.port)
    client.loop_start()
    wait_for(client.is_connected, what="the connection")
    client.subscribe("log/#", 1)
    wait_for(lambda: rows(gateway, "topics", "log/x"), what="the subscription")
    client.disconnect()
    client.loop_stop()
    sender = started(Client(gateway.port, "sender"))
    for n in range(3):
        sender.client.publish("log/x", f"line {n}", 1).wait_for_publish(10)
    wait_for(lambda: not {r["id"]: r for r in rows(gateway, "clients")}["logger"]["connected"], what="its leaving")
    logger = {row["id"]: row for row in rows(gateway, "clients")}["logger"]
    assert logger["queue"] == 3
    assert "▲ away" in ask(gateway, "clients")
    assert "only its session is there" in ask(gateway, "kick", "logger", code=1)
    assert "logger was not connected; its session has ended" in ask(gateway, "kick", "logger", "--session")
    assert [row["id"] for row in rows(gateway, "clients")] == ["sender"]


def test_topics_and_who_gets_them(gateway, started):
    started(Client(gateway.port, "hmi", topics=["edge/+/#", "x/+"]))
    sender = started(Client(gateway.port, "sender"))
    sender.client.publish("x/1", "hello", 1).wait_for_publish(10)
    sender.client.publish("alone", b"\x00\x01", 0).wait_for_publish(10)
    wait_for(lambda: [r for r in rows(gateway, "topics", "alone") if "topic" in r], what="the message")
    wait_for(lambda: [r for r in rows(gateway, "topics", TAG) if r.get("messages", 0) > 1], what="a second value")
    all_rows = rows(gateway, "topics")
    subscriptions = [(r["filter"], r["client"], r["qos"]) for r in all_rows if "filter" in r]
    assert subscriptions == [("edge/+/#", "hmi", 1), ("x/+", "hmi", 1)]
    topics = {r["topic"]: r for r in all_rows if "topic" in r}
    assert topics["x/1"]["by"] == "sender" and topics["x/1"]["bytes"] == 5 and topics["x/1"]["subscribers"] == 1
    assert topics["alone"]["subscribers"] == 0
    assert topics[TAG]["by"] is None and topics[TAG]["messages"] > 1 and topics[TAG]["retain"]
    assert [r.get("topic", r.get("filter")) for r in rows(gateway, "topics", "x/#")] == ["x/+", "x/1"]
    table = ask(gateway, "topics")
    assert "(gateway)" in table and "edge/+/#" in table
    assert ask(gateway, "topics", "none/at/all") == "nobody has subscribed\n\nnothing was published lately\n"


def test_retained_messages_and_their_removal(gateway, started):
    sender = started(Client(gateway.port, "sender"))
    watch = started(Client(gateway.port, "watch", topics=["notes/#"]))
    for n in range(1200):
        sent = sender.client.publish(f"notes/{n:04}", f"note {n}\nsecond line", 1, retain=True)
    sent.wait_for_publish(20)
    wait_for(lambda: len(watch.messages) == 1200, what="the messages")
    found = rows(gateway, "retained", "notes/+")
    assert [row["topic"] for row in found] == [f"notes/{n:04}" for n in range(1200)]
    assert found[7]["payload"] == "note 7\nsecond line" and found[7]["qos"] == 1 and found[7]["age_ms"] < 60_000
    table = ask(gateway, "retained", "notes/0007").splitlines()
    assert len(table) == 2 and table[1].split()[0] == "notes/0007" and "note 7" in table[1]
    assert "gateway's own" in ask(gateway, "retained", TAG)
    said = ask(gateway, "retained", "notes/#", "--remove")
    assert said.count("removed notes/") == 1200
    wait_for(lambda: len(watch.messages) == 2400, what="the empty messages")
    assert watch.messages[-1][1] == ""
    assert ask(gateway, "retained", "notes/#") == "no message is retained there\n"
    assert "no retained message matches" in ask(gateway, "retained", "notes/#", "--remove", code=1)
    assert "only the gateway's own" in ask(gateway, "retained", TAG, "--remove", code=1)
    assert rows(gateway, "retained", TAG), "it stays"


def test_wrong_words_and_a_gateway_that_is_not_there(gateway):
    assert "is no filter of topics" in ask(gateway, "topics", "a#", code=2)
    assert "--remove needs a filter" in ask(gateway, "retained", "--remove", code=2)
    assert "write a filter before the configuration" in ask(gateway, "topics", "fieldhold.yaml", code=2)
    ask(gateway, "topics", "#", "fieldhold.yaml")
    without = gateway.config.read_text().replace("broker:", "#")
    gateway.write(without)
    assert gateway.stop() == 0
    assert "the gateway is not running" in ask(gateway, "clients", code=1)
    gateway.start()
    assert "it has no LAN broker" in ask(gateway, "kick", "x", code=1)


def test_ten_thousand_clients_take_no_more_memory_than_a_page(gateway):
    for n in range(10_000):
        name = f"device-{n:05}".encode()
        body = struct.pack("!H4sBBHH", 4, b"MQTT", 4, 0, 0, len(name)) + name
        with socket.create_connection(("127.0.0.1", gateway.port)) as s:
            s.sendall(bytes([0x10, len(body)]) + body)
            assert s.recv(4)[:2] == b"\x20\x02"
            s.sendall(b"\xe0\x00")
    wait_for(lambda: gateway.status()["broker"]["sessions"] == 10_000, what="the sessions")
    asked = subprocess.Popen([BINARY, "broker", "clients", "--json"], stdout=subprocess.PIPE, cwd=gateway.directory)
    ids, resident = [], 0
    for line in asked.stdout:
        ids.append(json.loads(line)["id"])
        if len(ids) % 1000 == 0:
            pages = int(open(f"/proc/{asked.pid}/statm").read().split()[1])
            resident = max(resident, pages * resource.getpagesize())
    assert asked.wait(10) == 0
    assert ids == [f"device-{n:05}" for n in range(10_000)]
    # A debug build begins with about 20 MB; ten thousand rows at once would be tens more.
    assert resident < 60 * 1024 * 1024, resident
    # A reader that has seen enough is no failure.
    head = subprocess.run(f"{BINARY} broker clients | head -3; exit ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash",
                          capture_output=True, text=True, cwd=gateway.directory, timeout=30)
    assert head.returncode == 0 and len(head.stdout.splitlines()) == 3, head
