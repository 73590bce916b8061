"""Clients of other make against the LAN broker: Mosquitto's, paho and npm's mqtt, over every kind of listener,
with certificates, and with sessions that outlive connections. (rumqttc: tests/broker_clients.rs.)"""

import json
import shutil
import subprocess
import threading

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from certificates import authority, certificate
from conftest import ROOT, Gateway, free_port, listening, wait_for

NODE_CLIENT = ROOT / "tests/e2e/mqtt_client.mjs"
NODE_MODULES = ROOT / "target/tests-node"
QOS_MAX = 2
FOREVER = 0xFFFFFFFF


class Lan:
    """A gateway that is a broker alone, with a listener of each kind; robot-7 shows a certificate."""

    def __init__(self, directory, started):
        self.directory = directory
        self.ports = {kind: free_port() for kind in ("mqtt", "mqtts", "ws", "wss", "mutual", "mutual-wss")}
        authority(directory)
        certificate(directory, "broker", "broker")
        certificate(directory, "robot", "robot-7")
        files = "certificate: broker.pem, key: broker.key"
        port = self.ports
        self.gateway = started(Gateway(directory, f"""
gateway: {{ name: g }}
store: {{ path: {directory}/state }}
broker:
  listeners:
    - {{ tcp: "127.0.0.1:{port['mqtt']}" }}
    - {{ tls: "127.0.0.1:{port['mqtts']}", {files}, anonymous: true }}
    - {{ ws: "127.0.0.1:{port['ws']}", anonymous: true }}
    - {{ wss: "127.0.0.1:{port['wss']}", {files}, anonymous: true }}
    - {{ tls: "127.0.0.1:{port['mutual']}", {files}, client-ca: ca.pem }}
    - {{ wss: "127.0.0.1:{port['mutual-wss']}", {files}, client-ca: ca.pem }}
  users:
    robot-7: {{ publish: ["robots/{{user}}/#"], subscribe: ["robots/{{user}}/#"] }}
"""))
        wait_for(lambda: all(listening(p) for p in port.values()), what="the listeners")

    def paho(self, kind, name="", version=mqtt.MQTTv5, clean=True):
        """Not yet connected."""
        websocket, tls = "ws" in kind, kind not in ("mqtt", "ws")
        extra = {} if version == mqtt.MQTTv5 else {"clean_session": clean or not name}
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version,
                             transport="websockets" if websocket else "tcp", **extra)
        if tls:
            mutual = kind.startswith("mutual")
            client.tls_set(str(self.directory / "ca.pem"),
                           certfile=str(self.directory / "robot.pem") if mutual else None,
                           keyfile=str(self.directory / "robot.key") if mutual else None)
        return client

    def connect(self, client, kind, clean=True):
        properties = None
        if client.protocol == mqtt.MQTTv5 and not clean:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = FOREVER
        start = {"clean_start": clean, "properties": properties} if client.protocol == mqtt.MQTTv5 else {}
        client.connect("localhost", self.ports[kind], **start)
        client.loop_start()
        wait_for(client.is_connected, what="the connection")

    def node(self, kind, **command):
        """Starts npm's mqtt; its events come as JSON, a line each."""
        assert shutil.which("node") and (NODE_MODULES / "node_modules/mqtt").exists(), "tests/run installs node and mqtt"
        scheme = {"mutual": "mqtts", "mutual-wss": "wss"}.get(kind, kind)
        options = command.setdefault("options", {})
        options.setdefault("protocolVersion", 5)
        if scheme in ("mqtts", "wss"):
            options["ca"] = str(self.directory / "ca.pem")
        if kind.startswith("mutual"):
            options["cert"], options["key"] = str(self.directory / "robot.pem"), str(self.directory / "robot.key")
        command["url"] = f"{scheme}://localhost:{self.ports[kind]}"
        child = subprocess.Popen(["node", NODE_CLIENT, NODE_MODULES], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        child.stdin.write(json.dumps(command))
        child.stdin.close()
        child.stdin = None
        return child

    def mosquitto(self, which, kind, *arguments):
        command = [f"mosquitto_{which}", "-h", "localhost", "-p", self.ports[kind], *arguments]
        if kind != "mqtt":
            command += ["--cafile", self.directory / "ca.pem"]
        if kind == "mutual":
            command += ["--cert", self.directory / "robot.pem", "--key", self.directory / "robot.key"]
        return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def sessions(self):
        return {client["id"]: client for client in self.gateway.status()["broker"]["clients"]}

    def subscribed(self, name):
        wait_for(lambda: self.sessions().get(name, {}).get("subscriptions"), what=f"the subscription of {name}")


def events(child, seconds=20):
    out, _ = child.communicate(timeout=seconds)
    assert child.returncode == 0, out
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def lan(tmp_path, started):
    return Lan(tmp_path, started)


PAYLOADS = ["", "x", "Ölstand", "y" * 60_000]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("kind", ["mqtt", "mqtts", "ws", "wss"])
def test_npm_mqtt(lan, started, kind, version):
    """What it sends reaches paho and itself, at every quality of service."""
    watch = lan.paho("mqtt", "watch")
    got = []
    watch.on_message = lambda c, u, m: got.append((m.topic, m.payload.decode(), m.qos))
    lan.connect(watch, "mqtt")
    watch.subscribe("npm/#", QOS_MAX)
    lan.subscribed("watch")
    publish = [["npm/" + str(qos), payload, qos, False] for qos in range(QOS_MAX + 1) for payload in PAYLOADS]
    said = events(lan.node(kind, options={"protocolVersion": version}, subscribe=[["npm/#", QOS_MAX]],
                           publish=publish, receive=len(publish)))
    assert {"granted": [QOS_MAX]} in said and {"published": len(publish)} in said
    want = sorted((topic, payload, qos) for topic, payload, qos, _ in publish)
    assert sorted((e["topic"], e["payload"], e["qos"]) for e in said if "topic" in e) == want
    wait_for(lambda: sorted(got) == want, what="the same at paho")
    watch.loop_stop()


@pytest.mark.parametrize("sender", ["paho", "npm over TLS", "npm over WebSocket", "mosquitto"])
def test_client_certificates(lan, sender):
    """The certificate says who it is, whatever the make of the client: it may do what that user may."""
    watch = lan.mosquitto("sub", "mqtt", "-i", "watch", "-t", "#", "-C", 1, "-W", 15, "-v")
    lan.subscribed("watch")
    topic = "robots/robot-7/say"
    if sender == "paho":
        client = lan.paho("mutual", "r")
        lan.connect(client, "mutual")
        refused = []
        client.on_publish = lambda c, u, mid, reason, p: refused.append(reason.value)
        client.publish("robots/other/say", "no", 1).wait_for_publish(10)
        wait_for(lambda: refused, what="the answer")
        assert refused == [0x87]
        client.publish(topic, sender, 1).wait_for_publish(10)
        assert lan.sessions()["r"]["user"] == "robot-7"
        client.loop_stop()
    elif sender == "mosquitto":
        assert lan.mosquitto("pub", "mutual", "-q", 1, "-t", topic, "-m", sender).wait(10) == 0
    else:
        kind = "mutual" if "TLS" in sender else "mutual-wss"
        events(lan.node(kind, publish=[[topic, sender, 1, False]]))
    out, _ = watch.communicate(timeout=20)
    assert out == f"{topic} {sender}\n"


def numbered(lan, topic, count, qos):
    client = lan.paho("mqtt", "sender")
    lan.connect(client, "mqtt")
    for n in range(count):
        sent = client.publish(topic, str(n), qos)
    sent.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("qos", range(1, QOS_MAX + 1))
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("make", ["paho", "npm", "mosquitto"])
def test_a_session_waits_for_its_client(lan, make, version, qos):
    """Everything that came while it was away, once and in order."""
    count, want = 50, [str(n) for n in range(50)]
    topic = "wait/for/me"
    expiry = {"properties": {"sessionExpiryInterval": 3600}} if version == 5 else {}
    options = {"clientId": "me", "clean": False, "protocolVersion": version, **expiry}
    v = {4: mqtt.MQTTv311, 5: mqtt.MQTTv5}[version]
    keep = ["-i", "me", "-c", "-q", qos, "-t", topic, "-V", {4: "mqttv311", 5: "mqttv5"}[version]]
    if version == 5:
        keep += ["-x", 3600]
    got = []
    if make == "paho":
        client = lan.paho("mqtt", "me", v, clean=False)
        client.on_message = lambda c, u, m: got.append(m.payload.decode())
        lan.connect(client, "mqtt", clean=False)
        client.subscribe(topic, qos)
        lan.subscribed("me")
        client.disconnect()
        client.loop_stop()
    elif make == "npm":
        events(lan.node("ws", options=options, subscribe=[[topic, qos]]))
    else:
        # -E: ends when it has subscribed.
        assert lan.mosquitto("sub", "mqtt", *keep, "-E").wait(15) == 0
    wait_for(lambda: not lan.sessions()["me"]["connected"], what="its leaving")
    numbered(lan, topic, count, qos)
    assert lan.sessions()["me"]["queue"] == count
    if make == "paho":
        lan.connect(client, "mqtt", clean=False)
        wait_for(lambda: len(got) >= count, what="what waited")
        client.disconnect()
        client.loop_stop()
    elif make == "npm":
        said = events(lan.node("ws", options=options, receive=count))
        assert said[0] == {"connected": True, "session": True}
        got = [e["payload"] for e in said if "topic" in e]
        assert all(e["qos"] == qos for e in said if "topic" in e)
    else:
        out, _ = lan.mosquitto("sub", "mqtt", *keep, "-C", count, "-W", 15).communicate(timeout=20)
        got = out.split()
    assert got == want
    # mosquitto_sub goes when it has the last one, whether all are acknowledged or not.
    left = count if make == "mosquitto" else 0
    wait_for(lambda: lan.sessions()["me"]["queue"] == 0 and lan.sessions()["me"]["inflight"] <= left, what="nothing that waits")


def test_a_paho_publisher_whose_connection_breaks_sends_each_message_once(lan):
    """QoS 2 both ways: the connection is cut again and again while a thousand messages go through.

    Not before its CONNACK: a PUBREL that paho owes becomes a PUBLISH again when its next connection breaks before that.
    """
    if QOS_MAX < 2:
        return
    got = []
    receiver = lan.paho("mqtt", "receiver", clean=False)
    receiver.on_message = lambda c, u, m: got.append(int(m.payload))
    receiver.reconnect_delay_set(1, 1)
    lan.connect(receiver, "mqtt", clean=False)
    receiver.subscribe("once", 2)
    lan.subscribed("receiver")
    sender = lan.paho("mqtt", "again", clean=False)
    sender.reconnect_delay_set(1, 1)
    sender.max_inflight_messages_set(20)
    lan.connect(sender, "mqtt", clean=False)
    done = threading.Event()

    def cut():
        while not done.wait(0.3):
            for client in (sender, receiver):
                sock = client.is_connected() and client.socket()
                if sock:
                    try:
                        sock.shutdown(2)
                    except OSError:
                        pass
    cutter = threading.Thread(target=cut)
    cutter.start()
    for n in range(1000):
        sent = sender.publish("once", str(n), 2)
    sent.wait_for_publish(60)
    done.set()
    cutter.join()
    wait_for(lambda: len(got) >= 1000, 30, what="all of them")
    wait_for(lambda: all(c["queue"] == c["inflight"] == 0 for c in lan.sessions().values()), 20, what="nothing that waits")
    assert sorted(got) == list(range(1000)), "each once"
    for client in (sender, receiver):
        client.disconnect()
        client.loop_stop()
