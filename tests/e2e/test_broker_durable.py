"""kill -9 of the gateway in the middle of QoS 1 and QoS 2 flows with persistent sessions.

Raw sockets, so that every packet is the test's own: no acknowledged message may be lost, and no
message of QoS 2 may come twice. `FIELDHOLD_BROKER_KILLS` and `FIELDHOLD_BROKER_FLOWS` make it long.
"""

import asyncio
import collections
import json
import os
import random
import struct
import time

import paho.mqtt.client as mqtt
import pytest

from conftest import Gateway, free_port, listening, wait_for

KILLS = int(os.environ.get("FIELDHOLD_BROKER_KILLS", 4))
FLOWS = int(os.environ.get("FIELDHOLD_BROKER_FLOWS", 400))
WINDOW = 20
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 14
V3, V5 = 4, 5


def config(directory, port):
    return f"""
gateway: {{ name: g }}
store: {{ path: {directory}/state }}
broker:
  listeners: [ {{ tcp: "127.0.0.1:{port}", anonymous: true }} ]
"""


def text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def varint(n):
    out = b""
    while True:
        n, digit = n >> 7, n & 127
        out += bytes([digit | (128 if n else 0)])
        if not n:
            return out


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def skip_properties(body, at):
    length = shift = 0
    while True:
        byte = body[at]
        at += 1
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return at + length


class Session:
    """A client's half of a persistent session: what it remembers across connections is in its fields."""

    def __init__(self, port, client, version):
        self.port, self.client, self.version = port, client, version
        self.reader = self.writer = None
        self.has_session = False
        self.connects = 0

    async def connect(self, seconds=30):
        """Until the gateway is there again; what was resumed must be known to it."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                properties = b"\x05\x11\xff\xff\xff\xff" if self.version == V5 else b""
                body = text("MQTT") + bytes([self.version, 0]) + b"\x00\x3c" + properties + text(self.client)
                self.send(CONNECT, 0, body)
                kind, _, body = await self.read()
                break
            except (OSError, EOFError):
                assert time.monotonic() < end, f"{self.client} can't connect"
                await asyncio.sleep(0.02)
        assert kind == CONNACK and body[1] == 0, body
        assert body[0] == 1 or not self.has_session, f"the session of {self.client} is gone"
        self.connects += 1

    def send(self, kind, flags, body):
        self.writer.write(packet(kind, flags, body))

    async def read(self):
        first = (await self.reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        return first >> 4, first & 15, await self.reader.readexactly(length)

    def answer(self, kind, ident):
        self.send(kind, 2 if kind == PUBREL else 0, struct.pack(">H", ident))

    def close(self):
        if self.writer:
            self.writer.transport.abort()


class Publisher(Session):
    """Publishes numbers with some in flight, and after a break goes on as the protocol says."""

    def __init__(self, port, name, version, qos, count):
        super().__init__(port, f"{name}-from", version)
        self.topic, self.qos, self.count = f"flow/{name}", qos, count
        self.next, self.ident = 0, 0
        self.flying = {}  # packet id → (number, whether a PUBREC came), in order
        self.acknowledged = set()

    def publish(self, ident, number, again):
        body = text(self.topic) + struct.pack(">H", ident) + (b"\x00" if self.version == V5 else b"")
        self.send(PUBLISH, (8 if again else 0) | self.qos << 1, body + str(number).encode())

    def fill(self):
        while len(self.flying) < WINDOW and self.next < self.count:
            self.ident = self.ident % 65535 + 1
            if self.ident in self.flying:
                continue
            self.flying[self.ident] = (self.next, False)
            self.publish(self.ident, self.next, False)
            self.next += 1

    async def run(self):
        while len(self.acknowledged) < self.count:
            try:
                await self.connect()
                for ident, (number, received) in self.flying.items():
                    if received:
                        self.answer(PUBREL, ident)
                    else:
                        self.publish(ident, number, True)
                while len(self.acknowledged) < self.count:
                    self.fill()
                    await self.writer.drain()
                    self.take(*await self.read())
            except (OSError, EOFError):
                pass
            finally:
                self.close()

    def take(self, kind, _, body):
        (ident,) = struct.unpack(">H", body[:2])
        code = body[2] if len(body) > 2 else 0
        # After a break the flow may be over already at the other end, which is no error [MQTT 5.0, 3.7.2.1].
        assert code < 128 or (kind, code) == (PUBCOMP, 0x92) and self.connects > 1, f"refused: {kind} {code:#x}"
        number, received = self.flying.get(ident, (None, None))
        if kind == PUBREC:
            self.has_session = True
            if number is not None:
                self.flying[ident] = (number, True)
            self.answer(PUBREL, ident)
        elif kind in (PUBACK, PUBCOMP):
            assert (kind == PUBACK) == (self.qos == 1) and number is not None
            assert received or kind == PUBACK
            del self.flying[ident]
            self.acknowledged.add(number)


class Subscriber(Session):
    """Counts what is delivered to it, with the receiver's half of QoS 2."""

    def __init__(self, port, name, version, dice):
        super().__init__(port, f"{name}-to", version)
        self.topic, self.dice = f"flow/{name}", dice
        self.delivered = collections.Counter()
        self.order = []
        self.received = set()  # packet ids between PUBLISH and PUBREL
        self.again = 0
        self.subscribed = asyncio.Event()
        self.away = False

    async def run(self):
        while True:
            if self.away:
                await asyncio.sleep(0.02)
                continue
            try:
                await self.connect()
                if not self.has_session:
                    body = b"\x00\x01" + (b"\x00" if self.version == V5 else b"") + text(self.topic) + b"\x02"
                    self.send(SUBSCRIBE, 2, body)
                while not self.away:
                    self.take(*await self.read())
                    if self.dice.random() < 0.02:
                        # Acknowledgements that are on their way when the power goes.
                        await asyncio.sleep(self.dice.random() / 50)
            except (OSError, EOFError):
                pass
            finally:
                self.close()

    def take(self, kind, flags, body):
        if kind == SUBACK:
            assert body[-1] == 2, body
            self.has_session = True
            self.subscribed.set()
        elif kind == PUBLISH:
            self.publish(flags, body)
        elif kind == PUBREL:
            (ident,) = struct.unpack(">H", body[:2])
            self.received.discard(ident)
            self.answer(PUBCOMP, ident)

    def publish(self, flags, body):
        qos, (length,) = flags >> 1 & 3, struct.unpack(">H", body[:2])
        at = 2 + length
        (ident,) = struct.unpack(">H", body[at : at + 2])
        at += 2
        if self.version == V5:
            at = skip_properties(body, at)
        number = int(body[at:])
        self.again += flags >> 3
        if qos == 1:
            self.deliver(number)
            self.answer(PUBACK, ident)
        else:
            assert qos == 2
            if ident not in self.received:
                self.received.add(ident)
                self.deliver(number)
            self.answer(PUBREC, ident)

    def deliver(self, number):
        if not self.delivered[number]:
            self.order.append(number)
        self.delivered[number] += 1


