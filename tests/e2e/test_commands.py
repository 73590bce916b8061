"""Commands back to the field, from the LAN and from the cloud."""

import json
import subprocess
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
      mode: {{ holding: 101, type: u16, labels: {{ 0: idle, 1: auto, 2: test }}, write: {{ values: [idle, auto] }} }}
      speed: {{ holding: 102, type: f32, write: {{ min: 0, max: 1000 }} }}
      fixed: {{ holding: 110, type: u16 }}
      slow: {{ holding: 120, type: u16, write: {{ min: 0, max: 90, step: 10, at-most-every: 1h }} }}
      pulse: {{ holding: 130, type: u16, every: never, write: {{ min: 0, max: 1, verify: none }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud.port}", send: [ "#" ], receive: [ "works/edge/+/set", "works/edge/+/+/set" ] }}
store: {{ path: state, commit: 100ms }}
""",
        )
    )
    gateway.wait(lambda s: s["broker"] and s["uplinks"]["cloud"]["state"] == "online")
    wait_for(lambda: gateway.wait(lambda s: len(s["tags"]) == 5), what="the first readings")
    return device, cloud, gateway, lan


def publish(port, topic, payload, retain=False, version=mqtt.MQTTv311, properties=None):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="hmi", protocol=version)
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
    assert message.properties.UserProperty == [("code", "done")]
    assert device.writes == [(102, 0x4148), (103, 0)]


REFUSED = [
    ("limits", "setpoint", "80.1", {}, "out-of-limits"),
    ("between two raw steps", "setpoint", "42.51", {}, "bad-payload"),
    ("not a number", "setpoint", '"warm"', {}, "bad-payload"),
    ("not json", "setpoint", "{", {}, "bad-payload"),
    ("retained", "setpoint", "42", {"retain": True}, "retained"),
    ("stale", "setpoint", '{"v": 42, "ts": 1000, "ttl": 5000}', {}, "expired"),
    ("read only", "fixed", "1", {}, "unknown-tag"),
    ("between two steps", "slow", "15", {}, "off-step"),
    ("not among the values", "mode", '"test"', {}, "not-allowed"),
    ("an object for one tag", "mode", '{"mode": 1}', {}, "bad-payload"),
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


@pytest.mark.parametrize("where", ["lan", "cloud"])
def test_several_tags_in_one_command(site, started, where):
    device, cloud, gateway, lan = site
    port = lan if where == "lan" else cloud.port
    recorder = started(Recorder(port))
    publish(port, "works/edge/press/set", '{"speed": 12.5, "setpoint": 42.5, "mode": "auto"}')
    answer = wait_for(lambda: recorder.last("works/edge/press/set/result"), what="the answer")
    assert answer["ok"] is True, answer
    assert answer["tags"]["setpoint"] == {"ok": True, "v": 42.5, "verified": True}
    assert answer["tags"]["mode"]["v"] == "auto"
    # What adjoins is one request, in the order of the addresses.
    assert device.writes == [(100, 425), (101, 1), (102, 0x4148), (103, 0)]
    assert device.requests.count(16) == 1 and 6 not in device.requests
    wait_for(lambda: (recorder.last(SETPOINT) or {}).get("v") == 42.5, what="the new value at once")


def test_of_several_tags_all_are_checked_before_any_is_written(site, started):
    device, _, gateway, lan = site
    recorder = started(Recorder(lan))
    publish(lan, "works/edge/press/set", '{"setpoint": 42.5, "speed": 5000}')
    answer = wait_for(lambda: recorder.last("works/edge/press/set/result"), what="the answer")
    assert (answer["ok"], answer["code"]) == (False, "out-of-limits"), answer
    assert answer["tags"]["setpoint"]["code"] == "not-written"
    assert answer["tags"]["speed"]["code"] == "out-of-limits"
    assert device.writes == []


def test_the_rate_is_limited_and_what_is_not_verified_says_so(site, started):
    device, _, gateway, lan = site
    recorder = started(Recorder(lan))
    results = lambda tag: [json.loads(m.payload) for m in recorder.on(f"works/edge/press/{tag}/set/result")]
    publish(lan, "works/edge/press/slow/set", "10")
    wait_for(lambda: results("slow"), what="the first answer")
    publish(lan, "works/edge/press/slow/set", "20")
    first, second = wait_for(lambda: len(results("slow")) == 2 and results("slow"), what="the second answer")
    assert first["ok"] and second["code"] == "too-soon", second
    assert 3_500_000 < second["next_ms"] <= 3_600_000
    publish(lan, "works/edge/press/pulse/set", "1")
    pulse = wait_for(lambda: results("pulse"), what="the answer")[0]
    assert (pulse["ok"], pulse["v"], pulse["verified"]) == (True, 1, False)
    assert device.writes == [(120, 10), (130, 1)]


def audit(gateway):
    command = [gateway.arguments[0], "audit", "--json", "--state-dir", gateway.state]
    shown = subprocess.run([str(a) for a in command], capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def test_every_command_is_recorded_and_the_record_survives_a_kill(site, started):
    device, cloud, gateway, lan = site
    recorder = started(Recorder(lan))
    publish(lan, f"{SETPOINT}/set", "42.5")
    wait_for(lambda: recorder.on(f"{SETPOINT}/set/result"), what="the answer")
    for _ in range(3):
        publish(lan, f"{SETPOINT}/set", "99")
    publish(cloud.port, "works/edge/press/set", '{"setpoint": 10, "mode": 0}')
    told = lambda: sum(gateway.status()["commands"][k] for k in ("received", "done"))
    wait_for(lambda: told() == 5 + 2, what="all commands")
    wanted = [
        ("press.setpoint", "42.5", "done", 1),
        ("press.setpoint", "99", "out-of-limits", 3),
        ("press.setpoint", "10", "done", 1),
        ("press.mode", "0", "done", 1),
    ]
    show = lambda rows: [(r["tag"], r["asked"], r["outcome"], r["n"]) for r in rows]
    rows = audit(gateway)
    assert show(rows) == wanted
    assert rows[0]["origin"] == "lan:hmi" and rows[2]["origin"] == "uplink:cloud"
    assert rows[2]["old"] == "42.5" and rows[2]["read_back"] == "10"

    # They are in the file within the commit window.
    commits = lambda: gateway.status()["store"]["counters"]["commits"]
    before = commits()
    wait_for(lambda: commits() > before + 1, what="the records in the file")
    gateway.kill()
    assert show(audit(gateway)) == wanted, "from the file"
    written = list(device.writes)
    gateway.start()
    gateway.wait(lambda s: len(s["tags"]) == 5)
    assert show(audit(gateway)) == wanted, "from the gateway"
    assert device.writes == written, "nothing was replayed"


def test_a_silent_master_leaves_the_safe_value(site, started, tmp_path):
    device, _, gateway, lan = site
    text = gateway.config.read_text().replace(
        "speed: { holding: 102, type: f32, write: { min: 0, max: 1000 } }",
        "speed: { holding: 102, type: f32, write: { min: 0, max: 1000, safe: { value: 5, after: 1s } } }",
    )
    assert "safe:" in text
    gateway.write(text)
    gateway.signal(1)
    wait_for(lambda: "configuration taken" in gateway.output(), what="the new configuration")
    recorder = started(Recorder(lan))
    wait_for(lambda: recorder.last("works/edge/press/speed"), what="the value")
    topic = "works/edge/press/speed/set/result"
    publish(lan, "works/edge/press/speed/set", "12.5")
    wait_for(lambda: len(recorder.on(topic)) == 2, what="the answers to the command and of the safe value")
    values = [json.loads(m.payload)["v"] for m in recorder.on(topic)]
    assert values == [12.5, 5.0]
    status = gateway.wait(lambda s: s["commands"]["safe_values"] == 1)
    assert status["commands"]["safe"][0]["state"] == "written"
    assert [r["origin"] for r in audit(gateway)][-1] == "safe-value"
    assert "writing the safe value" in gateway.output()


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
