"""Commands back to the field, from the LAN and from the cloud."""

import json
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conftest import Gateway, Mosquitto, Recorder, free_port, wait_for
from plant import CountingDevice

SETPOINT = "works/edge/press/setpoint"


@pytest.fixture
def site(tmp_path, started):
    device = started(CountingDevice())
    cloud = started(Mosquitto(tmp_path / "cloud"))
    lan = free_port()
    gateway = started(
        Gateway(
            tmp_path / "gw",
            f"""
gateway: {{ name: edge, site: works }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}
devices:
  press:
    bus: line
    unit: 1
    every: 1h
    tags:
      setpoint: {{ holding: 100, type: u16, scale: 0.1, write: {{ min: 0, max: 80 }} }}
      speed: {{ holding: 102, type: f32, write: {{ min: 0, max: 1000 }} }}
      fixed: {{ holding: 110, type: u16 }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud.port}", send: [ "#" ], receive: [ "works/edge/+/+/set" ] }}
store: {{ path: state, commit: 100ms }}
""",
        )
    )
    gateway.wait(lambda s: s["broker"] and s["uplinks"]["cloud"]["state"] == "online")
    wait_for(lambda: gateway.wait(lambda s: len(s["tags"]) == 3), what="the first readings")
    return device, cloud, gateway, lan


def publish(port, topic, payload, retain=False, version=mqtt.MQTTv311, properties=None):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(topic, payload, 1, retain, properties).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("where", ["lan", "cloud"])
def test_command_is_written_read_back_answered_and_published(site, started, where):
    device, cloud, gateway, lan = site
    port = lan if where == "lan" else cloud.port
    recorder = started(Recorder(port))
    publish(port, f"{SETPOINT}/set", "42.5")
    answer = wait_for(lambda: recorder.last(f"{SETPOINT}/set/result"), what="the answer")
    assert answer["ok"] is True and answer["v"] == 42.5, answer
    assert device.writes == [(100, 425)]
    # The tag is polled once an hour: the new value is there because the command brought it.
    wait_for(lambda: (recorder.last(SETPOINT) or {}).get("v") == 42.5, what="the new value at once")


def test_mqtt5_response_topic_and_correlation(site, started):
    device, _, gateway, lan = site
    recorder = started(Recorder(lan, topics=("answers/#",), version=mqtt.MQTTv5))
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "answers/me"
    properties.CorrelationData = b"\x01job 7"
    publish(lan, "works/edge/press/speed/set", '{"v": 12.5}', version=mqtt.MQTTv5, properties=properties)
    wait_for(lambda: recorder.on("answers/me"), what="the answer")
    message = recorder.on("answers/me")[0]
    assert message.properties.CorrelationData == b"\x01job 7"
    assert json.loads(message.payload)["v"] == 12.5
    assert device.writes == [(102, 0x4148), (103, 0)]


REFUSED = [
    ("limits", "setpoint", "80.1", {}, "out-of-limits"),
    ("between two raw steps", "setpoint", "42.51", {}, "bad-payload"),
    ("not a number", "setpoint", '"warm"', {}, "bad-payload"),
    ("not json", "setpoint", "{", {}, "bad-payload"),
    ("retained", "setpoint", "42", {"retain": True}, "retained"),
    ("stale", "setpoint", '{"v": 42, "ts": 1000, "ttl": 5000}', {}, "expired"),
    ("read only", "fixed", "1", {}, "unknown-tag"),
]


@pytest.mark.parametrize("payload", [pytest.param(r, id=r[0]) for r in REFUSED])
def test_refused_commands_are_counted_and_never_written(site, started, payload):
    """T17"""
    _, tag, body, options, code = payload
    device, _, gateway, lan = site
    recorder = started(Recorder(lan))
    publish(lan, f"works/edge/press/{tag}/set", body, **options)
    answer = wait_for(lambda: recorder.last(f"works/edge/press/{tag}/set/result"), what="the answer")
    assert answer["ok"] is False and answer["code"] == code, answer
    assert gateway.status()["commands"]["refused"] == {code: 1}
    assert device.writes == []


def test_command_to_a_dead_device_is_answered(site, started):
    device, _, gateway, lan = site
    device.unit = 99  # from now on it ignores what is sent to unit 1
    recorder = started(Recorder(lan))
    publish(lan, f"{SETPOINT}/set", "10")
    answer = wait_for(lambda: recorder.last(f"{SETPOINT}/set/result"), what="the answer")
    assert answer["ok"] is False and answer["code"] == "no-answer", answer


def test_clients_cannot_publish_a_tags_value(site, started):
    _, _, gateway, lan = site
    recorder = started(Recorder(lan, topics=(SETPOINT,)))
    wait_for(lambda: recorder.last(SETPOINT), what="the retained value")
    publish(lan, SETPOINT, '{"v": 1}', retain=True)
    publish(lan, f"{SETPOINT}/set", "20")
    wait_for(lambda: (recorder.last(SETPOINT) or {}).get("v") == 20, what="the gateway's own value")
    assert all(json.loads(m.payload)["v"] != 1 for m in recorder.messages)


def test_lan_messages_reach_the_cloud(site, started):
    """A LAN client's own message that an uplink wants goes through the store like a reading."""
    _, cloud, gateway, lan = site
    recorder = started(Recorder(cloud.port))
    publish(lan, "scanner/7/code", "4006381333931")
    wait_for(lambda: recorder.on("scanner/7/code"), what="the message at the cloud")
    assert recorder.on("scanner/7/code")[0].payload == b"4006381333931"