async def flows_through_kills(gateway, port, dice):
    kinds = [(f"v{version}-qos{qos}", version, qos) for version in (V3, V5) for qos in (1, 2)]
    subscribers = [Subscriber(port, name, version, dice) for name, version, _ in kinds]
    publishers = [Publisher(port, name, version, qos, FLOWS) for name, version, qos in kinds]
    async with asyncio.TaskGroup() as tasks:
        receiving = [tasks.create_task(subscriber.run()) for subscriber in subscribers]
        await asyncio.gather(*(subscriber.subscribed.wait() for subscriber in subscribers))
        sending = [tasks.create_task(publisher.run()) for publisher in publishers]
        everything, kills, downs = FLOWS * len(publishers), 0, []
        while kills < KILLS:
            goal = everything * (kills + dice.random()) / (KILLS + 0.5)
            while sum(len(publisher.acknowledged) for publisher in publishers) < goal:
                await asyncio.sleep(0.001)
            # Sometimes nobody is there to take what comes.
            for subscriber in subscribers:
                if dice.random() < 0.3:
                    subscriber.away = True
                    subscriber.close()
            await asyncio.sleep(dice.random() / 50)
            gateway.kill()
            began = time.monotonic()
            kills += 1
            await asyncio.to_thread(gateway.start, False)
            await asyncio.to_thread(wait_for, lambda: listening(port), 30, "the gateway listening again")
            downs.append(time.monotonic() - began)
            for subscriber in subscribers:
                subscriber.away = False
        await asyncio.wait_for(asyncio.gather(*sending), 600)
        end = time.monotonic() + 60
        while any(len(s.delivered) < FLOWS or s.received for s in subscribers) and time.monotonic() < end:
            await asyncio.sleep(0.02)
        [task.cancel() for task in receiving]
    figures = {
        "kills": kills,
        "acknowledged": sum(len(p.acknowledged) for p in publishers),
        "connects": sum(s.connects for s in subscribers + publishers),
        "sent again to subscribers": sum(s.again for s in subscribers),
        "qos 1 delivered twice": sum(n - 1 for s, k in zip(subscribers, kinds) if k[2] == 1 for n in s.delivered.values()),
        "restart_s": round(sum(downs) / len(downs), 3),
    }
    print(json.dumps(figures))
    for subscriber, publisher, (name, _, qos) in zip(subscribers, publishers, kinds):
        lost = publisher.acknowledged - set(subscriber.delivered)
        assert not lost, f"{name}: {len(lost)} acknowledged messages are lost: {sorted(lost)[:10]}"
        twice = [number for number, n in subscriber.delivered.items() if n > 1]
        assert qos == 1 or not twice, f"{name}: delivered twice: {twice[:10]}"
        assert subscriber.order == sorted(subscriber.order), f"{name}: out of order"
        assert not subscriber.received, f"{name}: {len(subscriber.received)} flows never ended"
    return figures


def test_kill_9_loses_no_acknowledged_message_and_delivers_no_qos_2_message_twice(tmp_path, started):
    port, seed = free_port(), random.randrange(1 << 32)
    print(f"seed {seed}")
    gateway = started(Gateway(tmp_path, config(tmp_path, port)))
    figures = asyncio.run(flows_through_kills(gateway, port, random.Random(seed)))
    assert figures["acknowledged"] == 4 * FLOWS
    assert figures["connects"] > 8, "nobody ever was disconnected: the test tests nothing"
    file = gateway.status()["broker_file"]
    assert file["state"] == "ok" and file["counters"]["rows_damaged"] == 0, file
    assert not file["quarantined"], file


@pytest.mark.parametrize("version", [mqtt.MQTTv311, mqtt.MQTTv5])
def test_a_client_of_the_shelf_goes_on_after_kill_9(tmp_path, started, version):
    """paho keeps its own half of the session in memory and reconnects by itself."""
    port = free_port()
    gateway = started(Gateway(tmp_path, config(tmp_path, port)))
    properties = {}
    if version == mqtt.MQTTv5:
        session = mqtt.Properties(mqtt.PacketTypes.CONNECT)
        session.SessionExpiryInterval = 3600
        properties = {"properties": session, "clean_start": False}

    def client(name):
        clean = {} if version == mqtt.MQTTv5 else {"clean_session": False}
        made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=version, **clean)
        made.reconnect_delay_set(1, 1)
        made.connect("127.0.0.1", port, 60, **properties)
        made.loop_start()
        return made

    got, subscribed = collections.Counter(), []
    to = client("to")
    to.on_message = lambda c, u, message: got.update([int(message.payload)])
    to.on_subscribe = lambda *_: subscribed.append(1)
    wait_for(to.is_connected, what="a connection")
    to.subscribe("paho/#", 2)
    wait_for(lambda: subscribed, what="the subscription")
    source = client("from")
    wait_for(source.is_connected, what="a connection")
    # Counted here: what paho takes while it has no connection it sends later, but calls an error.
    published = set()
    source.on_publish = lambda client, data, ident, *_: published.add(ident)
    for number in range(100):
        source.publish("paho/x", str(number), 2)
    wait_for(lambda: len(got) > 10, what="some messages")
    gateway.kill()
    for number in range(100, 200):
        source.publish("paho/x", str(number), 2)
    gateway.start(ready=False)
    wait_for(lambda: len(published) == 200, 60, "everything published")
    wait_for(lambda: len(got) == 200, 60, "everything delivered")
    for ended in (source, to):
        ended.disconnect()
        ended.loop_stop()
    assert set(got.values()) == {1}, {number: n for number, n in got.items() if n > 1}


def test_retained_messages_and_wills_survive_kill_9(tmp_path, started):
    port = free_port()
    gateway = started(Gateway(tmp_path, config(tmp_path, port)))
    source = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "source", clean_session=False)
    source.will_set("plant/will", "gone", 1)
    source.connect("127.0.0.1", port)
    source.loop_start()
    for number in range(50):
        source.publish(f"plant/retained/{number}", str(number), 1, retain=True).wait_for_publish(10)
    source.publish("plant/retained/7", "", 1, retain=True).wait_for_publish(10)
    watcher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "watcher", clean_session=False)
    subscribed, got = [], {}
    watcher.on_subscribe = lambda *_: subscribed.append(1)
    watcher.on_message = lambda c, u, message: got.update({message.topic: message.payload})
    watcher.connect("127.0.0.1", port)
    watcher.loop_start()
    wait_for(watcher.is_connected, what="a connection")
    watcher.subscribe("plant/will", 1)
    wait_for(lambda: subscribed, what="the subscription")
    # Neither comes back by itself.
    for ended in (source, watcher):
        ended.loop_stop()
    gateway.kill()
    gateway.start()
    watcher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "watcher", clean_session=False)
    watcher.on_message = lambda c, u, message: got.update({message.topic: message.payload})
    watcher.connect("127.0.0.1", port)
    watcher.loop_start()
    wait_for(watcher.is_connected, what="a connection")
    watcher.subscribe("plant/retained/#", 1)
    wait_for(lambda: got.get("plant/will") == b"gone", what="the will of who was connected at the crash")
    wait_for(lambda: len(got) == 50, what="what is retained")
    assert "plant/retained/7" not in got
    watcher.disconnect()
    watcher.loop_stop()
